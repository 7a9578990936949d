"""Our few WS-Man messages are pywinrm's own, and answers are read or refused."""

import base64
import contextlib
from collections.abc import Callable
from typing import Any
from xml.etree import ElementTree

import pytest
import xmltodict
from hypothesis import given, settings
from hypothesis import strategies as st
from winrm.protocol import Protocol

from auditor.hosts.winrm import soap

SHELL, COMMAND = "SHELL-1", "COMMAND-1"
ANSWER = f'<a><b Name="ShellId">{SHELL}</b><CommandId>{COMMAND}</CommandId><RelatesTo>uuid:0</RelatesTo></a>'


class Recording(Protocol):
    """pywinrm without a network: keeps what it would send."""

    def send_message(self, message: str) -> bytes:
        """Keep it."""
        self.sent = message
        return ANSWER.encode()


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (soap.create(20), lambda client: client.open_shell(codepage=65001, idle_timeout="PT180S")),
        (
            soap.command(SHELL, "echo <&> \"'ü", 20, console=True),
            lambda client: client.run_command(SHELL, "echo <&> \"'ü"),
        ),
        (
            soap.command(SHELL, "more", 20, console=False),
            lambda client: client.run_command(SHELL, "more", console_mode_stdin=False),
        ),
        (
            soap.send(SHELL, COMMAND, b"\0data", 20, end=False),
            lambda client: client.send_command_input(SHELL, COMMAND, b"\0data"),
        ),
        (
            soap.send(SHELL, COMMAND, b"data", 20, end=True),
            lambda client: client.send_command_input(SHELL, COMMAND, b"data", end=True),
        ),
        (soap.receive(SHELL, COMMAND, 20), lambda client: client.get_command_output_raw(SHELL, COMMAND)),
        (soap.signal(SHELL, COMMAND, 20), lambda client: client.cleanup_command(SHELL, COMMAND)),
        (soap.delete(SHELL, 20), lambda client: client.close_shell(SHELL)),
    ],
    ids=["create", "command", "command-stdin", "send", "send-end", "receive", "signal", "delete"],
)
def test_a_message_is_what_pywinrm_would_send(ours: str, theirs: Callable[[Any], object]) -> None:
    client = Recording("http://127.0.0.1:1/wsman", username="x", password="y")
    with contextlib.suppress(AssertionError, ValueError):  # the stand-in's answer relates to nothing
        theirs(client)
    assert canonical(ours) == canonical(client.sent)


def canonical(message: str) -> str:
    """A message without what differs each time, without unused prefixes and the order of attributes."""
    header = xmltodict.parse(message)["env:Envelope"]["env:Header"]
    same = message.replace(header["a:MessageID"], "ID").replace("PT20.000S", "PT20S")
    return ElementTree.canonicalize(same, strip_text=True)


def test_every_message_has_a_number_of_its_own() -> None:
    assert soap.create(1) != soap.create(1)


@settings(deadline=None, max_examples=60)
@given(st.text())
def test_a_command_line_arrives_as_it_is_or_is_refused(line: str) -> None:
    try:
        soap.writable(line)
    except ValueError:
        return
    parsed = ElementTree.fromstring(soap.command(SHELL, line, 1, console=True))
    assert (parsed.findtext(".//{*}Command") or "") == line


@settings(deadline=None, max_examples=60)
@given(st.binary(max_size=300), st.text("<>&'\"ab", max_size=9))
def test_input_and_foreign_identifiers_arrive_as_they_are(data: bytes, name: str) -> None:
    stream = ElementTree.fromstring(soap.send(f"s{name}", name, data, 1, end=True)).find(".//{*}Stream")
    assert stream is not None
    assert base64.b64decode(stream.text or "") == data
    assert stream.get("CommandId") == name


def received(*streams: tuple[str, bytes], state: str = "Running", code: str | None = None) -> bytes:
    """An answer to Receive."""
    space = "http://schemas.microsoft.com/wbem/wsman/1/windows/shell"
    parts = [
        f'<r:Stream Name="{name}">{base64.b64encode(data).decode()}</r:Stream>' for name, data in streams
    ]
    exit_code = f"<r:ExitCode>{code}</r:ExitCode>" if code is not None else ""
    parts.append(f'<r:CommandState State="{space}/CommandState/{state}">{exit_code}</r:CommandState>')
    return f'<e xmlns:r="{space}">{"".join(parts)}</e>'.encode()


def test_output_is_gathered_until_it_is_done() -> None:
    output = soap.Output(10, 4)
    assert output.take(received(("stdout", b"ab"), ("stderr", b"123")))
    assert not output.take(received())
    assert not output.done
    assert output.take(received(("stdout", b"c"), ("stderr", b"45"), state="Done", code="3221225477"))
    assert (output.stdout, output.stderr, output.noise) == (b"abc", b"1234", 5)
    assert (output.done, output.exit_status, output.overflown) == (True, 3221225477, False)
    output.take(received(("stderr", b"x" * 6)))
    assert output.overflown


@pytest.mark.parametrize(
    "answer",
    [b"", b"<a", b"<a/>", b"<a><b Name='ShellId'/></a>", b"<!DOCTYPE a><a><b Name='ShellId'>x</b></a>"],
)
def test_an_answer_that_names_nothing_is_refused(answer: bytes) -> None:
    for read in (soap.shell_id, soap.command_id):
        with pytest.raises((ValueError, ElementTree.ParseError)):
            read(answer)


@pytest.mark.parametrize(
    "answer", [received(state="Done", code="x"), received(("stdout", b"x")).replace(b"eA==", b"e")]
)
def test_output_that_cannot_be_read_is_refused(answer: bytes) -> None:
    with pytest.raises(ValueError, match=r"invalid literal|Incorrect padding|Invalid base64"):
        soap.Output(10, 10).take(answer)

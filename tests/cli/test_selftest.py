"""`auditor selftest windows`, against a model of Windows behind real WinRM."""

import json
import socket
import threading
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from auditor.cli.selftest import selftest_app
from auditor.credentials import Secrets
from auditor.errors import HostError, UsageError
from auditor.facts import GuestAgent
from auditor.guests import open_session
from auditor.hosts.options import GuestOptions
from auditor.model import Connection
from auditor.probe import windows_probe
from auditor.probe.windows import pieces
from auditor.probe.windows.recording import answers
from auditor.simulator.windows import WINDOWS_GUESTS, WindowsGuest, WinRmGuests, healthy
from auditor.simulator.wsman import Execution, WinRmServer

PROXIED = next(guest for guest in WINDOWS_GUESTS if guest.name == "win-proxy-set")
SCRIPTS = [piece.name for piece in pieces()]


@pytest.fixture(scope="module")
def host() -> Iterator[Mapping[str, str]]:
    """One guest, as its hosts file has it."""
    with WinRmGuests((PROXIED,)) as guests:
        (host,) = json.loads(guests.hosts_file.read_text())["hosts"]
        yield {name: str(value) for name, value in host.items()}


def run(host: Mapping[str, str], *more: str) -> Result:
    return CliRunner().invoke(
        selftest_app,
        [
            "windows", host["address"], "--port", host["port"], "--user", host["user"],
            "--password-ref", host["password"], "--ca", host["ca"], *more,
        ],
    )  # fmt: skip


def rows(result: Result) -> list[list[str]]:
    return [line.split() for line in result.output.splitlines()[1 : len(SCRIPTS) + 1]]


def test_every_script_is_run_and_shown(host: Mapping[str, str], tmp_path: Path) -> None:
    output = tmp_path / "host.json"
    result = run(host, "--output", str(output))
    assert result.exit_code == 0, result.output
    assert [(row[0], row[2], row[3]) for row in rows(result)] == [(name, "ok", "0") for name in SCRIPTS]
    assert f"Recording: {output}" in result.output.replace("\n", "")
    guest = windows_probe(()).read(answers(json.loads(output.read_text())), datetime.now(UTC), "winrm")
    assert isinstance(guest.agent, GuestAgent)
    assert guest.agent.daemon_version == "2.7.41491.1183"


def test_a_recording_tells_nothing_of_the_host(host: Mapping[str, str], tmp_path: Path) -> None:
    output = tmp_path / "host.json"
    assert run(host, "--output", str(output)).exit_code == 0
    text = output.read_text().lower()
    password = Path(host["password"].removeprefix("file:")).read_text()
    state = PROXIED.state
    secrets = (
        state.hostname,
        state.vm_id,
        "10.0.0.4",
        "hunter2",
        "azops",
        "proxy.example",
        host["address"],
        password,
    )
    assert [secret for secret in secrets if secret.lower() in text] == []


def test_without_an_output_nothing_is_written(
    host: Mapping[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(host).exit_code == 0
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("timeout", ["1e300", "1000001", "inf"])
def test_a_timeout_that_nothing_can_wait_is_refused(host: Mapping[str, str], timeout: str) -> None:
    result = run(host, "--timeout", timeout)
    assert isinstance(result.exception, UsageError)
    assert "--timeout must be a number of seconds above 0, and at most 1000000" in str(result.exception)


def test_the_longest_timeout_is_none_too_long(host: Mapping[str, str]) -> None:
    assert run(host, "--timeout", "1000000").exit_code == 0


def test_a_wrong_password_is_tried_once(host: Mapping[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WRONG", "not-the-password")
    result = run({**host, "password": "env:WRONG"})
    assert result.exit_code == 3
    assert [row[2] for row in rows(result)] == ["failed"] * len(SCRIPTS)
    assert result.output.count("not asked: the first script had no answer") == len(SCRIPTS) - 1
    assert "not-the-password" not in result.output


class Stubborn:
    """A guest that runs no PowerShell."""

    def __init__(self) -> None:
        self._guest = WindowsGuest(healthy("web1", "1"))

    def run(
        self, command: str, stdin: bytes, environment: Mapping[str, str], user: str, stop: threading.Event
    ) -> Execution:
        """Refuse what begins with powershell."""
        if command.startswith("powershell"):
            return Execution(1, b"", b"This program is blocked by group policy.\r\n")
        return self._guest.run(command, stdin, environment, user, stop)


def test_a_script_that_is_blocked_is_unreadable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PASSWORD", "simulated")
    with WinRmServer(Stubborn(), accounts={"SIM\\ann": "simulated"}) as server:
        host = {
            "address": server.address, "port": str(server.port), "user": "SIM\\ann",
            "password": "env:PASSWORD", "ca": str(server.ca_file),
        }  # fmt: skip
        result = run(host)
    assert result.exit_code == 3
    assert [row[2] for row in rows(result)] == ["ok", *["unreadable"] * (len(SCRIPTS) - 1)]
    assert "blocked by group policy" in result.output


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--transport", "telnet"], "transport 'telnet' is not supported"),
        (["--auth", "digest"], "auth 'digest' is not supported"),
        (["--auth", "basic", "--plain-http"], "over plain HTTP"),
        (["--password-ref", "hunter2"], "a secret is given by reference"),
        (["--password-ref", "env:NOWHERE_SET"], "the environment variable NOWHERE_SET is not set"),
        (["--port", "70000"], "port '70000' is not a number"),
        (["--output", "nowhere/at/all.json"], "the folder does not exist"),
        (["--transport", "run-command"], "is not for run-command"),
    ],
)
def test_what_cannot_be_asked_for(host: Mapping[str, str], more: list[str], said: str) -> None:
    result = run(host, *more)
    assert isinstance(result.exception, UsageError)
    assert said in str(result.exception)
    assert "hunter2" not in str(result.exception)


def test_an_address_that_is_none(host: Mapping[str, str]) -> None:
    result = run({**host, "address": "a b"})
    assert isinstance(result.exception, UsageError)
    assert "no host name or address" in str(result.exception)


def test_over_ssh_the_same_way(host: Mapping[str, str], tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = str(taken.getsockname()[1])
        known = tmp_path / "known_hosts"
        known.touch()
        result = CliRunner().invoke(
            selftest_app,
            ["windows", "127.0.0.1", "--port", port, "--user", "ann", "--transport", "ssh",
             "--known-hosts", str(known)],
        )  # fmt: skip
    assert result.exit_code == 3
    assert [row[2] for row in rows(result)] == ["failed"] * len(SCRIPTS)
    assert "refused" in result.output


def test_a_way_that_is_no_session() -> None:
    with pytest.raises(HostError, match="leads into no session"):
        open_session(Connection("a.example", transport="run-command"), GuestOptions(), Secrets())

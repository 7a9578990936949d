"""Recordings of Windows guests: what is taken out of them, and what real ones say."""

import json
import re
from datetime import UTC, datetime
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from auditor.facts import Guest, Unseen
from auditor.hosts import CommandResult
from auditor.probe import windows_probe
from auditor.probe.windows import pieces
from auditor.probe.windows.recording import Take, answers, record
from auditor.probe.windows.redact import Redactor

FILES = sorted((Path(__file__).parent.parent / "fixtures" / "windows").glob("*.json"))
VERSIONS = json.loads(Path(__file__).with_name("windows_scripts.json").read_text())
GUID = "6f2c4b0a-9d51-4c34-8f1e-0d9f7f1c2b3a"
FIRST = "00000000-0000-4000-8000-000000000001"


# ---- real guests ---------------------------------------------------------------------------------


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.stem))
def test_a_recorded_guest_is_read(path: Path) -> None:
    recording = json.loads(path.read_text(encoding="utf-8"))
    known = {(row["name"], row["version"]): row["sha256"] for row in VERSIONS}
    assert recording["schema"] == 1
    assert [row["name"] for row in recording["scripts"]] == [piece.name for piece in pieces()]
    for row in recording["scripts"]:
        assert known[row["name"], row["version"]] == row["sha256"]
    current = {(piece.name, piece.version) for piece in pieces()}
    given = [
        answer if (row["name"], row["version"]) in current else Unseen("recorded of an earlier version")
        for row, answer in zip(recording["scripts"], answers(recording), strict=True)
    ]
    if isinstance(given[0], Unseen):
        pytest.skip("the registry script has changed since this was recorded")
    guest = windows_probe(()).read(given, datetime.now(UTC), recording["transport"])
    assert isinstance(guest, Guest)
    assert guest.hostname
    assert re.fullmatch(r"\d+\.\d+\.\d+(\.\d+)?", guest.os_version or "")
    assert not isinstance(guest.agent, Unseen)


def test_there_is_a_recording() -> None:
    assert FILES


# ---- what is taken out ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("    Hostname    REG_SZ    web1", "    Hostname    REG_SZ    name-1"),
        ("\\\\WEB1\\share", "\\\\name-1\\share"),
        ("web12 and web1", "web12 and name-1"),
        (f"{{{GUID}}} {GUID.upper()}", f"{{{FIRST}}} {FIRST}"),
        ("S-1-5-21-1004336348-1177238915-682003330-512", "S-1-5-21-0-0-0-1"),
        ("S-1-5-18", "S-1-5-18"),
        ("10.0.0.4 10.0.0.4 10.0.0.5", "192.0.2.1 192.0.2.1 192.0.2.2"),
        ("fe80::1ff:fe23:4567:890a%4 at 01:13:02", "2001:db8::1 at 01:13:02"),
        ("168.63.129.16 169.254.169.254 127.0.0.1 0.0.0.0 255.255.255.0",) * 2,
        ("Microsoft Windows [Version 10.0.20348.2700]",) * 2,
        ("1.0.57.0\r",) * 2,
        ("https://acct.blob.core.windows.net/c?sig=S3CRET failed", "https://redacted.invalid/1 failed"),
        ("http://168.63.129.16/?comp=versions",) * 2,
        ("ann@example.com", "somebody@example.invalid"),
        ("C:\\Users\\ann\\a.log", "C:\\Users\\user\\a.log"),
        ("C:\\Users\\bob smith\\a.log", "C:\\Users\\user\\a.log"),
        ("C:\\Users\\ann or C:\\x", "C:\\Users\\user or C:\\x"),
        ("    ProxyServer    REG_SZ    p.corp:80", "    ProxyServer    REG_SZ    redacted.invalid"),
        ("    no_proxy    REG_SZ    u:p@p.corp:80", "    no_proxy    REG_SZ    redacted.invalid"),
        ("    WinHttpSettings    REG_BINARY    2800AB", "    WinHttpSettings    REG_BINARY    00"),
        ("    x    REG_SZ    v2.31|Action=Block|Name=ACME rule|App=C:\\acme.exe|",
         "    x    REG_SZ    v2.31|Action=Block|Name=redacted|App=redacted|"),
    ],
)  # fmt: skip
def test_a_line(line: str, expected: str) -> None:
    assert Redactor(["WEB1", ""]).output(line) == expected


def test_documents_keep_their_shape() -> None:
    document = {
        "version": "1.0.57.0",
        "addresses": ["10.0.0.4", None, 4],
        "text": "a\n10.0.0.4",
        "x": {"b": True},
    }
    assert Redactor().document(document) == {
        "version": "1.0.57.0",
        "addresses": ["192.0.2.1", None, 4],
        "text": "a\n192.0.2.1",
        "x": {"b": True},
    }


@settings(max_examples=40)
@given(st.text(max_size=100), st.lists(st.text(max_size=6), max_size=3))
def test_any_text_is_redacted_once(text: str, names: list[str]) -> None:
    lines = Redactor(names).output(text).count("\n")
    assert lines == text.count("\n")


OURS = (ip_network("192.0.2.0/24"), ip_network("2001:db8::/32"))


def foreign(address: Any) -> bool:
    """Whether an address is none of those that stand for others."""
    return not any(address in network for network in OURS if network.version == address.version)


@settings(max_examples=40)
@given(st.uuids(), st.ip_addresses(v=4).filter(foreign), st.ip_addresses(v=6).filter(foreign))
def test_no_id_and_no_address_is_left(guid: Any, four: Any, six: Any) -> None:
    found = Redactor().output(f"id {guid}, {{{guid}}}; at {four}:443, [{six}]:80 and {six}.")
    assert str(guid) not in found
    own = four.is_loopback or four.is_unspecified or str(four).startswith("255.")
    assert own or str(four) not in found
    assert six.is_loopback or six.is_unspecified or str(six) not in found


# ---- a take --------------------------------------------------------------------------------------

REGISTRY, MACHINE = pieces()[0], pieces()[1]


def framed(text: str) -> CommandResult:
    return CommandResult(0, f"AUDITOR-PROBE-BEGIN {text} AUDITOR-PROBE-END\r\n".encode())


DEEP = '{"disk":' + "[" * 900 + "]" * 900 + "}"
"""Deep enough for whoever walks through it, and no more than json.loads takes."""


@pytest.mark.parametrize(
    ("take", "verdict", "remark"),
    [
        (Take(MACHINE, Unseen("refused"), 1), "failed", "refused"),
        (Take(MACHINE, CommandResult(97, b"", b"no"), 1), "unreadable", "exit status 97); it said: no"),
        (Take(MACHINE, framed("{"), 1), "unreadable", "is not JSON"),
        (Take(MACHINE, framed(DEEP), 1), "unreadable", "nested more than 32 deep"),
        (Take(MACHINE, framed('{"disk":{"unseen":"denied"},"interfaces":[{"unseen":"slow"}]}'), 1), "ok",
         "disk unseen: denied; interfaces unseen: slow"),
        (Take(MACHINE, framed('{"elevated":true}'), 1), "ok", ""),
        (Take(REGISTRY, CommandResult(0, b"#@ script registry 1\r\n#@ end\r\n"), 1), "ok", ""),
        (Take(REGISTRY, CommandResult(1, b"Access is denied."), 1), "unreadable", "Access is denied."),
    ],
)  # fmt: skip
def test_how_a_script_went(take: Take, verdict: str, remark: str) -> None:
    assert take.verdict == verdict
    assert remark in take.remark


def test_what_is_nested_too_deep_is_recorded_as_it_came() -> None:
    recording = record([Take(MACHINE, framed(DEEP), 1)], "winrm", datetime(2026, 1, 2, tzinfo=UTC), [])
    assert DEEP in recording["scripts"][0]["stdout"]


def test_a_recording_comes_back() -> None:
    raw = b"#@ script registry 1\r\n#@ host \r\nHKEY_X\r\n    Hostname    REG_SZ    web1\r\n#@ end\r\n"
    takes = [
        Take(REGISTRY, CommandResult(1, raw, b"a warning of web1"), 12),
        Take(MACHINE, framed('{"board_id":"web1","clock":1}'), 3),
        Take(pieces()[2], Unseen("web1 did not answer"), 30_000),
    ]
    recording = json.loads(json.dumps(record(takes, "winrm", datetime(2026, 1, 2, tzinfo=UTC), ["10.0.0.4"])))
    assert (recording["recorded"], recording["transport"]) == ("2026-01-02", "winrm")
    assert "web1" not in json.dumps(recording)
    registry, machine, lost = answers(recording)
    assert registry == CommandResult(1, raw.replace(b"web1", b"name-1"), b"a warning of name-1")
    assert isinstance(machine, CommandResult)
    assert machine.stdout == b'AUDITOR-PROBE-BEGIN {"board_id":"name-1","clock":1} AUDITOR-PROBE-END\r\n'
    assert lost == Unseen("name-1 did not answer")

"""Any bytes in, facts or a reason out."""

import json
from datetime import UTC, datetime
from typing import Any
from unittest.mock import ANY

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from auditor.errors import HostError
from auditor.facts import (
    Attempt,
    Disk,
    Freeze,
    Guest,
    GuestAgent,
    Interface,
    LogTail,
    Mount,
    Package,
    Python,
    Unseen,
)
from auditor.probe import parse

NOW = datetime(2026, 11, 22, 10, tzinfo=UTC)

FULL: dict[str, Any] = {
    "schema": 1,
    "platform": "linux",
    "privileged": True,
    "os": {"name": "Debian GNU/Linux", "version": "12"},
    "kernel": "6.1.0-28-cloud-amd64",
    "architecture": "x86_64",
    "hostname": "web-1",
    "bits": 64,
    "clock": 1795342800.25,
    "agent": {
        "path": "/usr/sbin/waagent",
        "daemon_version": "2.7.3.0",
        "goal_state_version": "2.15.0.1",
        "python": "3.11.2",
        "package": "waagent",
        "package_version": "2.7.3.0-4.1",
        "unit": "walinuxagent",
        "load": "loaded",
        "active": "active",
        "enabled": "enabled",
        "origin": "package",
    },
    "extensions_enabled": True,
    "auto_update": False,
    "snapshot_extension": ["1.0.9220.0"],
    "snapshot_log": {"path": "/var/log/x.log", "lines": ["it failed"], "changed_at": 1795342700},
    "wire_server": [
        {"target": "http://168.63.129.16/?comp=versions", "stage": "ok", "ms": 3, "detail": "HTTP 200"},
        {"target": "168.63.129.16:32526", "stage": "ok", "ms": 2, "detail": "connected"},
    ],
    "imds": {"target": "http://169.254.169.254/metadata/instance", "stage": "ok", "ms": 9, "detail": ""},
    "vm_id": "5b1ca0de-0000-4000-8000-00000000a001",
    "on_azure_host": True,
    "endpoints": [{"target": "a.example:443", "stage": "dns", "ms": None, "detail": "no such name"}],
    "disk": {"path": "/var/lib/waagent", "mount": "/", "free": 10, "total": 20, "noexec": True},
    "firewall": [
        "iptables security: -P OUTPUT ACCEPT",
        "iptables security: -A OUTPUT -d 168.63.129.16/32 -j DROP",
    ],
    "firmware_id": "dea01c5b-0000-0040-8000-00000000a001",
    "interfaces": [{"name": "eth0", "dhcp": True, "addresses": ["10.0.0.4/24"], "source": "netplan"}],
    "python": {"path": "/usr/bin/python3", "version": "3.11.2", "imports_agent": True, "problem": None},
    "proxies": [["unit https_proxy", "http://***@proxy:3128"]],
    "freeze_mounts": [["/", "ext4", "/dev/sda1"], ["/mnt/a\\040b", "nfs4", "nas:/a\\134b"]],
    "freeze_settings": [["MountsToSkip", "/mnt"], ["fsfreeze", ""]],
    "installable": {"manager": "apt", "name": "waagent", "version": "2.7.3.0-4.1"},
}


def said(document: object, before: bytes = b"", after: bytes = b"\n") -> bytes:
    return before + b"AUDITOR-PROBE-BEGIN " + json.dumps(document).encode() + b" AUDITOR-PROBE-END" + after


def read(output: bytes) -> Guest:
    return parse(output, observed_at=NOW, transport="ssh")


def test_everything() -> None:
    assert read(said(FULL)) == Guest(
        platform="linux",
        observed_at=NOW,
        transport="ssh",
        privileged=True,
        os_name="Debian GNU/Linux",
        os_version="12",
        kernel="6.1.0-28-cloud-amd64",
        hostname="web-1",
        architecture="x86_64",
        agent=GuestAgent(
            path="/usr/sbin/waagent",
            daemon_version="2.7.3.0",
            goal_state_version="2.15.0.1",
            package="waagent",
            package_version="2.7.3.0-4.1",
            unit="walinuxagent",
            active="active",
            enabled="enabled",
            origin="package",
        ),
        extensions_enabled=True,
        auto_update=False,
        snapshot_extension=("1.0.9220.0",),
        wire_server=(
            Attempt("http://168.63.129.16/?comp=versions", "ok", "HTTP 200", 3),
            Attempt("168.63.129.16:32526", "ok", "connected", 2),
        ),
        imds=Attempt("http://169.254.169.254/metadata/instance", "ok", "", 9),
        vm_id="5b1ca0de-0000-4000-8000-00000000a001",
        on_azure_host=True,
        endpoints=(Attempt("a.example:443", "dns", "no such name"),),
        disk=Disk("/var/lib/waagent", 10, 20, True),
        bits=64,
        snapshot_log=LogTail("/var/log/x.log", ("it failed",), datetime.fromtimestamp(1795342700, UTC)),
        firewall=("iptables security: -A OUTPUT -d 168.63.129.16/32 -j DROP",),
        firmware_id="dea01c5b-0000-0040-8000-00000000a001",
        interfaces=(Interface("eth0", True, ("10.0.0.4/24",), "netplan"),),
        python=Python("/usr/bin/python3", "3.11.2", True),
        freeze=Freeze(
            (Mount("/", "ext4", "/dev/sda1"), Mount("/mnt/a b", "nfs4", "nas:/a\\b")),
            (("MountsToSkip", "/mnt"), ("fsfreeze", "")),
        ),
        installable=Package("apt", "waagent", "2.7.3.0-4.1"),
        proxies=(("unit https_proxy", "http://***@proxy:3128"),),
        clock=datetime.fromtimestamp(1795342800.25, UTC),
    )


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b"Welcome!\r\nLast login: never\n", b"\nbye\n"),
        (b"AUDITOR-PROBE-END \xff\xfe {", b""),
        (b"+ printf AUDITOR-PROBE-BEGIN {} AUDITOR-PROBE-END\n", b""),
    ],
)
def test_noise_around_the_answer(before: bytes, after: bytes) -> None:
    assert read(said(FULL, before, after)) == read(said(FULL))


@pytest.mark.parametrize(
    ("output", "reason"),
    [
        (b"", "did not answer the probe; it said: nothing"),
        (b"Permission denied\n", "did not answer the probe; it said: Permission denied"),
        (b"AUDITOR-PROBE-BEGIN {", "did not answer the probe"),
        (b"AUDITOR-PROBE-BEGIN { AUDITOR-PROBE-END", "is not JSON"),
        (b"AUDITOR-PROBE-BEGIN " + b"[" * 100_000 + b" AUDITOR-PROBE-END", "is not JSON"),
        (b'AUDITOR-PROBE-BEGIN {"schema":' + b"9" * 10_000 + b"} AUDITOR-PROBE-END", "is not JSON"),
        (said([]), "is not a JSON object"),
        (said({}), "an unknown form: schema None"),
        (said({"schema": 2}), "an unknown form: schema 2"),
    ],
)
def test_what_is_no_answer(output: bytes, reason: str) -> None:
    with pytest.raises(HostError, match=reason):
        read(output)


FACTS = (
    "agent", "extensions_enabled", "auto_update", "snapshot_extension", "snapshot_log", "wire_server", "imds",
    "vm_id", "firmware_id", "on_azure_host", "endpoints", "disk", "interfaces", "firewall", "python",
    "proxies", "installable",
)  # fmt: skip


@pytest.mark.parametrize("name", FACTS)
def test_a_fact_that_is_unseen_absent_or_nonsense(name: str) -> None:
    def fact(value: object) -> object:
        return getattr(read(said({**FULL, name: value})), name)

    assert fact({"unseen": "not readable by azops"}) == Unseen("not readable by azops")
    assert fact({"unseen": ""}) == Unseen("no reason given")
    assert isinstance(fact(12.5), Unseen)
    assert isinstance(fact({"a": 1}), Unseen) or name == "agent"
    left_out = {key: value for key, value in FULL.items() if key != name}
    assert getattr(read(said(left_out)), name) == Unseen("the probe did not report it")


@pytest.mark.parametrize(
    "name",
    [
        "agent",
        "extensions_enabled",
        "auto_update",
        "snapshot_log",
        "vm_id",
        "firmware_id",
        "python",
        "installable",
    ],
)
def test_known_to_be_absent(name: str) -> None:
    assert getattr(read(said({**FULL, name: None})), name) is None


def test_one_unseen_item_hides_its_list() -> None:
    guest = read(said({**FULL, "endpoints": [*FULL["endpoints"], {"unseen": "no tool"}]}))
    assert guest.endpoints == Unseen("no tool")


FAILED = {"target": "168.63.129.16:32526", "stage": "tcp", "ms": 4001, "detail": "timed out"}


def test_a_failed_wire_server_counts_only_as_root() -> None:
    attempts = [FULL["wire_server"][0], FAILED]
    guest = read(said({**FULL, "wire_server": attempts}))
    assert isinstance(guest.wire_server, tuple)
    assert [attempt.ok for attempt in guest.wire_server] == [True, False]
    guest = read(said({**FULL, "wire_server": attempts, "privileged": False}))
    assert isinstance(guest.wire_server, Unseen)
    assert "not tried as root" in guest.wire_server.reason
    assert "168.63.129.16:32526: tcp, timed out" in guest.wire_server.reason
    guest = read(said({**FULL, "privileged": False}))
    assert isinstance(guest.wire_server, tuple)


def test_long_and_hostile_words_are_clipped_and_flat() -> None:
    hostile = "<script>\x00\x1b[31m\u202e{{7*7}}\n" + "x" * 10_000
    guest = read(said({**FULL, "hostname": hostile, "os": {"name": hostile}, "vm_id": {"unseen": hostile}}))
    for word in (guest.hostname, guest.os_name, getattr(guest.vm_id, "reason", None)):
        assert word is not None
        assert len(word) <= 400
        assert word.isprintable()


@pytest.mark.parametrize(
    ("value", "redacted"),
    [
        ("http://proxy:3128", "http://proxy:3128"),
        ("http://user:secret@proxy:3128", "http://***@proxy:3128"),
        ("http://user:sec@ret@proxy:3128", "http://***@proxy:3128"),
        ("http://user:sec/ret@proxy:3128", "http://***@proxy:3128"),
        ("user:secret@proxy:3128", "***@proxy:3128"),
    ],
)
def test_a_password_that_slipped_through_is_taken_out(value: str, redacted: str) -> None:
    assert read(said({**FULL, "proxies": [["unit http_proxy", value]]})).proxies == (
        ("unit http_proxy", redacted),
    )


@pytest.mark.parametrize(
    ("said_there", "shown"),
    [
        ("curl: (7) bad scheme for 'socks9://user:c4n4ry@h:1'", "curl: (7) bad scheme for 'socks9://***@h:1'"),
        ("bad syntax in 'http://us er:c4n4ry@h' see https://x/y", "bad syntax in 'http://***@h' see https://x/y"),
        ("bad syntax in 'us er:c4n4ry@h'", "bad syntax in '***@h'"),
        ("tried user:c4n4ry@h", "tried ***@h"),
        ("couldn't connect, https://x/y through http://***@h", "couldn't connect, https://x/y through http://***@h"),
    ],
)  # fmt: skip
def test_a_login_in_what_a_program_said_is_taken_out(said_there: str, shown: str) -> None:
    (attempt,) = read(said({**FULL, "endpoints": [{**FAILED, "detail": said_there}]})).endpoints  # type: ignore[misc]
    assert attempt.detail == shown


@pytest.mark.parametrize(
    "line",
    [
        "error sig=c4n4ry",
        "error %3fc4n4ry",
        "failed: https://a.blob.example/c/x.vhd?sv=1&sig=c4n4ry",
        "error ?sig=c4n4ry",
        "error 'https://a/b?c4n4ry'",
    ],
)
def test_a_signature_that_slipped_through_is_taken_out(line: str) -> None:
    log = read(
        said({**FULL, "snapshot_log": {"path": "x", "lines": [line], "changed_at": None}})
    ).snapshot_log
    assert isinstance(log, LogTail)
    assert "c4n4ry" not in log.lines[0]
    assert log.changed_at is None


@pytest.mark.parametrize("value", [["/"], "x", ["/", "ext4", None], [1, 2, 3], {"path": "/"}])
def test_a_mount_that_is_none(value: object) -> None:
    guest = read(said({**FULL, "freeze_mounts": [value]}))
    assert isinstance(guest.freeze, Unseen)


@pytest.mark.parametrize("clock", [None, "soon", 10**18, -1, True, 1e300])
def test_a_clock_that_is_none(clock: object) -> None:
    assert read(said({**FULL, "clock": clock})).clock is None


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)
attempts = st.fixed_dictionaries(
    {"target": values, "stage": st.sampled_from(["ok", "dns", "x"]) | values, "detail": values, "ms": values}
)


@settings(max_examples=50, deadline=None)
@given(st.dictionaries(st.sampled_from(sorted(FULL)), values | attempts | st.lists(attempts, max_size=3)))
def test_any_json_is_a_guest(changes: dict[str, Any]) -> None:
    guest = read(said({**FULL, **changes, "schema": 1}))
    assert isinstance(guest, Guest)
    assert guest.privileged is (changes.get("privileged", True) is True)


@given(st.binary(max_size=300), st.booleans())
def test_any_bytes_are_a_guest_or_a_reason(content: bytes, framed: bool) -> None:
    output = b"AUDITOR-PROBE-BEGIN " + content + b" AUDITOR-PROBE-END" if framed else content
    with pytest.raises(HostError) as caught:
        read(output)
    assert str(caught.value).isprintable()


@pytest.mark.parametrize(
    ("source", "shown"),
    [
        ("//joe:canary@nas/share", "//***@nas/share"),
        ("//CORP\\134joe:can@canary/x@nas/share", "//***@nas/share"),
        ("curlftpfs#ftp://joe:canary@ftp.example/", "curlftpfs#ftp://***@ftp.example/"),
        ("curlftpfs\\043ftp://joe:canary@ftp.example/", "curlftpfs#ftp://***@ftp.example/"),
        ("curlftpfs#joe:canary@ftp.example", "curlftpfs#***@ftp.example"),
        ("https://joe:canary@dav.example/x", "https://***@dav.example/x"),
        ("joe:canary@ftp.example", "***@ftp.example"),
        (f"//joe:{'canary' * 100}@nas/share", "//***@nas/share"),
        ("//joe@nas/share", "//joe@nas/share"),
        ("nas:/vol/.snap@today", "nas:/vol/.snap@today"),
        ("joe@nas:/vol", "joe@nas:/vol"),
        ("tank/data@snap", "tank/data@snap"),
    ],
)
def test_no_password_of_a_mount_becomes_a_fact(source: str, shown: str) -> None:
    guest = read(said({**FULL, "freeze_mounts": [["/mnt/x", "cifs", source]]}))
    assert guest.freeze == Freeze((Mount("/mnt/x", "cifs", shown),), ANY)
    broken = read(said({**FULL, "freeze_mounts": [["/mnt/x", "cifs", source], []]}))
    assert isinstance(broken.freeze, Unseen)
    assert "canary" not in repr((guest, broken))

"""The program, a hosts file, and one host for everything that goes wrong with SSH."""

import getpass
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from checks import CHECKS
from reports.json import schema
from tests.hosts.conftest import Sshd, make_key

Start = Callable[..., Sshd]
DEADLINE = 12
OPTIONS = (
    *("--inventory", "hosts.yaml", "--known-hosts", "known_hosts"),
    *("--connect-timeout", "2", "--host-deadline", str(DEADLINE)),
)

REASONS = {
    "wrong-key": "authentication failed for user",
    "changed-host-key": "host key changed: expected SHA256:",
    "refused-port": "connection refused",
    "silent-port": "sent no SSH banner within 2 s",
    "drops": "dropped",
    "garbage": "the guest did not answer the probe; it said:",
    "flood": "more than",
    "windows": "no password is named for the WinRM sign-in",
}


@pytest.fixture
def silent_port() -> Iterator[int]:
    """A port that accepts connections and never says a word."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield listener.getsockname()[1]


@pytest.fixture
def hosts(
    start_sshd: Start, silent_port: int, refused_port: int, tmp_path: Path
) -> dict[str, dict[str, Any]]:
    """Name to entry of the hosts file; the known_hosts file lies beside it."""
    good, changed = start_sshd(), start_sshd()
    changed.trust(" ".join(make_key(tmp_path / "other").with_suffix(".pub").read_text().split()[:2]))
    servers = {
        "good": good,
        "wrong-key": good,
        "changed-host-key": changed,
        "drops": start_sshd("ForceCommand sleep 0.3; kill -9 $PPID"),
        "garbage": start_sshd("ForceCommand head -c 100000 /dev/urandom"),
        "flood": start_sshd("ForceCommand head -c 50000000 /dev/zero"),
        "windows": good,
    }
    known = {server.known_hosts.read_text() for server in servers.values()}
    (tmp_path / "known_hosts").write_text("".join(sorted(known)))
    entries = {
        name: {"address": server.address, "port": server.port, "key": str(server.key)}
        for name, server in servers.items()
    }
    entries["wrong-key"]["key"] = str(make_key(tmp_path / "stranger"))
    for name, port in (("refused-port", refused_port), ("silent-port", silent_port)):
        entries[name] = {"address": "127.0.0.1", "port": port, "key": str(good.key)}
    return entries


def test_every_host_has_its_findings_and_the_right_reason(
    hosts: dict[str, dict[str, Any]], tmp_path: Path
) -> None:
    rows = [
        {"name": name, "platform": "windows" if name == "windows" else "linux", "user": getpass.getuser()}
        | entry
        for name, entry in hosts.items()
    ]
    (tmp_path / "hosts.yaml").write_text(json.dumps(rows))
    started = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-P", "-m", "auditor", "audit", *OPTIONS],
        cwd=tmp_path,
        env={"PATH": os.environ["PATH"], "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )
    elapsed = time.monotonic() - started
    report = json.loads((tmp_path / "out" / "audit.json").read_text())
    Draft202012Validator(schema()).validate(report)
    machines = {machine["name"]: machine for machine in report["machines"]}
    assert set(machines) == {*REASONS, "good"}
    assert {len(machine["findings"]) for machine in machines.values()} == {len(CHECKS)}
    found = {name: _installed(machine) for name, machine in machines.items()}
    wrong = {
        name: found[name]
        for name, words in REASONS.items()
        if found[name]["status"] != "unknown" or words not in found[name]["reason"]
    }
    assert wrong == {}
    shared = "{address}:{port}".format(**hosts["good"])  # of wrong-key and windows too
    scopes = {limit["scope"] for limit in report["coverage"]["limits"]}
    assert scopes == {shared, *(f"host/{name}" for name in REASONS)}
    # the test machine is no Azure guest and may have no agent: what counts is that it was judged
    assert found["good"]["status"] in ("pass", "warn", "fail")
    assert done.returncode in (3, 20), done.stderr
    assert elapsed < DEADLINE + 10


def _installed(machine: dict[str, Any]) -> dict[str, Any]:
    """What was found of the agent: every host outside Azure is asked for that."""
    (only,) = (finding for finding in machine["findings"] if finding["check"] == "vm-agent-installed")
    return dict(only)

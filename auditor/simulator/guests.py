"""Linux guests over SSH in this process, each in a seeded state: they know the probe and nothing else.

A guest answers the script that the tool ships with the facts of its state; any other command or
input ends with exit status 127. No script is run.
"""

import asyncio
import json
import os
import shlex
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import asyncssh
import orjson

from auditor.model import Status, Verdict
from auditor.probe import linux_script
from auditor.simulator.estate import Truth

USER = "auditor"
COMMAND = "/bin/sh -s"
_SECONDS = 30.0
_PROBE = linux_script(()).partition("\n")[2]
_WIRE = ("http://168.63.129.16/?comp=versions", "168.63.129.16:32526")


@dataclass(frozen=True, slots=True)
class GuestState:
    """One guest: how it differs from a healthy one, and what an audit must say of it.

    `clock_ahead` is in seconds.
    """

    name: str
    verdict: Verdict
    findings: Mapping[str, Status]
    changes: Mapping[str, Any]
    internet: bool = True
    clock_ahead: float = 0.0


def _attempt(target: str, stage: str = "ok", detail: str = "HTTP 200") -> dict[str, Any]:
    return {"target": target, "stage": stage, "ms": 12, "detail": detail}


_AGENT = {
    "path": "/usr/sbin/waagent",
    "daemon_version": "2.2.46",
    "goal_state_version": "2.13.0.2",
    "python": "3.10.12",
    "package": "walinuxagent",
    "package_version": "2.2.46-0ubuntu5.1",
    "unit": "walinuxagent",
    "load": "loaded",
    "active": "active",
    "enabled": "enabled",
    "origin": "package",
}
_PYTHON = {"path": "/usr/bin/python3", "version": "3.10.12", "imports_agent": True, "problem": None}
_VM_ID = "6f2c4b0a-9d51-4c34-8f1e-0d9f7f1c2b3a"
_DISK = {
    "path": "/var/lib/waagent",
    "mount": "/",
    "free": 12_884_901_888,
    "total": 31_138_512_896,
    "noexec": False,
}
_NIC = {"name": "eth0", "dhcp": True, "addresses": ["10.0.4.11/24"], "source": "systemd-networkd"}
_MOUNTS = [["/", "ext4", "/dev/sda1"], ["/boot/efi", "vfat", "/dev/sda15"]]
_OUTPUT = "iptables security: -A OUTPUT -d 168.63.129.16/32"
_AGENT_FIREWALL = (
    "iptables security: -P OUTPUT ACCEPT",
    f"{_OUTPUT} -p tcp -m tcp --dport 53 -j ACCEPT",
    f"{_OUTPUT} -p tcp -m owner --uid-owner 0 -j ACCEPT",
    f"{_OUTPUT} -p tcp -m conntrack --ctstate INVALID,NEW -j DROP",
)

GUESTS: tuple[GuestState, ...] = (
    GuestState(
        "guest-healthy",
        Verdict.READY,
        {"vm-agent-installed": Status.PASS, "wire-server": Status.PASS, "internet-connectivity": Status.PASS},
        {},
    ),
    GuestState(
        "guest-agent-stopped",
        Verdict.NOT_READY,
        {"vm-agent-installed": Status.PASS, "agent-service": Status.FAIL},
        {"agent": {**_AGENT, "active": "inactive"}},
    ),
    GuestState(
        "guest-extensions-disabled",
        Verdict.NOT_READY,
        {"agent-service": Status.PASS, "extensions-enabled": Status.FAIL},
        {"extensions_enabled": False},
    ),
    GuestState(
        "guest-internet-blocked",
        Verdict.AT_RISK,
        {"wire-server": Status.PASS, "internet-connectivity": Status.FAIL},
        {},
        internet=False,
    ),
    GuestState(
        "guest-agent-missing",
        Verdict.NOT_READY,
        {"vm-agent-installed": Status.FAIL},
        {"agent": None, "extensions_enabled": None, "auto_update": None, "snapshot_extension": []},
    ),
)


def probe_answer(state: GuestState, endpoints: Sequence[str]) -> bytes:
    """What the probe prints on a guest in this state; `endpoints` are host and port."""
    reached = ("ok", "HTTP 200") if state.internet else ("tcp", "no answer within 8 s")
    facts: dict[str, Any] = {
        "schema": 1,
        "platform": "linux",
        "privileged": True,
        "privilege_problem": None,
        "user": USER,
        "os": {"name": "Ubuntu", "version": "22.04"},
        "kernel": "6.8.0-1017-azure",
        "architecture": "x86_64",
        "bits": 64,
        "hostname": state.name,
        "clock": time.time() + state.clock_ahead,
        "agent": _AGENT,
        "python": _PYTHON,
        "extensions_enabled": True,
        "auto_update": True,
        "snapshot_extension": ["1.0.9220.0"],
        "snapshot_log": None,
        "wire_server": [_attempt(target) for target in _WIRE],
        "imds": _attempt("http://169.254.169.254/metadata/instance"),
        "vm_id": _VM_ID,
        "firmware_id": _VM_ID,
        "firewall": [*_AGENT_FIREWALL],
        "on_azure_host": True,
        "endpoints": [_attempt(endpoint, *reached) for endpoint in endpoints],
        "disk": _DISK,
        "interfaces": [_NIC],
        "freeze_mounts": _MOUNTS,
        "freeze_settings": None,
        "installable": {"manager": "apt", "name": "walinuxagent", "version": "2.2.46-0ubuntu5.1"},
        "proxies": [],
    }
    body = orjson.dumps({**facts, **state.changes})
    return b"\nAUDITOR-PROBE-BEGIN " + body + b" AUDITOR-PROBE-END\n"


def _endpoints(script: str) -> list[str] | None:
    """What the probe is asked to reach, or None for any other script."""
    first, _, rest = script.partition("\n")
    try:
        words = shlex.split(first)
    except ValueError:
        return None
    if words[:2] != ["set", "--"] or rest != _PROBE:
        return None
    places = [word.split("/", 2) for word in words[2:]]
    return [f"{host}:{port}" for _, port, host in places]


class _Server(asyncssh.SSHServer):
    def begin_auth(self, _username: str) -> bool:
        return True


class SshGuests:
    """The guests in a thread of their own, with the files that a client needs to reach them.

    `hosts_file` is an inventory, `known_hosts` holds the host keys, the private key is beside them.
    """

    def __init__(self, states: tuple[GuestState, ...] = GUESTS) -> None:
        self._states = states
        self._folder = tempfile.TemporaryDirectory(prefix="auditor-guests-")
        self.folder = Path(self._folder.name)
        self.hosts_file = self.folder / "hosts.yaml"
        self.known_hosts = self.folder / "known_hosts"
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="guests", daemon=True)
        self._servers: list[asyncssh.SSHAcceptor] = []

    def truth(self) -> dict[str, Truth]:
        """The truth per guest, by its machine id."""
        return {
            f"host/{state.name}": Truth(state.name, state.verdict, dict(state.findings))
            for state in self._states
        }

    def __enter__(self) -> Self:
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._start(), self._loop).result(_SECONDS)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        asyncio.run_coroutine_threadsafe(self._stop(), self._loop).result(_SECONDS)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
        self._folder.cleanup()

    async def _start(self) -> None:
        client = asyncssh.generate_private_key("ssh-ed25519")
        key = self.folder / "id_ed25519"
        os.close(os.open(key, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        client.write_private_key(str(key))
        authorized = asyncssh.import_authorized_keys(client.export_public_key().decode())
        hosts, known = [], []
        for state in self._states:
            host_key = asyncssh.generate_private_key("ssh-ed25519")
            acceptor = await _listen(state, host_key, authorized)
            self._servers.append(acceptor)
            port = acceptor.get_port()
            public = host_key.export_public_key().decode().strip()
            known.append(f"[127.0.0.1]:{port} {public}\n")
            hosts.append(_host(state, port, key))
        self.known_hosts.write_text("".join(known), encoding="utf-8")
        self.hosts_file.write_text(json.dumps({"hosts": hosts}, indent=2), encoding="utf-8")

    async def _stop(self) -> None:
        for server in self._servers:
            server.close()
            await server.wait_closed()


def _host(state: GuestState, port: int, key: Path) -> dict[str, Any]:
    return {
        "name": state.name,
        "platform": "linux",
        "address": "127.0.0.1",
        "port": port,
        "user": USER,
        "key": str(key),
        "tags": {"simulated": "yes"},
    }


async def _listen(state: GuestState, host_key: asyncssh.SSHKey, authorized: Any) -> asyncssh.SSHAcceptor:
    async def answer(process: "asyncssh.SSHServerProcess[bytes]") -> None:
        script = await process.stdin.read()
        endpoints = _endpoints(script.decode("utf-8", "replace"))
        if process.command != COMMAND or endpoints is None:
            process.stderr.write(b"this guest knows one script only\n")
            process.exit(127)
        else:
            process.stdout.write(probe_answer(state, endpoints))
            process.exit(0)

    return await asyncssh.listen(
        "127.0.0.1",
        0,
        server_factory=_Server,
        server_host_keys=[host_key],
        authorized_client_keys=authorized,
        process_factory=answer,
        encoding=None,
        password_auth=False,
        kbdint_auth=False,
    )

"""Linux guests over SSH in this process, each in a seeded state: they know the probe and the work of steps.

A guest answers the script that the tool ships with the facts of its state, and takes the work of a step as
`guest_work` says; any other command or input ends with exit status 127. No script is run.
"""

import asyncio
import json
import os
import shlex
import tempfile
import threading
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import Any, Self

import asyncssh

from auditor.probe import linux_script
from auditor.simulator.estate import Truth
from auditor.simulator.guest_states import GUESTS, USER, GuestState, probe_answer
from auditor.simulator.guest_work import UNKNOWN, Reply, Trouble, WorkingGuest, Workshop, recognise

__all__ = ["GUESTS", "GuestState", "SshGuests", "probe_answer"]

COMMAND = "/bin/sh -s"
_SECONDS = 30.0
_PROBE = linux_script(()).partition("\n")[2]


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

    `hosts_file` is an inventory, `known_hosts` holds the host keys, the private key is beside them. `guests`
    are those that are served, by machine id; `troubles` are by machine id too.
    """

    def __init__(
        self,
        states: tuple[GuestState, ...] = GUESTS,
        workshop: Workshop | None = None,
        troubles: Mapping[str, Trouble] = MappingProxyType({}),
    ) -> None:
        self._states = states
        workshop = workshop or Workshop({})
        self.guests = {
            state.machine_id: WorkingGuest(state, workshop, troubles.get(state.machine_id))
            for state in states
        }
        self._folder = tempfile.TemporaryDirectory(prefix="auditor-guests-")
        self.folder = Path(self._folder.name)
        self.hosts_file = self.folder / "hosts.yaml"
        self.known_hosts = self.folder / "known_hosts"
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="guests", daemon=True)
        self._servers: list[asyncssh.SSHAcceptor] = []

    @property
    def executions(self) -> Counter[str]:
        """How often the work of each step began, whatever the guest."""
        # of copies: the thread of the guests may be counting on
        return sum((Counter(guest.executions) for guest in self.guests.values()), Counter())

    def truth(self) -> dict[str, Truth]:
        """The truth per guest, by its machine id."""
        return {
            state.machine_id: Truth(state.name, state.verdict, dict(state.findings)) for state in self._states
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
            acceptor = await _listen(self.guests[state.machine_id], host_key, authorized)
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
        for guest in self.guests.values():
            await guest.stop()


def _host(state: GuestState, port: int, key: Path) -> dict[str, Any]:
    return {
        "name": state.name,
        "platform": "linux",
        "address": "127.0.0.1",
        "port": port,
        "user": USER,
        "key": str(key),
        "tags": {"simulated": "yes"},
        **({"azure_id": state.azure_id} if state.azure_id else {}),
    }


async def _reply(guest: WorkingGuest, command: str | None, script: bytes) -> Reply:
    if command != COMMAND:
        return UNKNOWN
    text = script.decode("utf-8", "replace")
    endpoints = _endpoints(text)
    if endpoints is not None:
        return Reply(probe_answer(guest.state, endpoints))
    asked = recognise(text)
    return UNKNOWN if asked is None else await guest.take(asked)


async def _listen(guest: WorkingGuest, host_key: asyncssh.SSHKey, authorized: Any) -> asyncssh.SSHAcceptor:
    async def answer(process: "asyncssh.SSHServerProcess[bytes]") -> None:
        script = await process.stdin.read()
        guest.log.append(script)
        reply = await _reply(guest, process.command, script)
        if reply.drops:
            process.get_extra_info("connection").abort()
            return
        process.stdout.write(reply.stdout)
        process.stderr.write(reply.stderr)
        process.exit(reply.exit_status)

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

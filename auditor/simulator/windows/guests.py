"""Windows guests over WinRM in this process, with the files that a client needs to reach them."""

import json
import os
import tempfile
from collections import Counter
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from auditor.simulator.estate import Truth
from auditor.simulator.windows.catalogue import WINDOWS_GUESTS, WindowsGuestState
from auditor.simulator.windows.executor import WindowsGuest
from auditor.simulator.windows.works import WindowsTrouble
from auditor.simulator.wsman import WinRmServer

USER = "SIM\\auditor"
_PASSWORD = "simulated-guests-only"
OUTSIDE_AZURE = tuple(guest for guest in WINDOWS_GUESTS if guest.azure_vm_id is None)


class WinRmGuests:
    """The guests behind HTTPS and NTLM, each at a port of its own on 127.0.0.1.

    `hosts_file` is an inventory; authority and password stand in files beside it. `refused` tells what no
    guest knew. `running` are the guests by name: repairs change them, and `troubles` says by name what goes
    wrong then.
    """

    def __init__(
        self,
        guests: tuple[WindowsGuestState, ...] = OUTSIDE_AZURE,
        troubles: Mapping[str, WindowsTrouble] | None = None,
    ) -> None:
        self._guests = guests
        wrong = troubles or {}
        self.running = {guest.name: WindowsGuest(guest.state, wrong.get(guest.name)) for guest in guests}
        self._stack = ExitStack()
        self._folder = tempfile.TemporaryDirectory(prefix="auditor-windows-")
        self.folder = Path(self._folder.name)
        self.hosts_file = self.folder / "windows.yaml"
        self.servers: dict[str, WinRmServer] = {}

    @property
    def refused(self) -> list[str]:
        """Every command that no guest recognised."""
        return [command for guest in self.running.values() for command in guest.refused]

    @property
    def executions(self) -> Counter[str]:
        """How often the work of each step began, in all guests."""
        # of copies: the threads of the servers may be counting on
        return sum((Counter(guest.executions) for guest in self.running.values()), Counter())

    def truth(self) -> dict[str, Truth]:
        """The truth per guest, by its machine id."""
        return {
            guest.machine_id: Truth(guest.name, guest.verdict, dict(guest.findings)) for guest in self._guests
        }

    def __enter__(self) -> Self:
        password = self.folder / "password"
        descriptor = os.open(password, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(_PASSWORD)
        hosts = []
        for guest in self._guests:
            server = WinRmServer(self.running[guest.name], accounts={USER: _PASSWORD})
            self.servers[guest.name] = self._stack.enter_context(server)
            hosts.append(_host(guest, server, password))
        self.hosts_file.write_text(json.dumps({"hosts": hosts}, indent=2), encoding="utf-8")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()
        self._folder.cleanup()


def _host(guest: WindowsGuestState, server: WinRmServer, password: Path) -> dict[str, Any]:
    return {
        "name": guest.name,
        "platform": "windows",
        "transport": "winrm",
        "address": server.address,
        "port": server.port,
        "user": USER,
        "password": f"file:{password}",
        "ca": str(server.ca_file),
        "tags": {"simulated": "yes"},
        **({"azure_id": guest.azure_id} if guest.azure_id else {}),
    }

"""The lab as a whole: a network with its services, the guests in it, and an end without a trace."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from auditor.rules import load_rules
from tests.lab.bases import Base
from tests.lab.cgroups import Cgroup
from tests.lab.guests import Guest
from tests.lab.network import NAMESPACES, Network
from tests.lab.services import Services
from tests.lab.system import run

STATE = Path("/run")
PREFIX = "auditor-lab-"
STARTERS = 3
FIRST = 10
# systemd watches files: the kernel's usual 128 instances end at about twenty guests
WATCHES = Path("/proc/sys/fs/inotify/max_user_instances")
ENOUGH = 1024


@dataclass
class Lab:
    """Guests by name, and what the operator needs to log in to them."""

    name: str = field(default_factory=lambda: f"{PREFIX}{os.getpid()}")
    guests: dict[str, Guest] = field(default_factory=dict)
    _number: int = FIRST - 1

    def __post_init__(self) -> None:
        self.network = Network(self.name)
        self.services = Services(self.network)

    @property
    def folder(self) -> Path:
        """Everything that the lab writes, in memory."""
        return STATE / self.name

    @property
    def key(self) -> Path:
        """The private key of the operator; every user of every guest knows it."""
        return self.folder / "id_ed25519"

    def start(self) -> None:
        """Network and services; what a killed lab left behind goes first."""
        sweep()
        self.folder.mkdir()
        before = WATCHES.read_text()
        if int(before) < ENOUGH:
            (self.folder / WATCHES.name).write_text(before)
            WATCHES.write_text(str(ENOUGH))
        cgroup = Cgroup(self.name)
        cgroup.create()
        cgroup.count_for_more()
        run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", self.key)
        self.network.create()
        self.services.start(*(endpoint.host for endpoint in load_rules().endpoints))

    def add(self, base: Base, wanted: Mapping[str, Mapping[str, Any]]) -> list[Guest]:
        """Start guests, by name with the fields of `Guest` that are not the usual; ready for logins."""
        self.services.packages[base.suite] = base.packages
        guests = [self._guest(base, name, fields) for name, fields in wanted.items()]
        public = self.key.with_suffix(".pub").read_text()
        authority = self.services.authority.cert_pem.bytes().decode()
        in_parallel(lambda guest: guest.start(public, authority), guests)
        return guests

    def remove(self, guests: Iterable[Guest]) -> None:
        """End guests, however they are."""
        for guest in guests:
            del self.guests[guest.name]
            guest.cgroup.kill()
            if guest.process is not None:
                guest.process.wait(20)
            unmount(guest.folder)
            shutil.rmtree(guest.folder)

    def stop(self) -> None:
        """End everything."""
        self.services.stop()
        clean(self.name)
        for guest in self.guests.values():
            if guest.process is not None:
                guest.process.wait(20)

    def operate(
        self, *command: str | Path, folder: Path, env: Mapping[str, str] | None = None, timeout: float = 180
    ) -> subprocess.CompletedProcess[str]:
        """Run a command where the operator sits, in a folder that is its home as well."""
        return subprocess.run(
            ["nsenter", f"--net={self.network.operator}", *map(str, command)],
            cwd=folder,
            env={"PATH": os.environ["PATH"], "HOME": str(folder), "COLUMNS": "100", **(env or {})},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )

    def audit(
        self, *arguments: str | Path, folder: Path, env: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run the program as the operator does."""
        command = (sys.executable, "-P", "-m", "auditor", "audit", *arguments)
        return self.operate(*command, folder=folder, env=env)

    def _guest(self, base: Base, name: str, fields: Mapping[str, Any]) -> Guest:
        self._number += 1
        folder, cgroup = self.folder / name, Cgroup(f"{self.name}/{name}")
        guest = Guest(name, base, self._number, folder, self.network, cgroup, **fields)
        self.guests[name] = guest
        self.services.identities[guest.address] = {"vmId": str(guest.vm_id), "name": name}
        return guest


def in_parallel(work: Callable[[Any], object], items: Iterable[Any]) -> None:
    """Do it for each, a few at a time; the first failure is raised once all are through."""
    with ThreadPoolExecutor(STARTERS) as pool:
        for done in [pool.submit(work, item) for item in items]:
            done.result()


def sweep() -> None:
    """Clean up after labs whose tests were killed."""
    seen = {path.name for path in STATE.glob(f"{PREFIX}*")}
    if NAMESPACES.is_dir():
        seen |= {path.name for path in NAMESPACES.glob(f"{PREFIX}*")}
    for name in {"-".join(word.split("-")[:3]) for word in seen}:
        if not Path("/proc", name.removeprefix(PREFIX)).exists():
            clean(name)


def clean(name: str) -> None:
    """Processes, mounts, namespaces, cgroups and files of a lab, whatever there is of them."""
    Cgroup(name).kill()
    unmount(STATE / name)
    Network(name).remove()
    before = STATE / name / WATCHES.name
    if before.exists():
        WATCHES.write_text(before.read_text())
    shutil.rmtree(STATE / name, ignore_errors=True)


def unmount(folder: Path) -> None:
    """Everything that is mounted below a folder, the newest first."""
    rows = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    for path in reversed([row for row in rows if row.startswith(f"{folder}/")]):
        run("umount", path)

"""All faults of one suite at once, and what one run of the program says of them."""

import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.lab.bases import Base
from tests.lab.faults import Fault, Finding
from tests.lab.guests import Guest
from tests.lab.lab import Lab, in_parallel

GROUP = "/subscriptions/00000000-0000-4000-8000-000000000001/resourceGroups/lab"
# probes have limits of their own, and all guests share this machine's processors
CONCURRENCY = "6"


@dataclass(frozen=True, slots=True)
class Report:
    """The JSON report of a run, by machine and check."""

    exit_status: int
    document: Mapping[str, Any]
    output: str

    def machine(self, name: str) -> Mapping[str, Any]:
        """All that it says of a machine."""
        return next(machine for machine in self.document["machines"] if machine["name"] == name)

    def finding(self, name: str, check: str) -> Mapping[str, Any]:
        """What a check found on a machine."""
        findings: Iterable[Mapping[str, Any]] = self.machine(name)["findings"]
        return next(finding for finding in findings if finding["check"] == check)

    def wrong(self, name: str, wanted: Iterable[Finding]) -> list[str]:
        """What was found on a machine other than wanted, in words."""
        found = [(each, self.finding(name, each.check)) for each in wanted]
        return [f"{each} is not: {_said(finding)}" for each, finding in found if not each.met_by(finding)]


def _said(finding: Mapping[str, Any]) -> str:
    rows = [f"{row['source']}: {row['value']}" for row in finding["evidence"]]
    return f"{finding['status']}, {finding['reason'] or finding['summary']} ({'; '.join(rows)})"


def azure_id(name: str) -> str:
    """The resource id that a guest goes by."""
    return f"{GROUP}/providers/Microsoft.Compute/virtualMachines/{name}"


@contextmanager
def running(
    lab: Lab, base: Base, faults: Mapping[str, Fault], *, azure: bool = True
) -> Iterator[Mapping[str, Guest]]:
    """Guests by the names of their faults, each with its fault in place; gone afterwards."""
    wanted = {
        name: {"disk": fault.disk, "sshd": fault.sshd, "binds": fault.binds, "azure": azure}
        for name, fault in faults.items()
    }
    try:
        guests = {guest.name: guest for guest in lab.add(base, wanted)}
        in_parallel(lambda guest: guest.sh(faults[guest.name].setup or "true"), guests.values())
        for name, guest in guests.items():
            percent = faults[name].percent
            if percent is not None:
                guest.cgroup.slow_down(percent)
            if faults[name].frozen:
                guest.cgroup.freeze(frozen=True)
        yield guests
    finally:
        lab.remove([guest for name, guest in lab.guests.items() if name in faults])


def entry(lab: Lab, guest: Guest, **fields: object) -> dict[str, object]:
    """What the hosts file says of a guest; a field of None is left out."""
    usual = {"name": guest.name, "platform": "linux", "address": guest.address, "user": "ops"}
    merged = {**usual, "key": str(lab.key), **fields}
    return {name: value for name, value in merged.items() if value is not None}


def write_known_hosts(folder: Path, known: Mapping[str, str]) -> Path:
    """The host keys of addresses."""
    path = folder / "known_hosts"
    path.write_text("".join(f"{address} {key}\n" for address, key in known.items()))
    return path


def audit(
    lab: Lab, folder: Path, entries: Iterable[Mapping[str, object]], *options: str, **variables: str
) -> Report:
    """One run of the program over a hosts file; the folder has a known_hosts file already."""
    (folder / "hosts.yaml").write_text(json.dumps(list(entries)))
    usual = ("--inventory", "hosts.yaml", "--known-hosts", "known_hosts", "--format", "json")
    done = lab.audit(*usual, "--concurrency", CONCURRENCY, *options, folder=folder, env=variables)
    path = folder / "out" / "audit.json"
    assert path.exists(), done.stdout + done.stderr
    return Report(done.returncode, json.loads(path.read_text()), done.stdout + done.stderr)

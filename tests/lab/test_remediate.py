"""The whole program over real guests: plan, apply, killed and resumed, every guest looked at afterwards."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.lab.bases import Base
from tests.lab.estate import entry, running, write_known_hosts
from tests.lab.faults import CONF, VERSIONS, Fault
from tests.lab.guests import Guest
from tests.lab.lab import Lab
from tests.lab.repairs import CONTENT, NETWORK_MANAGER, PURGE

pytestmark = [pytest.mark.lab, pytest.mark.timeout(600)]
SUITE = "bookworm"
MASKED = "systemctl disable --now walinuxagent; systemctl mask walinuxagent"
FAULTS = {
    "p-masked": Fault(MASKED),
    "p-purged": Fault(f"{PURGE}apt-get -qq update"),
    "p-corrupt": Fault("head -c 3000 /dev/zero > /usr/sbin/waagent; systemctl restart walinuxagent || true"),
    "p-no-extensions": Fault(f"sed -i 's/^Extensions.Enabled=.*/Extensions.Enabled=n/' {CONF}"),
    "p-conflict": Fault(f"{PURGE}{NETWORK_MANAGER}apt-get -qq update"),
}
REPAIRED = ("p-masked", "p-purged", "p-corrupt", "p-no-extensions")


@dataclass(frozen=True)
class Office:
    """Where the operator sits: a hosts file, host keys, and the program."""

    lab: Lab
    folder: Path

    def command(self, *words: str) -> list[str]:
        """The program with what leads to these guests and nowhere else."""
        flags = ["--known-hosts", "known_hosts", "--ssh-config", "none", "--store", "auditor.db"]
        shared = flags if words[0] != "plan" else flags[:4]
        return [sys.executable, "-P", "-m", "auditor", "remediate", *words, *shared]

    def run(self, *words: str) -> "subprocess.CompletedProcess[str]":
        """Run it to its end."""
        return self.lab.operate(*self.command(*words), folder=self.folder)

    def kill(self, *words: str, when: Callable[[], bool]) -> None:
        """Run it, and `kill -9` it as soon as something is so."""
        command = ["nsenter", f"--net={self.lab.network.operator}", *self.command(*words)]
        environment = {"PATH": os.environ["PATH"], "HOME": str(self.folder)}
        quiet = subprocess.DEVNULL
        program = subprocess.Popen(
            command, cwd=self.folder, env=environment, stdin=quiet, stdout=quiet, stderr=quiet
        )
        while not when() and program.poll() is None:
            time.sleep(0.05)
        program.send_signal(signal.SIGKILL)
        program.wait()

    def evidence(self) -> dict[str, dict[str, Any]]:
        """What the report says of each guest."""
        document = json.loads((self.folder / "out" / "repair.json").read_bytes())
        return {one["id"].removeprefix("host/"): one for one in document["machines"]}


@pytest.fixture(scope="module")
def guests(lab: Lab, bases: Mapping[str, Any]) -> Iterator[Mapping[str, Guest]]:
    base: Base = bases[SUITE].result()
    with running(lab, base, FAULTS) as found:
        yield found


@pytest.fixture(scope="module")
def office(lab: Lab, guests: Mapping[str, Guest], tmp_path_factory: pytest.TempPathFactory) -> Office:
    folder = tmp_path_factory.mktemp("office")
    write_known_hosts(folder, {guest.address: guest.host_key for guest in guests.values()})
    (folder / "hosts.yaml").write_text(json.dumps([entry(lab, guest) for guest in guests.values()]))
    return Office(lab, folder)


def begun(guests: Mapping[str, Guest]) -> int:
    """In how many guests work was begun."""
    return sum((guest.root / "var/lib/fleet-auditor").exists() for guest in guests.values())


def test_real_guests_are_planned_repaired_through_kills_and_proven(
    office: Office, guests: Mapping[str, Guest], lab: Lab
) -> None:
    before = guests["p-conflict"].sh(CONTENT)
    planned = office.run("plan", "--inventory", "hosts.yaml")
    assert "p-masked" in planned.stdout, planned.stdout + planned.stderr
    for guest in guests.values():
        lab.services.reports.pop(guest.address, None)
    office.kill("apply", "out/plan.json", "--yes", "--canary", "0", when=lambda: begun(guests) > 0)
    office.kill("resume", when=lambda: begun(guests) > 1)
    done = office.run("resume")
    told = office.evidence()
    assert {name: told[name]["result"] for name in REPAIRED} == dict.fromkeys(REPAIRED, "verified"), done
    for name in REPAIRED:
        lab.services.wait_for_report(guests[name].address, VERSIONS[SUITE])
        receipts = guests[name].sh("ls -d /var/lib/fleet-auditor/*/ended-* | wc -l")
        assert int(receipts) == sum(step["state"] == "done" for step in told[name]["steps"])
    assert told["p-conflict"]["result"] == "refused"
    assert "network-manager" in told["p-conflict"]["reason"]
    assert guests["p-conflict"].sh(CONTENT) == before

"""Thirty guests over SSH in this process, each with a fault that can be repaired, and what became of them.

The program under test may run in another process and be killed there; the guests keep their receipts.
"""

import asyncio
import json
import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from auditor.hosts import Shell
from auditor.inventory.file import read_hosts
from auditor.model import Machine, Verdict
from auditor.remedy import (
    Command,
    Identity,
    MachinePlan,
    Plan,
    RepairRun,
    Risk,
    Stage,
    Standing,
    Step,
    Work,
)
from auditor.repair.document import sealed
from auditor.repair.work import command
from auditor.rules import load_rules
from auditor.settings import Settings, resolve, settings
from auditor.simulator.guest_effects import known_by
from auditor.simulator.guest_states import GUESTS, GuestState
from auditor.simulator.guest_work import Effect, Trouble, Workshop
from auditor.simulator.guests import SshGuests
from checks import CHECKS

FAULTS = {
    "agent-stopped": ("agent-restart", "agent-service", ("walinuxagent",)),
    "unit-masked": ("linux-agent", "agent-service", ()),
    "agent-missing": ("linux-agent", "vm-agent-installed", ()),
    "python-broken": ("linux-agent", "linux-python", ()),
    "extensions-disabled": ("linux-agent-config", "extensions-enabled", ("Extensions.Enabled=y",)),
    "update-off": ("linux-agent-config", "agent-auto-update", ("AutoUpdate.UpdateToLatestVersion=y",)),
}
"""The faults in turn: what repairs each, the check that finds it, the arguments of the work."""
AGREED = {(1, "done"), (1, "nothing"), (0, "not a word"), (0, "refused")}
"""How often a work ran, and what the journal may then say of it, where nothing was made to fail."""
SEEDED = {state.name.removeprefix("guest-"): state for state in GUESTS}


def states(count: int = 30) -> tuple[GuestState, ...]:
    """The guests as they are before anything is repaired."""
    faults = list(FAULTS)
    return tuple(
        replace(SEEDED[fault], name=f"{fault}-{number:02}")
        for number in range(count)
        for fault in (faults[number % len(faults)],)
    )


@dataclass(slots=True)
class Gate:
    """Holds every work that begins as the `first` or later, until that changes."""

    first: float = math.inf
    begun: int = 0

    async def __call__(self, seconds: float) -> None:
        """Wait, in the thread of the guests."""
        self.begun += 1
        place = self.begun
        await asyncio.sleep(seconds)
        while place >= self.first:  # noqa: ASYNC110 - it changes in another thread
            await asyncio.sleep(0.01)


@dataclass(frozen=True, slots=True)
class Ward:
    """The guests while they are served; `known` is what they know, and may be added to at any time."""

    ssh: SshGuests
    known: dict[str, Effect]
    gate: Gate = field(default_factory=Gate)

    @contextmanager
    def held(self, first: int) -> Iterator[None]:
        """Until the end of the block no work ends that begins as the `first` or later."""
        self.gate.first = first
        try:
            yield
        finally:
            self.gate.first = math.inf

    def learn(self, plan: Plan) -> None:
        """Let the guests know the work of a plan."""
        self.known.update(known_by(plan))

    def given(self) -> dict[str, Any]:
        """The settings that lead to these guests and nowhere else."""
        return {
            "inventory": [str(self.ssh.hosts_file)],
            "known_hosts": str(self.ssh.known_hosts),
            "ssh_config": "none",
        }

    def settings(self) -> Settings:
        """The same as settings."""
        return settings(resolve(self.given(), environment={}, read_file=False))

    def executions(self) -> Mapping[str, int]:
        """How often the work of each step began."""
        return self.ssh.executions

    def log(self, machine: str) -> list[bytes]:
        """Every script that reached a guest, in order."""
        return self.ssh.guests[machine].log

    def state(self, machine: str) -> GuestState:
        """A guest as it is now."""
        return self.ssh.guests[machine].state

    def broken(self) -> set[str]:
        """The guests that still have their fault, by machine id."""
        # the snapshot extension of an agent that was missing comes with its first backup
        return {
            machine
            for machine, guest in self.ssh.guests.items()
            if guest.state.changes.keys() - {"snapshot_extension"}
        }

    def disputes(self, run: RepairRun) -> list[str]:
        """Where a run's journal and the guests disagree: steps lost, steps doubled, ends that are not so."""
        planned = {machine.machine.id: machine.steps for machine in run.plan.machines}
        noted = {record.machine: {step.id: step for step in record.steps} for record in run.machines}
        found = []
        for machine, steps in planned.items():
            for step in steps:
                record = noted.get(machine, {}).get(step.id)
                told = record.result.state if record and record.result else "not a word"
                times = self.ssh.guests[machine].executions[step.id]
                if (times, told) not in AGREED:
                    found.append(f"{machine}: {step.id} ran {times} times, the journal says {told}")
        for record_of in run.machines:
            well = record_of.machine not in self.broken()
            if record_of.result is not None and well != (record_of.result == "verified"):
                found.append(f"{record_of.machine}: {record_of.result}, and {'well' if well else 'broken'}")
        return found

    def plan(self, prefix: str = "guests30") -> Plan:
        """A plan of one step per guest, whose texts stand for the real ones; the guests know it."""
        rules = load_rules()
        machines = tuple(
            self._planned(host.connected(), f"{prefix}-{number:02}")
            for number, host in enumerate(read_hosts(self.ssh.hosts_file))
        )
        checks = tuple(check.id for check in CHECKS)
        plan = sealed(Plan(prefix, datetime.now(UTC), "1", "none", rules.name, checks, machines))
        self.learn(plan)
        return plan

    def _planned(self, machine: Machine, step: str) -> MachinePlan:
        fault = machine.name.rpartition("-")[0]
        remediation, check, arguments = FAULTS[fault]
        work = Work(Shell.SH, f"echo this stands for {remediation}", arguments)
        script = command(step, work)
        stage = Stage(
            remediation,
            (check,),
            (
                Step(
                    step, f"mend {fault}", "it is broken", "ssh", "it is whole", Risk.LOW, False,
                    commands=(Command(script.text, script.shell),),
                    work=work,
                ),
            ),
        )  # fmt: skip
        before = {check: Standing(SEEDED[fault].findings[check], fault)}
        identity = Identity(hostname=machine.name)
        return MachinePlan(machine, Verdict.NOT_READY, before, (stage,), identity=identity)


@contextmanager
def ward(
    count: int = 30,
    *,
    work_seconds: float = 0.02,
    patience: float = 15.0,
    troubles: Mapping[str, Trouble] | None = None,
) -> Iterator[Ward]:
    """The guests, served until the end of the block; `troubles` by machine id ("host/agent-stopped-00")."""
    known: dict[str, Effect] = {}
    gate = Gate()
    workshop = Workshop(known, work_seconds, patience, pause=gate)
    with SshGuests(states(count), workshop, troubles or {}) as ssh:
        yield Ward(ssh, known, gate)


def swapped(hosts: Path, one: str, other: str) -> str:
    """The text of a hosts file with the addresses of two hosts exchanged."""

    document = json.loads(hosts.read_text(encoding="utf-8"))
    by_name = {host["name"]: host for host in document["hosts"]}
    first, second = by_name[one], by_name[other]
    for key in ("address", "port"):
        first[key], second[key] = second[key], first[key]
    return json.dumps(document)

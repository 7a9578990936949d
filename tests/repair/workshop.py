"""Guests that are folders of this machine: the scripts of steps are run by this machine's own /bin/sh.

The keeper's folder lies inside each guest's; the rest of a step's command is what a guest would be sent.
A guest is well while its file "broken" is not there.
"""

import asyncio
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

from auditor.errors import HostError
from auditor.facts import Facts, Unseen
from auditor.hosts import CommandResult, Script, Shell
from auditor.model import Finding, Machine, Platform, Severity, Status, Verdict
from auditor.remedy import Command, Identity, MachinePlan, Plan, Risk, Stage, Standing, Step, Work
from auditor.repair.document import sealed
from auditor.repair.gates import Present
from auditor.repair.look import Looker
from auditor.repair.seams import BackupsNow
from auditor.repair.work import command
from tests.checks.estate import GUEST

HOME = "/var/lib/fleet-auditor"
ROOT_ONLY = "[ \"$(id -u)\" -eq 0 ] && SUDO= || SUDO='sudo -n'"
CHECK = "agent-service"
MEND = 'echo run >>"$1/ran-$2"; sleep 0.05; rm -f "$1/broken"'
WORSEN = 'echo run >>"$1/ran-$2"; exit 5'
UNDO = 'echo undone >>"$1/undone"'
REFUSE = 'echo "a gate of the guest is closed"; exit 10'


@dataclass(frozen=True, slots=True)
class Workshop:
    """Guests by name, each a folder."""

    folder: Path
    names: tuple[str, ...]

    def build(self) -> "Workshop":
        """Make every guest, broken."""
        for name in self.names:
            self.guest(name).mkdir(parents=True)
            (self.guest(name) / "broken").touch()
        return self

    def guest(self, name: str) -> Path:
        """The folder of a guest."""
        return self.folder / name

    def machine(self, name: str) -> Machine:
        """The guest as a machine outside Azure."""
        return Machine(f"host/{name}", name, Platform.LINUX, "workshop")

    def runs(self, name: str) -> dict[str, int]:
        """How often the work of each step really ran."""
        files = sorted(self.guest(name).glob("ran-*"))
        return {file.name.removeprefix("ran-"): len(file.read_text().splitlines()) for file in files}

    def is_broken(self, name: str) -> bool:
        """Whether the guest's fault is there."""
        return (self.guest(name) / "broken").exists()


@dataclass(frozen=True, slots=True)
class Doing:
    """What a step does in the workshop: its text, its guard, what takes it back."""

    text: str = MEND
    guard: str = ""
    undo: str = ""
    limit: float = 30.0


def plan_of(
    workshop: Workshop, stages: Sequence[Sequence[Doing]] = ((Doing(),),), prefix: str = "workshop"
) -> Plan:
    """A plan with these stages for every guest."""
    machines = tuple(
        MachinePlan(
            workshop.machine(name),
            Verdict.NOT_READY,
            {CHECK: Standing(Status.FAIL, "broken")},
            tuple(
                Stage(
                    f"mend-{number}",
                    (CHECK,),
                    tuple(
                        _step(workshop, name, f"{prefix}-{name}-{number}{part}", doing)
                        for part, doing in enumerate(steps)
                    ),
                )
                for number, steps in enumerate(stages)
            ),
            identity=Identity(hostname=name),
        )
        for name in workshop.names
    )
    return sealed(Plan("workshop", datetime.now(UTC), "1", "none", "rules", (CHECK,), machines))


def _step(workshop: Workshop, name: str, key: str, doing: Doing) -> Step:
    def work(text: str, step: str) -> Work:
        guest = str(workshop.guest(name))
        return Work(Shell.SH, text, (guest, step), guard=doing.guard, limit=doing.limit)

    own, undo = work(doing.text, key), work(doing.undo, f"{key}-undo") if doing.undo else None
    return Step(
        key, "mend", "it is broken", "ssh", "it is whole", Risk.LOW, False,
        commands=(_command(key, own),),
        work=own,
        undo=undo,
        undo_commands=(_command(f"{key}-undo", undo),) if undo else (),
    )  # fmt: skip


def _command(key: str, work: Work) -> Command:
    script = command(key, work)
    return Command(script.text, script.shell)


@dataclass(slots=True)
class LocalGuests:
    """Runs scripts in a guest's folder; `sent` keeps them in order, `dead` guests cannot be reached."""

    workshop: Workshop
    sent: list[tuple[str, Script]] = field(default_factory=list)
    dead: set[str] = field(default_factory=set)

    async def send(self, machine: Machine, script: Script, limit: float) -> CommandResult:
        """Run a script as the guest would, with the keeper's folder inside of the guest's."""
        if machine.name in self.dead:
            raise HostError("connection refused")
        self.sent.append((machine.name, script))
        home = self.workshop.guest(machine.name) / "keeper"
        text = script.text.replace(HOME, str(home)).replace(ROOT_ONLY, "SUDO=")
        assert str(home) in text
        done = await asyncio.to_thread(
            subprocess.run,
            ["/bin/sh", "-s"],
            input=text.encode(),
            capture_output=True,
            timeout=limit,
            check=False,
        )
        return CommandResult(done.returncode, done.stdout, done.stderr)


@dataclass(slots=True)
class LocalEyes(Looker):
    """Sees whether a guest is broken; strangers go by another name, of the doubtful nothing can be said."""

    workshop: Workshop
    strangers: set[str] = field(default_factory=set)
    unseen: set[str] = field(default_factory=set)
    doubtful: set[str] = field(default_factory=set)

    async def present(self, machine: Machine) -> Present:
        """The guest as it is now."""
        bad = self.workshop.is_broken(machine.name)
        status = Status.FAIL if bad else Status.PASS
        if machine.name in self.doubtful:
            status = Status.UNKNOWN
        finding = Finding(CHECK, "The service runs", status, Severity.BLOCKER, "broken" if bad else "fine")
        guest = replace(GUEST, hostname="stranger" if machine.name in self.strangers else machine.name)
        seen = Unseen("connection refused") if machine.name in self.unseen else guest
        return Present(Facts(machine, datetime.now(UTC), guest=seen), {CHECK: finding})

    async def backups(self, machine: Machine) -> BackupsNow | Unseen | None:
        """None: no guest is in Azure."""
        return None

"""`kill -9` at random moments of a run over 30 guests: no step is lost, none is done twice.

AUDITOR_KILLS says how many moments (default 6). Each is so many steps after the process began, and a part
of a second more: how fast the machine is does not decide where a run is killed, nor how often. Everything
lies in memory where the system has a place for that: what a killed process wrote is there as it is on a disk,
and much of a run's time would be the disk's.
"""

import contextlib
import math
import os
import random
import select
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec
import pytest

from auditor.remedy import Plan, Result
from auditor.repair.document import plan_bytes
from auditor.store.journal import SqliteJournal
from tests.repair.mortal import Task
from tests.repair.workshop import Doing, Workshop, plan_of

KILLS = int(os.environ.get("AUDITOR_KILLS", "6"))
MOMENTS = random.Random(20261123)
GUESTS = 30
STAGES = ([Doing('echo run >>"$1/ran-$2"; sleep 0.02'), Doing()],)


@dataclass
class Mortals:
    """The program, whose processes end by themselves or are killed."""

    program: "subprocess.Popen[bytes]"

    def run(self, task: Task, steps: float, seconds: float, begun: Callable[[], int]) -> int:
        """A process killed so long after it began so many steps: its exit status, or minus the signal."""
        assert self.program.stdin
        self.program.stdin.write(msgspec.json.encode(task) + b"\n")
        pid, until = int(self._line()), begun() + steps
        while begun() < until and not self._speaks(0.02):
            pass
        if not self._speaks(seconds):
            with contextlib.suppress(ProcessLookupError):  # it was quicker
                os.kill(pid, signal.SIGKILL)
        return int(self._line())

    def _speaks(self, seconds: float) -> bool:
        """Whether the process ends within this time."""
        return bool(select.select([self.program.stdout], [], [], seconds)[0])

    def _line(self) -> bytes:
        assert self.program.stdout
        return self.program.stdout.readline()


@pytest.fixture
def mortals(root: Path) -> Iterator[Mortals]:
    command = [sys.executable, "-m", "tests.repair.mortal"]
    with subprocess.Popen(
        command, cwd=root, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0
    ) as program:
        yield Mortals(program)
        assert program.stdin
        program.stdin.close()


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Path]:
    memory = Path("/dev/shm")
    if not (memory.is_dir() and os.access(memory, os.W_OK)):
        yield tmp_path
        return
    with tempfile.TemporaryDirectory(dir=memory) as folder:
        yield Path(folder)


def prepared(folder: Path) -> tuple[Workshop, Plan, Task]:
    workshop = Workshop(folder / "guests", tuple(f"guest-{number:02}" for number in range(GUESTS))).build()
    plan = plan_of(workshop, STAGES)
    (folder / "plan.json").write_bytes(plan_bytes(plan))
    task = Task(
        str(workshop.folder), list(workshop.names), str(folder / "plan.json"), str(folder / "store.db")
    )
    return workshop, plan, task


def seen_whole(workshop: Workshop, plan: Plan, store: str) -> None:
    """The journal says that every step was done, and every guest says that it was done once."""
    with SqliteJournal.open(Path(store)) as journal:
        assert journal.unfinished() == ()
        run = journal.load(journal.runs()[0].id)
    assert [record.result for record in run.machines] == [Result.VERIFIED] * GUESTS
    for machine in plan.machines:
        (record,) = (one for one in run.machines if one.machine == machine.machine.id)
        noted = {step.id: step.result.state for step in record.steps if step.result}
        assert noted == {step.id: "done" for step in machine.steps}
        assert workshop.runs(machine.machine.name) == {step.id: 1 for step in machine.steps}
        assert not workshop.is_broken(machine.machine.name)


def killed_until_done(mortals: Mortals, folder: Path, most: int) -> int:
    """Apply a plan and resume it until it is done, killed at most so many times; how often it was."""
    workshop, plan, task = prepared(folder)

    def begun() -> int:
        return sum(1 for _ in workshop.folder.glob("*/ran-*"))

    kills, status = 0, -signal.SIGKILL
    while status != 0:
        steps = MOMENTS.uniform(0, len(plan.steps) / 2) if kills < most else math.inf
        status = mortals.run(task, steps, MOMENTS.uniform(0, 0.3), begun)
        assert status in (0, -signal.SIGKILL)
        kills += status != 0
    seen_whole(workshop, plan, task.store)
    return kills


@pytest.mark.timeout(60 + 15 * KILLS)
def test_nothing_is_lost_and_nothing_is_done_twice(mortals: Mortals, place: Path) -> None:
    kills = runs = 0
    while kills < KILLS:
        kills += killed_until_done(mortals, place / f"run-{runs}", KILLS - kills)
        runs += 1
    assert kills == KILLS
    print(f"{runs} runs were killed {kills} times")

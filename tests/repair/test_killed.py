"""`kill -9` at random moments of a run over 30 guests: no step is lost, none is done twice.

AUDITOR_KILLS says how many moments (default 6).
"""

import contextlib
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
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
GUESTS = 30
STAGES = ([Doing('echo run >>"$1/ran-$2"; sleep 0.02'), Doing()],)


@dataclass
class Mortals:
    """The program, and how its last process ended."""

    program: "subprocess.Popen[str]"

    def begin(self, task: Task) -> int:
        """Start a process; returns its pid."""
        assert self.program.stdin
        self.program.stdin.write(msgspec.json.encode(task).decode() + "\n")
        self.program.stdin.flush()
        return int(self._line())

    def end(self) -> int:
        """How the process ended: its exit status, or minus the signal."""
        return int(self._line())

    def _line(self) -> str:
        assert self.program.stdout
        return self.program.stdout.readline()


@pytest.fixture
def mortals(root: Path) -> Iterator[Mortals]:
    command = [sys.executable, "-m", "tests.repair.mortal"]
    with subprocess.Popen(
        command, cwd=root, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as program:
        yield Mortals(program)
        assert program.stdin
        program.stdin.close()


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


@pytest.mark.timeout(1200)
def test_nothing_is_lost_and_nothing_is_done_twice(mortals: Mortals, tmp_path: Path) -> None:
    moments, kills, rounds = random.Random(20261123), 0, 0
    whole = 6.0
    while kills < KILLS:
        workshop, plan, task = prepared(tmp_path / f"round-{rounds}")
        started, status = time.monotonic(), None
        while status != 0:
            pid = mortals.begin(task)
            if kills < KILLS:
                time.sleep(moments.uniform(0, whole))
                with contextlib.suppress(ProcessLookupError):  # it was quicker
                    os.kill(pid, signal.SIGKILL)
                    kills += 1
            status = mortals.end()
            assert status in (0, -signal.SIGKILL)
        whole = min(whole, time.monotonic() - started)
        seen_whole(workshop, plan, task.store)
        rounds += 1

"""A program that applies or resumes a plan in a process that a test may kill at any moment.

`python -m tests.repair.mortal` imports everything once and then forks a process for each line that it is
told: importing again would cost more than a whole run.
"""

import asyncio
import os
import sys
from pathlib import Path

import msgspec

from auditor.repair.apply import Application, Pace, Patience
from auditor.repair.document import read_plan
from auditor.repair.send import Sender
from auditor.repair.waves import Share
from auditor.store.journal import SqliteJournal
from tests.repair.workshop import LocalEyes, LocalGuests, Workshop


class Task(msgspec.Struct):
    """What one process does: begin a plan, or resume its run where it has one."""

    folder: str
    names: list[str]
    plan: str
    store: str


def main() -> None:
    """Fork a process per line; tell its pid, and later how it ended."""
    for line in sys.stdin:
        task = msgspec.json.decode(line, type=Task)
        pid = os.fork()
        if pid == 0:
            asyncio.run(work(task))
            os._exit(0)
        print(pid, flush=True)
        print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)


async def work(task: Task) -> None:
    """Begin the plan, or go on with its run."""
    workshop = Workshop(Path(task.folder), tuple(task.names))
    plan = read_plan(Path(task.plan))
    with SqliteJournal.open(Path(task.store)) as journal:
        left = journal.unfinished()
        if not left and journal.runs():
            return
        if left:
            journal.attach(left[0])
        run = left[0] if left else journal.begin(plan, {})
        application = Application(
            plan=plan,
            look=LocalEyes(workshop),
            sender=Sender(LocalGuests(workshop), None, lost=20.0, pause=0.05),
            journal=journal,
            pace=Pace(shares=(Share(5, False), Share(100, True)), max_failures=1000),
            patience=Patience(settle=0.0, confirm=0.0, pause=0.05),
        )
        await application.run(run)


if __name__ == "__main__":
    main()

"""A process of its own that works with a store: what it was told is done, it says on its output at once."""

import json
import resource
import sqlite3
import sys
import threading
from itertools import count
from pathlib import Path

from auditor.errors import StoreError
from auditor.store.journal import SqliteJournal
from tests.store.sample import BROKEN, plan_of, result_of

_turn = threading.Lock()


def say(*words: object) -> None:
    """One line of JSON, out before the next thing is done."""
    with _turn:
        print(json.dumps(words), flush=True)


def write(path: Path, prefix: str) -> None:
    """Go on with the run that is there, or begin one, and note steps in three threads until killed."""
    journal = SqliteJournal.open(path)
    left = journal.unfinished()
    if left:
        journal.attach(left[0])
    run = left[0] if left else journal.begin(plan_of(), {})
    for thread in range(3):
        threading.Thread(target=_steps, args=(journal, run, f"host/vm-{thread}", prefix)).start()


def _steps(journal: SqliteJournal, run: str, machine: str, prefix: str) -> None:
    assert journal.lease(run, machine) is None
    journal.look(run, machine, ("guest is not frozen: open",), BROKEN)
    for number in count():
        step = f"{prefix}-{number}"
        say("intended", machine, step, journal.intend(run, machine, step).isoformat())
        journal.record(run, machine, step, result_of(step))
        say("recorded", machine, step)


def contend(path: Path, name: str) -> None:
    """Begin a run, wait for a word, lease twenty machines, and stay until the input ends."""
    with SqliteJournal.open(path, locked_for=60) as journal:
        run = journal.begin(plan_of(name), {})
        say(run)
        sys.stdin.readline()
        say([journal.lease(run, f"host/vm-{number}") for number in range(20)])
        sys.stdin.read()


def lock(path: Path) -> None:
    """Keep the file locked, as another program may, until the input ends."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("BEGIN EXCLUSIVE")
    say("locked")
    sys.stdin.read()


def fill(path: Path, limit: str) -> None:
    """Note steps until no file may grow beyond a limit; then without the limit once more."""
    with SqliteJournal.open(path) as journal:
        run = journal.begin(plan_of(), {})
        journal.lease(run, "host/vm-0")
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (int(limit), hard))
        try:
            for number in range(10_000):
                journal.intend(run, "host/vm-0", f"step-{number}")
                journal.record(run, "host/vm-0", f"step-{number}", result_of(f"step-{number}"))
                say("recorded", f"step-{number}")
        except StoreError as error:
            say("error", str(error))
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        journal.intend(run, "host/vm-0", "afterwards")


if __name__ == "__main__":
    {"write": write, "contend": contend, "lock": lock, "fill": fill}[sys.argv[1]](
        Path(sys.argv[2]), *sys.argv[3:]
    )

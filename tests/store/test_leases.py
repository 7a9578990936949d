"""A machine belongs to one live run, a run to one live process. Other hosts are simulated in the rows."""

import json
import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from auditor.errors import StoreError
from auditor.remedy import Result
from auditor.store.holder import here
from auditor.store.journal import SqliteJournal
from tests.store.conftest import Start
from tests.store.sample import DONE, WELL, plan_of

VM = "host/vm-0"


def change(store: Path, statement: str, *values: object) -> None:
    """What another process would have written."""
    with closing(sqlite3.connect(store)) as connection, connection:
        assert connection.execute(statement, values).rowcount == 1


def ago(hours: float) -> str:
    return (datetime.now(UTC) - timedelta(hours=hours)).isoformat()


def dead() -> int:
    """The number of a process that has ended."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


@pytest.mark.parametrize("end", ["release", "settle", "leave", "finish"])
def test_one_run_has_a_machine_until_it_lets_go(journal: SqliteJournal, end: str) -> None:
    first, second = (journal.begin(plan_of(name), {}) for name in ("plan-1", "plan-2"))
    assert journal.lease(first, VM) is None
    assert journal.lease(first, VM) is None
    owner = journal.lease(second, VM)
    assert owner is not None
    assert f"the run {first} (process {os.getpid()} on {here().host}, last heard of at" in owner
    journal.settle(second, VM, Result.REFUSED, owner, after={})
    assert journal.lease(second, VM) is not None, "only the one that has it lets go of it"
    match end:
        case "release":
            journal.release(first, VM)
        case "settle":
            journal.settle(first, VM, Result.VERIFIED, "", after=WELL)
        case "leave":
            journal.leave(first, VM, "")
        case "finish":
            journal.finish(first)
    assert journal.lease(second, VM) is None


@pytest.mark.parametrize(
    ("holder", "silent", "free"),
    [
        ({}, 0, False),
        ({}, 100, False),
        ({"started": "1"}, 0, True),
        ({"pid": "dead", "started": "1"}, 0, True),
        ({"boot": "an-earlier-one"}, 0, True),
        ({"host": "elsewhere"}, 1.9, False),
        ({"host": "elsewhere"}, 2.1, True),
        ({"host": "elsewhere"}, -1, False),
        ({"pids": "another container", "pid": 1}, 1.9, False),
        ({"pids": "another container", "pid": 1}, 2.1, True),
    ],
)
def test_who_counts_as_alive(
    store: Path, journal: SqliteJournal, start: Start, holder: dict[str, object], silent: float, free: bool
) -> None:
    run = contending(start("contend", "plan-1"))
    for column, value in holder.items():
        change(store, f"UPDATE holder SET {column} = ?", dead() if value == "dead" else value)
    change(store, "UPDATE holder SET renewed_at = ?", ago(silent))
    mine = journal.begin(plan_of("plan-2"), {})
    owner = journal.lease(mine, VM)
    assert (owner is None) is free
    if free:
        journal.attach(run)
        journal.finish(run)
    else:
        with pytest.raises(StoreError, match=rf"the run {run} is worked on: the run {run} \(process "):
            journal.attach(run)
        away = holder.keys() & {"host", "pids"}
        assert ("if it is dead, this is free at" in str(owner)) is bool(away)


def contending(process: "subprocess.Popen[str]") -> str:
    """The run of a process that by now has all the machines."""
    assert process.stdout is not None
    assert process.stdin is not None
    (run,) = json.loads(process.stdout.readline())
    process.stdin.write("go\n")
    process.stdin.flush()
    assert json.loads(process.stdout.readline()) == [[None] * 20]
    return str(run)


WITHOUT_PROC = """
import os, sys
from dataclasses import replace
from datetime import timedelta
from auditor.store.holder import here, is_gone

me, limit = here(), timedelta(hours=2)
assert (me.boot, me.started) == ("", ""), me
alive, dead = replace(me, pid=os.getppid()), replace(me, pid=int(sys.argv[1]))
asked = [(me, 3), (alive, 0), (alive, 3), (dead, 0)]
print([is_gone(holder, me, timedelta(hours=hours), limit) for holder, hours in asked])
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root takes /proc away")
def test_a_system_that_tells_no_start_times_goes_by_age(root: Path) -> None:
    script = 'mount -t tmpfs none /proc && "$0" -c "$1" "$2"; exit $?'
    command = ["unshare", "--mount", "sh", "-c", script, sys.executable, WITHOUT_PROC, str(dead())]
    said = subprocess.run(command, check=True, capture_output=True, text=True, cwd=root).stdout
    assert said == "[False, False, True, True]\n"


def test_a_killed_run_is_taken_over_and_an_ended_journal_lets_go(
    store: Path, journal: SqliteJournal, start: Start
) -> None:
    process = start("contend", "plan-1")
    run = contending(process)
    with pytest.raises(StoreError, match="is worked on"):
        journal.attach(run)
    process.kill()
    # not waited for: a zombie is as dead as one that is gone
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    journal.attach(run)
    assert journal.lease(run, VM) is None
    journal.close()
    with closing(sqlite3.connect(store)) as connection:
        assert connection.execute("SELECT * FROM holder").fetchall() == []
        assert connection.execute("SELECT * FROM lease").fetchall() == []


def test_who_lost_a_run_writes_no_more(store: Path, journal: SqliteJournal) -> None:
    run = journal.begin(plan_of(), {})
    journal.lease(run, VM)
    change(store, "UPDATE holder SET host = 'elsewhere'")
    with pytest.raises(StoreError, match=r"was taken over: the run .* \(process \d+ on elsewhere"):
        journal.intend(run, VM, "step")
    change(store, "DELETE FROM holder")
    with pytest.raises(StoreError, match=f"this process does not work on the run {run}; resume it"):
        journal.settle(run, VM, Result.VERIFIED, "", after=WELL)
    assert journal.load(run).machines == ()


def test_who_lost_a_run_leaves_its_machines_to_the_new_holder(store: Path, journal: SqliteJournal) -> None:
    run = journal.begin(plan_of(), {})
    journal.lease(run, VM)
    change(store, "UPDATE holder SET host = 'elsewhere'")
    journal.close()
    with closing(sqlite3.connect(store)) as connection:
        assert connection.execute("SELECT host FROM holder").fetchall() == [("elsewhere",)]
        assert connection.execute("SELECT machine FROM lease").fetchall() == [(VM,)]


def test_who_lost_a_machine_intends_nothing_on_it(store: Path, journal: SqliteJournal) -> None:
    first, second = (journal.begin(plan_of(name), {}) for name in ("plan-1", "plan-2"))
    journal.lease(first, VM)
    journal.intend(first, VM, "sent")
    change(store, "UPDATE lease SET run = 2")
    with pytest.raises(StoreError, match=f"{VM} is not leased to the run {first}, but to the run {second}"):
        journal.intend(first, VM, "step")
    journal.record(first, VM, "sent", DONE)
    (step,) = journal.load(first).machines[0].steps
    assert step.result == DONE, "what came of the step is known all the same"


def test_every_write_is_a_sign_of_life(store: Path, journal: SqliteJournal) -> None:
    run = journal.begin(plan_of(), {})
    journal.lease(run, VM)
    for act in (
        lambda: journal.look(run, VM, (), {}),
        lambda: journal.intend(run, VM, "step"),
        lambda: journal.record(run, VM, "step", DONE),
        lambda: journal.leave(run, VM, ""),
        lambda: journal.lease(run, VM),
        lambda: journal.release(run, VM),
        lambda: journal.renew(run),
    ):
        change(store, "UPDATE holder SET renewed_at = ?", ago(1))
        act()
        with closing(sqlite3.connect(store)) as connection:
            (renewed,) = connection.execute("SELECT renewed_at FROM holder").fetchone()
        assert renewed > ago(0.5)


def test_two_processes_fight_for_machines_and_one_wins_each(start: Start) -> None:
    processes = [start("contend", name) for name in ("plan-1", "plan-2")]
    runs = []
    for process in processes:
        assert process.stdout is not None
        runs += json.loads(process.stdout.readline())
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    answers = []
    for process in processes:
        assert process.stdout is not None
        answers += json.loads(process.stdout.readline())
    for first, second in zip(*answers, strict=True):
        assert (first is None) != (second is None)
        assert runs[1 if first else 0] in (first or second)

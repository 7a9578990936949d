"""What was written is read back; what makes no sense is refused."""

import asyncio
import sqlite3
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest

from auditor.credentials import Secrets
from auditor.errors import PlanError, StoreError
from auditor.model import Status
from auditor.remedy import Plan, Result, Standing, StepRecord, StepResult
from auditor.store.database import Database
from auditor.store.journal import ABANDONED_AFTER, SqliteJournal
from auditor.store.leases import Leases
from auditor.store.place import default_store
from tests.store.sample import BROKEN, DONE, WELL, plan_of

VM = "host/vm-0"


def test_a_run_reads_back_as_it_was_written(store: Path) -> None:
    plan, start = plan_of(), datetime.now(UTC)
    with SqliteJournal.open(store) as journal:
        run = journal.begin(plan, {"wave": "5,25%", "window": ""})
        assert journal.lease(run, VM) is None
        journal.look(run, VM, ("job: open",), BROKEN)
        begun = journal.intend(run, VM, "step-vm-0")
        journal.record(run, VM, "step-vm-0", StepResult("done", 12, "reboot\n", reboot=True))
        journal.settle(run, VM, Result.NOT_CONFIRMED, "needs a reboot", after=WELL, backup="Completed")
        journal.leave(run, "host/vm-1", "it is not known")
        assert journal.unfinished() == (run,)
    with SqliteJournal.open(store) as journal:
        found = journal.load(run)
        assert (found.id, found.plan, found.finished_at) == (run, plan, None)
        assert start <= found.started_at <= begun
        first, second = found.machines
        (step,) = first.steps
        assert step.ended_at is not None
        assert step == StepRecord(
            "step-vm-0", begun, step.ended_at, StepResult("done", 12, "reboot\n", reboot=True)
        )
        assert (first.machine, first.result, first.reason) == (VM, Result.NOT_CONFIRMED, "needs a reboot")
        assert (first.gates, first.before, first.after) == (("job: open",), BROKEN, WELL)
        assert first.backup == "Completed"
        assert (second.machine, second.result, second.reason) == ("host/vm-1", None, "it is not known")
        assert journal.options(run) == {"wave": "5,25%", "window": ""}


def test_the_first_intent_and_the_last_result_count(journal: SqliteJournal) -> None:
    run = journal.begin(plan_of(), {})
    journal.lease(run, VM)
    first = journal.intend(run, VM, "step")
    assert journal.intend(run, VM, "step") == first
    journal.record(run, VM, "step", StepResult("running"))
    journal.record(run, VM, "step", DONE)
    assert journal.intend(run, VM, "step") == first
    (step,) = journal.load(run).machines[0].steps
    assert (step.begun_at, step.result) == (first, DONE)


def test_what_stood_before_is_from_before_the_first_step(journal: SqliteJournal) -> None:
    run = journal.begin(plan_of(), {})
    journal.lease(run, VM)
    journal.look(run, VM, ("first",), {})
    journal.look(run, VM, ("second",), BROKEN)
    journal.intend(run, VM, "step")
    journal.look(run, VM, ("third",), WELL)
    (record,) = journal.load(run).machines
    assert (record.gates, record.before) == (("third",), BROKEN)


def test_a_settled_machine_stays_settled(journal: SqliteJournal) -> None:
    run = journal.begin(plan_of(), {})
    journal.leave(run, VM, "lost")
    journal.settle(run, VM, Result.VERIFIED, "holds", after=WELL)
    journal.leave(run, VM, "lost again")
    (record,) = journal.load(run).machines
    assert (record.result, record.reason) == (Result.VERIFIED, "holds")


def test_runs_are_listed_newest_first(journal: SqliteJournal) -> None:
    first, second = (journal.begin(plan_of(name), {}) for name in ("plan-1", "plan-2"))
    for number, result in enumerate((Result.VERIFIED, Result.VERIFIED, Result.FAILED)):
        journal.settle(first, f"host/vm-{number}", result, "", after={})
    journal.finish(first)
    ended = journal.load(first).finished_at
    assert ended is not None
    journal.attach(first)
    journal.finish(first)
    newest, oldest = journal.runs()
    assert (newest.id, newest.plan, newest.finished_at) == (second, "plan-2", None)
    assert set(newest.results.values()) == {0}
    assert (oldest.id, oldest.plan, oldest.finished_at) == (first, "plan-1", ended)
    assert oldest.results == journal.load(first).results()
    assert oldest.results[Result.VERIFIED] == 2
    assert journal.unfinished() == (second,)


def test_an_unknown_run_names_at_most_five_that_are_known(journal: SqliteJournal) -> None:
    with pytest.raises(StoreError, match="no run 'nope'; it has none yet"):
        journal.load("nope")
    known = [journal.begin(plan_of(f"plan-{number}"), {}) for number in range(7)]
    for ask in (journal.load, journal.options, journal.attach, journal.finish):
        with pytest.raises(StoreError) as caught:
            ask("nope")
        assert [run in str(caught.value) for run in known] == [False] * 2 + [True] * 5


def test_a_plan_is_begun_once(journal: SqliteJournal) -> None:
    run = journal.begin(plan_of(), {})
    with pytest.raises(StoreError, match=f"applied already, by the run {run}; resume {run}"):
        journal.begin(plan_of(), {})
    journal.finish(run)
    with pytest.raises(StoreError, match="make a new plan"):
        journal.begin(plan_of(), {})
    assert len(journal.runs()) == 1


def test_a_plan_that_could_not_be_read_again_is_not_begun(journal: SqliteJournal) -> None:
    unsealed = Plan("plan", datetime.now(UTC), "1", "none", "rules", (), ())
    with pytest.raises(PlanError, match="changed after it was made"):
        journal.begin(unsealed, {})
    assert journal.runs() == ()


@pytest.mark.parametrize(
    ("act", "words"),
    [
        (lambda journal, run: journal.intend(run, VM, "step"), "host/vm-0 is not leased to the run"),
        (lambda journal, run: journal.record(run, VM, "step", DONE), "was never intended"),
    ],
)
def test_a_step_out_of_turn_is_refused_and_leaves_nothing(
    journal: SqliteJournal, act: Callable[[SqliteJournal, str], object], words: str
) -> None:
    run = journal.begin(plan_of(), {})
    with pytest.raises(StoreError, match=words):
        act(journal, run)
    assert journal.load(run).machines == ()


def test_many_threads_write_at_a_time(journal: SqliteJournal) -> None:
    run = journal.begin(plan_of(), {})

    async def machine(name: str) -> None:
        assert await asyncio.to_thread(journal.lease, run, name) is None
        for number in range(5):
            await asyncio.to_thread(journal.intend, run, name, f"step-{number}")
            await asyncio.to_thread(journal.record, run, name, f"step-{number}", DONE)
            await asyncio.to_thread(journal.load, run)
        await asyncio.to_thread(journal.settle, run, name, Result.VERIFIED, "", after=WELL)

    async def all_at_once() -> None:
        await asyncio.gather(*(machine(f"host/vm-{number}") for number in range(8)))

    asyncio.run(all_at_once())
    machines = journal.load(run).machines
    assert {record.machine: len(record.steps) for record in machines} == {
        f"host/vm-{number}": 5 for number in range(8)
    }
    assert all(step.result == DONE for record in machines for step in record.steps)


def test_no_secret_goes_in(store: Path) -> None:
    password = 'tr0ub4dor&"3 ü'
    Secrets({}, {"STORE_TEST_PASSWORD": password}).resolve("env:STORE_TEST_PASSWORD")
    leak = f"sudo: {password} is wrong"
    with SqliteJournal.open(store) as journal:
        run = journal.begin(plan_of(), {})
        journal.lease(run, VM)
        journal.look(run, VM, (leak,), {"check": Standing(Status.FAIL, leak, leak)})
        journal.intend(run, VM, "step")
        journal.record(run, VM, "step", StepResult("failed", 1, leak))
        journal.leave(run, "host/vm-1", leak)
        journal.settle(
            run, VM, Result.FAILED, leak, after={"check": Standing(Status.FAIL, leak)}, backup=leak
        )
        (record, _) = journal.load(run).machines
        assert record.reason == "sudo: *** is wrong"
    written = b"".join(path.read_bytes() for path in store.parent.iterdir() if path.is_file())
    assert b"env:STORE_TEST_PASSWORD" in written
    assert b"tr0ub4dor" not in written


def test_text_that_is_no_unicode_is_kept_readable(journal: SqliteJournal) -> None:
    run = journal.begin(plan_of(), {})
    journal.lease(run, VM)
    journal.intend(run, VM, "step")
    journal.record(run, VM, "step", StepResult("failed", 1, "caf\udce9\x00"))
    journal.settle(run, VM, Result.FAILED, "\ud800", after={"check": Standing(Status.FAIL, "\udfff")})
    (record,) = journal.load(run).machines
    assert record.steps[0].result == StepResult("failed", 1, "caf\ufffd\x00")
    assert (record.reason, record.after["check"].summary) == ("\ufffd", "\ufffd")


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE machine SET result = 'cured'",
        "UPDATE machine SET gates = '{'",
        "UPDATE machine SET stood_before = '[1]'",
        "UPDATE step SET begun_at = 'yesterday'",
        "UPDATE run SET plan = x'7b'",
    ],
)
def test_a_record_that_makes_no_sense_is_not_guessed_at(store: Path, change: str) -> None:
    with SqliteJournal.open(store) as journal:
        run = journal.begin(plan_of(), {})
        journal.lease(run, VM)
        journal.intend(run, VM, "step")
    with sqlite3.connect(store) as connection:
        connection.execute(change)
    connection.close()
    with (
        SqliteJournal.open(store) as journal,
        pytest.raises(StoreError, match=r"is damaged .* move it aside"),
    ):
        journal.load(run)


def test_a_run_is_made_sense_of_after_its_rows_were_fetched(store: Path) -> None:
    """A writer waits for whoever reads, and a large plan takes a while."""
    with SqliteJournal.open(store) as journal:
        run = journal.begin(plan_of(), {})
    said: list[str] = []
    with closing(sqlite3.connect(store, isolation_level=None)) as connection:
        connection.row_factory = sqlite3.Row
        connection.execute("UPDATE run SET plan = x'7b'")
        connection.set_trace_callback(said.append)
        with pytest.raises(StoreError, match="is damaged"):
            SqliteJournal(Database(store, connection, 1), Leases(ABANDONED_AFTER)).load(run)
    assert (said[0], said[-1]) == ("BEGIN", "COMMIT")


def test_the_place_of_the_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    assert default_store() == tmp_path / "auditor" / "auditor.db"

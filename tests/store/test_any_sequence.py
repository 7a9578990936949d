"""Whatever is written in whatever order reads back as it was written."""

from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from auditor.errors import StoreError
from auditor.model import Status
from auditor.remedy import MachineRecord, Result, Standing, StepRecord, StepResult
from auditor.store.journal import SqliteJournal
from tests.store.sample import plan_of

texts = st.text(max_size=20)
machines = st.sampled_from(["host/vm-0", "host/vm-1", "/subscriptions/ü"])
steps = st.sampled_from(["step-a", "step-b", "step-a-undo"])
standings = st.dictionaries(
    texts, st.builds(Standing, st.sampled_from(Status), texts, st.none() | texts), max_size=3
)
results = st.builds(StepResult, texts, st.none() | st.integers(-(2**31), 2**32), texts, reboot=st.booleans())
writes = st.one_of(
    st.tuples(st.just("look"), machines, st.lists(texts, max_size=3).map(tuple), standings),
    st.tuples(st.just("intend"), machines, steps),
    st.tuples(st.just("record"), machines, steps, results),
    st.tuples(st.just("settle"), machines, st.sampled_from(Result), texts, standings, texts),
    st.tuples(st.just("leave"), machines, texts),
    st.tuples(st.just("reopen"), machines),
)


@dataclass
class Expected:
    """What a reader has to find: the same journal, in memory."""

    records: dict[str, MachineRecord] = field(default_factory=dict)

    def note(self, machine: str, **changes: Any) -> MachineRecord:
        self.records[machine] = replace(self.records.get(machine, MachineRecord(machine)), **changes)
        return self.records[machine]

    def look(self, machine: str, gates: tuple[str, ...], before: dict[str, Standing]) -> None:
        if not self.note(machine, gates=gates).steps:
            self.note(machine, before=before)

    def intend(self, machine: str, step: StepRecord) -> None:
        known = self.note(machine).steps
        if step.id not in [one.id for one in known]:
            self.note(machine, steps=(*known, step))

    def record(self, machine: str, step: str, result: StepResult) -> None:
        known = self.note(machine).steps
        self.note(
            machine, steps=tuple(replace(one, result=result) if one.id == step else one for one in known)
        )

    def leave(self, machine: str, reason: str) -> None:
        if self.note(machine).result is None:
            self.note(machine, reason=reason)


def apply(journal: SqliteJournal, run: str, expected: Expected, write: tuple[Any, ...]) -> None:
    match write:
        case ("look", machine, gates, before):
            journal.look(run, machine, gates, before)
            expected.look(machine, gates, before)
        case ("intend", machine, step):
            journal.lease(run, machine)
            expected.intend(machine, StepRecord(step, journal.intend(run, machine, step)))
        case ("record", machine, step, result):
            known = expected.records.get(machine, MachineRecord(machine)).steps
            if step in [one.id for one in known]:
                journal.record(run, machine, step, result)
                expected.record(machine, step, result)
            else:
                refused(journal, run, machine, step, result)
        case ("settle", machine, result, reason, after, backup):
            journal.settle(run, machine, result, reason, after=after, backup=backup)
            expected.note(machine, result=result, reason=reason, after=after, backup=backup)
        case ("leave", machine, reason):
            journal.leave(run, machine, reason)
            expected.leave(machine, reason)


def refused(journal: SqliteJournal, run: str, machine: str, step: str, result: StepResult) -> None:
    try:
        journal.record(run, machine, step, result)
    except StoreError:
        return
    raise AssertionError("a result without an intent was taken")


def timeless(record: MachineRecord) -> MachineRecord:
    """Without the times of ends, which the journal takes itself."""
    for step in record.steps:
        assert (step.ended_at is None) == (step.result is None)
        assert step.ended_at is None or step.ended_at >= step.begun_at
    return replace(record, steps=tuple(replace(step, ended_at=None) for step in record.steps))


@settings(max_examples=60)
@given(st.lists(writes, max_size=15))
def test_any_sequence_reads_back(sequence: list[tuple[Any, ...]]) -> None:
    expected = Expected()
    with TemporaryDirectory() as folder:
        path = Path(folder) / "auditor.db"
        journal = SqliteJournal.open(path)
        run = journal.begin(plan_of(), {})
        for write in sequence:
            if write[0] == "reopen":
                journal.close()
                journal = SqliteJournal.open(path)
                journal.attach(run)
            apply(journal, run, expected, write)
        found = journal.load(run).machines
        journal.close()
    assert tuple(map(timeless, found)) == tuple(expected.records.values())

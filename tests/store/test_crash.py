"""A process that is killed in the middle of its writes loses nothing that it was told is written."""

import json
import random
import sqlite3
import time
from contextlib import closing
from datetime import datetime
from pathlib import Path

from auditor.store.journal import SqliteJournal
from tests.store.conftest import Start
from tests.store.sample import result_of

ROUNDS = 8


def killed(start: Start, prefix: str, lines: int, pause: float) -> list[list[str]]:
    """What a writer said before it was killed, some lines after its begin."""
    process = start("write", prefix)
    assert process.stdout is not None
    said = [process.stdout.readline() for _ in range(lines)]
    time.sleep(pause)
    process.kill()
    rest, _ = process.communicate()
    return [json.loads(line) for line in [*said, *rest.splitlines(keepends=True)] if line.endswith("\n")]


def test_kill_9_tears_nothing_and_loses_nothing(store: Path, start: Start) -> None:
    chance = random.Random(20260301)
    intended: dict[tuple[str, str], datetime] = {}
    recorded: set[tuple[str, str]] = set()
    for number in range(ROUNDS):
        said = killed(start, f"round-{number}", chance.randrange(1, 40), chance.random() / 50)
        for what, machine, step, *at in said:
            if what == "intended":
                intended[machine, step] = datetime.fromisoformat(at[0])
            else:
                recorded.add((machine, step))
        with SqliteJournal.open(store) as journal:
            (run,) = journal.unfinished()
            found = {
                (record.machine, step.id): step
                for record in journal.load(run).machines
                for step in record.steps
            }
            journal.attach(run)
        assert intended.items() <= {key: step.begun_at for key, step in found.items()}.items()
        assert recorded <= {key for key, step in found.items() if step.result is not None}
        for step in found.values():
            assert step.result in (None, result_of(step.id))
            assert (step.ended_at is None) == (step.result is None)
    with closing(sqlite3.connect(store)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    assert len(recorded) > ROUNDS

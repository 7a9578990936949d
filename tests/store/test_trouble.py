"""Every trouble with the file is told with the way out, and the file is left as it is."""

import json
import os
import sqlite3
import stat
import subprocess
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from auditor.errors import StoreError
from auditor.store.journal import SqliteJournal
from tests.store.conftest import Start
from tests.store.sample import plan_of, result_of

VM = "host/vm-0"
Damage = Callable[[bytes], bytes]


def filled(store: Path) -> str:
    with SqliteJournal.open(store) as journal:
        run = journal.begin(plan_of(machines=40), {})
        journal.lease(run, VM)
        for number in range(5):
            journal.intend(run, VM, f"step-{number}")
            journal.record(run, VM, f"step-{number}", result_of(f"step-{number}"))
        return run


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda content: b"PK\x03\x04" + content[4:], "file is not a database"),
        (lambda content: b"These are notes, not a store.\n" * 400, "file is not a database"),
        (lambda content: content[:50], "malformed"),
        (lambda content: content[:1000], ""),
        (lambda content: content[:4096], "malformed"),
        (lambda content: content[: len(content) // 2], "malformed"),
        (lambda content: content[:-4096], "malformed"),
        (lambda content: content[:4096] + b"\xff" * 4096 + content[8192:], ""),
        (lambda content: content[:-30000] + bytes(12000) + content[-18000:], ""),
    ],
)
def test_a_damaged_store_is_left_alone(store: Path, damage: Damage, words: str) -> None:
    filled(store)
    damaged = damage(store.read_bytes())
    store.write_bytes(damaged)
    with pytest.raises(StoreError) as caught:
        SqliteJournal.open(store)
    assert f"the store {store} is damaged (" in str(caught.value)
    assert "move it aside" in str(caught.value)
    assert words in str(caught.value)
    assert store.read_bytes() == damaged
    store.rename(store.with_name("aside.db"))
    with SqliteJournal.open(store) as journal:
        assert journal.runs() == ()


@pytest.mark.parametrize(
    ("statements", "words"),
    [
        (["PRAGMA user_version = 99"], "newer version of this program wrote it (schema 99"),
        (["PRAGMA application_id = 0"], "a database of another program; name another file"),
    ],
)
def test_a_database_that_is_not_for_us_is_left_alone(store: Path, statements: list[str], words: str) -> None:
    filled(store)
    with closing(sqlite3.connect(store)) as connection:
        for statement in statements:
            connection.execute(statement)
    before = store.read_bytes()
    with pytest.raises(StoreError) as caught:
        SqliteJournal.open(store)
    assert f"the store {store} cannot be used: " in str(caught.value)
    assert words in str(caught.value)
    assert store.read_bytes() == before


def test_a_store_that_another_program_locks(store: Path, start: Start) -> None:
    run = filled(store)
    with SqliteJournal.open(store, locked_for=0.2) as journal:
        journal.attach(run)
        process = start("lock")
        assert process.stdout is not None
        assert json.loads(process.stdout.readline()) == ["locked"]
        locked = f"the store {store} is locked by another program for more than 0.2 s"
        for act in (
            lambda: journal.intend(run, VM, "late"),
            lambda: journal.load(run),
            lambda: SqliteJournal.open(store, locked_for=0.2),
        ):
            with pytest.raises(StoreError) as caught:
                act()
            assert locked in str(caught.value)
        process.kill()
        process.wait()
        assert len(journal.load(run).machines[0].steps) == 5
        journal.lease(run, VM)
        journal.intend(run, VM, "late")
        assert len(journal.load(run).machines[0].steps) == 6


def test_a_reader_that_is_slow_ends_no_writer(store: Path) -> None:
    with ExitStack() as closed:
        journals = [closed.enter_context(SqliteJournal.open(store, locked_for=2)) for _ in range(2)]
        runs = [journal.begin(plan_of(f"plan-{number}"), {}) for number, journal in enumerate(journals)]
        reader = sqlite3.connect(store, isolation_level=None, check_same_thread=False)
        closed.enter_context(closing(reader))
        reader.execute("BEGIN")
        reader.execute("SELECT id FROM run").fetchall()
        threading.Timer(2.5, reader.rollback).start()
        # the second one waits for the first one
        with ThreadPoolExecutor() as threads:
            leased = list(threads.map(SqliteJournal.lease, journals, runs, ("host/vm-0", "host/vm-1")))
    assert leased == [None, None]


def noted_until_full(journal: SqliteJournal, run: str) -> tuple[list[str], str]:
    """The steps that were noted with their results, and what was said then."""
    noted: list[str] = []
    try:
        for number in range(1000):
            journal.intend(run, VM, f"step-{number}")
            journal.record(run, VM, f"step-{number}", result_of(f"step-{number}"))
            noted.append(f"step-{number}")
    except StoreError as error:
        return noted, str(error)
    raise AssertionError("the disk took everything")


def test_a_full_disk_keeps_what_was_written_and_goes_on_when_there_is_room(small_disk: Path) -> None:
    store, ballast = small_disk / "auditor.db", small_disk / "ballast"
    ballast.write_bytes(bytes(500_000))
    with SqliteJournal.open(store) as journal:
        run = journal.begin(plan_of(), {})
        journal.lease(run, VM)
        noted, said = noted_until_full(journal, run)
        assert said == f"the store {store} cannot grow: the disk is full; make room, and resume"
        steps = journal.load(run).machines[0].steps
        assert [step.id for step in steps if step.result is not None] == noted
        assert all(step.result in (None, result_of(step.id)) for step in steps)
        ballast.unlink()
        last = f"step-{len(noted)}"
        journal.intend(run, VM, last)
        journal.record(run, VM, last, result_of(last))
    with SqliteJournal.open(store) as journal:
        assert journal.load(run).machines[0].steps[-1].result == result_of(last)


def test_a_file_that_may_not_grow_keeps_what_was_written(store: Path, start: Start) -> None:
    process = start("fill", "200000")
    said, _ = process.communicate()
    assert process.returncode == 0
    *recorded, (what, message) = [json.loads(line) for line in said.splitlines()]
    assert what == "error"
    assert f"the store {store} " in message
    assert "resume" in message
    with SqliteJournal.open(store) as journal:
        (run,) = journal.unfinished()
        *steps, after = journal.load(run).machines[0].steps
    done = [step for step in steps if step.result is not None]
    assert [["recorded", step.id] for step in done] == recorded
    assert all(step.result == result_of(step.id) for step in done)
    assert after.id == "afterwards"


def test_a_disk_that_may_not_be_written(small_disk: Path) -> None:
    run = filled(small_disk / "auditor.db")
    subprocess.run(["mount", "-o", "remount,ro", small_disk], check=True)
    with SqliteJournal.open(small_disk / "auditor.db") as journal:
        assert journal.load(run).id == run
        with pytest.raises(StoreError, match="this user has to be able to write to"):
            journal.begin(plan_of("another"), {})
    with pytest.raises(StoreError, match=r"cannot make the store .*Read-only file system; this user"):
        SqliteJournal.open(small_disk / "new.db")


def test_a_folder_that_may_not_be_written(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    if os.access(tmp_path, os.W_OK):
        pytest.skip("this user may write everywhere")
    with pytest.raises(StoreError, match=r"cannot make the store .*Permission denied; this user"):
        SqliteJournal.open(tmp_path / "auditor.db")


def test_places_that_can_hold_no_store(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="is a folder; name a file in it"):
        SqliteJournal.open(tmp_path)
    with pytest.raises(StoreError, match=r"cannot make the store .*; this user has to be able to write"):
        SqliteJournal.open(tmp_path / "file" / "auditor.db")


def test_a_name_that_sqlite_would_take_otherwise_is_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in (":memory:", "file:odd?mode=memory"):
        with SqliteJournal.open(Path(name)) as journal:
            journal.begin(plan_of(), {})
        assert (tmp_path / name).stat().st_size > 0


def test_a_new_store_is_for_its_owner_only(tmp_path: Path) -> None:
    store = tmp_path / "state" / "auditor" / "auditor.db"
    old = os.umask(0)
    try:
        SqliteJournal.open(store).close()
    finally:
        os.umask(old)
    modes = [stat.S_IMODE(path.stat().st_mode) for path in (store, store.parent, store.parent.parent)]
    assert modes == [0o600, 0o700, 0o700]


def test_a_store_that_is_moved_away_while_open_takes_no_more(store: Path) -> None:
    with SqliteJournal.open(store) as journal:
        run = journal.begin(plan_of(), {})
        store.rename(store.with_name("aside.db"))
        with pytest.raises(StoreError, match="was moved away while it was open"):
            journal.lease(run, VM)


def test_many_may_make_the_store_at_a_time(store: Path) -> None:
    troubles: list[BaseException] = []

    def begin(number: int) -> None:
        try:
            with SqliteJournal.open(store, locked_for=60) as journal:
                journal.begin(plan_of(f"plan-{number}"), {})
        except BaseException as error:
            troubles.append(error)

    threads = [threading.Thread(target=begin, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert troubles == []
    with SqliteJournal.open(store) as journal:
        assert {head.plan for head in journal.runs()} == {f"plan-{number}" for number in range(8)}

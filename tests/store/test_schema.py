"""Migrations: whole or not at all, and nothing is lost on the way."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

import pytest

from auditor.errors import StoreError
from auditor.store.schema import MIGRATIONS, migrate

FIRST = ("CREATE TABLE run (id TEXT)",)
SECOND = ("ALTER TABLE run ADD COLUMN note TEXT", "UPDATE run SET note = 'from before'")


@pytest.fixture
def connection(store: Path) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(store, isolation_level=None)) as opened:
        yield opened


def version(connection: sqlite3.Connection) -> int:
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def test_an_older_store_is_migrated_with_what_is_in_it(connection: sqlite3.Connection) -> None:
    migrate(connection, (FIRST,))
    connection.execute("INSERT INTO run VALUES ('r')")
    for _ in range(2):
        migrate(connection, (FIRST, SECOND))
        assert version(connection) == 2
        assert connection.execute("SELECT * FROM run").fetchall() == [("r", "from before")]


def test_a_migration_that_fails_leaves_the_store_as_it_was(
    connection: sqlite3.Connection, store: Path
) -> None:
    migrate(connection, (FIRST,))
    connection.execute("INSERT INTO run VALUES ('r')")
    before = store.read_bytes()
    with pytest.raises(sqlite3.OperationalError, match="no such table: nowhere"):
        migrate(connection, (FIRST, SECOND, ("DROP TABLE run", "INSERT INTO nowhere VALUES (1)")))
    assert version(connection) == 1
    assert connection.execute("SELECT * FROM run").fetchall() == [("r",)]
    assert store.read_bytes() == before


def test_a_newer_store_is_refused(connection: sqlite3.Connection) -> None:
    migrate(connection, (FIRST, SECOND))
    with pytest.raises(StoreError, match=r"newer version .*\(schema 2, known are those up to 1\)"):
        migrate(connection, (FIRST,))


def test_a_new_store_has_the_newest_schema(connection: sqlite3.Connection) -> None:
    migrate(connection)
    assert version(connection) == len(MIGRATIONS)
    names = {row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    assert names == {"run", "holder", "lease", "machine", "step"}


def test_a_store_that_is_made_by_another_meanwhile_is_looked_at_in_one_moment(
    connection: sqlite3.Connection, store: Path
) -> None:
    asked: list[str] = []

    def make_it(statement: str) -> None:
        asked.append(statement)
        if statement == "PRAGMA user_version":
            other = sqlite3.connect(store, isolation_level=None, timeout=0)
            with closing(other), suppress(sqlite3.OperationalError):  # locked, which is the point
                migrate(other)

    connection.set_trace_callback(make_it)
    migrate(connection)
    assert "PRAGMA user_version" in asked
    assert version(connection) == len(MIGRATIONS)

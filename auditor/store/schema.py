"""The tables of the store, and how older stores come to have them.

A run is written by one process, its holder. A lease gives a machine to a run, for as long as the run's holder
is alive. Times are ISO 8601 in UTC; lists and mappings are JSON; the plan is the bytes of its file.
"""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from auditor.errors import StoreError

APPLICATION_ID = 0x41554454
"""What a store carries in its header, "AUDT": a database without it is another program's."""

TRIES = 12
"""So often a writer asks for a lock, each time for as long as its connection waits."""

Migration = tuple[str, ...]

MIGRATIONS: tuple[Migration, ...] = (
    (
        """CREATE TABLE run (
            number INTEGER PRIMARY KEY,
            id TEXT NOT NULL UNIQUE,
            plan_id TEXT NOT NULL UNIQUE,
            started_at TEXT NOT NULL,
            finished_at TEXT,
            options TEXT NOT NULL,
            plan BLOB NOT NULL
        )""",
        """CREATE TABLE holder (
            run INTEGER PRIMARY KEY REFERENCES run,
            host TEXT NOT NULL,
            pids TEXT NOT NULL,
            boot TEXT NOT NULL,
            pid INTEGER NOT NULL,
            started TEXT NOT NULL,
            renewed_at TEXT NOT NULL
        )""",
        """CREATE TABLE lease (
            machine TEXT PRIMARY KEY,
            run INTEGER NOT NULL REFERENCES run
        )""",
        "CREATE INDEX lease_run ON lease (run)",
        """CREATE TABLE machine (
            number INTEGER PRIMARY KEY,
            run INTEGER NOT NULL REFERENCES run,
            id TEXT NOT NULL,
            result TEXT,
            reason TEXT NOT NULL DEFAULT '',
            gates TEXT NOT NULL DEFAULT '[]',
            stood_before TEXT NOT NULL DEFAULT '{}',
            stood_after TEXT NOT NULL DEFAULT '{}',
            backup TEXT NOT NULL DEFAULT '',
            UNIQUE (run, id)
        )""",
        """CREATE TABLE step (
            number INTEGER PRIMARY KEY,
            machine INTEGER NOT NULL REFERENCES machine,
            id TEXT NOT NULL,
            begun_at TEXT NOT NULL,
            ended_at TEXT,
            state TEXT,
            exit_status INTEGER,
            output TEXT,
            reboot INTEGER,
            UNIQUE (machine, id)
        )""",
    ),
)


def migrate(connection: sqlite3.Connection, migrations: Sequence[Migration] = MIGRATIONS) -> None:
    """Bring the store to the newest schema, whole or not at all; raises `StoreError` for a newer one."""
    with transaction(connection, "BEGIN"):
        if _version(connection, len(migrations)) == len(migrations):
            return
    with transaction(connection, "BEGIN IMMEDIATE"):
        # looked at again: another process may have migrated it just now
        for migration in migrations[_version(connection, len(migrations)) :]:
            for statement in migration:
                connection.execute(statement)
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version = {len(migrations)}")


@contextmanager
def transaction(connection: sqlite3.Connection, begin: str) -> Iterator[None]:
    """One transaction, begun by the statement given: whole, or not at all.

    A writer's begin and end wait longer than a reader does: a slow reader must end no writer, and keeps out
    the other ones while one waits for it.
    """
    _patiently(connection, begin)
    try:
        yield
        _patiently(connection, "COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _patiently(connection: sqlite3.Connection, statement: str) -> None:
    """Execute a statement, again while the store is locked: a transaction stays open then."""
    for _ in range(TRIES - 1):
        try:
            connection.execute(statement)
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY:
                raise
        else:
            return
    connection.execute(statement)


def _version(connection: sqlite3.Connection, known: int) -> int:
    """The schema that the file has, 0 for an empty one; raises `StoreError` for one that is not for us.

    To be called in a transaction: the store may be made between two of its questions.
    """
    application, version, objects = (
        int(connection.execute(query).fetchone()[0])
        for query in ("PRAGMA application_id", "PRAGMA user_version", "SELECT count(*) FROM sqlite_master")
    )
    if objects and application != APPLICATION_ID:
        raise StoreError("it is a database of another program; name another file")
    if version > known:
        raise StoreError(
            f"a newer version of this program wrote it (schema {version}, known are those up to {known}); "
            "use that version, or name another file"
        )
    return version if objects else 0

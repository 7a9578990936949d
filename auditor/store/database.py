"""One SQLite file: each transaction is on disk when it returns, and each trouble names the way out."""

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path

import msgspec

from auditor.errors import PlanError, StoreError
from auditor.store.schema import migrate, transaction


class Database:
    """A connection that many threads may use: one transaction at a time; everything raises `StoreError`."""

    def __init__(self, path: Path, connection: sqlite3.Connection, wait: float) -> None:
        self.path = path
        self._connection = connection
        self._wait = wait
        self._turn = threading.Lock()

    @classmethod
    def open(cls, path: Path, wait: float) -> "Database":
        """Open the file, or make it; `wait` is how long another program may keep it locked, in seconds."""
        path = path.absolute()
        _make(path)
        with _told(path, wait):
            connection = sqlite3.connect(path, timeout=wait, isolation_level=None, check_same_thread=False)
            try:
                _prepare(connection, path)
            except BaseException:
                connection.close()
                raise
        return cls(path, connection, wait)

    def close(self) -> None:
        """Let go of the file."""
        with self._turn, _told(self.path, self._wait):
            self._connection.close()

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """One transaction that is on disk afterwards, or has not happened."""
        with self._transaction("BEGIN IMMEDIATE") as connection:
            yield connection

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """One transaction that sees the store at one moment."""
        with self._transaction("BEGIN") as connection:
            yield connection

    def telling(self) -> AbstractContextManager[None]:
        """Where rows are read that were fetched: what makes no sense in them is told as damage."""
        return _told(self.path, self._wait)

    @contextmanager
    def _transaction(self, begin: str) -> Iterator[sqlite3.Connection]:
        with self._turn, _told(self.path, self._wait), transaction(self._connection, begin):
            yield self._connection


def _make(path: Path) -> None:
    """An empty file that only its owner may read, where there is none."""
    if path.is_dir():
        raise StoreError(f"the store {path} is a folder; name a file in it")
    try:
        _make_folder(path.parent)
        if not path.exists():
            # opened here only while nobody has it open: closing it would end SQLite's locks on it
            with suppress(FileExistsError):
                path.touch(mode=0o600, exist_ok=False)
    except OSError as error:
        raise StoreError(
            f"cannot make the store {path}: {error.strerror or error}; {_rights(path)}"
        ) from error


def _make_folder(folder: Path) -> None:
    if not folder.is_dir():
        _make_folder(folder.parent)
        folder.mkdir(mode=0o700, exist_ok=True)


def _prepare(connection: sqlite3.Connection, path: Path) -> None:
    connection.row_factory = sqlite3.Row
    # A rollback journal, not WAL: processes of several hosts or containers may share the file (a home on a
    # network, a bind mount), and WAL needs memory that all of them share. It also notices that the file was
    # moved away. EXTRA, not FULL: only then is the end of the journal itself on disk when COMMIT returns.
    connection.execute("PRAGMA journal_mode = DELETE")
    connection.execute("PRAGMA synchronous = EXTRA")
    connection.execute("PRAGMA foreign_keys = ON")
    try:
        migrate(connection)
    except StoreError as error:
        raise StoreError(f"the store {path} cannot be used: {error}") from error
    found = str(connection.execute("PRAGMA quick_check(1)").fetchone()[0])
    if found != "ok":
        raise StoreError(_damaged(path, found))


@contextmanager
def _told(path: Path, wait: float) -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        raise StoreError(_explained(path, wait, error)) from error
    except (msgspec.ValidationError, msgspec.DecodeError, PlanError) as error:
        raise StoreError(_damaged(path, str(error))) from error


def _explained(path: Path, wait: float, error: sqlite3.Error) -> str:
    extended: int = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR)
    if extended == sqlite3.SQLITE_READONLY_DBMOVED:
        return f"the store {path} was moved away while it was open; put it back, and resume"
    if extended & 0xFF in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
        return _damaged(path, str(error))
    return f"the store {path} {_trouble(path, wait, extended & 0xFF, error)}"


def _trouble(path: Path, wait: float, code: int, error: sqlite3.Error) -> str:
    match code:
        case sqlite3.SQLITE_BUSY | sqlite3.SQLITE_LOCKED:
            return f"is locked by another program for more than {wait:g} s; end that one first"
        case sqlite3.SQLITE_FULL:
            return "cannot grow: the disk is full; make room, and resume"
        case sqlite3.SQLITE_IOERR:
            return f"cannot be used: {error}; see to its disk (space, quota, faults), and resume"
        case sqlite3.SQLITE_READONLY | sqlite3.SQLITE_CANTOPEN | sqlite3.SQLITE_PERM:
            return f"cannot be used: {error}; {_rights(path)}"
    return f"cannot be used: {error}"


def _damaged(path: Path, detail: str) -> str:
    return (
        f"the store {path} is damaged ({detail}); it is left as it is: move it aside (with "
        f"{path.name}-journal, if that is there), and a new one is made"
    )


def _rights(path: Path) -> str:
    return f"this user has to be able to write to {path} and to its folder, or name another file"

"""Who works on what: a run has one holder, a machine belongs to at most one run whose holder is alive."""

import sqlite3
from dataclasses import astuple
from datetime import UTC, datetime, timedelta

from auditor.errors import StoreError
from auditor.store.holder import Holder, here, is_gone
from auditor.store.records import moment

_HOLDER = "host = ? AND pids = ? AND boot = ? AND pid = ? AND started = ?"


class Leases:
    """The holds and leases of this process, as rows; each call is part of its caller's transaction."""

    def __init__(self, abandoned_after: timedelta) -> None:
        self._me = here()
        self._abandoned_after = abandoned_after
        self.held: set[int] = set()

    # ---- runs -------------------------------------------------------------------------------------

    def hold(self, rows: sqlite3.Connection, run: int) -> None:
        """Make this process the holder of a run."""
        rows.execute(
            "INSERT OR REPLACE INTO holder (run, host, pids, boot, pid, started, renewed_at) "
            "VALUES (?, ?, ?, ?, ?, ?, ?)",
            (run, *astuple(self._me), _now().isoformat()),
        )
        self.held.add(run)

    def take_over(self, rows: sqlite3.Connection, run: str, number: int) -> None:
        """Hold a run, unless another process does; raises `StoreError` then."""
        if owner := self._owner(rows, number, besides=self._me):
            raise StoreError(f"the run {run} is worked on: {owner}")
        self.hold(rows, number)

    def renew(self, rows: sqlite3.Connection, run: str, number: int) -> None:
        """Show that this process works on a run; raises `StoreError` where it does not (any more)."""
        renewed = rows.execute(
            f"UPDATE holder SET renewed_at = ? WHERE run = ? AND {_HOLDER}",  # noqa: S608 - a constant
            (_now().isoformat(), number, *astuple(self._me)),
        )
        if renewed.rowcount:
            return
        owner = self._owner(rows, number)
        raise StoreError(
            f"the run {run} was taken over: {owner}"
            if owner
            else f"this process does not work on the run {run}; resume it"
        )

    def let_go(self, rows: sqlite3.Connection, run: int) -> None:
        """Hold a run and its machines no longer; one that was taken over is its new holder's to let go of."""
        mine = rows.execute(f"DELETE FROM holder WHERE run = ? AND {_HOLDER}", (run, *astuple(self._me)))  # noqa: S608
        if mine.rowcount:
            rows.execute("DELETE FROM lease WHERE run = ?", (run,))
        self.held.discard(run)

    def let_go_of_all(self, rows: sqlite3.Connection) -> None:
        """Hold no run any longer."""
        for run in tuple(self.held):
            self.let_go(rows, run)

    # ---- machines ---------------------------------------------------------------------------------

    def lease(self, rows: sqlite3.Connection, run: int, machine: str) -> str | None:
        """Give a machine to a run; None, or who has it."""
        other = self._leased_to(rows, machine)
        if other is not None and other != run and (owner := self._owner(rows, other)):
            return owner
        rows.execute("INSERT OR REPLACE INTO lease (machine, run) VALUES (?, ?)", (machine, run))
        return None

    def demand(self, rows: sqlite3.Connection, run: str, number: int, machine: str) -> None:
        """Raise `StoreError` where a machine is not the run's (any more)."""
        leased_to = self._leased_to(rows, machine)
        if leased_to == number:
            return
        owner = self._owner(rows, leased_to) if leased_to is not None else ""
        raise StoreError(f"{machine} is not leased to the run {run}" + (f", but to {owner}" if owner else ""))

    def release(self, rows: sqlite3.Connection, run: int, machine: str) -> None:
        """Take a machine from a run; another run's is left alone."""
        rows.execute("DELETE FROM lease WHERE run = ? AND machine = ?", (run, machine))

    # ---- who --------------------------------------------------------------------------------------

    @staticmethod
    def _leased_to(rows: sqlite3.Connection, machine: str) -> int | None:
        found = rows.execute("SELECT run FROM lease WHERE machine = ?", (machine,)).fetchone()
        return None if found is None else found["run"]

    def _owner(self, rows: sqlite3.Connection, run: int, besides: Holder | None = None) -> str:
        """The live process that holds a run, as words; empty where there is none."""
        row = rows.execute(
            "SELECT holder.*, run.id FROM holder JOIN run ON run.number = holder.run WHERE holder.run = ?",
            (run,),
        ).fetchone()
        if row is None:
            return ""
        holder = Holder(row["host"], row["pids"], row["boot"], row["pid"], row["started"])
        renewed_at = moment(row["renewed_at"])
        if holder == besides or is_gone(holder, self._me, _now() - renewed_at, self._abandoned_after):
            return ""
        return f"{_words(row['id'], holder, renewed_at)}{self._free_at(holder, renewed_at)}"

    def _free_at(self, holder: Holder, renewed_at: datetime) -> str:
        """When a holder on another host counts as gone: nobody can look whether it lives."""
        if (holder.host, holder.pids) == (self._me.host, self._me.pids):
            return ""
        return f"; if it is dead, this is free at {_clock(renewed_at + self._abandoned_after)}"


def _words(run: str, holder: Holder, renewed_at: datetime) -> str:
    return f"the run {run} ({holder}, last heard of at {_clock(renewed_at)})"


def _clock(when: datetime) -> str:
    return f"{when:%Y-%m-%d %H:%M:%S} UTC"


def _now() -> datetime:
    return datetime.now(UTC)

"""The journal of repairs in SQLite: what was intended, what came of it, and who works on what."""

import secrets
import sqlite3
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Self

from auditor.errors import StoreError
from auditor.remedy import Plan, RepairRun, Result, Standing, StepResult
from auditor.repair.document import parse_plan, plan_bytes
from auditor.store import records
from auditor.store.database import Database
from auditor.store.leases import Leases
from auditor.store.records import RunHead, told

LOCKED_FOR = 5.0
"""Seconds that another program may keep the store locked; for writers they are several times as many."""
ABANDONED_AFTER = timedelta(hours=2)
"""After so much silence a run counts as abandoned, where its process is on another host."""
NAMED = 5
"""So many known runs are named where one is not known."""


class SqliteJournal:
    """The `Journal` of auditor.repair.seams in one SQLite file; many threads may use it.

    Only the process that began a run or took it over writes to it, and only of a machine that it has leased
    a step is intended. Every method raises `StoreError` with the way out.
    """

    def __init__(self, database: Database, leases: Leases) -> None:
        self._database = database
        self._leases = leases

    @classmethod
    def open(
        cls, path: Path, *, locked_for: float = LOCKED_FOR, abandoned_after: timedelta = ABANDONED_AFTER
    ) -> Self:
        """Open the journal in this file, or make it; `locked_for` is in seconds."""
        return cls(Database.open(path, locked_for), Leases(abandoned_after))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the file, and of the runs that this journal worked on."""
        # where that cannot be noted, the end of this process says it as well
        with suppress(StoreError):
            if self._leases.held:
                with self._database.writing() as rows:
                    self._leases.let_go_of_all(rows)
        self._database.close()

    # ---- runs -------------------------------------------------------------------------------------

    def begin(self, plan: Plan, options: Mapping[str, str]) -> str:
        """Note a new run of a plan, and take it.

        Raises `PlanError` for a plan that is not sealed, and `StoreError` for one that was begun before: the
        guests keep the receipts of its steps, and would not do them again.
        """
        content = plan_bytes(plan)
        parse_plan(content, f"the plan {plan.id}")
        now = datetime.now(UTC)
        run = f"{now:%Y%m%d-%H%M%S}-{secrets.token_hex(3)}"
        with self._database.writing() as rows:
            self._refuse_again(rows, plan)
            number = rows.execute(
                "INSERT INTO run (id, plan_id, started_at, options, plan) VALUES (?, ?, ?, ?, ?)",
                (run, plan.id, now.isoformat(), records.options_json(options), content),
            ).lastrowid
            assert number is not None  # noqa: S101 - an INSERT has one
            self._leases.hold(rows, number)
        return run

    def attach(self, run: str) -> None:
        """Take over a run that nobody works on; raises `StoreError` where somebody does."""
        with self._database.writing() as rows:
            self._leases.take_over(rows, run, self._run(rows, run)["number"])

    def load(self, run: str) -> RepairRun:
        """A run as it stands; raises `StoreError` naming the known ones for an id that is none."""
        with self._database.reading() as rows:
            row = self._run(rows, run)
            machines = rows.execute(
                "SELECT * FROM machine WHERE run = ? ORDER BY number", (row["number"],)
            ).fetchall()
            steps = rows.execute(
                "SELECT step.* FROM step JOIN machine ON machine.number = step.machine "
                "WHERE machine.run = ? ORDER BY step.number",
                (row["number"],),
            ).fetchall()
        # a large plan takes a while, which no writer has to wait for
        with self._database.telling():
            finished = row["finished_at"]
            return RepairRun(
                id=run,
                plan=parse_plan(row["plan"], f"the plan of the run {run}"),
                started_at=records.moment(row["started_at"]),
                finished_at=records.moment(finished) if finished is not None else None,
                machines=records.machines(machines, steps),
            )

    def options(self, run: str) -> Mapping[str, str]:
        """What a run was begun with."""
        with self._database.reading() as rows:
            return records.options(self._run(rows, run)["options"])

    def unfinished(self) -> tuple[str, ...]:
        """The ids of the runs that did not end, the newest first."""
        with self._database.reading() as rows:
            found = rows.execute("SELECT id FROM run WHERE finished_at IS NULL ORDER BY number DESC")
            return tuple(row["id"] for row in found)

    def runs(self) -> tuple[RunHead, ...]:
        """All runs, the newest first, without their plans and machines."""
        with self._database.reading() as rows:
            counted: dict[int, dict[str, int]] = {}
            for row in rows.execute(
                "SELECT run, result, count(*) AS machines FROM machine "
                "WHERE result IS NOT NULL GROUP BY run, result"
            ):
                counted.setdefault(row["run"], {})[row["result"]] = row["machines"]
            heads = rows.execute(
                "SELECT number, id, plan_id, started_at, finished_at FROM run ORDER BY number DESC"
            )
            return tuple(records.head(row, counted.get(row["number"], {})) for row in heads)

    def renew(self, run: str) -> None:
        """Show that this process still works on a run; raises `StoreError` where it does not any more."""
        with self._database.writing() as rows:
            self._mine(rows, run)

    def finish(self, run: str) -> None:
        """Note that a run has ended, and let go of it and its machines; the first end counts."""
        with self._database.writing() as rows:
            number = self._mine(rows, run)
            rows.execute(
                "UPDATE run SET finished_at = ? WHERE number = ? AND finished_at IS NULL", (_now(), number)
            )
            self._leases.let_go(rows, number)

    # ---- machines ---------------------------------------------------------------------------------

    def lease(self, run: str, machine: str) -> str | None:
        """Take a machine for a run; None, or who has it: another run that is alive."""
        with self._database.writing() as rows:
            return self._leases.lease(rows, self._mine(rows, run), machine)

    def release(self, run: str, machine: str) -> None:
        """Let go of a machine."""
        with self._database.writing() as rows:
            self._leases.release(rows, self._mine(rows, run), machine)

    def look(self, run: str, machine: str, gates: tuple[str, ...], before: Mapping[str, Standing]) -> None:
        """Note what stood before a machine is touched: its gates, and how its checks stand.

        Once a step is intended only the gates are noted anew: what is seen then is not from before.
        """
        with self._database.writing() as rows:
            key = self._machine(rows, self._mine(rows, run), machine)
            rows.execute("UPDATE machine SET gates = ? WHERE number = ?", (records.gates_json(gates), key))
            rows.execute(
                "UPDATE machine SET stood_before = ? "
                "WHERE number = ? AND NOT EXISTS (SELECT 1 FROM step WHERE step.machine = machine.number)",
                (records.standings_json(before), key),
            )

    def settle(
        self,
        run: str,
        machine: str,
        result: Result,
        reason: str,
        *,
        after: Mapping[str, Standing],
        backup: str = "",
    ) -> None:
        """Note how a machine ended, and let go of it."""
        with self._database.writing() as rows:
            number = self._mine(rows, run)
            rows.execute(
                "UPDATE machine SET result = ?, reason = ?, stood_after = ?, backup = ? WHERE number = ?",
                (
                    result.value,
                    told(reason),
                    records.standings_json(after),
                    told(backup),
                    self._machine(rows, number, machine),
                ),
            )
            self._leases.release(rows, number, machine)

    def leave(self, run: str, machine: str, reason: str) -> None:
        """Note why a machine is not settled, and let go of it; one that is settled stays so."""
        with self._database.writing() as rows:
            number = self._mine(rows, run)
            rows.execute(
                "UPDATE machine SET reason = ? WHERE number = ? AND result IS NULL",
                (told(reason), self._machine(rows, number, machine)),
            )
            self._leases.release(rows, number, machine)

    # ---- steps ------------------------------------------------------------------------------------

    def intend(self, run: str, machine: str, step: str) -> datetime:
        """Note that a step is about to be sent; a second time keeps the first time."""
        with self._database.writing() as rows:
            number = self._mine(rows, run)
            self._leases.demand(rows, run, number, machine)
            key = (self._machine(rows, number, machine), step)
            rows.execute(
                "INSERT OR IGNORE INTO step (machine, id, begun_at) VALUES (?, ?, ?)", (*key, _now())
            )
            found = rows.execute("SELECT begun_at FROM step WHERE machine = ? AND id = ?", key)
            return records.moment(found.fetchone()["begun_at"])

    def record(self, run: str, machine: str, step: str, result: StepResult) -> None:
        """Note what came of a step; raises `StoreError` for one that was not intended."""
        with self._database.writing() as rows:
            key = self._machine(rows, self._mine(rows, run), machine)
            noted = rows.execute(
                "UPDATE step SET ended_at = ?, state = ?, exit_status = ?, output = ?, reboot = ? "
                "WHERE machine = ? AND id = ?",
                (
                    _now(),
                    result.state,
                    result.exit_status,
                    told(result.output),
                    result.reboot,
                    key,
                    step,
                ),
            )
            if not noted.rowcount:
                raise StoreError(f"the step {step} of {machine} was never intended in the run {run}")

    # ---- rows -------------------------------------------------------------------------------------

    def _run(self, rows: sqlite3.Connection, run: str) -> sqlite3.Row:
        found: sqlite3.Row | None = rows.execute("SELECT * FROM run WHERE id = ?", (run,)).fetchone()
        if found is not None:
            return found
        known = rows.execute("SELECT id FROM run ORDER BY number DESC LIMIT ?", (NAMED,)).fetchall()
        names = ", ".join(row["id"] for row in known)
        raise StoreError(
            f"the store {self._database.path} has no run {run!r}; "
            + (f"the newest are {names}" if names else "it has none yet")
        )

    @staticmethod
    def _refuse_again(rows: sqlite3.Connection, plan: Plan) -> None:
        earlier = rows.execute("SELECT id, finished_at FROM run WHERE plan_id = ?", (plan.id,)).fetchone()
        if earlier is not None:
            way_out = f"resume {earlier['id']}" if earlier["finished_at"] is None else "make a new plan"
            raise StoreError(f"the plan {plan.id} was applied already, by the run {earlier['id']}; {way_out}")

    def _mine(self, rows: sqlite3.Connection, run: str) -> int:
        """The number of a run that this process works on; noted as a sign of its life."""
        found = rows.execute("SELECT number FROM run WHERE id = ?", (run,)).fetchone()
        number: int = found["number"] if found is not None else self._run(rows, run)["number"]
        self._leases.renew(rows, run, number)
        return number

    @staticmethod
    def _machine(rows: sqlite3.Connection, run: int, machine: str) -> int:
        rows.execute("INSERT OR IGNORE INTO machine (run, id) VALUES (?, ?)", (run, machine))
        found = rows.execute("SELECT number FROM machine WHERE run = ? AND id = ?", (run, machine))
        number: int = found.fetchone()["number"]
        return number


def _now() -> str:
    return datetime.now(UTC).isoformat()

"""Rows of the store as the vocabulary of repairs, and back."""

import sqlite3
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import msgspec

from auditor.credentials import hide
from auditor.remedy import MachineRecord, Result, Standing, StepRecord
from auditor.text import well_formed


@dataclass(frozen=True, slots=True)
class RunHead:
    """A run in a list: `results` counts its machines per result, zeros included."""

    id: str
    plan: str
    started_at: datetime
    finished_at: datetime | None
    results: Mapping[Result, int]


def told(text: str) -> str:
    """What a machine or a library said, fit to be kept: valid Unicode, and no secret that is known."""
    return hide(well_formed(text))


def options_json(options: Mapping[str, str]) -> str:
    """Options as the store keeps them."""
    return _json(dict(options))


def gates_json(gates: Iterable[str]) -> str:
    """Gates as the store keeps them."""
    return _json([told(gate) for gate in gates])


def standings_json(standings: Mapping[str, Standing]) -> str:
    """How checks stood, as the store keeps it."""
    return _json({check: _kept(standing) for check, standing in standings.items()})


def options(text: str) -> dict[str, str]:
    """The options of a run."""
    return msgspec.json.decode(text, type=dict[str, str])


def machines(rows: Iterable[sqlite3.Row], steps: Iterable[sqlite3.Row]) -> tuple[MachineRecord, ...]:
    """The machines of a run, each with its steps."""
    by_machine: dict[int, list[Any]] = {}
    for step in steps:
        by_machine.setdefault(step["machine"], []).append(_step(step))
    return tuple(_machine(row, by_machine.get(row["number"], [])) for row in rows)


def head(row: sqlite3.Row, counted: Mapping[str, int]) -> RunHead:
    """A run in a list, with its machines per result."""
    document = {
        "id": row["id"],
        "plan": row["plan_id"],
        "started_at": row["started_at"],
        "finished_at": row["finished_at"],
        "results": dict.fromkeys(Result, 0) | msgspec.convert(counted, dict[Result, int]),
    }
    return msgspec.convert(document, RunHead)


def moment(text: str) -> datetime:
    """A time in the store."""
    return msgspec.convert(text, datetime)


def _machine(row: sqlite3.Row, steps: list[Any]) -> MachineRecord:
    document = {
        "machine": row["id"],
        "result": row["result"],
        "reason": row["reason"],
        "gates": msgspec.json.decode(row["gates"]),
        "steps": steps,
        "before": msgspec.json.decode(row["stood_before"]),
        "after": msgspec.json.decode(row["stood_after"]),
        "backup": row["backup"],
    }
    return msgspec.convert(document, MachineRecord)


def _step(row: sqlite3.Row) -> StepRecord:
    names = ("state", "exit_status", "output")
    result = {name: row[name] for name in names} | {"reboot": bool(row["reboot"])}
    document = {name: row[name] for name in ("id", "begun_at", "ended_at")}
    return msgspec.convert(document | {"result": result if row["state"] is not None else None}, StepRecord)


def _kept(standing: Standing) -> Standing:
    reason = None if standing.reason is None else told(standing.reason)
    return replace(standing, summary=told(standing.summary), reason=reason)


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()

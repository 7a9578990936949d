"""A plan as a file: JSON with a digest over everything else in it."""

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal

import msgspec

from auditor.errors import PlanError
from auditor.remedy import Plan

SCHEMA = 1


def plan_bytes(plan: Plan) -> bytes:
    """The plan as a file's content."""
    return msgspec.json.format(msgspec.json.encode(_plain(plan)), indent=2) + b"\n"


def sealed(plan: Plan) -> Plan:
    """The plan with its digest."""
    return replace(plan, digest=_digest(plan))


def read_plan(path: Path) -> Plan:
    """The plan in a file; raises `PlanError` where there is none, or one that was changed later."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise PlanError(f"cannot read the plan {path}: {error.strerror}") from error
    return parse_plan(content, str(path))


def parse_plan(content: bytes, origin: str) -> Plan:
    """The plan in a document; `origin` names it in the message of a `PlanError`."""
    try:
        document: Any = msgspec.json.decode(content)
        schema = document.pop("schema", None) if isinstance(document, dict) else None
        if schema != SCHEMA:
            raise PlanError(f"{origin} is no plan of this program (schema {schema!r}, wanted {SCHEMA})")
        plan = msgspec.convert(document, Plan)
    except (msgspec.ValidationError, msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise PlanError(f"{origin} is no plan: {error}") from error
    if plan.digest != _digest(plan):
        raise PlanError(f"{origin} was changed after it was made (its digest differs); make a new plan")
    return plan


def refuse_stale(plan: Plan, max_age: timedelta, now: datetime | None = None) -> None:
    """Raise `PlanError` where the plan is older than `max_age`, or from the future."""
    age = (now or datetime.now(UTC)) - plan.created_at
    if age > max_age:
        raise PlanError(f"the plan is {_hours(age)} old, and {_hours(max_age)} are allowed; make a new one")
    if age < timedelta(minutes=-5):
        raise PlanError(f"the plan is from the future ({plan.created_at.isoformat()}); mend a clock")


def _plain(plan: Plan, order: Literal["deterministic"] | None = None) -> Mapping[str, Any]:
    document: dict[str, Any] = msgspec.to_builtins(plan, order=order, enc_hook=_plain_mapping)
    return {"schema": SCHEMA, **document}


def _plain_mapping(value: Any) -> Any:
    if isinstance(value, Mapping):
        return dict(value)
    raise NotImplementedError(type(value).__name__)


def _digest(plan: Plan) -> str:
    # the members of a set come in another order in every process
    plain = _plain(plan, "deterministic")
    document = {name: value for name, value in plain.items() if name != "digest"}
    return hashlib.sha256(msgspec.json.encode(document, order="deterministic")).hexdigest()


def _hours(age: timedelta) -> str:
    minutes = round(age.total_seconds() / 60)
    return f"{minutes} min" if minutes < 120 else f"{minutes / 60:.1f} h"

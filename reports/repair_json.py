"""What became of a plan as JSON: the evidence, with the plan's digest in it."""

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from auditor import __version__
from auditor.remedy import MachinePlan, MachineRecord, RepairRun, Standing, StepRecord
from reports.json import json_bytes, utc

SCHEMA_VERSION = "1.0"


def run_json(run: RepairRun) -> Iterator[bytes]:
    """One JSON object; every machine stands on a line of its own."""
    yield json_bytes(_head(run)).removesuffix(b"}") + b',"machines":['
    plans = {one.machine.id: one for one in run.plan.machines}
    separator = b"\n"
    for record in run.machines:
        yield separator + json_bytes(_machine(record, plans.get(record.machine)))
        separator = b",\n"
    yield b"\n]}\n"


def _head(run: RepairRun) -> dict[str, Any]:
    plan = run.plan
    return {
        "schema_version": SCHEMA_VERSION,
        "tool": {"name": "fleet-auditor", "version": __version__},
        "run": {
            "id": run.id,
            "started_at": _time(run.started_at),
            "finished_at": _time(run.finished_at),
        },
        "plan": {
            "id": plan.id,
            "created_at": _time(plan.created_at),
            "digest": plan.digest,
            "cloud": plan.cloud,
            "rule_set": plan.rule_set,
            "checks": list(plan.checks),
        },
        "summary": {
            "planned": len(plan.touched),
            "results": {result.value: count for result, count in run.results().items()},
            "not_settled": sum(record.result is None for record in run.machines),
        },
    }


def _machine(record: MachineRecord, plan: MachinePlan | None) -> dict[str, Any]:
    return {
        "id": record.machine,
        "name": plan.machine.name if plan else None,
        "verdict": {"before": plan.verdict if plan else None, "after": record.verdict},
        "result": record.result,
        "reason": record.reason,
        "backup": record.backup,
        "gates": list(record.gates),
        "steps": [_step(step) for step in record.steps],
        "before": _standings(record.before),
        "after": _standings(record.after),
    }


def _step(step: StepRecord) -> dict[str, Any]:
    result = step.result
    return {
        "id": step.id,
        "begun_at": _time(step.begun_at),
        "ended_at": _time(step.ended_at),
        "state": result.state if result else None,
        "exit_status": result.exit_status if result else None,
        "reboot": result.reboot if result else None,
        "output": result.output if result else None,
    }


def _standings(standings: Mapping[str, Standing]) -> dict[str, Any]:
    return {
        check: {"status": one.status, "summary": one.summary, "reason": one.reason}
        for check, one in standings.items()
    }


def _time(at: datetime | None) -> datetime | None:
    return None if at is None else utc(at)

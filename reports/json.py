"""The run as JSON, machine by machine, in the shape that `audit-run.schema.json` publishes."""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from importlib import resources
from typing import Any

import orjson

from auditor import __version__
from auditor.model import AuditRun, Coverage, Evidence, Finding, MachineResult
from auditor.plugin import renderer
from auditor.text import well_formed

SCHEMA_VERSION = "1.0"


@renderer("json", suffix=".json")
def as_json(run: AuditRun) -> Iterator[bytes]:
    """One JSON object; every machine stands on a line of its own."""
    yield json_bytes(_head(run)).removesuffix(b"}") + b',"machines":['
    separator = b"\n"
    for result in run.machines:
        yield separator + json_bytes(_machine(result))
        separator = b",\n"
    yield b"\n]}\n"


def schema() -> dict[str, Any]:
    """The published JSON Schema (2020-12) of this format."""
    text = (resources.files(__package__) / "audit-run.schema.json").read_bytes()
    loaded: dict[str, Any] = orjson.loads(text)
    return loaded


def _head(run: AuditRun) -> dict[str, Any]:
    return {
        "schema_version": SCHEMA_VERSION,
        "tool": {"name": "fleet-auditor", "version": __version__},
        "run": {
            "id": run.id,
            "started_at": utc(run.started_at),
            "finished_at": utc(run.finished_at),
            "cloud": run.cloud,
            "rule_set": run.rule_set,
            "scope": {name: list(values) for name, values in run.scope.items()},
        },
        "coverage": _coverage(run.coverage),
        "summary": {
            "machines": len(run.machines),
            "verdicts": {verdict.value: count for verdict, count in run.verdicts().items()},
            "findings": {status.value: count for status, count in run.findings().items()},
        },
    }


def _coverage(coverage: Coverage) -> dict[str, Any]:
    return {
        "expected": coverage.expected,
        "audited": coverage.audited,
        "lost": [{"id": lost.id, "reason": lost.reason} for lost in coverage.lost],
        "limits": [
            {"scope": limit.scope, "plane": limit.plane, "reason": limit.reason} for limit in coverage.limits
        ],
    }


def _machine(result: MachineResult) -> dict[str, Any]:
    machine = result.machine
    return {
        "id": machine.id,
        "name": machine.name,
        "platform": machine.platform,
        "location": machine.location,
        "power_state": result.power_state,
        "source": machine.source,
        "tags": dict(machine.tags),
        "verdict": result.verdict,
        "findings": [_finding(finding) for finding in result.findings],
    }


def _finding(finding: Finding) -> dict[str, Any]:
    return {
        "check": finding.check,
        "title": finding.title,
        "status": finding.status,
        "severity": finding.severity,
        "summary": finding.summary,
        "reason": finding.reason,
        "evidence": [_evidence(evidence) for evidence in finding.evidence],
        "remediation": finding.remediation,
    }


def _evidence(evidence: Evidence) -> dict[str, Any]:
    observed_at = evidence.observed_at
    return {
        "plane": evidence.plane,
        "source": evidence.source,
        "observed_at": None if observed_at is None else utc(observed_at),
        "value": evidence.value,
    }


def utc(at: datetime) -> datetime:
    """The same moment in UTC."""
    return at.astimezone(UTC)


def json_bytes(document: Mapping[str, Any]) -> bytes:
    """A document as JSON, whatever text machines sent."""
    try:
        return orjson.dumps(document, option=orjson.OPT_UTC_Z)
    except orjson.JSONEncodeError:  # orjson refuses lone surrogates; machines may send them
        return orjson.dumps(_clean(document), option=orjson.OPT_UTC_Z)


def _clean(value: Any) -> Any:
    if isinstance(value, str):
        return well_formed(value)
    if isinstance(value, Mapping):
        return {_clean(key): _clean(content) for key, content in value.items()}
    return [_clean(content) for content in value] if isinstance(value, list) else value

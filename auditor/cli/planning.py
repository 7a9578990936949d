"""A plan from settings: an earlier report read, the audit done with its facts kept, the planner asked."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import msgspec

from auditor import credentials
from auditor import run as runs
from auditor.credentials import Source
from auditor.engine import Progress
from auditor.errors import PlanError, SettingsError
from auditor.model import AuditRun, Machine, Platform
from auditor.plugin import Check, Remediation
from auditor.probe import linux_probe, windows_probe
from auditor.remedy import Plan, RepairOptions
from auditor.repair.planner import Planner, Reported, Seen, Wanted
from auditor.settings import Settings

SCHEMA = "1."
BAD = ("fail", "warn")


@dataclass(frozen=True, slots=True)
class Planned:
    """A plan, and the audit that it rests on."""

    # asyncio.run writes out the result of its main task and throws it away
    plan: Plan = field(repr=False)
    run: AuditRun = field(repr=False)


async def make_plan(
    settings: Settings,
    checks: Sequence[Check],
    remediations: Sequence[Remediation],
    options: RepairOptions,
    *,
    report: Path | None = None,
    progress: Progress | None = None,
    ask: Source = credentials.ask,
) -> Planned:
    """Audit by all checks, and plan the repair of those that the settings name (default: all).

    `report` is the JSON of an earlier audit: only its machines are looked at, and only its bad findings are
    repaired. Raises `UsageError` for what cannot be meant.
    """
    chosen = frozenset(check.id for check in runs.choose(checks, settings)) if settings.check else None
    request = runs.Request.prepare(replace(settings, check=()), checks)
    reported = read_report(report, request.cloud) if report is not None else None
    request = replace(request, settings=_scoped(request.settings, reported))
    seen: list[Seen] = []
    run = await runs.audit(request, progress, ask, lambda facts, result: seen.append((facts, result)))
    planner = Planner(
        remediations=remediations,
        rules=request.rules,
        cloud=request.cloud,
        checks=tuple(check.id for check in request.checks),
        options=options,
        wanted=Wanted(chosen, reported, bool(settings.scope.vms)),
        linux_reads=linux_probe(request.rules.endpoints).scripts,
        windows_reads=windows_probe(request.rules.endpoints).scripts,
    )
    order = {result.machine.id: place for place, result in enumerate(run.machines)}
    return Planned(planner.plan(sorted(seen, key=lambda one: order[one[0].machine.id])), run)


def _scoped(settings: Settings, reported: dict[str, Reported] | None) -> Settings:
    """The settings, with the report's machines as their scope where no other was named."""
    if reported is None or settings.scope.vms:
        return settings
    if not reported:
        raise SettingsError(
            "--from: the report holds no finding that failed or warns; there is nothing to do"
        )
    return replace(settings, scope=replace(settings.scope, vms=tuple(reported)))


def read_report(path: Path, cloud: str) -> dict[str, Reported]:
    """The machines of an audit's JSON that have bad findings; raises `SettingsError` and `PlanError`."""
    try:
        document: Any = msgspec.json.decode(path.read_bytes())
    except OSError as error:
        raise SettingsError(f"--from: cannot read {path}: {error.strerror}") from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise SettingsError(f"--from: {path} is no JSON report of an audit: {error}") from error
    try:
        found = msgspec.convert(document, _Report)
    except msgspec.ValidationError as error:
        raise SettingsError(f"--from: {path} is no JSON report of an audit: {error}") from error
    if not found.schema_version.startswith(SCHEMA):
        raise SettingsError(f"--from: {path} has the schema {found.schema_version!r}; this program reads 1.x")
    if found.run.cloud != cloud:
        raise PlanError(f"--from: the report is of the cloud {found.run.cloud!r}, this run of {cloud!r}")
    machines = (one.reported() for one in found.machines)
    return {one.machine.id: one for one in machines if one.checks}


class _Finding(msgspec.Struct):
    check: str
    status: str


class _Machine(msgspec.Struct):
    id: str
    name: str
    platform: Platform
    location: str
    source: str
    findings: tuple[_Finding, ...]

    def reported(self) -> Reported:
        machine = Machine(self.id, self.name, self.platform, self.source, self.location)
        return Reported(machine, frozenset(one.check for one in self.findings if one.status in BAD))


class _Run(msgspec.Struct):
    cloud: str


class _Report(msgspec.Struct):
    schema_version: str
    run: _Run
    machines: tuple[_Machine, ...]

"""The figures that every report opens with, counted once for all of them. Pure."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from auditor.model import AuditRun, Coverage, Finding, MachineResult, Plane, Severity, Status, Verdict

WORST_FIRST = (Verdict.NOT_READY, Verdict.UNKNOWN, Verdict.AT_RISK, Verdict.READY)

_STATUS_WEIGHT = {Status.FAIL: 0, Status.UNKNOWN: 1, Status.WARN: 2, Status.PASS: 3, Status.SKIP: 4}
_SEVERITY_WEIGHT = {Severity.BLOCKER: 0, Severity.DEGRADED: 1, Severity.INFO: 2}
_BLOCKING = ((Status.FAIL, Severity.BLOCKER), (Status.UNKNOWN, Severity.BLOCKER))
_OUTCOMES = (
    (Verdict.NOT_READY, ("is not ready", "are not ready")),
    (Verdict.UNKNOWN, ("could not be judged", "could not be judged")),
    (Verdict.AT_RISK, ("is at risk", "are at risk")),
)
_TROUBLE = (Status.FAIL, Status.UNKNOWN, Status.WARN)


@dataclass(frozen=True, slots=True)
class CheckFigures:
    """How one check came out over the fleet."""

    id: str
    title: str
    severity: Severity
    counts: Mapping[Status, int]


@dataclass(frozen=True, slots=True)
class Gap:
    """Everything that could not be seen for one and the same reason."""

    reason: str
    plane: Plane
    scopes: tuple[str, ...]


def weight(finding: Finding) -> tuple[int, int, int]:
    """A sort key: what decides a verdict comes first, what says nothing comes last."""
    blocking = (finding.status, finding.severity) in _BLOCKING
    degrading = finding.status in (Status.FAIL, Status.WARN) and finding.severity is not Severity.INFO
    rank = 0 if blocking else 1 if degrading else 2
    return rank, _STATUS_WEIGHT[finding.status], _SEVERITY_WEIGHT[finding.severity]


def decisive(result: MachineResult) -> Finding | None:
    """The finding that decides the verdict of a machine, or None where nothing is wrong with it."""
    first = min(result.findings, key=weight, default=None)
    return first if first is not None and first.status in _TROUBLE else None


def by_check(run: AuditRun) -> tuple[CheckFigures, ...]:
    """Every check with its counts per status, zeros included, in the order of the findings."""
    counts: dict[str, dict[Status, int]] = {}
    kept: dict[str, Finding] = {}
    for result in run.machines:
        for finding in result.findings:
            row = counts.setdefault(finding.check, dict.fromkeys(Status, 0))
            row[finding.status] += 1
            kept.setdefault(finding.check, finding)
    return tuple(
        CheckFigures(check, finding.title, finding.severity, counts[check]) for check, finding in kept.items()
    )


def worst(run: AuditRun, limit: int) -> tuple[MachineResult, ...]:
    """The machines that are not ready, worst first, at most `limit` of them."""
    troubled = [result for result in run.machines if result.verdict is not Verdict.READY]
    troubled.sort(key=lambda result: (WORST_FIRST.index(result.verdict), result.machine.name.casefold()))
    return tuple(troubled[:limit])


def headline(run: AuditRun) -> str:
    """The outcome in one sentence."""
    total = len(run.machines)
    if not total:
        return "No machine was audited"
    for verdict, words in _OUTCOMES:
        count = run.verdicts()[verdict]
        if count:
            return f"{count:,} of {_machines(total)} {words[count > 1]}"
    return f"All {total:,} machines are ready" if total > 1 else "The one machine audited is ready"


def common_cause(run: AuditRun) -> tuple[CheckFigures, int] | None:
    """The blocking check that fails most often, and on how many machines; None where none fails."""
    failures = Counter(
        finding.check
        for result in run.machines
        for finding in result.findings
        if finding.status is Status.FAIL and finding.severity is Severity.BLOCKER
    )
    if not failures:
        return None
    check, count = failures.most_common(1)[0]
    return next(figures for figures in by_check(run) if figures.id == check), count


def gaps(coverage: Coverage) -> tuple[Gap, ...]:
    """The limits of a run, one entry per reason and plane, the widest gap first."""
    scopes: dict[tuple[str, Plane], dict[str, None]] = {}
    for limit in coverage.limits:
        scopes.setdefault((limit.reason, limit.plane), {})[limit.scope] = None
    found = [Gap(reason, plane, tuple(names)) for (reason, plane), names in scopes.items()]
    return tuple(sorted(found, key=lambda gap: -len(gap.scopes)))


def unknowns(run: AuditRun) -> tuple[tuple[str, int], ...]:
    """Why findings could not be judged: each reason and how many findings it cost, most first."""
    reasons = Counter(
        finding.reason or finding.summary
        for result in run.machines
        for finding in result.findings
        if finding.status is Status.UNKNOWN
    )
    return tuple(reasons.most_common())


def seen(coverage: Coverage) -> str:
    """What the run saw of what it should have seen, in one sentence."""
    text = f"{coverage.audited:,} of {_machines(coverage.expected)} audited"
    lost, limits = len(coverage.lost), sum(limit.expected for limit in coverage.limits)
    beyond = sum(not limit.expected and limit.plane is not Plane.GUEST for limit in coverage.limits)
    if lost:
        text += f", {lost:,} lost"
    if limits:
        text += f", {limits:,} {'scope' if limits == 1 else 'scopes'} not fully seen"
    if coverage.complete:
        text += ", nothing missing"
    return f"{text}; {beyond:,} beyond what can be audited" if beyond else text


def _machines(count: int) -> str:
    return f"{count:,} {'machine' if count == 1 else 'machines'}"

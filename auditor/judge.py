"""Facts to findings to a verdict: pure, and a finding for every check even when the check crashes."""

import logging
from collections.abc import Iterable, Sequence

from auditor.errors import FactUnavailable
from auditor.facts import Facts
from auditor.model import Finding, MachineResult, Outcome, Severity, Status, Verdict
from auditor.plugin import Check, unknown
from auditor.rules import Rules

logger = logging.getLogger(__name__)


def judge(facts: Facts, checks: Sequence[Check], rules: Rules) -> MachineResult:
    """Run every check on one machine's facts; exactly one finding per check."""
    findings = tuple(_finding(check, facts, rules) for check in checks)
    return MachineResult(facts.machine, power_state(facts), verdict(findings), findings)


def verdict(findings: Iterable[Finding]) -> Verdict:
    """The verdict of a machine.

    A failed blocker outweighs an unjudged one, which outweighs a warning: with a blocker unseen,
    "at risk" would promise more than is known. A machine of which nothing at all could be judged is
    unknown whatever the severities, and never ready.
    """
    found = tuple(findings)
    votes = {_vote(finding) for finding in found}
    if {finding.status for finding in found} in ({Status.UNKNOWN}, {Status.UNKNOWN, Status.SKIP}):
        votes.add(Verdict.UNKNOWN)
    for candidate in (Verdict.NOT_READY, Verdict.UNKNOWN, Verdict.AT_RISK):
        if candidate in votes:
            return candidate
    return Verdict.READY


def power_state(facts: Facts) -> str | None:
    """The power state, or None where it was not seen."""
    return getattr(facts.instance, "power_state", None)


def _vote(finding: Finding) -> Verdict:
    match (finding.status, finding.severity):
        case (Status.FAIL, Severity.BLOCKER):
            return Verdict.NOT_READY
        case (Status.UNKNOWN, Severity.BLOCKER):
            return Verdict.UNKNOWN
        case (Status.FAIL | Status.WARN, Severity.BLOCKER | Severity.DEGRADED):
            return Verdict.AT_RISK
        case _:
            return Verdict.READY


def _finding(check: Check, facts: Facts, rules: Rules) -> Finding:
    outcome = _evaluate(check, facts, rules)
    return Finding(
        check=check.id,
        title=check.title,
        status=outcome.status,
        severity=rules.severity(check.id, check.severity),
        summary=outcome.summary,
        reason=outcome.reason,
        evidence=outcome.evidence,
        remediation=outcome.remediation,
    )


def _evaluate(check: Check, facts: Facts, rules: Rules) -> Outcome:
    try:
        outcome: object = check.run(facts, rules)
        if isinstance(outcome, Outcome):
            return outcome
        raise TypeError(f"{check.id} returned {type(outcome).__name__}, not an Outcome")
    except FactUnavailable as error:
        return unknown(str(error))
    except Exception as error:  # a stranger's check may raise anything; the machine keeps its finding
        logger.exception("check %s crashed on %s", check.id, facts.machine.id)
        return unknown(f"the check crashed: {type(error).__name__}")

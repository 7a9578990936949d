"""Facts to findings to a verdict: pure, and a finding for every check even when the check crashes."""

import logging
from collections.abc import Sequence
from dataclasses import replace

from auditor.errors import FactUnavailable
from auditor.facts import Facts, Unseen
from auditor.model import Finding, Machine, MachineResult, Outcome, Platform, verdict
from auditor.plugin import Check, unknown
from auditor.rules import Rules

logger = logging.getLogger(__name__)


def judge(facts: Facts, checks: Sequence[Check], rules: Rules) -> MachineResult:
    """Run every check on one machine's facts; exactly one finding per check."""
    findings = tuple(_finding(check, facts, rules) for check in checks)
    return MachineResult(_named(facts), power_state(facts), verdict(findings), findings)


def _named(facts: Facts) -> Machine:
    """The machine, with the platform that its guest showed where nobody named one."""
    shown = "" if isinstance(facts.guest, Unseen) else facts.guest.platform.lower()
    if facts.machine.platform is not Platform.UNKNOWN or shown not in tuple(Platform):
        return facts.machine
    return replace(facts.machine, platform=Platform(shown))


def power_state(facts: Facts) -> str | None:
    """The power state, or None where it was not seen."""
    return getattr(facts.instance, "power_state", None)


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

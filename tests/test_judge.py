"""The judge: one finding per check whatever a check does, and the verdict's order of precedence."""

import logging
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auditor.errors import FactUnavailable
from auditor.facts import Facts, Guest, InstanceView, Unseen, known
from auditor.judge import judge, power_state, verdict
from auditor.model import Evidence, Finding, Machine, Outcome, Plane, Platform, Severity, Status, Verdict
from auditor.plugin import Check, Explanation, check, failed, passed, skipped, unknown, warned
from auditor.rules import Rules, load_rules

NOW = datetime(2026, 11, 22, tzinfo=UTC)
FACTS = Facts(Machine("/subscriptions/s/vm", "vm", Platform.LINUX, "azure"), NOW)
EXPLANATION = Explanation("what", "why", "evidence", "repair", ("source",))
RULES = load_rules()


def checking(id: str, outcome: object, severity: Severity = Severity.BLOCKER) -> Check:
    """A stranger's check that returns, or raises, `outcome`."""

    def run(_facts: Facts, _rules: Rules) -> Outcome:
        if isinstance(outcome, Exception):
            raise outcome
        return outcome  # type: ignore[return-value]

    return Check(id, id.title(), frozenset({Plane.GUEST}), severity, EXPLANATION, run)


def found(status: Status, severity: Severity) -> Finding:
    return Finding("c", "C", status, severity, "")


HOLDS = found(Status.PASS, Severity.INFO)


@pytest.mark.parametrize(
    ("status", "severity", "expected"),
    [
        (Status.PASS, Severity.BLOCKER, Verdict.READY),
        (Status.SKIP, Severity.BLOCKER, Verdict.READY),
        (Status.WARN, Severity.BLOCKER, Verdict.AT_RISK),
        (Status.FAIL, Severity.BLOCKER, Verdict.NOT_READY),
        (Status.UNKNOWN, Severity.BLOCKER, Verdict.UNKNOWN),
        (Status.PASS, Severity.DEGRADED, Verdict.READY),
        (Status.SKIP, Severity.DEGRADED, Verdict.READY),
        (Status.WARN, Severity.DEGRADED, Verdict.AT_RISK),
        (Status.FAIL, Severity.DEGRADED, Verdict.AT_RISK),
        (Status.UNKNOWN, Severity.DEGRADED, Verdict.READY),
        *((status, Severity.INFO, Verdict.READY) for status in Status),
    ],
)
def test_one_finding_beside_one_that_holds(status: Status, severity: Severity, expected: Verdict) -> None:
    assert verdict([found(status, severity), HOLDS]) is expected


@pytest.mark.parametrize("severity", list(Severity))
@pytest.mark.parametrize("others", [[], [Status.SKIP], [Status.UNKNOWN]])
def test_a_machine_of_which_nothing_was_judged_is_unknown(severity: Severity, others: list[Status]) -> None:
    assert verdict([found(status, severity) for status in (Status.UNKNOWN, *others)]) is Verdict.UNKNOWN


FINDINGS = st.builds(found, st.sampled_from(Status), st.sampled_from(Severity))
ORDER = [Verdict.READY, Verdict.AT_RISK, Verdict.UNKNOWN, Verdict.NOT_READY]


@given(st.lists(FINDINGS))
def test_the_worst_finding_decides(findings: list[Finding]) -> None:
    votes = [verdict([finding, HOLDS]) for finding in findings]
    assert verdict([*findings, HOLDS]) is max(votes, key=ORDER.index, default=Verdict.READY)


@given(st.lists(FINDINGS), st.randoms())
def test_the_order_of_findings_does_not_matter(findings: list[Finding], random: object) -> None:
    shuffled = list(findings)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert verdict(shuffled) is verdict(findings)


@pytest.mark.parametrize(
    ("outcome", "status", "words"),
    [
        (passed("well"), Status.PASS, None),
        (warned("nearly"), Status.WARN, None),
        (failed("broken", remediation="mend it"), Status.FAIL, None),
        (skipped("not for this machine"), Status.SKIP, "not for this machine"),
        (unknown("too dark"), Status.UNKNOWN, "too dark"),
        (FactUnavailable("403"), Status.UNKNOWN, "403"),
        (ValueError("secret text"), Status.UNKNOWN, "the check crashed: ValueError"),
        (RecursionError(), Status.UNKNOWN, "the check crashed: RecursionError"),
        (None, Status.UNKNOWN, "the check crashed: TypeError"),
        ("fine", Status.UNKNOWN, "the check crashed: TypeError"),
    ],
)
def test_every_check_gives_one_finding(
    outcome: object, status: Status, words: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.CRITICAL)
    checks = [checking("before", passed("")), checking("it", outcome), checking("after", passed(""))]
    result = judge(FACTS, checks, RULES)
    assert [finding.check for finding in result.findings] == ["before", "it", "after"]
    assert (result.findings[1].status, result.findings[1].reason) == (status, words)


def test_a_crash_is_logged_with_its_machine(caplog: pytest.LogCaptureFixture) -> None:
    judge(FACTS, [checking("it", ValueError("why"))], RULES)
    (record,) = caplog.records
    assert record.getMessage() == "check it crashed on /subscriptions/s/vm"
    assert record.exc_info is not None


def test_what_could_not_be_seen_gives_its_reason() -> None:
    @check("needs-guest", title="Needs", planes=(Plane.GUEST,), explanation=EXPLANATION)
    def needs_guest(facts: Facts, _rules: Rules) -> Outcome:
        return passed(known(facts.guest).platform)

    facts = replace(FACTS, guest=Unseen("connection refused"))
    (finding,) = judge(facts, [needs_guest], RULES).findings
    assert (finding.status, finding.reason) == (Status.UNKNOWN, "connection refused")


def test_a_finding_takes_over_everything_from_its_outcome() -> None:
    row = Evidence(Plane.GUEST, "here", NOW, "value")
    (finding,) = judge(FACTS, [checking("it", failed("broken", row, remediation="mend it"))], RULES).findings
    assert finding == Finding(
        "it", "It", Status.FAIL, Severity.BLOCKER, "broken", evidence=(row,), remediation="mend it"
    )


def test_the_rule_set_decides_the_severity() -> None:
    rules = replace(RULES, severities={"it": Severity.INFO})
    checks = [checking("it", failed("")), checking("own", failed(""), Severity.DEGRADED)]
    result = judge(FACTS, checks, rules)
    assert [finding.severity for finding in result.findings] == [Severity.INFO, Severity.DEGRADED]
    assert result.verdict is Verdict.AT_RISK


@pytest.mark.parametrize(
    ("instance", "expected"),
    [(InstanceView("stopped", None, None, (), NOW), "stopped"), (Unseen("403"), None)],
)
def test_the_power_state_of_the_result(instance: InstanceView | Unseen, expected: str | None) -> None:
    assert power_state(replace(FACTS, instance=instance)) == expected


@pytest.mark.parametrize(
    ("named", "guest", "shown"),
    [
        (Platform.UNKNOWN, "linux", Platform.LINUX),
        (Platform.UNKNOWN, "Windows", Platform.WINDOWS),
        (Platform.UNKNOWN, "solaris", Platform.UNKNOWN),
        (Platform.UNKNOWN, None, Platform.UNKNOWN),
        (Platform.LINUX, "windows", Platform.LINUX),
    ],
)
def test_a_platform_that_nobody_named_is_the_one_seen(
    named: Platform, guest: str | None, shown: Platform
) -> None:
    seen = Guest(guest, NOW, "ssh", privileged=True) if guest else Unseen("not reached")
    facts = replace(FACTS, machine=replace(FACTS.machine, platform=named), guest=seen)
    result = judge(facts, [checking("a", passed("fine"))], RULES)
    assert result.machine == replace(FACTS.machine, platform=shown)

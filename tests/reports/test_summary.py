"""The figures that reports open with."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from auditor.model import (
    AuditRun,
    Coverage,
    Finding,
    Limit,
    Lost,
    Machine,
    MachineResult,
    Plane,
    Platform,
    Severity,
    Status,
    Verdict,
)
from auditor.summary import by_check, common_cause, decisive, gaps, headline, seen, unknowns, worst
from auditor.text import shorten, visible, well_formed

NOW = datetime(2026, 11, 22, tzinfo=UTC)


def finding(
    check: str, status: Status, severity: Severity = Severity.BLOCKER, reason: str | None = None
) -> Finding:
    return Finding(check, check.upper(), status, severity, f"{check} {status}", reason)


def run(*verdicts: Verdict, **changes: Any) -> AuditRun:
    machines = tuple(
        MachineResult(Machine(f"host/m{at}", f"m{at}", Platform.LINUX, "hosts"), None, verdict, ())
        for at, verdict in enumerate(verdicts)
    )
    fields: dict[str, Any] = {
        "coverage": Coverage(len(machines), len(machines)),
        "machines": machines,
    } | changes
    return AuditRun("r", NOW, NOW, "public", "rules", {}, **fields)


@pytest.mark.parametrize(
    ("verdicts", "expected"),
    [
        ((), "No machine was audited"),
        (("ready",), "The one machine audited is ready"),
        (("ready", "ready"), "All 2 machines are ready"),
        (("ready", "at-risk"), "1 of 2 machines is at risk"),
        (("at-risk", "unknown"), "1 of 2 machines could not be judged"),
        (("not-ready", "unknown", "at-risk"), "1 of 3 machines is not ready"),
        (("not-ready", "not-ready"), "2 of 2 machines are not ready"),
    ],
)
def test_headline(verdicts: tuple[str, ...], expected: str) -> None:
    assert headline(run(*map(Verdict, verdicts))) == expected


@pytest.mark.parametrize(
    ("findings", "expected"),
    [
        ([], None),
        ([finding("a", Status.PASS), finding("b", Status.SKIP)], None),
        ([finding("a", Status.WARN), finding("b", Status.FAIL)], "b"),
        ([finding("a", Status.FAIL, Severity.DEGRADED), finding("b", Status.UNKNOWN)], "b"),
        ([finding("a", Status.FAIL, Severity.INFO), finding("b", Status.WARN, Severity.DEGRADED)], "b"),
        ([finding("a", Status.UNKNOWN, Severity.DEGRADED), finding("b", Status.WARN)], "b"),
        ([finding("a", Status.FAIL), finding("b", Status.FAIL)], "a"),
    ],
)
def test_the_decisive_finding_is_the_one_that_made_the_verdict(
    findings: list[Finding], expected: str | None
) -> None:
    result = MachineResult(run(Verdict.READY).machines[0].machine, None, Verdict.READY, tuple(findings))
    decider = decisive(result)
    assert (decider.check if decider else None) == expected


def test_every_machine_that_is_not_ready_has_a_decisive_finding(demo_run: Callable[..., AuditRun]) -> None:
    expected = {
        Verdict.NOT_READY: {(Status.FAIL, Severity.BLOCKER)},
        Verdict.UNKNOWN: {(Status.UNKNOWN, Severity.BLOCKER)},
    }
    met = set()
    for result in demo_run(500).machines:
        decider = decisive(result)
        if result.verdict in expected:
            assert decider is not None
            assert (decider.status, decider.severity) in expected[result.verdict]
            met.add(result.verdict)
    assert met == set(expected)


def test_counts_by_check_add_up(demo_run: Callable[..., AuditRun]) -> None:
    fleet = demo_run(300)
    figures = by_check(fleet)
    assert [one.id for one in figures] == [one.check for one in fleet.machines[0].findings]
    assert {status: sum(one.counts[status] for one in figures) for status in Status} == fleet.findings()


def test_the_common_cause_is_counted_in_machines(demo_run: Callable[..., AuditRun]) -> None:
    fleet = demo_run(300)
    found = common_cause(fleet)
    assert found is not None
    figures, count = found
    assert (
        count
        == figures.counts[Status.FAIL]
        == max(one.counts[Status.FAIL] for one in by_check(fleet) if one.severity is Severity.BLOCKER)
    )
    assert common_cause(run(Verdict.READY)) is None


def test_the_worst_come_first() -> None:
    fleet = run(Verdict.READY, Verdict.AT_RISK, Verdict.NOT_READY, Verdict.UNKNOWN, Verdict.NOT_READY)
    assert [result.machine.name for result in worst(fleet, 3)] == ["m2", "m4", "m3"]


def test_gaps_of_one_reason_stand_together() -> None:
    limits = (
        Limit("a", Plane.JOBS, "403"),
        Limit("b", Plane.GUEST, "timeout"),
        Limit("c", Plane.GUEST, "timeout"),
        Limit("c", Plane.GUEST, "timeout"),
        Limit("d", Plane.JOBS, "timeout"),
    )
    found = gaps(Coverage(1, 1, limits=limits))
    assert [(gap.reason, gap.plane, gap.scopes) for gap in found] == [
        ("timeout", Plane.GUEST, ("b", "c")),
        ("403", Plane.JOBS, ("a",)),
        ("timeout", Plane.JOBS, ("d",)),
    ]


def test_unknowns_are_counted_by_reason(demo_run: Callable[..., AuditRun]) -> None:
    fleet = demo_run(500)
    found = unknowns(fleet)
    assert len(found) == 2
    assert sum(count for _, count in found) == fleet.findings()[Status.UNKNOWN]


@pytest.mark.parametrize(
    ("coverage", "expected"),
    [
        (Coverage(1, 1), "1 of 1 machine audited, nothing missing"),
        (Coverage(2, 1, (Lost("a", "404"),)), "1 of 2 machines audited, 1 lost"),
        (
            Coverage(9, 9, (), (Limit("a", Plane.JOBS, "403"),)),
            "9 of 9 machines audited, 1 scope not fully seen",
        ),
        (Coverage(1200, 1199), "1,199 of 1,200 machines audited"),
        (
            Coverage(9, 9, (), (Limit("a", Plane.BACKUP, "classic", expected=False),)),
            "9 of 9 machines audited, nothing missing; 1 beyond what can be audited",
        ),
    ],
)
def test_what_was_seen(coverage: Coverage, expected: str) -> None:
    assert seen(coverage) == expected


def test_text_helpers() -> None:
    assert visible("a\tb\nc", keep="\n\t") == "a\tb\nc"
    assert visible("a\tb") == "a<U+0009>b"
    assert visible("ünïcode 漢字 😀 \u200d") == "ünïcode 漢字 😀 \u200d"
    assert visible("\U000e0041") == "<U+E0041>"
    assert well_formed("\ud83d\ude00\ud800") == "😀\ufffd"
    assert shorten("abcdef", 6) == "abcdef"
    assert shorten("abcdefg", 6) == "abcde…"

"""Exit codes: the worst wins, and nothing incomplete ends as a success."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from auditor.exits import Exit, exit_code
from auditor.model import (
    AuditRun,
    Coverage,
    Limit,
    Lost,
    Machine,
    MachineResult,
    Plane,
    Platform,
    Verdict,
)

NOW = datetime(2026, 11, 22, tzinfo=UTC)
MACHINE = Machine("host/a", "a", Platform.LINUX, "file")


def run(*verdicts: Verdict) -> AuditRun:
    results = tuple(MachineResult(MACHINE, None, verdict, ()) for verdict in verdicts)
    return AuditRun("id", NOW, NOW, "none", "rules", {}, Coverage(len(results), len(results)), results)


@pytest.mark.parametrize(
    ("verdicts", "fail_on", "code"),
    [
        (["ready"], "not-ready", Exit.OK),
        (["ready", "at-risk"], "not-ready", Exit.OK),
        (["ready", "at-risk"], "at-risk", Exit.AT_RISK),
        (["at-risk", "unknown"], "at-risk", Exit.AT_RISK),
        (["at-risk", "unknown"], "not-ready", Exit.INCOMPLETE),
        (["ready", "unknown"], "none", Exit.INCOMPLETE),
        (["not-ready", "at-risk", "unknown"], "at-risk", Exit.NOT_READY),
        (["not-ready", "unknown"], "not-ready", Exit.NOT_READY),
        (["not-ready", "at-risk"], "none", Exit.OK),
        ([], "not-ready", Exit.INCOMPLETE),
    ],
)
def test_the_worst_wins(verdicts: list[str], fail_on: str, code: Exit) -> None:
    assert exit_code(run(*map(Verdict, verdicts)), fail_on) is code


@pytest.mark.parametrize(
    "coverage",
    [
        Coverage(1, 1, limits=(Limit("/subscriptions/x", Plane.INVENTORY, "403"),)),
        Coverage(2, 1, lost=(Lost("host/b", "gone"),)),
        Coverage(2, 1),
    ],
)
def test_incomplete_coverage_is_no_success(coverage: Coverage) -> None:
    assert exit_code(replace(run(Verdict.READY), coverage=coverage), "not-ready") is Exit.INCOMPLETE


def test_what_no_run_can_read_is_named_and_does_not_count() -> None:
    limit = Limit("/subscriptions/x/classic", Plane.BACKUP, "a classic VM", expected=False)
    coverage = Coverage(1, 1, limits=(limit,))
    assert exit_code(replace(run(Verdict.READY), coverage=coverage), "not-ready") is Exit.OK

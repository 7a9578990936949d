"""Exit codes: what a scheduler or a pipeline learns from a run."""

from enum import IntEnum

from auditor.model import AuditRun, Verdict


class Exit(IntEnum):
    """The documented exit codes; of several the worst wins (30, 20, 10, 3, 0)."""

    OK = 0
    INTERNAL = 1
    USAGE = 2
    INCOMPLETE = 3
    AT_RISK = 10
    NOT_READY = 20
    REPAIR_FAILED = 30


def exit_code(run: AuditRun, fail_on: str) -> Exit:
    """The exit code of a run; `fail_on` is the mildest verdict that fails it, or "none".

    A run that found no machine at all has judged nothing: incomplete, not a success.
    """
    verdicts = run.verdicts()
    if verdicts[Verdict.NOT_READY] and fail_on in (Verdict.NOT_READY, Verdict.AT_RISK):
        return Exit.NOT_READY
    if verdicts[Verdict.AT_RISK] and fail_on == Verdict.AT_RISK:
        return Exit.AT_RISK
    if not run.machines or verdicts[Verdict.UNKNOWN] or not run.coverage.complete:
        return Exit.INCOMPLETE
    return Exit.OK

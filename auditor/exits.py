"""Exit codes: what a scheduler or a pipeline learns from a run."""

from enum import IntEnum

from auditor.model import AuditRun, Verdict
from auditor.remedy import RepairRun, Result


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


def repair_exit_code(run: RepairRun) -> Exit:
    """The exit code of repairs: failed and unknown ends are worse than machines that were not touched."""
    results = {record.result for record in run.machines}
    if results & {None, Result.FAILED, Result.ROLLED_BACK, Result.NOT_CONFIRMED}:
        return Exit.REPAIR_FAILED
    untouched = {record.machine for record in run.machines if record.result is Result.REFUSED}
    begun = {record.machine for record in run.machines}
    planned = {one.machine.id for one in run.plan.machines if one.stages}
    return Exit.INCOMPLETE if untouched or planned - begun else Exit.OK

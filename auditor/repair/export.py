"""A plan as a script for people who may not let a tool write: what every format shares."""

from collections.abc import Iterator
from dataclasses import dataclass

from auditor.hosts import Shell
from auditor.model import SSH, WINRM, Connection
from auditor.remedy import MachinePlan, Plan, Stage, Step
from auditor.text import visible

NOTES = (
    "The gates are yours: the right guest, no backup or restore of it running or due, nobody else at work.",
    "A guest keeps a receipt of each step, Linux of the last 200: what was sent again is not done again.",
    "Later stages that mend what an earlier one may have mended ask first: audit again before you say yes.",
)


@dataclass(frozen=True, slots=True)
class Part:
    """One step on its machine: `again` when an earlier stage may have made it needless."""

    machine: MachinePlan
    stage: Stage
    step: Step
    again: bool
    first: bool

    @property
    def way(self) -> Connection:
        """How its guest is reached; one without an address where no port leads in."""
        return self.machine.machine.connection or Connection("")


def parts(machine: MachinePlan) -> Iterator[Part]:
    """The steps of a machine in order."""
    mended: set[str] = set()
    for stage in machine.stages:
        for place, step in enumerate(stage.steps):
            yield Part(machine, stage, step, bool(mended & set(stage.repairs)), place == 0)
        mended |= set(stage.repairs)


def said(text: str) -> str:
    """Text from outside as it may stand in a comment: one line, nothing that acts or hides."""
    return visible(" ".join(text.splitlines()))


def heading(plan: Plan) -> tuple[str, ...]:
    """The lines that every export begins with."""
    return (
        f"Plan {said(plan.id)} of {plan.created_at:%Y-%m-%d %H:%M:%S %Z}, SHA-256 {said(plan.digest)}",
        *NOTES,
    )


def about(part: Part) -> tuple[str, ...]:
    """What a step is, as lines of a comment."""
    step = part.step
    return (
        f"step {said(step.id)}, of {said(part.stage.remediation)} for {said(', '.join(part.stage.repairs))}",
        f"what: {said(step.what)}",
        f"why: {said(step.why)}",
        f"then: {said(step.expect)} (risk: {step.risk}{', may reboot' if step.reboot else ''})",
    )


def in_posix_guest(step: Step) -> bool:
    """Whether a step is a script for a POSIX shell in a guest."""
    return step.work is not None and step.channel == SSH and step.work.shell is Shell.SH


def in_windows_guest(step: Step) -> bool:
    """Whether a step is for a Windows guest."""
    return step.work is not None and (step.channel == WINRM or step.work.shell is not Shell.SH)


def mark(base: str, text: str) -> str:
    """A word that no line of the text is, to end a here-document with."""
    lines, count = set(text.split("\n")), 0
    while f"{base}{count or ''}" in lines:
        count += 1
    return f"{base}{count or ''}"

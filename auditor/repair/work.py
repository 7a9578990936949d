"""A step's work as the one command that a guest is sent, and what the guest answers.

The same command starts the work and asks what became of it: it is sent until the guest says that the work has
ended. The guest keeps the receipt under the step's id, so that no drop of the connection and no death of this
program makes it forget, or do the work twice.
"""

import re
import shlex
from functools import cache
from importlib import resources

from auditor.errors import HostError
from auditor.hosts import CommandResult, Script, Shell
from auditor.remedy import NOTHING_STATUS, REBOOT_STATUS, REFUSED_STATUS, StepResult, Work
from auditor.repair import windows
from auditor.text import one_line

PATIENCE = 15
"""Seconds that one command waits for the work before it says that it still runs."""

_MARKS = ("AUDITOR-KEEPER-END", "AUDITOR-WORK-END")
_ANSWER = re.compile(
    rb"AUDITOR-STEP-BEGIN (done|refused|running|interrupted) (\d+)\r?\n(.*?)\r?\nAUDITOR-STEP-END", re.DOTALL
)
_ID = re.compile(r"[a-z0-9-]{8,64}")


def command(step: str, work: Work) -> Script:
    """The command for a step's work; raises `ValueError` for an id or a work that cannot be one."""
    if not _ID.fullmatch(step):
        raise ValueError(f"{step!r} is no id of a step")
    if work.shell is Shell.SH:
        return Script(_linux(step, work))
    return windows.command(step, work)


def _linux(step: str, work: Work) -> str:
    if any(mark in text for mark in _MARKS for text in (work.text, work.guard)):
        raise ValueError("the work holds a mark of the keeper")
    arguments = " ".join(shlex.quote(word) for word in (step, str(PATIENCE), *work.arguments))
    keeper, work_end = _MARKS
    return "\n".join(
        (
            "[ \"$(id -u)\" -eq 0 ] && SUDO= || SUDO='sudo -n'",
            f"$SUDO /bin/sh -s -- {arguments} <<'{keeper}'",
            f"guard() {{\n{work.guard or ':'}\n}}",
            f"work() {{\ncat <<'{work_end}'\n{work.text}\n{work_end}\n}}",
            _keeper(),
            keeper,
            "",
        )
    )


@cache
def _keeper() -> str:
    return (resources.files(__package__) / "keeper.sh").read_text(encoding="utf-8")


def answer(result: CommandResult) -> StepResult:
    """What a guest said of a step; raises `HostError` where it said nothing that can be read."""
    found = _ANSWER.search(result.stdout)
    if found is None:
        said = one_line(result.stderr) or one_line(result.stdout) or "nothing"
        raise HostError(f"the guest did not do the step (exit status {result.exit_status}); it said: {said}")
    kind, status, output = found[1].decode(), int(found[2]), found[3].decode("utf-8", "replace")
    return _result(kind, status, output)


def _result(kind: str, status: int, output: str) -> StepResult:
    if kind == "running":
        return StepResult("running", None, output)
    if kind == "interrupted":
        return StepResult("unknown", None, output or "the guest stopped the work before it ended")
    states = {
        0: "done",
        REFUSED_STATUS: "refused",
        NOTHING_STATUS: "nothing",
        REBOOT_STATUS: "done",
    }
    state = states.get(status, "failed")
    if kind == "refused":
        state = "refused" if status == REFUSED_STATUS else "failed"
    return StepResult(state, status, output, reboot=status == REBOOT_STATUS)

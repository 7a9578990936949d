"""A step's work as the one command that a guest is sent, and what the guest answers.

The same command starts the work and asks what became of it: it is sent until the guest says that the work has
ended. The guest keeps the receipt under the step's id, so that no drop of the connection and no death of this
program makes it forget, or do the work twice. A shell begins with a command's last line: one that was cut
short does nothing.
"""

import base64
import hashlib
import re
import shlex
from collections.abc import Iterator
from functools import cache
from importlib import resources
from pathlib import Path

from auditor.errors import HostError, PlanError
from auditor.hosts import CommandResult, Script, Shell
from auditor.remedy import NOTHING_STATUS, REBOOT_STATUS, REFUSED_STATUS, Payload, StepResult, Work
from auditor.repair import windows
from auditor.text import one_line

PATIENCE = 15
"""Seconds that one command waits for the work before it says that it still runs."""
PIECE = 512 * 1024
"""Bytes of a file that one command carries."""

_KEEPER_END, _WORK_END, _PIECE_END = "AUDITOR-KEEPER-END", "AUDITOR-WORK-END", "AUDITOR-PIECE-END"
_ANSWER = re.compile(
    rb"AUDITOR-STEP-BEGIN (done|refused|running|interrupted) (-?\d{1,10})\r?\n"
    rb"((?:\|[^\n]*\n)*)AUDITOR-STEP-END"
)
_ID = re.compile(r"[a-z0-9-]{8,64}")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_STATES = {0: "done", REFUSED_STATUS: "refused", NOTHING_STATUS: "nothing", REBOOT_STATUS: "done"}


def command(step: str, work: Work) -> Script:
    """The command for a step's work; raises `ValueError` for an id or a work that cannot be one."""
    _refuse_bad_id(step)
    if work.shell is Shell.SH:
        return Script(_linux(step, work))
    return windows.command(step, work)


def push(step: str, work: Work, piece: int = PIECE) -> Iterator[Script]:
    """The commands that send a work's file into the guest, in order; each may be sent again.

    A command for a Linux guest carries a `piece` of the file, in bytes.

    `answer` reads what the guest says to each: "done", or "nothing" where it needs no more of the file.
    Raises `PlanError` where the file cannot be read, or is not as long as it was.
    """
    _refuse_bad_id(step)
    if work.payload is None:
        return iter(())
    if work.shell is Shell.SH:
        return _pieces(step, work.payload, piece)
    return windows.push(step, work.payload)


def check_file(work: Work) -> None:
    """Raise `PlanError` where a work's file is not there, or not the one that was planned with."""
    if work.payload is None:
        return
    try:
        with Path(work.payload.path).open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise PlanError(f"cannot read {work.payload.path}: {error.strerror}") from error
    if found != work.payload.sha256.lower():
        raise PlanError(f"{work.payload.path} is not the file that was planned with: its SHA-256 is {found}")


def _pieces(step: str, payload: Payload, piece: int) -> Iterator[Script]:
    try:
        with Path(payload.path).open("rb") as file:
            content = file.read(payload.size + 1)
    except OSError as error:
        raise PlanError(f"cannot read {payload.path}: {error.strerror}") from error
    if len(content) != payload.size or not _SHA256.fullmatch(payload.sha256):
        raise PlanError(f"{payload.path} is not the file that was planned with")
    for start in range(0, payload.size, piece):
        yield Script(_piece(step, payload, start, content[start : start + piece]))


def _refuse_bad_id(step: str) -> None:
    if not _ID.fullmatch(step):
        raise ValueError(f"{step!r} is no id of a step")


def _linux(step: str, work: Work) -> str:
    marks = (_KEEPER_END, _WORK_END)
    if any(mark in text for mark in marks for text in (work.text, work.guard)):
        raise ValueError("the work holds a mark of the keeper")
    checksum = work.payload.sha256 if work.payload else "-"
    return _as_root(
        (step, str(PATIENCE), checksum, *work.arguments),
        f"guard() {{\n{work.guard or ':'}\n}}",
        f"work() {{\ncat <<'{_WORK_END}'\n{work.text}\n{_WORK_END}\n}}",
        _own("receipts"),
        _own("keeper"),
    )


def _piece(step: str, payload: Payload, start: int, content: bytes) -> str:
    encoded = base64.encodebytes(content).decode("ascii")
    sizes = (str(start), str(start + len(content)), str(payload.size))
    return _as_root(
        (step, *sizes, payload.sha256),
        f"piece() {{\ncat <<'{_PIECE_END}'\n{encoded}{_PIECE_END}\n}}",
        _own("receipts"),
        _own("push"),
    )


def _as_root(arguments: tuple[str, ...], *parts: str) -> str:
    words = " ".join(map(shlex.quote, arguments))
    return "\n".join(
        (
            "[ \"$(id -u)\" -eq 0 ] && SUDO= || SUDO='sudo -n'",
            f"$SUDO /bin/sh -s -- {words} <<'{_KEEPER_END}'",
            *parts,
            'main "$@" </dev/null',
            _KEEPER_END,
            "",
        )
    )


@cache
def _own(name: str) -> str:
    return (resources.files(__package__) / f"{name}.sh").read_text(encoding="utf-8")


def answer(result: CommandResult) -> StepResult:
    """What a guest said of a step; raises `HostError` where it said nothing that can be read."""
    found = _ANSWER.search(result.stdout)
    if found is None:
        said = one_line(result.stderr) or one_line(result.stdout) or "nothing"
        raise HostError(f"the guest did not do the step (exit status {result.exit_status}); it said: {said}")
    lines = found[3].replace(b"\r\n", b"\n").split(b"\n")
    output = b"\n".join(line[1:] for line in lines[:-1]).decode("utf-8", "replace")
    return _result(found[1].decode(), int(found[2]), output)


def _result(kind: str, status: int, output: str) -> StepResult:
    if kind == "running":
        return StepResult("running", None, output)
    if kind == "interrupted":
        return StepResult("unknown", None, output or "the guest stopped the work before it ended")
    if kind == "refused":  # nothing was begun, whatever closed the gate
        return StepResult("nothing" if status == NOTHING_STATUS else "refused", status, output)
    return StepResult(_STATES.get(status, "failed"), status, output, reboot=status == REBOOT_STATUS)

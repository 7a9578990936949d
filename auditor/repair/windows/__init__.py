"""A step's work in a Windows guest: a batch that a scheduled task of SYSTEM runs, once.

The scripts that are sent are fixed; what differs from step to step is JSON on their standard input. A dropped
connection ends nothing but the question.
"""

import base64
import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path

from auditor.errors import PlanError
from auditor.hosts import Script, Shell
from auditor.remedy import Payload, Work
from auditor.repair.windows.scripts import Piece, pieces, runner

__all__ = ["Piece", "arguments", "command", "digest", "files", "pieces", "push"]

PATIENCE = 15
"""Seconds that one command waits for the work before it says that it still runs."""
CHUNK = 225_000
"""Bytes of a file that one script carries: 300 kB as base64."""

# what stays itself between double quotes in a batch; "%", "^" and "!" do not
_ARGUMENT = re.compile(r"[A-Za-z0-9 ._:/\\=?&,;+@~()#$'-]{0,1000}(?<!\\)")
_FILE = re.compile(r"^::file ([a-z_]+\.ps1)\n", re.MULTILINE)


def command(step: str, work: Work) -> Script:
    """The command for a step's work; raises `ValueError` for a work that cannot be one."""
    if work.shell is not Shell.CMD or work.guard:
        raise ValueError("work for a Windows guest is one batch, without a guard of its own")
    contents = [{"name": name, "text": text} for name, text in files(work).items()]
    return _script("step", {"id": step, "patience": PATIENCE, "files": contents})


def files(work: Work) -> dict[str, str]:
    """The files of a step's folder by name; raises `ValueError` for an argument that no batch would keep.

    They are the task's batch, the work, and the PowerShell scripts in it: each begins in the work's text with
    a line "::file NAME" and ends where the next one begins.
    """
    for argument in work.arguments:
        if not _ARGUMENT.fullmatch(argument):
            raise ValueError(f"{argument!r} cannot be given to a batch")
    batch, *rest = _FILE.split(work.text)
    scripts = dict(zip(rest[::2], rest[1::2], strict=True))
    texts = {
        "run.cmd": runner().replace("%arguments%", _quoted(work.arguments)),
        "work.cmd": batch,
        **scripts,
    }
    if not all(text.isascii() for text in texts.values()):
        raise ValueError("a batch is ASCII: its code page is the guest's")
    return {name: text.replace("\n", "\r\n") for name, text in texts.items()}


def push(step: str, payload: Payload) -> Iterator[Script]:
    """The scripts that bring a file into a step's folder, in order; each may be sent again.

    Raises `PlanError` where the file cannot be read, or is not as long as it was.
    """
    try:
        with Path(payload.path).open("rb") as file:
            offset = 0
            while offset < payload.size and (data := file.read(CHUNK)):
                yield _piece(step, payload, offset, data)
                offset += len(data)
    except OSError as error:
        raise PlanError(f"cannot read {payload.path}: {error.strerror}") from error
    if offset != payload.size:
        raise PlanError(f"{payload.path} is not as long as it was when the plan was made; make a new one")


def _piece(step: str, payload: Payload, offset: int, data: bytes) -> Script:
    asked = {
        "id": step,
        "sha256": payload.sha256.lower(),
        "size": payload.size,
        "offset": offset,
        "data": base64.b64encode(data).decode("ascii"),
    }
    return _script("receive", asked)


def _script(name: str, asked: dict[str, object]) -> Script:
    return Script(_texts()[name], Shell.POWERSHELL, json.dumps(asked).encode("ascii") + b"\n")


@cache
def _texts() -> dict[str, str]:
    return {piece.name: piece.text for piece in pieces()}


def digest(contents: Mapping[str, str]) -> str:
    """The SHA-256 that a work is known by, from the `files` of its folder but the task's own batch."""
    work = {name: text for name, text in contents.items() if name != "run.cmd"}
    return hashlib.sha256(json.dumps(work, sort_keys=True).encode("ascii")).hexdigest()


def arguments(contents: Mapping[str, str]) -> tuple[str, ...] | None:
    """The arguments of a work, from the `files` of its folder; None where the task's batch is not ours."""
    head, tail = runner().replace("\n", "\r\n").split("%arguments%")
    batch = contents.get("run.cmd", "")
    words = batch.removeprefix(head).removesuffix(tail)
    given = tuple(re.findall(r'"([^"]*)"', words))
    return given if batch == f"{head}{_quoted(given)}{tail}" else None


def _quoted(words: Iterable[str]) -> str:
    return " ".join(f'"{word}"' for word in words)

"""What a real Windows guest said to the scripts, redacted, as a file that tests can read."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from auditor.errors import HostError
from auditor.facts import Unseen
from auditor.hosts import CommandResult, Shell
from auditor.probe.answer import Answer
from auditor.probe.readers import is_unseen, json_object
from auditor.probe.windows.heard import BEGIN, END, printed
from auditor.probe.windows.redact import Redactor
from auditor.probe.windows.registry import sections
from auditor.probe.windows.scripts import Piece
from auditor.text import one_line

SCHEMA = 1


@dataclass(frozen=True, slots=True)
class Take:
    """One script's answer and how long it took, in milliseconds."""

    piece: Piece
    answer: Answer
    milliseconds: int

    @property
    def verdict(self) -> str:
        """Whether the answer is one: "ok", "unreadable", or "failed" where there is none."""
        if isinstance(self.answer, Unseen):
            return "failed"
        try:
            self._read(self.answer)
        except HostError:
            return "unreadable"
        return "ok"

    @property
    def remark(self) -> str:
        """Why there is no answer, or what in it could not be seen."""
        if isinstance(self.answer, Unseen):
            return self.answer.reason
        try:
            document = self._read(self.answer)
        except HostError as error:
            return str(error)
        return "; ".join(_gaps(document))

    def _read(self, answer: CommandResult) -> dict[str, Any]:
        if self.piece.shell is Shell.CMD:
            sections(answer.stdout)
            return {}
        return dict(printed(self.piece, answer))


def _gaps(document: dict[str, Any]) -> Iterable[str]:
    for key, value in document.items():
        for item in value if isinstance(value, list) else [value]:
            if is_unseen(item):
                yield f"{key} unseen: {one_line(str(item['unseen']), 80)}"


def hostname(takes: Sequence[Take]) -> str:
    """The guest's own name, empty where it did not tell."""
    first = takes[0].answer
    try:
        found = sections(first.stdout).value("host", "Hostname") if isinstance(first, CommandResult) else None
    except HostError:
        return ""
    return found if isinstance(found, str) else ""


def record(
    takes: Sequence[Take], transport: str, recorded_at: datetime, names: Iterable[str]
) -> dict[str, Any]:
    """The recording as JSON; `names` are replaced, as are ids, addresses and links."""
    redactor = Redactor([*names, hostname(takes)])
    return {
        "schema": SCHEMA,
        "recorded": recorded_at.date().isoformat(),
        "transport": transport,
        "scripts": [_row(take, redactor) for take in takes],
    }


def _row(take: Take, redactor: Redactor) -> dict[str, Any]:
    row: dict[str, Any] = {
        "name": take.piece.name,
        "version": take.piece.version,
        "sha256": take.piece.sha256,
        "milliseconds": take.milliseconds,
    }
    if isinstance(take.answer, Unseen):
        return {**row, "unseen": redactor.text(take.answer.reason)}
    stderr = redactor.output(take.answer.stderr.decode("utf-8", "replace"))
    return {
        **row,
        "exit_status": take.answer.exit_status,
        "stdout": _stdout(take.answer.stdout, redactor),
        "stderr": stderr,
    }


def _stdout(raw: bytes, redactor: Redactor) -> str:
    before, begin, rest = raw.rpartition(BEGIN)
    body, end, after = rest.partition(END)
    try:
        document = json_object(body) if begin and end else None
    except HostError:
        document = None
    if document is None:
        return redactor.output(raw.decode("utf-8", "replace"))
    around = [redactor.output(part.decode("utf-8", "replace")) for part in (before, after)]
    told = json.dumps(redactor.document(document), separators=(",", ":"))
    return f"{around[0]}{BEGIN.decode()}{told}{END.decode()}{around[1]}"


def answers(recording: dict[str, Any]) -> list[Answer]:
    """The answers of a recording, in its order."""
    return [
        Unseen(row["unseen"])
        if "unseen" in row
        else CommandResult(row["exit_status"], row["stdout"].encode(), row["stderr"].encode())
        for row in recording["scripts"]
    ]

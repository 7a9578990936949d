"""What a Windows guest said, script by script."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from auditor.errors import HostError
from auditor.facts import Service, Unseen
from auditor.hosts import CommandResult
from auditor.probe import readers
from auditor.probe.answer import Answer
from auditor.probe.readers import Document, required
from auditor.probe.windows.registry import Sections, sections
from auditor.probe.windows.scripts import Piece, pieces
from auditor.text import one_line

BEGIN, END = b"AUDITOR-PROBE-BEGIN ", b" AUDITOR-PROBE-END"


@dataclass(frozen=True, slots=True)
class Heard:
    """The sections of the registry script, and a document from each other script, in their order."""

    registry: Sections
    documents: Mapping[str, Document]

    def of(self, script: str) -> Document:
        """The document of one script; where it gave none, every fact in it is unseen for that reason."""
        return self.documents[script]

    @property
    def elevated(self) -> bool:
        """Whether the probe ran as an administrator; false where that was not seen."""
        return self.of("machine").get("elevated") is True

    def program(self, service: str) -> Document | Unseen:
        """The program of a service: its path, whether it is there, its version."""
        programs = required(self.of("agent"), "programs", readers.mapping)
        return programs if isinstance(programs, Unseen) else required(programs, service, readers.mapping)

    def service(self, name: str) -> Service | Unseen | None:
        """A service, with the path of its program and whether that is there as far as the guest told."""
        service, program = self.registry.service(name), self.program(name)
        if not isinstance(service, Service) or isinstance(program, Unseen):
            return service
        path, present = readers.text(program.get("path")), program.get("present")
        return replace(
            service, path=path or service.path, present=present if isinstance(present, bool) else None
        )


def listen(answers: Sequence[Answer]) -> Heard:
    """The answers to `pieces`, in their order; raises `HostError` where the first script gave none."""
    first = answers[0]
    if isinstance(first, Unseen):
        raise HostError(first.reason)
    documents = zip(pieces()[1:], answers[1:], strict=True)
    return Heard(sections(first.stdout), {piece.name: document(piece, answer) for piece, answer in documents})


def document(piece: Piece, answer: Answer) -> Document:
    """What a PowerShell script printed; where that is nothing usable, each of its keys with the reason."""
    try:
        return printed(piece, answer)
    except HostError as error:
        return {key: {"unseen": str(error)} for key in piece.keys}


def printed(piece: Piece, answer: Answer) -> Document:
    """The JSON object that a PowerShell script printed; raises `HostError` with the reason."""
    if isinstance(answer, Unseen):
        raise HostError(answer.reason)
    _, begin, rest = answer.stdout.rpartition(BEGIN)
    body, end, _ = rest.partition(END)
    if not begin or not end:
        raise HostError(_complaint(piece.name, answer))
    found = readers.json_object(body)
    return {key: _unwrapped(value) for key, value in found.items()}


def _unwrapped(value: Any) -> Any:
    """PowerShell 5.1 writes some lists as {"value": [...], "Count": 1}, and what gave nothing as {}."""
    if isinstance(value, list):
        return [_unwrapped(item) for item in value]
    if not isinstance(value, dict):
        return value
    if not value:
        return None
    if value.keys() == {"value", "Count"} and isinstance(value["value"], list):
        return _unwrapped(value["value"])
    return {key: _unwrapped(item) for key, item in value.items()}


def _complaint(name: str, answer: CommandResult) -> str:
    said = one_line(answer.stderr) or one_line(answer.stdout) or "nothing"
    return f"the script {name} gave no answer (exit status {answer.exit_status}); it said: {said}"

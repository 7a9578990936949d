"""What Windows PowerShell writes to standard error when nobody sits in front of it: CLIXML. Pure."""

import re
from dataclasses import dataclass
from xml.parsers import expat

from auditor.text import shorten, well_formed

HEADER = b"#< CLIXML"
END = b"</Objs>"
DEPTH = 64
UNREADABLE = 2000
"""How many characters are kept of CLIXML that cannot be read."""

_ESCAPE = re.compile(r"_x([0-9A-Fa-f]{4})_")
_PREFIX = {"warning": "WARNING: ", "verbose": "VERBOSE: ", "debug": "DEBUG: "}


@dataclass(frozen=True, slots=True)
class Record:
    """One text of a stream: its kind ("error", "warning", "verbose", "debug") and its words."""

    kind: str
    text: str


class _Refused(Exception):
    """The XML holds what CLIXML never holds."""


def readable(stderr: bytes) -> bytes:
    """Standard error as a console would show it, in UTF-8; what holds no CLIXML comes back as it is."""
    before, header, rest = stderr.partition(HEADER)
    if not header:
        return stderr
    pieces = [before]
    while header:
        document, end, rest = rest.partition(END)
        between, header, rest = rest.partition(HEADER)
        pieces += [_shown(document + end).encode("utf-8", "replace"), between]
    return b"".join(pieces)


def records(document: bytes) -> tuple[Record, ...]:
    """The texts in an `<Objs>` document, in order; raises `ValueError` for what is none."""
    reader = _Reader()
    try:
        reader.read(document)
    except (expat.ExpatError, _Refused) as error:
        raise ValueError(f"no CLIXML: {error}") from error
    return tuple(reader.found)


def unescape(text: str) -> str:
    """The text with every `_xHHHH_`, a UTF-16 code unit, replaced by what it stands for."""
    return well_formed(_ESCAPE.sub(lambda match: chr(int(match[1], 16)), text))


def _shown(document: bytes) -> str:
    document = document.lstrip()
    try:
        return "".join(map(_line, records(document)))
    except ValueError:
        return shorten(document.decode("utf-8", "replace"), UNREADABLE)


def _line(record: Record) -> str:
    prefix = _PREFIX.get(record.kind)
    if prefix is None:
        return record.text
    return f"{prefix}{record.text.rstrip()}\r\n"


class _Reader:
    """Collects `<S S="kind">` below `<Objs>`; refuses document types, and with them every entity."""

    def __init__(self) -> None:
        self.found: list[Record] = []
        self._depth = 0
        self._kind: str | None = None
        self._text: list[str] = []

    def read(self, document: bytes) -> None:
        parser = expat.ParserCreate("utf-8")
        parser.buffer_text = True
        parser.StartDoctypeDeclHandler = self._doctype
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._data
        parser.Parse(document, True)

    def _doctype(self, *_: object) -> None:
        raise _Refused("a document type")

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        self._depth += 1
        if self._depth > DEPTH:
            raise _Refused("too deep")
        if self._depth == 1 and name != "Objs":
            raise _Refused("another document")
        if self._depth == 2 and name == "S":
            self._kind, self._text = attributes.get("S", "").lower(), []

    def _data(self, data: str) -> None:
        if self._kind is not None:
            self._text.append(data)

    def _end(self, name: str) -> None:  # noqa: ARG002 - expat's signature
        if self._depth == 2 and self._kind is not None:
            self.found.append(Record(self._kind, unescape("".join(self._text))))
            self._kind = None
        self._depth -= 1

"""The fixed scripts of repairs in a Windows guest; their files stand beside this one.

A change of a script's text is a new version: what models it and what was recorded of it go by name and
version.
"""

import hashlib
from dataclasses import dataclass
from functools import cache
from importlib import resources

_VERSIONS = (("step", 3), ("receive", 1))


@dataclass(frozen=True, slots=True)
class Piece:
    """One fixed PowerShell script; a text that changes gets the next version."""

    name: str
    version: int
    text: str

    @property
    def sha256(self) -> str:
        """What the text is recognised by."""
        return hashlib.sha256(self.text.encode()).hexdigest()


@cache
def pieces() -> tuple[Piece, ...]:
    """Both scripts: the one that has a step done, and the one that takes a file."""
    place = _lines("place.ps1")
    return tuple(
        Piece(name, version, "\n".join([*place, *_lines(f"{name}.ps1")])) for name, version in _VERSIONS
    )


@cache
def runner() -> str:
    """The batch that a step's task runs."""
    return _text("run.cmd")


def _lines(file: str) -> list[str]:
    """The lines of a script without comments; how far they are indented costs characters and says nothing."""
    lines = (line.strip() for line in _text(file).splitlines())
    return [line for line in lines if line and not line.startswith("#")]


def _text(file: str) -> str:
    return (resources.files(__package__) / file).read_text(encoding="ascii")

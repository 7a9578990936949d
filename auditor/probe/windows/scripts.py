"""The fixed scripts for a Windows guest; their files stand beside this one.

A change of a script's text is a new version: what reads its answer, what models it and what was recorded of
it all go by name and version.
"""

import hashlib
from dataclasses import dataclass
from functools import cache
from importlib import resources

from auditor.hosts import Shell

_POWERSHELL = (
    ("machine", 1, ("elevated", "disk", "interfaces", "asset_tag", "board_id", "std_reg_prov")),
    ("agent", 1, ("programs", "certificate")),
    ("azure", 1, ("wire_server", "imds", "vm_id")),
    ("endpoints", 1, ("endpoints",)),
    ("backup", 1, ("log", "writers")),
)


@dataclass(frozen=True, slots=True)
class Piece:
    """One fixed script; a text that changes gets the next version.

    `keys` are those of the JSON object that it prints, beside "clock"; none for the registry script.
    """

    name: str
    version: int
    shell: Shell
    text: str
    keys: tuple[str, ...] = ()

    @property
    def sha256(self) -> str:
        """What the text is recognised by."""
        return hashlib.sha256(self.text.encode()).hexdigest()


@cache
def pieces() -> tuple[Piece, ...]:
    """Every script, in the order in which a guest is asked."""
    common = _lines("common.ps1", "#")
    return (
        Piece("registry", 1, Shell.CMD, " & ".join(_lines("registry.cmd", "rem "))),
        *(
            Piece(name, version, Shell.POWERSHELL, "\n".join([*common, *_lines(f"{name}.ps1", "#")]), keys)
            for name, version, keys in _POWERSHELL
        ),
    )


def _lines(file: str, comment: str) -> list[str]:
    """The lines of a script without comments; how far they are indented costs characters and says nothing."""
    text = (resources.files(__package__) / file).read_text(encoding="ascii")
    lines = (line.strip() for line in text.splitlines())
    return [line for line in lines if line and not line.startswith(comment)]

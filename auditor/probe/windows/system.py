"""Windows itself, as its registry and `ver` tell: product, version, architecture, pending restarts."""

import re

from auditor.facts import Unseen
from auditor.probe.windows.registry import Sections
from auditor.text import one_line

REBOOT_MARKS = ("component servicing", "Windows Update", "file renames")

_VERSION = re.compile(r"\d{1,4}\.\d{1,4}\.\d{1,6}(?:\.\d{1,6})?")
_BITS = {"AMD64": 64, "ARM64": 64, "X86": 32}
_FIRST_BUILD_OF_11 = 22000


def os_version(sections: Sections) -> str | None:
    """Major, minor, build and revision as `ver` prints them, in brackets of any language."""
    lines = sections.of("version")
    found = None if isinstance(lines, Unseen) else _VERSION.search(" ".join(lines))
    return found[0] if found else None


def os_name(sections: Sections) -> str | None:
    """The product's name; Windows 11 still calls itself Windows 10 in its registry."""
    name = sections.value("product", "ProductName")
    if not isinstance(name, str) or not name:
        return None
    build = (os_version(sections) or "").split(".")[2:3]
    if name.startswith("Windows 10") and build and int(build[0]) >= _FIRST_BUILD_OF_11:
        name = f"Windows 11{name.removeprefix('Windows 10')}"
    return one_line(name, 100)


def architecture(sections: Sections) -> tuple[str | None, int | None]:
    """The machine's word for its processor ("AMD64"), and the word size of its programs."""
    word = sections.value("machine", "PROCESSOR_ARCHITECTURE")
    if not isinstance(word, str) or not word:
        return None, None
    return one_line(word, 40), _BITS.get(word.upper())


def pending_reboot(sections: Sections) -> tuple[str, ...] | Unseen:
    """The marks of a restart that is due; `Unseen` where none was found and one could not be looked for."""
    found, hidden = [], None
    for mark in REBOOT_MARKS:
        values = sections.values(f"reboot {mark}")
        if isinstance(values, Unseen):
            hidden = values
        elif values is not None:
            found.append(mark)
    now, later = sections.value("name now", "ComputerName"), sections.value("name next", "ComputerName")
    if isinstance(now, str) and isinstance(later, str) and now.lower() != later.lower():
        found.append("computer name")
    return tuple(found) if found or hidden is None else hidden

"""What reg.exe and sc.exe print, in any language: keys, values and numbers count, words do not."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from auditor.errors import HostError
from auditor.facts import Service, Unseen
from auditor.text import one_line

SECTIONS = 256
NOT_REPORTED = Unseen("the probe did not report it")

_MARKER = "#@ "
_VALUE = re.compile(r"\s+(\S.*?)(?: {4}|\t)(REG_[A-Z_]+)(?:(?: {4}|\t)(.*))?")
_ROW = re.compile(r"\s+\S[^:]*:\s*([0-9a-fA-F]+)\s+[A-Z_]+")
_FAILED = re.compile(r"(\d+)\s*:\s*$")
_NO_SUCH_SERVICE = 1060
_STATES = {
    1: "stopped",
    2: "start-pending",
    3: "stop-pending",
    4: "running",
    5: "start-pending",
    6: "paused",
    7: "paused",
}
_STARTS = {0: "automatic", 1: "automatic", 2: "automatic", 3: "manual", 4: "disabled"}

Values = Mapping[str, str]
"""The values of one key by their lower-cased names, each as it was printed."""


@dataclass(frozen=True, slots=True)
class Sections:
    """The output of the registry script, cut at its markers."""

    lines: Mapping[str, tuple[str, ...]]

    def of(self, name: str) -> tuple[str, ...] | Unseen:
        """The lines of one section that hold anything."""
        return self.lines.get(name, NOT_REPORTED)

    def values(self, name: str) -> Values | Unseen | None:
        """The registry values in a section, None where there is no such key or value."""
        lines = self.of(name)
        if isinstance(lines, Unseen):
            return lines
        if not any(line.startswith("HKEY_") for line in lines):
            return None if self.nothing(lines) else Unseen(_said("reg", lines))
        found = (match for line in lines if (match := _VALUE.fullmatch(line)))
        return {match[1].lower(): (match[3] or "").strip() for match in found}

    def value(self, name: str, value: str) -> str | Unseen | None:
        """One registry value of a section, None where there is none."""
        values = self.values(name)
        return values if values is None or isinstance(values, Unseen) else values.get(value.lower())

    def number(self, name: str, value: str) -> int | Unseen | None:
        """One REG_DWORD of a section, None where there is none."""
        text = self.value(name, value)
        return text if text is None or isinstance(text, Unseen) else dword(text)

    def nothing(self, lines: Iterable[str]) -> bool:
        """Whether these lines are only what this guest says where there is nothing."""
        none = {line.strip() for line in self.lines.get("none", ())}
        found = [line.strip() for line in lines]
        return bool(found) and bool(none) and all(line in none for line in found)

    def folders(self, name: str) -> tuple[str, ...] | Unseen:
        """The names that dir listed, none where there is no such folder."""
        lines = self.of(name)
        if isinstance(lines, Unseen):
            return lines
        return () if self.nothing(lines) else tuple(line.strip() for line in lines)

    def service(self, name: str) -> Service | Unseen | None:
        """A service by name, None where it does not exist."""
        values, state = self.values(f"setup {name}"), self._state(name)
        if values is None or state is None:
            return None
        if isinstance(values, Unseen) and isinstance(state, Unseen):
            return state
        known = None if isinstance(state, Unseen) else state
        if isinstance(values, Unseen):
            return Service(name, known)
        return Service(name, known, _start(values), one_line(values.get("imagepath", ""), 400) or None)

    def _state(self, name: str) -> str | Unseen | None:
        lines = self.of(f"state {name}")
        if isinstance(lines, Unseen):
            return lines
        rows = [match for line in lines if (match := _ROW.match(line))]
        if len(rows) > 1 and (state := _STATES.get(int(rows[1][1], 16))):
            return state
        codes = [int(match[1][:9]) for line in lines if (match := _FAILED.search(line))]
        return None if _NO_SUCH_SERVICE in codes else Unseen(_said("sc", lines))


def sections(output: bytes) -> Sections:
    """The output of the registry script by section; raises `HostError` where it did not run to its end."""
    lines: dict[str, list[str]] = {}
    current: list[str] = []
    for line in output.decode("utf-8", "replace").splitlines():
        if line.startswith(_MARKER) and len(lines) < SECTIONS:
            current = lines.setdefault(line.removeprefix(_MARKER).strip(), [])
        elif line.strip():
            current.append(line.rstrip())
    if "end" not in lines or not any(name.startswith("script registry ") for name in lines):
        raise HostError(f"the guest did not answer the probe; it said: {one_line(output) or 'nothing'}")
    return Sections({name: tuple(found) for name, found in lines.items()})


def dword(text: str) -> int | None:
    """A REG_DWORD as reg.exe prints it ("0x2"), None for anything else."""
    return int(text, 16) if re.fullmatch(r"0x[0-9a-fA-F]{1,8}", text) else None


def _start(values: Values) -> str | None:
    number = dword(values.get("start", ""))
    start = None if number is None else _STARTS.get(number)
    delayed = start == "automatic" and dword(values.get("delayedautostart", "")) == 1
    return "delayed" if delayed else start


def _said(program: str, lines: Iterable[str]) -> str:
    said = one_line(" ".join(line.strip() for line in lines))
    return f"{program} said: {said}" if said else f"{program} said nothing"

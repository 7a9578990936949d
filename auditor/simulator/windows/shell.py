"""The registry script on a simulated guest: what reg.exe, sc.exe, dir and find print, in two languages.

Written from samples of their output; the German texts are partly by hand. Nothing but the commands of the
registry script is known.
"""

import re
from collections.abc import Callable, Iterator

from auditor.simulator.windows.state import WindowsState

_STATES = {1: "STOPPED", 2: "START_PENDING", 3: "STOP_PENDING", 4: "RUNNING", 7: "PAUSED"}
_WORDS = {
    "en": {
        "none": "ERROR: The system was unable to find the specified registry key or value.",
        "file": "File Not Found",
        "path": "The system cannot find the path specified.",
        "failed": "FAILED",
        "service": "The specified service does not exist as an installed service.",
        "state": "STATE",
        "type": "TYPE",
        "version": "Version",
    },
    "de": {
        "none": "FEHLER: Der angegebene Registrierungsschlüssel bzw. Wert wurde nicht gefunden.",
        "file": "Datei nicht gefunden",
        "path": "Das System kann den angegebenen Pfad nicht finden.",
        "failed": "FEHLER",
        "service": "Der angegebene Dienst ist kein installierter Dienst.",
        "state": "STATUS",
        "type": "TYP",
        "version": "Version",
    },
}
_ROOTS = {"HKLM": "HKEY_LOCAL_MACHINE", "HKU": "HKEY_USERS"}
_REG = re.compile(r'reg query (?:"([^"]+)"|(\S+))(?P<deep> /s)?(?: /v (?P<value>\S+))? /reg:64')
_FOLDERS = re.compile(r'dir /ad /b "([^"]+)"')
_SEARCH = re.compile(r'dir /s /b "([^"]+)" "([^"]+)"')
_FIND = re.compile(r' \| find "([^"]+)"')


class UnknownCommand(Exception):
    """A command that the model does not know; it never guesses."""


class Console:
    """A command line on one guest."""

    def __init__(self, state: WindowsState) -> None:
        self._state = state
        self._words = _WORDS[state.language]

    def run(self, line: str) -> str:
        """What a command line of the registry script prints; raises `UnknownCommand`."""
        return "\n".join(text for command in line.split(" & ") for text in self._one(command)) + "\n"

    def _one(self, command: str) -> Iterator[str]:
        wanted = _FIND.findall(command)
        plain = _FIND.sub("", command).removesuffix(" 2>&1").removesuffix(" 2>nul").removesuffix(">nul")
        lines = self._known(plain)
        return (line for line in lines if all(word in line for word in wanted))

    def _known(self, command: str) -> Iterator[str]:
        if command == r"cd /d %SystemRoot%\System32":
            return iter(())
        if command.startswith("echo "):
            return iter((f"{command.removeprefix('echo ')} ",))
        if command == "ver":
            shown = f"Microsoft Windows [{self._words['version']} {self._state.version}]"
            return iter(("", shown))
        if command.startswith("sc query "):
            return self._service(command.removeprefix("sc query "))
        for pattern, answer in self._patterns():
            if match := pattern.fullmatch(command):
                return answer(match)
        raise UnknownCommand(command)

    def _patterns(self) -> tuple[tuple[re.Pattern[str], Callable[[re.Match[str]], Iterator[str]]], ...]:
        return (_REG, self._registry), (_FOLDERS, self._folders), (_SEARCH, self._search)

    def _registry(self, match: re.Match[str]) -> Iterator[str]:
        root, _, rest = (match[1] or match[2]).partition("\\")
        key, wanted = f"{_ROOTS[root]}\\{rest}", match["value"]
        registry = self._state.whole_registry
        keys = [name for name in registry if name == key or (match["deep"] and name.startswith(f"{key}\\"))]
        found = [
            (name, value, kind, data)
            for name in keys
            for value, (kind, data) in registry[name].items()
            if wanted is None or value.lower() == wanted.lower()
        ]
        if not found and (wanted or not keys):
            yield from ("", self._words["none"])
        last = None
        for name, value, kind, data in found:
            if name != last:
                yield from ("", name)
            last = name
            yield f"    {value}    {kind}    {data}"
        yield ""

    def _service(self, name: str) -> Iterator[str]:
        service = self._state.services.get(name)
        if service is None:
            yield f"[SC] EnumQueryServicesStatus:OpenService {self._words['failed']} 1060:"
            yield from ("", self._words["service"], "")
            return
        yield from ("", f"SERVICE_NAME: {name}")
        yield f"        {self._words['type']:<19}: 10  WIN32_OWN_PROCESS  "
        yield f"        {self._words['state']:<19}: {service.state}  {_STATES[service.state]} "
        yield "                                (STOPPABLE, NOT_PAUSABLE, ACCEPTS_SHUTDOWN)"
        yield "        WIN32_EXIT_CODE    : 0  (0x0)"

    def _folders(self, match: re.Match[str]) -> Iterator[str]:
        folder = match[1].replace("%SystemDrive%", "C:")
        below = [
            path.removeprefix(f"{folder}\\") for path in self._state.files if path.startswith(f"{folder}\\")
        ]
        names = dict.fromkeys(rest.partition("\\")[0] for rest in below if "\\" in rest)
        known = bool(below) or folder.count("\\") == 1
        return iter(names) if names else iter((self._words["file" if known else "path"],))

    def _search(self, match: re.Match[str]) -> Iterator[str]:
        for wanted in match.groups():
            folder, _, name = wanted.replace("%SystemDrive%", "C:").rpartition("\\")
            for path in self._state.files:
                if path.startswith(f"{folder}\\") and path.endswith(f"\\{name}"):
                    yield path

"""Runs the commands of one simulated guest: the tool's own scripts, recognised exactly, and nothing else."""

import threading
from collections.abc import Mapping

from auditor.hosts import Script, Shell
from auditor.hosts.commands import command_line
from auditor.probe.windows import pieces
from auditor.simulator.windows.scripts import answer
from auditor.simulator.windows.shell import Console, UnknownCommand
from auditor.simulator.windows.state import WindowsState
from auditor.simulator.wsman.guest import Execution, console

UNKNOWN = 97
"""The exit code for a command that the model does not know."""


class WindowsGuest:
    """One guest in a state; `refused` keeps every command that was not recognised."""

    def __init__(self, state: WindowsState) -> None:
        self._state = state
        self.refused: list[str] = []
        self._known = {command_line(Script(piece.text, piece.shell)): piece for piece in pieces()}

    def run(
        self,
        command: str,
        stdin: bytes,
        environment: Mapping[str, str],
        user: str,
        stop: threading.Event,  # noqa: ARG002 - it answers at once
    ) -> Execution:
        """What the recognised script prints in this state; 97 for anything else."""
        try:
            return Execution(0, self._output(command, stdin, environment))
        except (KeyError, UnknownCommand):
            self.refused.append(command)
            said = f"{user} may run the scripts that this guest knows, and no others\n"
            return Execution(UNKNOWN, b"", console(said, environment))

    def _output(self, command: str, stdin: bytes, environment: Mapping[str, str]) -> bytes:
        piece = self._known[command]
        if piece.shell is Shell.CMD:
            return console(Console(self._state).run(piece.text), environment)
        return answer(piece.name, piece.version, self._state, stdin)

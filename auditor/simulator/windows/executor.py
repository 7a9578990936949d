"""Runs the commands of one simulated guest: the tool's own scripts, recognised exactly, and nothing else."""

import threading
from collections import Counter
from collections.abc import Callable, Mapping

from auditor.hosts import Script, Shell
from auditor.hosts.commands import command_line
from auditor.probe.windows import pieces
from auditor.repair import windows as repair
from auditor.simulator.windows.scripts import answer
from auditor.simulator.windows.shell import Console, UnknownCommand
from auditor.simulator.windows.state import WindowsState
from auditor.simulator.windows.steps import Steps
from auditor.simulator.windows.works import WindowsTrouble
from auditor.simulator.wsman.guest import Execution, console

UNKNOWN = 97
"""The exit code for a command that the model does not know."""


class WindowsGuest:
    """One guest; `state` is what it is in now, `refused` keeps every command that was not recognised.

    The works of repairs change it; `executions` counts per step how often its work began.
    """

    def __init__(self, state: WindowsState, trouble: WindowsTrouble | None = None) -> None:
        self._state = state
        self._lock = threading.Lock()
        self.refused: list[str] = []
        self.steps = Steps(lambda: self.state, self.change, trouble or WindowsTrouble())
        self._known = {command_line(Script(piece.text, piece.shell)): piece for piece in pieces()}
        self._repairs = {
            command_line(Script(piece.text, Shell.POWERSHELL)): piece.name for piece in repair.pieces()
        }

    @property
    def state(self) -> WindowsState:
        """The state that it is in now."""
        with self._lock:
            return self._state

    @property
    def executions(self) -> Counter[str]:
        """How often the work of each step began."""
        return self.steps.executions

    def change(self, function: Callable[[WindowsState], WindowsState]) -> None:
        """Put the guest into another state."""
        with self._lock:
            self._state = function(self._state)

    def run(
        self,
        command: str,
        stdin: bytes,
        environment: Mapping[str, str],
        user: str,
        stop: threading.Event,
    ) -> Execution:
        """What the recognised script prints in this state; 97 for anything else."""
        try:
            if name := self._repairs.get(command):
                return Execution(0, self._repaired(name, stdin, stop))
            return Execution(0, self._output(command, stdin, environment))
        except (KeyError, UnknownCommand):
            self.refused.append(command)
            said = f"{user} may run the scripts that this guest knows, and no others\n"
            return Execution(UNKNOWN, b"", console(said, environment))

    def _repaired(self, name: str, stdin: bytes, stop: threading.Event) -> bytes:
        return self.steps.step(stdin, stop) if name == "step" else self.steps.receive(stdin)

    def _output(self, command: str, stdin: bytes, environment: Mapping[str, str]) -> bytes:
        piece = self._known[command]
        if piece.shell is Shell.CMD:
            return console(Console(self.state).run(piece.text), environment)
        return answer(piece.name, piece.version, self.state, stdin)

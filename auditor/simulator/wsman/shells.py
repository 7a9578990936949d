"""Shells and their commands: what a guest holds between two requests."""

import threading
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from auditor.simulator.wsman.faults import Fault, Kind
from auditor.simulator.wsman.guest import Execution, Executor
from auditor.simulator.wsman.replies import ABORTED, INTERNAL, NO_COMMAND, NO_SHELL, TOO_MANY_SHELLS, WsFault

CTRL_C_EXIT = 3221225786  # STATUS_CONTROL_C_EXIT
Spawn = Callable[[Callable[[], None]], None]


@dataclass(frozen=True, slots=True)
class Output:
    """What one Receive carries; `exit_code` is None while more is to come."""

    stdout: bytes
    stderr: bytes
    exit_code: int | None


class Command:
    """One command line: starts with the end of its input or with the first Receive, whatever comes first."""

    def __init__(self, work: Callable[[bytes, threading.Event], Execution], fault: Fault | None) -> None:
        self.id = str(uuid.uuid4()).upper()
        self._work = work
        self._fault = fault
        self._changed = threading.Condition()
        self._stop = threading.Event()
        self._input: list[bytes] = []
        self._fed = self._started = False
        self._execution: Execution | None = None
        self._error: Exception | None = None
        self._at = 0

    def feed(self, data: bytes, end: bool, spawn: Spawn) -> None:
        """Take a piece of standard input."""
        self._input.append(data)
        self._fed = not end
        if end:
            self._start(spawn)

    def receive(self, seconds: float, limit: int, spawn: Spawn) -> Output | None:
        """Up to `limit` bytes of output within `seconds`; None when there is nothing to tell yet."""
        if not self._fed:
            self._start(spawn)
        pace = self._fault if self._fault and self._fault.kind is Kind.SLOW_OUTPUT else None
        if pace is not None:
            if self._stop.wait(min(pace.seconds, seconds)) or pace.seconds > seconds:
                self._raise_if_stopped()
                return None
            limit = min(limit, pace.size)
        with self._changed:
            self._changed.wait_for(lambda: self._finished or self._stop.is_set(), seconds)
            if self._error is not None:
                raise WsFault(INTERNAL, f"the executor failed: {type(self._error).__name__}")
            if self._execution is not None:
                return self._next(limit)
        self._raise_if_stopped()
        return None

    def interrupt(self) -> None:
        """Ctrl-C: the command ends, and its end may be received."""
        with self._changed:
            if self._execution is None:
                self._execution = Execution(CTRL_C_EXIT)
            self.stop()

    def stop(self) -> None:
        """Let whoever runs or awaits the command go."""
        with self._changed:
            self._stop.set()
            self._changed.notify_all()

    @property
    def _finished(self) -> bool:
        return self._execution is not None or self._error is not None

    def _raise_if_stopped(self) -> None:
        if self._stop.is_set():
            raise WsFault(ABORTED)

    def _start(self, spawn: Spawn) -> None:
        with self._changed:
            if self._started or self._stop.is_set():
                return
            self._started = True
        if self._fault is not None and self._fault.kind is Kind.HANG:
            return
        spawn(self._run)

    def _run(self) -> None:
        execution: Execution | None = None
        error: Exception | None = None
        try:
            execution = self._work(b"".join(self._input), self._stop)
        except Exception as raised:  # handed on by receive() and the server's list of errors
            error = raised
        with self._changed:
            if self._execution is None:
                self._execution, self._error = execution, error
            self._changed.notify_all()

    def _next(self, limit: int) -> Output:
        execution = self._execution
        assert execution is not None  # noqa: S101 - receive() looked
        out, err = execution.stdout, execution.stderr
        start, end = self._at, self._at + limit
        self._at = end
        stdout = out[start:end]
        stderr = err[max(0, start - len(out)) : max(0, end - len(out))]
        return Output(stdout, stderr, execution.exit_code if end >= len(out) + len(err) else None)


class Shell:
    """An open shell of one user."""

    def __init__(self, user: str, environment: Mapping[str, str]) -> None:
        self.id = str(uuid.uuid4()).upper()
        self.user = user
        self.environment = environment
        self._commands: dict[str, Command] = {}

    def add(self, command: Command) -> None:
        """Take a command in."""
        self._commands[command.id] = command

    def command(self, command_id: str) -> Command:
        """A command of this shell; raises `WsFault`."""
        try:
            return self._commands[command_id]
        except KeyError:
            raise WsFault(NO_COMMAND) from None

    def terminate(self, command_id: str) -> None:
        """End a command and forget it; one that is gone already is no error."""
        command = self._commands.pop(command_id, None)
        if command is not None:
            command.stop()

    def close(self) -> None:
        """End every command."""
        for command_id in tuple(self._commands):
            self.terminate(command_id)


class Shells:
    """The shells of one guest."""

    def __init__(self, executor: Executor, per_user: int) -> None:
        self.executor = executor
        self._per_user = per_user
        self._lock = threading.Lock()
        self._open: dict[str, Shell] = {}

    def __len__(self) -> int:
        return len(self._open)

    def create(self, user: str, environment: Mapping[str, str]) -> Shell:
        """Open a shell; raises `WsFault` at the user's quota."""
        shell = Shell(user, environment)
        with self._lock:
            if sum(other.user == user for other in self._open.values()) >= self._per_user:
                raise WsFault(TOO_MANY_SHELLS)
            self._open[shell.id] = shell
        return shell

    def find(self, shell_id: str, user: str) -> Shell:
        """A shell of this user; raises `WsFault`."""
        shell = self._open.get(shell_id)
        if shell is None or shell.user != user:
            raise WsFault(NO_SHELL)
        return shell

    def delete(self, shell_id: str) -> None:
        """Close a shell, if it is open."""
        with self._lock:
            shell = self._open.pop(shell_id, None)
        if shell is not None:
            shell.close()

    def close(self) -> None:
        """Close every shell."""
        for shell_id in tuple(self._open):
            self.delete(shell_id)

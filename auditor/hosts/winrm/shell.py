"""A shell in a Windows guest: commands, their input and their output, each within a time."""

import contextlib
import time

from winrm.exceptions import WinRMOperationTimeoutError, WSManFaultError

from auditor.hosts import CommandResult
from auditor.hosts.winrm import soap
from auditor.hosts.winrm.clixml import readable
from auditor.hosts.winrm.link import Link

CHUNK = 100_000
POLL = 5.0
SLACK = 5.0
"""Seconds that an answer may take beyond the time that the server was given for it."""
LAST = 1.0
"""As `SLACK`, once the command's own time is over."""
PAUSE = 0.05
FAREWELL = 2.0
STDERR_LIMIT = 64 * 1024


class Overrun(Exception):
    """A command did not end in time, and was ended."""


class RemoteShell:
    """One open shell; commands run in it one after the other.

    `patience` is how long the guest may take for anything but a command, in seconds.
    """

    def __init__(self, link: Link, patience: float) -> None:
        self._link = link
        self._patience = patience
        self._id = soap.shell_id(link.ask(soap.create(self._operation), patience))
        self.output = soap.Output(0, 0)
        self._ended: str | None = None  # to be forgotten before the next command; deleting the shell does too

    @property
    def _operation(self) -> float:
        """What the server is told to keep to, so that it is the one to speak of a time that is over."""
        return 0.8 * self._patience

    def run(self, line: str, data: bytes, timeout: float, limit: int) -> CommandResult:
        """Run a command line with `data` as its input; raises `Overrun` when it does not end.

        Whatever is raised, `so_far` is what had come.
        """
        if self._ended is not None:
            self._terminate(self._ended)
        end = time.monotonic() + timeout
        self.output = output = soap.Output(limit, STDERR_LIMIT)
        started = soap.command(self._id, line, self._operation, console=not data)
        command = soap.command_id(self._link.ask(started, self._patience))
        self._send(command, data)
        while not (output.done or output.overflown) and time.monotonic() < end:
            self._receive(command, end - time.monotonic())
        if output.done:
            self._ended = command
            return self._result(output.exit_status)
        self._terminate(command)
        if output.overflown:
            return self._result(None)
        raise Overrun

    def so_far(self) -> CommandResult:
        """What the command had written when it was lost."""
        return self._result(None)

    def close(self, link: Link) -> None:
        """Delete the shell, through the link that opened it or a later one."""
        link.ask(soap.delete(self._id, FAREWELL), FAREWELL)

    def _result(self, exit_status: int | None) -> CommandResult:
        output = self.output
        return CommandResult(
            exit_status,
            bytes(output.stdout[: output.limit]),
            readable(bytes(output.stderr)),
            output.overflown,
        )

    def _send(self, command: str, data: bytes) -> None:
        for start in range(0, len(data), CHUNK):
            last = start + CHUNK >= len(data)
            chunk = data[start : start + CHUNK]
            try:
                self._link.ask(soap.send(self._id, command, chunk, self._operation, end=last), self._patience)
            except WSManFaultError:  # a command that does not read its input may still answer
                return

    def _receive(self, command: str, left: float) -> None:
        operation = max(min(POLL, left), 0.001)
        asked = time.monotonic()
        news = False
        with contextlib.suppress(WinRMOperationTimeoutError):
            answer = self._link.ask(
                soap.receive(self._id, command, operation), min(operation + SLACK, left + LAST)
            )
            news = self.output.take(answer)
        if not news and time.monotonic() - asked < PAUSE:
            time.sleep(PAUSE)

    def _terminate(self, command: str) -> None:
        self._ended = None
        with contextlib.suppress(Exception):  # what it has written is here; deleting the shell ends it too
            self._link.ask(soap.signal(self._id, command, FAREWELL), FAREWELL)

"""One guest over WinRM: a shell that is opened once, closed whatever happens, and a clock over all of it."""

import contextlib
import time
from collections.abc import Callable

from auditor.credentials import Secrets, hide
from auditor.errors import HostError, Unreachable
from auditor.hosts import CommandResult, Script
from auditor.hosts.alarm import Alarm
from auditor.hosts.commands import command_line
from auditor.hosts.options import GuestOptions
from auditor.hosts.winrm import soap
from auditor.hosts.winrm.account import Account, account
from auditor.hosts.winrm.adapter import ANSWER_LIMIT
from auditor.hosts.winrm.link import CONNECTING, OPENING, Link
from auditor.hosts.winrm.reasons import Scene, is_lost, reason
from auditor.hosts.winrm.shell import FAREWELL, Overrun, RemoteShell
from auditor.model import Connection

RUNNING, CLOSING = "running the script", "closing the shell"


class Clock:
    """A time with some of it kept back to clean up; rings when half of that is used, and at the very end."""

    def __init__(self, seconds: float, ring: Callable[[], None]) -> None:
        self._seconds, self._ring = seconds, ring
        self.kept = min(FAREWELL, seconds / 4)
        self._alarms: tuple[Alarm, ...] = ()
        self.end = float("inf")

    def start(self) -> None:
        """Begin; every further call does nothing."""
        if not self._alarms:
            times = (self._seconds - self.kept / 2, self._seconds)
            self._alarms = tuple(Alarm(seconds, self._ring) for seconds in times)
            self.end = self._alarms[-1].at - self.kept

    def stop(self) -> None:
        """Let go of what has not rung."""
        for alarm in self._alarms:
            alarm.cancel()


class WinRmHost:
    """One guest over one WinRM shell, opened by the first `run`."""

    def __init__(self, connection: Connection, options: GuestOptions, secrets: Secrets) -> None:
        self._connection, self._options, self._secrets = connection, options, secrets
        self._account: Account | None = None
        self._link: Link | None = None
        self._shell: RemoteShell | None = None
        self._cut: str | None = None
        self._farewell: float | None = None
        self._stage = "starting"
        self._clock = Clock(options.deadline, self._overrun)

    @property
    def stage(self) -> str:
        """What the session is doing now."""
        return self._link.stage if self._stage == CONNECTING and self._link is not None else self._stage

    def run(self, script: Script, timeout: float) -> CommandResult:
        """Run a script; raises `HostError` with the reason, and leaves no shell behind then."""
        line = _line_of(script)
        self._clock.start()
        try:
            return self._run(line, script.data, timeout)
        except Exception as error:  # pywinrm and what is below it raise what they like
            why = self._cut or self._why(error)
            kind = Unreachable if isinstance(error, Unreachable) and self._cut is None else HostError
            self._let_go()
            raise kind(why) from error

    def abort(self, reason: str) -> None:
        """Cut the connection from another thread; whoever waits gets `HostError(reason)`."""
        self._cut = self._cut or reason
        if self._link is not None:
            self._link.line.cut()

    def close(self) -> None:
        """Close the shell, and let go of the connection and the clock."""
        self._let_go()
        self._clock.stop()

    def _run(self, line: str, data: bytes, timeout: float) -> CommandResult:
        shell = self._open()
        self._stage = RUNNING
        left = self._left() - self._clock.kept / 2  # the guest shall say itself that this time is over
        try:
            return shell.run(line, data, min(timeout, left), self._options.output_limit)
        except Overrun as error:
            late = self._too_late() if left < timeout else f"the script did not end within {timeout:.3g} s"
            raise HostError(late) from error
        except Exception as error:
            if not self._may_go_on(error):
                raise
            self._let_go()
            return shell.so_far()

    def _open(self) -> RemoteShell:
        """The shell; a connection that is lost before anything ran is tried once more."""
        if self._shell is None:
            try:
                self._shell = self._open_once()
            except Exception as error:
                if not self._may_go_on(error):
                    raise
                self._shell = self._open_once()
        return self._shell

    def _open_once(self) -> RemoteShell:
        self._left()
        self._hang_up()
        self._stage = CONNECTING
        link = self._connect()
        return RemoteShell(link, self._options.auth_timeout)

    def _connect(self) -> Link:
        if self._account is None:
            self._account = account(self._connection, self._options, self._secrets)
        self._link = link = Link(self._account, self._options, self._left)
        if link.sign_in() and self._stage == CONNECTING:
            self._stage = OPENING
        return link

    def _let_go(self) -> None:
        """Close the shell within a short time, over a new connection where the old one is no good."""
        shell, self._shell = self._shell, None
        if shell is not None:
            self._stage = CLOSING
            self._farewell = time.monotonic() + FAREWELL
            with contextlib.suppress(Exception):  # a shell that stays open ends by itself, later
                shell.close(self._sound_link())
            self._farewell = None
        self._hang_up()

    def _sound_link(self) -> Link:
        if self._link is not None and self._link.sound:
            return self._link
        self._hang_up()
        return self._connect()

    def _hang_up(self) -> None:
        if self._link is not None:
            self._link.close()
        self._link = None

    def _may_go_on(self, error: Exception) -> bool:
        overdrawn = self._link is not None and self._link.line.overdrawn
        return self._cut is None and is_lost(error) and not overdrawn

    def _left(self) -> float:
        if self._farewell is not None:
            return self._farewell - time.monotonic()
        left = self._clock.end - time.monotonic()
        if self._cut is not None or left <= 0:
            raise HostError(self._cut or self._too_late())
        return left

    def _overrun(self) -> None:
        self.abort(self._too_late())

    def _too_late(self) -> str:
        return f"the deadline of {self._options.deadline:g} s passed while {self.stage}"

    def _why(self, error: Exception) -> str:
        if self._account is None or self._link is None:
            return hide(str(error))
        if self._link.line.overdrawn:
            place = self._account.place
            return f"{place} sent more than {ANSWER_LIMIT} bytes in one answer; reading stopped there"
        link = self._link
        return reason(error, Scene(self._account, self.stage, link.patience, link.adapter.offered))


def _line_of(script: Script) -> str:
    try:
        return soap.writable(command_line(script))
    except ValueError as error:
        raise HostError(f"the script cannot be sent: {error}") from error

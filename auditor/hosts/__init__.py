"""One guest, one method: `run(script, timeout) -> CommandResult`."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol


class Shell(StrEnum):
    """What a script is written for."""

    SH = "sh"
    CMD = "cmd"
    POWERSHELL = "powershell"


@dataclass(frozen=True, slots=True)
class Script:
    """A fixed text and the data for its standard input; data never becomes part of the text.

    SH is POSIX sh, given to `/bin/sh -s` on its standard input (and so takes no `data`). CMD is one command
    line of cmd.exe, at most `CMD_LIMIT` characters. POWERSHELL is a Windows PowerShell 5.1 script of at most
    `POWERSHELL_LIMIT` characters, sent as an encoded command.
    """

    text: str
    shell: Shell = Shell.SH
    data: bytes = b""


CMD_LIMIT = 8000
POWERSHELL_LIMIT = 2900


@dataclass(frozen=True, slots=True)
class CommandResult:
    """What a script left behind.

    `exit_status` is None when the connection ended before the guest told it; `truncated` is true when
    the output was longer than the transport was ready to hold, and reading stopped there. `note` is what the
    transport could not do for the script: why it did not run as root although a password for sudo is named.
    """

    exit_status: int | None
    stdout: bytes
    stderr: bytes = b""
    truncated: bool = False
    note: str = ""


class Host(Protocol):
    """A guest that can be asked; every transport and the fake look like this."""

    def run(self, script: Script, timeout: float) -> CommandResult:
        """Run a script within `timeout` seconds; raises `HostError` with the reason."""


class Session(Host, Protocol):
    """A host that holds a connection."""

    @property
    def stage(self) -> str:
        """What the session is doing now, to be named when it is cut short."""

    def abort(self, reason: str) -> None:
        """Cut the connection from another thread; whoever waits gets `HostError(reason)`."""

    def close(self) -> None:
        """Let go of the connection and of every thread behind it."""

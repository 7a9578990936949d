"""One guest, one method: `run(script, timeout) -> CommandResult`."""

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class CommandResult:
    """What a script left behind.

    `exit_status` is None when the connection ended before the guest told it; `truncated` is true when
    the output was longer than the transport was ready to hold, and reading stopped there.
    """

    exit_status: int | None
    stdout: bytes
    stderr: bytes = b""
    truncated: bool = False


class Host(Protocol):
    """A guest that can be asked; every transport and the fake look like this."""

    def run(self, script: str, timeout: float) -> CommandResult:
        """Run a POSIX sh script given as text, within `timeout` seconds; raises `HostError`."""


class Session(Host, Protocol):
    """A host that holds a connection."""

    @property
    def stage(self) -> str:
        """What the session is doing now, to be named when it is cut short."""

    def abort(self, reason: str) -> None:
        """Cut the connection from another thread; whoever waits gets `HostError(reason)`."""

    def close(self) -> None:
        """Let go of the connection and of every thread behind it."""

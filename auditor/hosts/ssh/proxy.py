"""The line to a server through a program of the user's: ssh_config's ProxyCommand."""

import contextlib
import os
import signal
import socket
import subprocess
import tempfile
import threading

from auditor.credentials import hide
from auditor.errors import HostError
from auditor.hosts.wire import Wire
from auditor.text import one_line

FAREWELL = 2.0
MOST_WORDS = 4096
AZURE = frozenset(
    (
        "AZURE_CLIENT_SECRET",
        "AZURE_CLIENT_CERTIFICATE_PASSWORD",
        "AZURE_PASSWORD",
        "IDENTITY_HEADER",
        "MSI_SECRET",
    )
)
"""Variables that azure-identity reads secrets from, and that we never resolve ourselves."""


class ProxyLine(Wire):
    """Our end of a socket pair; the other end is the standard input and output of a process."""

    acknowledges = False
    _process: subprocess.Popen[bytes] | None = None

    def start(self, command: tuple[str, ...], end: socket.socket) -> None:
        """Start the program with its own process group; raises `HostError` where that cannot be done."""
        self._killing = threading.Lock()
        self._complaints = tempfile.TemporaryFile()  # noqa: SIM115 - closed in `end`
        try:
            self._process = subprocess.Popen(
                command,
                stdin=end.fileno(),
                stdout=end.fileno(),
                stderr=self._complaints,
                env=_clean(),
                start_new_session=True,
            )
        except (OSError, ValueError) as error:
            self._complaints.close()
            why = getattr(error, "strerror", None) or type(error).__name__
            raise HostError(f"the ProxyCommand {command[0]!r} cannot be started: {why}") from error

    def complaint(self) -> str:
        """What the program wrote to its standard error, on one line."""
        with contextlib.suppress(OSError, ValueError):
            self._complaints.seek(0)
            return one_line(hide(self._complaints.read(MOST_WORDS).decode("utf-8", "replace")))
        return ""

    def cut(self) -> None:
        """End the stream and the program, from any thread."""
        with contextlib.suppress(OSError):
            self.shutdown(socket.SHUT_RDWR)
        self._kill()

    def end(self) -> None:
        """Kill the program if it still runs, and wait for its end."""
        self._kill()
        if self._process is not None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(FAREWELL)
        self._complaints.close()

    def _kill(self) -> None:
        # nobody waits for the process before `end`, so that until then its id is nobody else's
        with self._killing:
            if self._process is not None and self._process.returncode is None:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.killpg(self._process.pid, signal.SIGKILL)


def launch(command: tuple[str, ...]) -> ProxyLine:
    """A line through a program that is given as arguments; raises `HostError` where it cannot be started."""
    if os.name != "posix":
        raise HostError("a ProxyCommand needs a POSIX system under the auditor; use ProxyJump")
    ours, theirs = socket.socketpair()
    line = ProxyLine(ours.family, ours.type, ours.proto, ours.detach())
    with theirs:
        try:
            line.start(command, theirs)
        except HostError:
            line.close()
            raise
    return line


def _clean() -> dict[str, str]:
    """Our environment without the variables that hold a secret of this run."""
    return {name: value for name, value in os.environ.items() if hide(value) == value and name not in AZURE}

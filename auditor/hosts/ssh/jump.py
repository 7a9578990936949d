"""The line to a guest behind a jump host: a channel of the SSH session before."""

import contextlib
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator

import paramiko

from auditor.errors import Unreachable
from auditor.hosts.ssh.config import SshConfig
from auditor.hosts.ssh.route import Hop
from auditor.hosts.wire import BUFFER, Intake
from auditor.text import one_line

AT_ONCE = 8
WAIT = 0.25
BUSY = 12
COURTESY = 4.0


class ChannelLine(Intake):
    """A channel of a jump host as the line to the next server."""

    def __init__(self, channel: paramiko.Channel) -> None:
        self._channel = channel

    def recv(self, size: int) -> bytes:
        """Receive; an overdrawn budget looks like the end of the stream."""
        return self._taken(size) if self._held else self._arrived(self._channel.recv(BUFFER), size)

    def send(self, data: bytes) -> int:
        """Send what the next server is ready to take."""
        return self._channel.send(data)

    def settimeout(self, timeout: float | None) -> None:
        """Bound every wait, in seconds."""
        self._channel.settimeout(timeout)

    @property
    def _closed(self) -> bool:
        """What paramiko asks a socket that it joins its thread over."""
        return bool(self._channel.closed)

    def close(self) -> None:
        """Let go of it; the jump host may be gone already."""
        with contextlib.suppress(EOFError, OSError, paramiko.SSHException):
            self._channel.close()


def reach(transport: paramiko.Transport, jump: Hop, target: Hop, timeout: float) -> ChannelLine:
    """A line from a jump host to the next server; raises `Unreachable` where the jump host has none."""
    try:
        channel = transport.open_channel(
            "direct-tcpip", (target.host, target.port), ("127.0.0.1", 0), timeout=timeout
        )
    except paramiko.ChannelException as error:
        said = one_line(error.text) or f"code {error.code}"
        raise Unreachable(f"jump host {jump.place} has no connection to {target.place}: {said}") from error
    return ChannelLine(channel)


def await_welcome(transport: paramiko.Transport, timeout: float) -> None:
    """Wait until a jump host answers in the session itself, whatever it says.

    OpenSSH counts a session among those that have not signed in for a moment after it told of the success.
    """
    with contextlib.suppress(EOFError, OSError, paramiko.SSHException):  # whoever goes on is told as much
        transport.open_session(timeout=timeout).close()


class Network:
    """What the SSH sessions of a run share: ssh_config, and the doors of its jump hosts.

    An OpenSSH server refuses newcomers at random while more than ten have not signed in yet (MaxStartups,
    sshd_config(5)); behind one jump host stands a whole fleet, so few knock at a time.
    """

    def __init__(self, config: SshConfig) -> None:
        self.config = config
        self._busy = threading.Semaphore(BUSY)
        self._lock = threading.Lock()
        self._doors: dict[str, threading.BoundedSemaphore] = defaultdict(
            lambda: threading.BoundedSemaphore(AT_ONCE)
        )

    @contextlib.contextmanager
    def knocking(self, hop: Hop, still_time: Callable[[], object]) -> Iterator[None]:
        """Wait for a turn at a jump host; `still_time` is called meanwhile and raises where there is none."""
        if not hop.jump:
            yield
            return
        with self._lock:
            door = self._doors[hop.place]
        while not door.acquire(timeout=WAIT):
            still_time()
        try:
            yield
        finally:
            door.release()

    @contextlib.contextmanager
    def talking(self) -> Iterator[None]:
        """Let few sessions compute at a time: more of them only take the processor from each other.

        Nobody waits for more than `COURTESY` seconds, so that guests that hang keep no other guest waiting.
        """
        turn = self._busy.acquire(timeout=COURTESY)
        try:
            yield
        finally:
            if turn:
                self._busy.release()

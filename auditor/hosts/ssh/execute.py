"""One command over an SSH session: its input in, its two streams and its exit status out."""

import contextlib
import time
from collections.abc import Iterator

import paramiko

from auditor.errors import HostError
from auditor.hosts import CommandResult

CHUNK = 64 * 1024
STDERR_LIMIT = 64 * 1024
POLL = 0.25
FAREWELL = 2.0


def execute(
    transport: paramiko.Transport, command: str, data: bytes, timeout: float, limit: int
) -> CommandResult:
    """Run a command with `data` on its standard input; raises `HostError` when it does not end in time."""
    end = time.monotonic() + timeout
    with session(transport, timeout) as channel:
        channel.exec_command(command)
        return converse(channel, data, end, timeout, limit)


@contextlib.contextmanager
def session(transport: paramiko.Transport, timeout: float) -> Iterator[paramiko.Channel]:
    """A channel for one command; raises `HostError` where the server does not open it in time."""
    try:
        channel = transport.open_session(timeout=timeout)
    except paramiko.ChannelException:
        raise
    except paramiko.SSHException as error:
        if not transport.is_active():
            raise
        raise HostError(f"the host opened no session within {timeout:.3g} s") from error
    try:
        channel.settimeout(timeout)
        yield channel
    finally:
        with contextlib.suppress(EOFError, OSError, paramiko.SSHException):
            channel.close()


def converse(channel: paramiko.Channel, data: bytes, end: float, timeout: float, limit: int) -> CommandResult:
    """Give a running command its input, and take what it leaves until the time `end`."""
    channel.settimeout(max(end - time.monotonic(), POLL))
    with contextlib.suppress(OSError):  # a guest that does not read its input may still answer
        channel.sendall(data)
        channel.shutdown_write()
    stdout, stderr, truncated = _read(channel, end, timeout, limit)
    if not truncated:
        channel.status_event.wait(max(min(end - time.monotonic(), FAREWELL), 0))
    status = channel.exit_status if channel.exit_status >= 0 else None
    return CommandResult(status, stdout, stderr, truncated)


def _read(channel: paramiko.Channel, end: float, timeout: float, limit: int) -> tuple[bytes, bytes, bool]:
    stdout, stderr, noise = bytearray(), bytearray(), 0
    channel.settimeout(POLL)
    while time.monotonic() < end:
        ended = False
        with contextlib.suppress(TimeoutError):
            chunk = channel.recv(CHUNK)
            stdout += chunk
            ended = not chunk
        while channel.recv_stderr_ready():
            more = channel.recv_stderr(CHUNK)
            noise += len(more)
            stderr += more[: max(STDERR_LIMIT - len(stderr), 0)]
        if len(stdout) > limit or noise > limit:
            return bytes(stdout[:limit]), bytes(stderr), True
        if ended:
            return bytes(stdout), bytes(stderr), False
    raise HostError(f"the script did not end within {timeout:.3g} s")

"""The byte stream under an SSH session: bounded in time and bytes, and acknowledged at once."""

import contextlib
import os
import queue
import re
import socket
import threading
import time
from collections.abc import Callable
from typing import Any, Protocol

from auditor.errors import HostError, Unreachable
from auditor.text import one_line, place

QUICKACK: int | None = getattr(socket, "TCP_QUICKACK", None)
BANNER = re.compile(rb"(?:^|\n)SSH-")
BANNER_LIMIT = 1024
BUFFER = 64 * 1024
POLL = 0.01


class Line(Protocol):
    """What an SSH session runs over: a socket, a process, or a channel of a jump host."""

    budget: int

    def recv(self, size: int) -> bytes:
        """Receive at most `size` bytes; nothing at the end of the stream."""

    def unread(self, data: bytes) -> None:
        """Put bytes back, to be received first."""

    def settimeout(self, timeout: float | None) -> None:
        """Bound every wait, in seconds."""


class Intake:
    """What was received and not yet asked for, and how many bytes may still come."""

    budget: int = 256 * 1024
    _held: bytes = b""

    def unread(self, data: bytes) -> None:
        """Put bytes back, to be received first."""
        self._held = data + self._held

    def _taken(self, size: int) -> bytes:
        data, self._held = self._held[:size], self._held[size:]
        return data

    def _arrived(self, data: bytes, size: int) -> bytes:
        self.budget -= len(data)
        if self.budget <= 0:
            return b""
        self._held = data[size:]
        return data[:size]


class Wire(Intake, socket.socket):
    """A socket that acknowledges at once and takes no more than `budget` bytes.

    Linux delays acknowledgements by some 40 ms, which a server with Nagle's algorithm waits for. Bytes are
    fetched in large pieces: paramiko asks for a packet's few bytes at a time.
    """

    acknowledges = True

    def recv(self, size: int, flags: int = 0) -> bytes:
        """Receive; an overdrawn budget looks like the end of the stream."""
        if self._held:
            return self._taken(size)
        data = super().recv(max(size, BUFFER), flags)
        if self.acknowledges and QUICKACK is not None:
            self.setsockopt(socket.IPPROTO_TCP, QUICKACK, 1)
        return self._arrived(data, size)

    def recv_into(self, buffer: Any, nbytes: int = 0, flags: int = 0) -> int:
        """Receive as file objects do; an overdrawn budget looks like the end of the stream."""
        count = super().recv_into(buffer, nbytes, flags)
        self.budget -= count
        return count if self.budget > 0 else 0

    def cut(self) -> None:
        """End the connection for whoever reads or writes it, from any thread."""
        try:
            self.shutdown(socket.SHUT_RDWR)
        except OSError:
            self.close()


def dial(address: str, port: int, timeout: float, adopt: Callable[["Wire"], None]) -> Wire:
    """Connect to the first address that answers, within `timeout` seconds in all.

    `adopt` is told of every socket before it connects, so that another thread can cut it. Raises
    `Unreachable` that names the place and what went wrong with the last address.
    """
    where = place(address, port)
    end = time.monotonic() + timeout
    targets = _resolve(address, port, timeout)
    failure = Unreachable(f"the name {address!r} has no address")
    for count, (family, kind, protocol, _, target) in enumerate(targets):
        wire = Wire(family, kind, protocol)
        adopt(wire)
        wire.settimeout(max(end - time.monotonic(), 0.1) / (len(targets) - count))
        try:
            _connect(wire, target, where, timeout)
        except Unreachable as error:
            failure = error
            wire.close()
        else:
            return wire
    raise failure


def _resolve(address: str, port: int, timeout: float) -> list[Any]:
    """The addresses behind a name; a resolver that hangs is left behind in its own thread."""
    with contextlib.suppress(OSError, UnicodeError):
        return socket.getaddrinfo(address, port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)
    answer: queue.SimpleQueue[list[Any] | Exception] = queue.SimpleQueue()
    threading.Thread(target=_look_up, args=(address, port, answer), name="resolver", daemon=True).start()
    try:
        found = answer.get(timeout=timeout)
    except queue.Empty:
        raise Unreachable(f"the name {address!r} was not resolved within {timeout:.3g} s (DNS)") from None
    if isinstance(found, Exception):
        raise Unreachable(f"the name {address!r} could not be resolved: {_words(found)}") from found
    return found


def _look_up(address: str, port: int, answer: "queue.SimpleQueue[list[Any] | Exception]") -> None:
    try:
        answer.put(socket.getaddrinfo(address, port, type=socket.SOCK_STREAM))
    except (OSError, UnicodeError) as error:
        answer.put(error)


def _connect(wire: Wire, target: Any, place: str, timeout: float) -> None:
    """Connect within the wire's share of the `timeout`."""
    try:
        wire.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        wire.connect(target)
    except TimeoutError as error:
        raise Unreachable(f"no answer from {place} within {timeout:.3g} s (TCP connect)") from error
    except ConnectionRefusedError as error:
        raise Unreachable(f"connection refused by {place}") from error
    except OSError as error:
        raise Unreachable(f"{place} is unreachable: {_words(error)}") from error


def await_banner(line: Line, place: str, timeout: float) -> None:
    """Wait until the server introduces itself as SSH, without taking the words off the line."""
    end = time.monotonic() + timeout
    said = b""
    while not BANNER.search(said):
        left = end - time.monotonic()
        if said and (left <= 0 or len(said) >= BANNER_LIMIT):
            raise HostError(f"{place} does not speak SSH; it said {one_line(said, 80)!r}")
        line.settimeout(max(left, POLL))
        said += _heard(line, place, timeout, said)
    line.unread(said)


def _heard(line: Line, place: str, timeout: float, said: bytes) -> bytes:
    try:
        heard = line.recv(BANNER_LIMIT)
    except TimeoutError as error:
        if said:
            return b""
        raise HostError(f"{place} sent no SSH banner within {timeout:.3g} s (banner timeout)") from error
    except OSError as error:
        raise HostError(f"{place} dropped the connection before its banner: {_words(error)}") from error
    if not heard:
        before = f" (it said {one_line(said, 80)!r})" if said else ""
        raise HostError(f"{place} closed the connection before its banner{before}")
    return heard


def _words(error: Exception) -> str:
    if isinstance(error, socket.gaierror) and len(error.args) > 1:
        return str(error.args[1])
    number = getattr(error, "errno", None)
    return os.strerror(number) if isinstance(number, int) and number > 0 else str(error)

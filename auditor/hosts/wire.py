"""The TCP connection under an SSH session: bounded in time and bytes, and acknowledged at once."""

import os
import socket
import time
from collections.abc import Callable
from typing import Any

from auditor.errors import HostError
from auditor.text import one_line

QUICKACK: int | None = getattr(socket, "TCP_QUICKACK", None)
BANNER = b"SSH-"
BANNER_PEEK = 1024
POLL = 0.01


class Wire(socket.socket):
    """A socket that acknowledges at once and takes no more than `budget` bytes.

    Linux delays acknowledgements by some 40 ms, which a server with Nagle's algorithm waits for.
    """

    budget: int = 256 * 1024

    def recv(self, size: int, flags: int = 0) -> bytes:
        """Receive; an overdrawn budget looks like the end of the stream."""
        data = super().recv(size, flags)
        self.budget -= len(data)
        if QUICKACK is not None:
            self.setsockopt(socket.IPPROTO_TCP, QUICKACK, 1)
        return data if self.budget > 0 else b""

    def cut(self) -> None:
        """End the connection for whoever reads or writes it, from any thread."""
        try:
            self.shutdown(socket.SHUT_RDWR)
        except OSError:
            self.close()


def dial(address: str, port: int, timeout: float, adopt: Callable[["Wire"], None]) -> Wire:
    """Connect to the first address that answers, within `timeout` seconds in all.

    `adopt` is told of every socket before it connects, so that another thread can cut it. Raises
    `HostError` that names the place and what went wrong with the last address.
    """
    place = f"{address}:{port}"
    end = time.monotonic() + timeout
    targets = _resolve(address, port)
    failure = HostError(f"the name {address!r} has no address")
    for count, (family, kind, protocol, _, target) in enumerate(targets):
        wire = Wire(family, kind, protocol)
        adopt(wire)
        try:
            _connect(wire, target, place, max(end - time.monotonic(), 0.1) / (len(targets) - count))
        except HostError as error:
            failure = error
            wire.close()
        else:
            return wire
    raise failure


def _resolve(address: str, port: int) -> list[Any]:
    try:
        return socket.getaddrinfo(address, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise HostError(f"the name {address!r} could not be resolved: {_words(error)}") from error


def _connect(wire: Wire, target: Any, place: str, timeout: float) -> None:
    wire.settimeout(timeout)
    try:
        wire.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        wire.connect(target)
    except TimeoutError as error:
        raise HostError(f"no answer from {place} within {timeout:.3g} s (TCP connect)") from error
    except ConnectionRefusedError as error:
        raise HostError(f"connection refused by {place}") from error
    except OSError as error:
        raise HostError(f"{place} is unreachable: {_words(error)}") from error


def await_banner(wire: Wire, place: str, timeout: float) -> None:
    """Wait until the server introduces itself as SSH, without taking the words off the line."""
    end = time.monotonic() + timeout
    said = b""
    while not (said.startswith(BANNER) or b"\n" + BANNER in said):
        wire.settimeout(max(end - time.monotonic(), POLL))
        seen = _peek(wire, place, timeout, said)
        if time.monotonic() >= end or len(seen) >= BANNER_PEEK:
            raise HostError(f"{place} does not speak SSH; it said {one_line(seen, 80)!r}")
        if len(seen) == len(said):
            time.sleep(POLL)
        said = seen


def _peek(wire: Wire, place: str, timeout: float, said: bytes) -> bytes:
    try:
        seen = socket.socket.recv(wire, BANNER_PEEK, socket.MSG_PEEK)
    except TimeoutError as error:
        raise HostError(f"{place} sent no SSH banner within {timeout:.3g} s (banner timeout)") from error
    except OSError as error:
        raise HostError(f"{place} dropped the connection before its banner: {_words(error)}") from error
    if not seen:
        heard = f" (it said {one_line(said, 80)!r})" if said else ""
        raise HostError(f"{place} closed the connection before its banner{heard}")
    return seen


def _words(error: Exception) -> str:
    if isinstance(error, socket.gaierror) and len(error.args) > 1:
        return str(error.args[1])
    number = getattr(error, "errno", None)
    return os.strerror(number) if isinstance(number, int) and number > 0 else str(error)

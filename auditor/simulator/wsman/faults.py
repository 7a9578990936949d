"""What goes wrong with a guest, and when; may be changed while the server runs."""

import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum

EVERY_GUEST = "*"


class Kind(StrEnum):
    """A way to go wrong."""

    REFUSE = "refuse"  # no one listens
    SLOW_HANDSHAKE = "slow-handshake"  # TLS starts after `seconds`
    EXPIRED = "expired"  # the certificate of new connections
    WRONG_NAME = "wrong-name"
    UNTRUSTED = "untrusted"
    STALL = "stall"  # takes the request, never answers
    DROP = "drop"  # closes the connection instead of answering
    REJECT = "reject"  # 401, whoever asks
    SERVER_ERROR = "server-error"  # 500 in plain text
    MALFORMED = "malformed"  # 200 with half an envelope
    QUOTA = "quota"  # no further shell
    SHELL_GONE = "shell-gone"  # the shell is lost before the request is looked at
    HANG = "hang"  # the command never ends
    HUGE_OUTPUT = "huge-output"  # the command prints `size` bytes
    SLOW_OUTPUT = "slow-output"  # `size` bytes an answer, `seconds` apart


ANSWERING = frozenset({Kind.STALL, Kind.DROP, Kind.REJECT, Kind.SERVER_ERROR, Kind.MALFORMED})
COMMANDS = frozenset({Kind.HANG, Kind.HUGE_OUTPUT, Kind.SLOW_OUTPUT})
CERTIFICATES = frozenset({Kind.EXPIRED, Kind.WRONG_NAME, Kind.UNTRUSTED})


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that goes wrong: `times` times (None: for ever) after `after` occasions went well.

    The kinds that spoil an answer strike before signing in, at any request; with `operation` (Create,
    Command, Send, Receive, Signal, Delete) they strike after that operation was carried out. SHELL_GONE
    takes an `operation` too.
    """

    kind: Kind
    operation: str = ""
    after: int = 0
    times: int | None = None
    seconds: float = 3600.0
    size: int = 4_000_000


class _Counted:
    def __init__(self, fault: Fault) -> None:
        self.fault = fault
        self._seen = 0

    def strikes(self) -> bool:
        self._seen += 1
        turn = self._seen - self.fault.after
        return turn > 0 and (self.fault.times is None or turn <= self.fault.times)


class Faults:
    """The faults of every guest, by its address."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._of: dict[str, list[_Counted]] = {}
        self._watchers: list[Callable[[], None]] = []

    def add(self, fault: Fault, guest: str = EVERY_GUEST) -> None:
        """Let a fault strike a guest from now on; returns when the server knows."""
        with self._lock:
            self._of.setdefault(guest, []).append(_Counted(fault))
        self._tell()

    def clear(self, guest: str | None = None) -> None:
        """Take back the faults of one guest, or all of them."""
        with self._lock:
            if guest is None:
                self._of.clear()
            else:
                self._of.pop(guest, None)
        self._tell()

    def watch(self, watcher: Callable[[], None]) -> None:
        """Have `watcher` called after each change, in the thread that changes."""
        self._watchers.append(watcher)

    def unwatch(self, watcher: Callable[[], None]) -> None:
        """End `watch`."""
        self._watchers.remove(watcher)

    def has(self, guest: str, kind: Kind) -> bool:
        """Whether a guest has a fault of this kind, without counting an occasion."""
        with self._lock:
            return any(counted.fault.kind is kind for counted in self._candidates(guest))

    def take(
        self, guest: str, kinds: Iterable[Kind], operation: str = "", *, any_operation: bool = False
    ) -> Fault | None:
        """Count an occasion; the fault that strikes it, if one does.

        A fault that names an operation strikes only there; one that names none strikes where no operation
        is given, and everywhere with `any_operation`.
        """
        if not self._of:
            return None
        wanted = {operation, ""} if any_operation else {operation}
        with self._lock:
            for counted in self._candidates(guest):
                fault = counted.fault
                if fault.kind in kinds and fault.operation in wanted and counted.strikes():
                    return fault
        return None

    def _candidates(self, guest: str) -> list[_Counted]:
        return [*self._of.get(guest, ()), *self._of.get(EVERY_GUEST, ())]

    def _tell(self) -> None:
        for watcher in tuple(self._watchers):
            watcher()

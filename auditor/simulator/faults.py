"""Faults on the wire: what the server does instead of, or to, its proper answer."""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field


@dataclass(slots=True)
class Fault:
    """One misbehaviour for requests whose path and query match `path_regex` (case-insensitive search).

    `status` answers with `body` (or the usual error body of that status) and `headers`; `deny` is the
    403 that names the action and the scope; the other switches spoil the proper answer. The first
    `after` matching requests pass, then `times` requests (None: all) are hit. `delay_s` is in seconds.
    """

    path_regex: str
    method: str | None = "GET"
    status: int | None = None
    body: bytes | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    deny: bool = False
    drop_connection: bool = False
    truncate_json: bool = False
    next_link_loop: bool = False
    delay_s: float = 0.0
    hang: bool = False
    times: int | None = None
    after: int = 0
    hits: int = 0

    def takes(self, method: str, target: str) -> bool:
        """Whether this fault hits the request; counts it."""
        if self.method not in (None, method) or not re.search(self.path_regex, target, re.IGNORECASE):
            return False
        if self.after > 0:
            self.after -= 1
            return False
        if self.times is not None:
            if self.times <= 0:
                return False
            self.times -= 1
        self.hits += 1
        return True


class Faults:
    """The faults of a server; may be changed while it serves."""

    def __init__(self, faults: Iterable[Fault] = ()) -> None:
        self._faults = list(faults)

    def __iter__(self) -> Iterator[Fault]:
        return iter(self._faults)

    def add(self, *faults: Fault) -> None:
        """Add faults; the first that takes a request wins."""
        self._faults.extend(faults)

    def clear(self) -> None:
        """Behave again."""
        self._faults.clear()

    def take(self, method: str, target: str) -> Fault | None:
        """The fault that hits this request, if any."""
        for fault in self._faults:
            if fault.takes(method, target):
                return fault
        return None

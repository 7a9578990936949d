"""The agents of guests as Azure hears them: each that runs reports, again and again, until the end."""

import threading
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Self

Agents = Mapping[str, Callable[[], str | None]]
"""By the id of a VM, the version of the agent that runs in it now; None while none does."""
Report = Callable[[str, str | None], None]


class Heartbeats:
    """Reports the agents that run, `every` so many seconds, while it is entered."""

    def __init__(self, report: Report, agents: Agents, every: float = 0.3) -> None:
        self._report = report
        self._agents = agents
        self._every = every
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="heartbeats", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()

    def _beat(self) -> None:
        while not self._over.wait(self._every):
            for vm, running in self._agents.items():
                version = running()
                if version is not None:
                    self._report(vm, version)

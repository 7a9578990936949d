"""What both clients share: how many work at once, and the cost of each phase of this process."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import orjson

AT_ONCE = 64

T = TypeVar("T")


class Phases:
    """Processor and wall seconds of the phases of this process."""

    def __init__(self) -> None:
        self._costs: dict[str, dict[str, float]] = {}

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Measure what is done inside; all threads and system time count."""
        wall, cpu = time.perf_counter(), time.process_time()
        yield
        self._costs[name] = {"cpu": time.process_time() - cpu, "wall": time.perf_counter() - wall}

    def print(self) -> None:
        """Hand the figures to the process that started this one."""
        print(orjson.dumps(self._costs).decode(), flush=True)


async def for_each(items: Iterable[T], work: Callable[[T], Awaitable[None]]) -> None:
    """Work on all items, `AT_ONCE` of them at a time."""
    queue = iter(items)

    async def worker() -> None:
        for item in queue:
            await work(item)

    await asyncio.gather(*(worker() for _ in range(AT_ONCE)))

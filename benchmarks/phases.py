"""What both clients share: how many requests go at once, and turns whose cost is counted."""

import asyncio
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager
from typing import TypeVar

import orjson

AT_ONCE = 64
LISTS = 5
SLICE = 500

T = TypeVar("T")


class Phases:
    """Processor and wall seconds of this process by phase; each turn waits for a line of input.

    Two clients that take turns meet the same weather on a busy machine.
    """

    def __init__(self) -> None:
        self._costs: dict[str, dict[str, float]] = {}

    @asynccontextmanager
    async def turn(self, phase: str) -> AsyncIterator[None]:
        """Say that this client is ready, wait for its turn, and add what is done inside to the phase."""
        print(flush=True)
        await asyncio.to_thread(sys.stdin.readline)
        wall, cpu = time.perf_counter(), time.process_time()
        yield
        costs = self._costs.setdefault(phase, {"cpu": 0.0, "wall": 0.0})
        costs["cpu"] += time.process_time() - cpu
        costs["wall"] += time.perf_counter() - wall

    def print(self) -> None:
        """Hand the figures to the process that started this one."""
        print(orjson.dumps(self._costs).decode(), flush=True)


def slices(items: Sequence[T]) -> Iterator[Sequence[T]]:
    """The items of each turn."""
    return (items[start : start + SLICE] for start in range(0, len(items), SLICE))


async def for_each(items: Iterable[T], work: Callable[[T], Awaitable[None]]) -> None:
    """Work on all items, `AT_ONCE` of them at a time."""
    queue = iter(items)

    async def worker() -> None:
        for item in queue:
            await work(item)

    await asyncio.gather(*(worker() for _ in range(AT_ONCE)))

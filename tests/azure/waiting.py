"""A clock that moves only when somebody sleeps."""

import asyncio


class Waiting:
    """The gate's clock and sleep: sleeping takes no time and is written down (seconds)."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.slept: list[float] = []

    def clock(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds
        await asyncio.sleep(0)

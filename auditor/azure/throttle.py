"""One fleet-wide gate: nobody sends what a bucket has no room for, and everybody waits out a 429.

A lane is a token bucket that the client keeps in step with the service: the documented size and
refill (`traffic.py`), corrected by every remaining-quota header. A request passes all its lanes, in
order of arrival, before it takes a connection.
"""

import asyncio
import logging
import math
import random
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass

from auditor.azure.retry_after import hint_of, remaining_of
from auditor.errors import Throttled

logger = logging.getLogger(__name__)

MAX_WAIT = 900.0
_WORTH_SAYING = 3.0
_SLICE = 5.0
_PLENTY = 1000
_SAMPLE = 16
_BACKOFF = (1.0, 2.0, 4.0, 8.0, 15.0, 30.0)

Clock = Callable[[], float]
Sleep = Callable[[float], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Quota:
    """How many requests may go at once (`burst`) and how many per second after that.

    `policy` is the name by which the service's headers count it.
    """

    policy: str
    burst: float
    per_second: float


@dataclass(frozen=True, slots=True)
class LaneKey:
    """A quota and what it is counted for, such as a subscription and a region."""

    quota: Quota
    scope: tuple[str, ...]

    def __str__(self) -> str:
        return " ".join((self.quota.policy, *filter(None, self.scope)))


class Lane:
    """The client's picture of one bucket; times are seconds of the gate's clock."""

    __slots__ = (
        "_capacity",
        "_level",
        "_stamp",
        "in_flight",
        "kept",
        "key",
        "queue",
        "resume",
        "since",
        "waiting",
    )

    def __init__(self, key: LaneKey, now: float) -> None:
        self.key = key
        self._capacity = self._level = key.quota.burst
        self._stamp = now
        self.resume = now
        self.since: float | None = None
        self.in_flight = self.waiting = self.kept = 0
        self.queue = asyncio.Lock()

    def delay(self, now: float, places: float = 1) -> float:
        """Seconds until so many further requests have room, beside the places that are kept."""
        self._refill(now)
        missing = places + self.kept - self._level
        start = max(self.resume - now, 0.0)
        return start + missing / self.key.quota.per_second if missing > 0 else start

    def places_before(self) -> float:
        """The places of those who wait already, as far as the bucket can hold them beside what is kept."""
        return min(self.waiting, self._capacity - self.kept)

    @property
    def plenty(self) -> bool:
        """Whether the bucket is so full that not every answer's headers need reading."""
        return self._level > _PLENTY

    def take(self) -> None:
        """Use one place; ask `delay` first."""
        self._level -= 1
        self.in_flight += 1

    def observe(self, remaining: float, now: float) -> None:
        """Believe the service: so many are left, and those in flight may not be counted yet."""
        self._refill(now)
        self._capacity = max(self._capacity, remaining)
        self._level = max(remaining - self.in_flight, 0.0)

    def pause(self, seconds: float, now: float) -> None:
        """A 429: let nobody through for so long, then one, then at the refill rate."""
        self._refill(now)
        self.since = now if self.since is None else self.since
        self.resume = max(self.resume, now + seconds)
        self._level, self._stamp = 1.0, self.resume

    def _refill(self, now: float) -> None:
        if now > self._stamp:
            self._level = min(self._capacity, self._level + (now - self._stamp) * self.key.quota.per_second)
            self._stamp = now


class Gate:
    """All lanes of a run. Clock, sleep and randomness come from outside so that tests need no time."""

    def __init__(
        self,
        *,
        max_wait: float = MAX_WAIT,
        clock: Clock = time.monotonic,
        sleep: Sleep = asyncio.sleep,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self.max_wait = max_wait
        self.clock = clock
        self.sleep = sleep
        self._chance = chance
        self._lanes: dict[LaneKey, Lane] = {}
        self._answers = 0

    async def enter(self, keys: Sequence[LaneKey], deadline: float) -> list[Lane]:
        """Take a place in every lane, in turn; give them back with `leave`.

        Raises `Throttled` when the wait would go past the deadline (the gate's clock).
        """
        taken: list[Lane] = []
        try:
            for key in keys:
                lane = self._lane(key)
                await self._enter(lane, deadline)
                taken.append(lane)
        except BaseException:
            self.leave(taken)
            raise
        return taken

    async def room(self, wanted: Mapping[LaneKey, int], max_pause: float) -> None:
        """Wait until every lane has room for so many requests at once, or is full; none is taken.

        Nobody who comes later gets ahead. Raises `Throttled` for a wait of more than `max_wait` seconds, and
        for a refusal by the service that lasts longer than `max_pause`.
        """
        deadline = self.clock() + self.max_wait
        lanes = [self._lane(key) for key in wanted]
        for lane in lanes:
            lane.kept += wanted[lane.key]
        try:
            for lane in lanes:
                await self._make_room(lane, deadline, max_pause)
        finally:
            for lane in lanes:
                lane.kept -= wanted[lane.key]

    async def _make_room(self, lane: Lane, deadline: float, max_pause: float) -> None:
        if lane.resume > self.clock() + max_pause:
            deadline = self.clock() + max_pause
        await self._wait(lane, deadline, lane.places_before)

    def leave(self, lanes: Sequence[Lane], headers: Mapping[str, str] | None = None) -> None:
        """A request is over; with an answer, take its remaining-quota headers to heart."""
        self._answers += 1
        sampled = not self._answers % _SAMPLE
        for lane in lanes:
            lane.in_flight -= 1
            if headers is None:
                continue
            lane.since = None
            if sampled or not lane.plenty:
                remaining = remaining_of(headers, lane.key.quota.policy)
                if remaining is not None:
                    lane.observe(remaining, self.clock())

    def refused(self, lanes: Sequence[Lane], headers: Mapping[str, str], body: str, times: int) -> None:
        """A request ended with a 429: pause the lanes that it is about, for everybody."""
        hint = hint_of(headers, body)
        seconds = hint if hint is not None else _BACKOFF[min(times, len(_BACKOFF) - 1)]
        seconds += self._chance() * min(1.0, 0.1 + seconds * 0.1)
        self.leave(lanes)
        empty = [lane for lane in lanes if remaining_of(headers, lane.key.quota.policy) == 0]
        for lane in empty or lanes[:1]:
            lane.pause(seconds, self.clock())

    def _lane(self, key: LaneKey) -> Lane:
        return self._lanes.get(key) or self._lanes.setdefault(key, Lane(key, self.clock()))

    async def _enter(self, lane: Lane, deadline: float) -> None:
        now = self.clock()
        if not lane.queue.locked() and lane.delay(now) <= 0:
            lane.take()
            return
        self._refuse_if_hopeless(lane, now, deadline, lane.waiting + 1)
        lane.waiting += 1
        try:
            async with lane.queue:
                await self._wait(lane, deadline, lambda: 1)
                lane.take()
        finally:
            lane.waiting -= 1

    async def _wait(self, lane: Lane, deadline: float, places: Callable[[], float]) -> None:
        if (wait := lane.delay(self.clock(), places())) > _WORTH_SAYING:
            logger.warning("waiting %d s for Azure: %s has no room for more requests", wait, lane.key)
        while (wait := lane.delay(now := self.clock(), places())) > 0:
            self._refuse_if_hopeless(lane, now, deadline, places())
            await self.sleep(min(wait, _SLICE) + 0.001)

    def _refuse_if_hopeless(self, lane: Lane, now: float, deadline: float, places: float) -> None:
        wait = lane.delay(now, places)
        if now + wait > deadline:
            raise Throttled(
                f"Azure throttles {lane.key}: the next request could go in {math.ceil(wait)} s, "
                f"and it is waited for {math.ceil(max(deadline - now, 0))} s at most"
            )
        if lane.since is not None and now - lane.since > self.max_wait:
            raise Throttled(
                f"Azure has throttled {lane.key} for {math.ceil(now - lane.since)} s without a break"
            )

"""The gate: buckets, headers, 429s and the bound on waiting, on a clock that only sleeping moves."""

import asyncio
import math
from collections.abc import Awaitable, Callable, Mapping

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from auditor.azure.retry_after import hint_of, remaining_of
from auditor.azure.throttle import Gate, LaneKey, Quota
from auditor.errors import Throttled
from tests.azure.waiting import Waiting

SMALL = LaneKey(Quota("LowCostGet", 10, 2.0), ("sub", "westeurope"))
OTHER = LaneKey(Quota("LowCostGet", 10, 2.0), ("sub", "northeurope"))
READS = LaneKey(Quota("ArmReads", math.inf, 25), ("sub",))


class Service:
    """A token bucket on the other side, which counts what it has to refuse."""

    def __init__(self, clock: Callable[[], float], burst: float, per_second: float) -> None:
        self.clock, self.burst, self.per_second = clock, burst, per_second
        self.level, self.at = burst, clock()
        self.refused = 0

    def serve(self) -> bool:
        now = self.clock()
        self.level = min(self.burst, self.level + (now - self.at) * self.per_second)
        self.at = now
        if self.level < 0.99:
            self.refused += 1
            return False
        self.level -= 1
        return True


def make_gate(waiting: Waiting, max_wait: float = 900.0) -> Gate:
    return Gate(max_wait=max_wait, clock=waiting.clock, sleep=waiting.sleep, chance=lambda: 0.0)


async def request(gate: Gate, *lanes: LaneKey, headers: Mapping[str, str] | None = None) -> None:
    places = await gate.enter(lanes, gate.clock() + gate.max_wait)
    gate.leave(places, headers or {})


async def refuse(gate: Gate, *lanes: LaneKey, headers: Mapping[str, str], body: str = "") -> None:
    places = await gate.enter(lanes, gate.clock() + gate.max_wait)
    gate.refused(places, headers, body, 0)


def run(scenario: Callable[[], Awaitable[None]]) -> None:
    asyncio.run(scenario())  # type: ignore[arg-type]


def test_a_burst_goes_at_once_and_the_rest_at_the_refill_rate() -> None:
    waiting = Waiting()
    gate = make_gate(waiting)

    async def scenario() -> None:
        for _ in range(10):
            await request(gate, SMALL)
        assert waiting.slept == []
        await request(gate, SMALL)
        assert waiting.now - 1000 == pytest.approx(0.5, abs=0.01)

    run(scenario)


def test_buckets_are_apart() -> None:
    waiting = Waiting()
    gate = make_gate(waiting)

    async def scenario() -> None:
        for _ in range(10):
            await request(gate, SMALL)
            await request(gate, OTHER)
        assert waiting.slept == []

    run(scenario)


@settings(max_examples=40, deadline=None)
@given(
    burst=st.integers(1, 40),
    per_second=st.floats(0.05, 50),
    requests=st.integers(1, 120),
    workers=st.integers(1, 16),
)
def test_no_429_is_provoked_that_the_documented_bucket_foresees(
    burst: int, per_second: float, requests: int, workers: int
) -> None:
    waiting = Waiting()
    gate = make_gate(waiting, max_wait=1e9)
    service = Service(waiting.clock, burst, per_second)
    lane = LaneKey(Quota("LowCostGet", burst, per_second), ("sub",))
    left = iter(range(requests))
    served = []

    async def worker() -> None:
        for number in left:
            places = await gate.enter((lane,), math.inf)
            assert service.serve()
            await asyncio.sleep(0)
            gate.leave(places, {})
            served.append(number)

    async def scenario() -> None:
        await asyncio.gather(*(worker() for _ in range(workers)))

    run(scenario)
    assert sorted(served) == list(range(requests))
    assert service.refused == 0


@settings(max_examples=25, deadline=None)
@given(burst=st.integers(1, 20), per_second=st.floats(0.5, 20), workers=st.integers(1, 12))
def test_a_bucket_smaller_than_documented_still_loses_nobody(
    burst: int, per_second: float, workers: int
) -> None:
    waiting = Waiting()
    gate = make_gate(waiting, max_wait=1e9)
    service = Service(waiting.clock, burst, per_second)
    served = []
    left = iter(range(25))

    async def one(number: int) -> None:
        for times in range(1000):
            places = await gate.enter((READS,), math.inf)
            if service.serve():
                headers = {"x-ms-ratelimit-remaining-subscription-reads": str(int(service.level))}
                gate.leave(places, headers)
                served.append(number)
                return
            gate.refused(places, {"Retry-After": str(math.ceil(1 / per_second))}, "", times)

    async def worker() -> None:
        for number in left:
            await one(number)

    async def scenario() -> None:
        await asyncio.gather(*(worker() for _ in range(workers)))

    run(scenario)
    assert sorted(served) == list(range(25))


def test_a_remaining_count_slows_down_before_it_is_zero() -> None:
    waiting = Waiting()
    gate = make_gate(waiting)
    headers = {"x-ms-ratelimit-remaining-resource": "Microsoft.Compute/LowCostGetSubscriptionMaximum;1"}

    async def scenario() -> None:
        await request(gate, SMALL, headers=headers)
        await request(gate, SMALL)
        assert waiting.slept == []
        await request(gate, SMALL)
        assert waiting.slept

    run(scenario)


def test_a_remaining_count_above_the_documented_bucket_is_believed() -> None:
    waiting = Waiting()
    gate = make_gate(waiting)
    lane = LaneKey(Quota("Microsoft.RecoveryServices/Vaults/backupJobs/read", 150, 150 / 3600), ("sub",))
    headers = {"x-ms-ratelimit-remaining-subscription-resource-requests": "400"}

    async def scenario() -> None:
        await request(gate, lane, headers=headers)
        for _ in range(400):
            await request(gate, lane)
        assert waiting.slept == []

    run(scenario)


def test_a_429_stops_everybody_on_that_bucket_and_nobody_else() -> None:
    waiting = Waiting()
    gate = make_gate(waiting)

    async def scenario() -> None:
        await refuse(gate, SMALL, READS, headers={"Retry-After": "30"})
        await request(gate, OTHER)
        assert waiting.slept == []
        await asyncio.gather(*(request(gate, SMALL) for _ in range(5)))
        # the first at the end of the pause, the others at the refill rate: no stampede
        assert waiting.now - 1000 >= 30 + 4 * 0.5

    run(scenario)


def test_a_429_about_one_resource_leaves_the_subscription_open() -> None:
    waiting = Waiting()
    gate = make_gate(waiting)
    one = LaneKey(Quota("LowCostGetResource", 36, 0.2), ("vm-1",))
    two = LaneKey(Quota("LowCostGetResource", 36, 0.2), ("vm-2",))
    headers = {
        "Retry-After": "60",
        "x-ms-ratelimit-remaining-resource": "Microsoft.Compute/LowCostGetSubscriptionMaximum;9,"
        "Microsoft.Compute/LowCostGetResource;0",
    }

    async def scenario() -> None:
        await refuse(gate, SMALL, one, headers=headers)
        await request(gate, SMALL, two)
        assert waiting.slept == []
        await request(gate, SMALL, one)
        assert waiting.now - 1000 >= 60

    run(scenario)


def test_waiting_has_a_bound() -> None:
    waiting = Waiting()
    gate = make_gate(waiting, max_wait=60)

    async def scenario() -> None:
        await refuse(gate, SMALL, headers={"Retry-After": "3600"})
        with pytest.raises(Throttled, match=r"LowCostGet sub westeurope.*3600 s.*60 s at most"):
            await request(gate, SMALL)
        assert waiting.slept == []

    run(scenario)


def test_a_service_that_never_stops_refusing_is_given_up() -> None:
    waiting = Waiting()
    gate = make_gate(waiting, max_wait=100)

    async def refused_for_ever() -> None:
        while True:
            await refuse(gate, SMALL, headers={"Retry-After": "20"})

    async def scenario() -> None:
        with pytest.raises(Throttled):
            await refused_for_ever()
        assert 100 <= waiting.now - 1000 <= 200
        for _ in range(100):
            with pytest.raises(Throttled):
                await request(gate, SMALL)
        assert waiting.now - 1000 <= 200

    run(scenario)


def test_those_who_wait_go_in_the_order_of_arrival() -> None:
    waiting = Waiting()
    gate = make_gate(waiting)
    order: list[int] = []

    async def one(number: int) -> None:
        await request(gate, SMALL)
        order.append(number)

    async def scenario() -> None:
        for _ in range(10):
            await request(gate, SMALL)
        await asyncio.gather(*(one(number) for number in range(8)))

    run(scenario)
    assert order == list(range(8))


def test_a_cancelled_waiter_leaves_no_trace() -> None:
    waiting = Waiting()
    gate = make_gate(waiting)

    async def scenario() -> None:
        await refuse(gate, SMALL, headers={"Retry-After": "600"})
        task = asyncio.create_task(request(gate, OTHER, SMALL))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await request(gate, SMALL)
        assert [lane.in_flight for lane in gate._lanes.values()] == [0, 0]

    run(scenario)


def test_room_for_many_is_waited_for_and_nobody_who_comes_later_takes_it() -> None:
    waiting = Waiting()
    gate = make_gate(waiting)
    late: list[float] = []

    async def latecomer() -> None:
        await request(gate, SMALL)
        late.append(waiting.now - 1000)

    async def scenario() -> None:
        await gate.room({SMALL: 8, READS: 60}, 10)
        assert waiting.slept == []
        for _ in range(9):
            await request(gate, SMALL)
        room = asyncio.create_task(gate.room({SMALL: 8}, 10))
        await asyncio.sleep(0)
        tasks = [asyncio.create_task(latecomer()) for _ in range(3)]
        await room
        assert 3.5 <= waiting.now - 1000 < 6
        for _ in range(8):
            await request(gate, SMALL)
        await asyncio.gather(*tasks)

    run(scenario)
    assert min(late) >= 3.5


def test_room_for_more_than_a_bucket_holds_is_a_full_bucket() -> None:
    waiting = Waiting()
    gate = make_gate(waiting)

    async def scenario() -> None:
        for _ in range(10):
            await request(gate, SMALL)
        await gate.room({SMALL: 25}, 10)
        assert waiting.now - 1000 == pytest.approx(5, abs=0.1)

    run(scenario)


@pytest.mark.parametrize(("refusal", "words"), [("60", "10 s at most"), ("8", None)])
def test_room_is_waited_for_while_a_bucket_fills_and_not_while_the_service_refuses(
    refusal: str, words: str | None
) -> None:
    waiting = Waiting()
    gate = make_gate(waiting)

    async def scenario() -> None:
        await refuse(gate, SMALL, headers={"Retry-After": refusal})
        if words is None:
            await gate.room({SMALL: 9}, 10)
            return
        with pytest.raises(Throttled, match=words):
            await gate.room({SMALL: 9}, 10)
        assert waiting.slept == []
        assert [lane.kept for lane in gate._lanes.values()] == [0]

    run(scenario)


@pytest.mark.parametrize(
    ("headers", "body", "seconds"),
    [
        ({"Retry-After": "17"}, "", 17),
        ({"Retry-After": "0.5"}, "", 0.5),
        ({"Retry-After": "0"}, "try again after 9 seconds", 0),
        ({"retry-after-ms": "250", "Retry-After": "9"}, "", 0.25),
        ({"x-ms-retry-after-ms": "1500"}, "", 1.5),
        ({"Retry-After": "Thu, 01 Jan 1970 00:00:00 GMT"}, "", 0),
        ({"Retry-After": "soon"}, "", None),
        ({"Retry-After": "-5"}, "", None),
        ({"Retry-After": "inf"}, "", None),
        ({}, "exceeded '150' for interval '01:00:00'. Please try again after '324' seconds.", 324),
        ({}, "limit 150 per 01:00:00, try again after 324 seconds", 324),
        ({}, "Please retry after 5 minutes.", 300),
        ({}, "The request was throttled.", None),
        ({}, "", None),
    ],
)  # fmt: skip
def test_how_long_to_wait(headers: dict[str, str], body: str, seconds: float | None) -> None:
    assert hint_of(headers, body) == seconds


@given(st.dictionaries(st.sampled_from(["Retry-After", "retry-after-ms"]), st.text()), st.text())
def test_any_header_and_message_can_be_read(headers: dict[str, str], body: str) -> None:
    hint = hint_of(headers, body)
    assert hint is None or 0 <= hint < math.inf


@pytest.mark.parametrize(
    ("policy", "headers", "remaining"),
    [
        ("LowCostGet", "Microsoft.Compute/LowCostGetSubscriptionMaximum;23998,"
         "Microsoft.Compute/LowCostGetResource;34", 23998),
        ("LowCostGetResource", "Microsoft.Compute/LowCostGetSubscriptionMaximum;23998,"
         "Microsoft.Compute/LowCostGetResource;34", 34),
        ("LowCostGet", "Microsoft.Compute/LowCostGet3Min;3997,Microsoft.Compute/LowCostGet30Min;31997", 3997),
        ("HighCostGet", "Microsoft.Compute/HighCostGetSubscriptionMaximum;899", 899),
        ("HighCostGet", "Microsoft.Compute/LowCostGet3Min;3997", None),
        ("LowCostGet", "nonsense", None),
        ("LowCostGet", "LowCostGet;many", None),
        ("LowCostGet", "", None),
    ],
)  # fmt: skip
def test_remaining_counts_are_read_loosely(policy: str, headers: str, remaining: float | None) -> None:
    assert remaining_of({"x-ms-ratelimit-remaining-resource": headers}, policy) == remaining

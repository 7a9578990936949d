"""Deadlines kept by one thread: rung in time and in order, gone when cancelled, the thread with the last."""

import queue
import threading
import time

import pytest

from auditor.hosts.alarm import THREAD, Alarm

pytestmark = pytest.mark.usefixtures("nothing_left_behind")


def threads() -> int:
    return sum(thread.name == THREAD for thread in threading.enumerate())


def test_they_ring_by_their_time_whatever_the_order_they_were_set_in() -> None:
    rung: queue.SimpleQueue[tuple[float, float]] = queue.SimpleQueue()
    start = time.monotonic()
    for seconds in (0.4, 0.1, 0.25, 0.0):
        Alarm(seconds, lambda seconds=seconds: rung.put((seconds, time.monotonic() - start)))  # type: ignore[misc]
    assert threads() == 1
    heard = [rung.get(timeout=5) for _ in range(4)]
    assert [seconds for seconds, _ in heard] == [0.0, 0.1, 0.25, 0.4]
    assert all(seconds <= at < seconds + 1 for seconds, at in heard)


def test_a_cancelled_one_does_not_ring_and_the_last_takes_the_thread_with_it() -> None:
    rung: queue.SimpleQueue[str] = queue.SimpleQueue()
    first, second = Alarm(0.2, lambda: rung.put("first")), Alarm(60, lambda: rung.put("second"))
    first.cancel()
    time.sleep(0.4)
    assert threads() == 1
    second.cancel()
    second.cancel()
    assert threads() == 0
    assert rung.empty()


def test_after_the_last_there_may_be_another() -> None:
    rung: queue.SimpleQueue[int] = queue.SimpleQueue()
    for number in range(3):
        alarm = Alarm(0.05, lambda number=number: rung.put(number))  # type: ignore[misc]
        assert rung.get(timeout=5) == number
        alarm.cancel()


def test_one_that_raises_keeps_no_other_from_ringing(caplog: pytest.LogCaptureFixture) -> None:
    rung: queue.SimpleQueue[str] = queue.SimpleQueue()
    Alarm(0.05, lambda: rung.get(block=False) and None)
    Alarm(0.1, lambda: rung.put("rung"))
    assert rung.get(timeout=5) == "rung"
    assert "could not be rung" in caplog.text


def test_one_may_cancel_itself_and_set_the_next() -> None:
    rung: queue.SimpleQueue[str] = queue.SimpleQueue()
    held: queue.SimpleQueue[Alarm] = queue.SimpleQueue()

    def ring() -> None:
        held.get(timeout=5).cancel()
        Alarm(0, lambda: rung.put("the next"))

    held.put(Alarm(0.05, ring))
    assert rung.get(timeout=5) == "the next"


def test_many_threads_set_and_cancel_them() -> None:
    rung: queue.SimpleQueue[float] = queue.SimpleQueue()

    def work() -> None:
        for number in range(200):
            alarm = Alarm(60 if number % 10 else 0.01, lambda: rung.put(time.monotonic()))
            if number % 10:
                alarm.cancel()

    workers = [threading.Thread(target=work) for _ in range(8)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert len([rung.get(timeout=5) for _ in range(8 * 20)]) == 160

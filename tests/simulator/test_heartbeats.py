"""Heartbeats: agents that run are heard again and again, the others are not."""

import threading

from auditor.simulator.heartbeats import Heartbeats


def test_only_agents_that_run_are_reported_and_one_that_starts_is_heard() -> None:
    heard: list[tuple[str, str | None]] = []
    beaten = threading.Semaphore(0)
    versions: dict[str, str | None] = {"runs": "2.13", "stopped": None}

    def report(vm: str, version: str | None) -> None:
        heard.append((vm, version))
        beaten.release()

    agents = {vm: (lambda vm=vm: versions[vm]) for vm in versions}
    with Heartbeats(report, agents, every=0.001):
        for _ in range(3):
            assert beaten.acquire(timeout=60)
        assert set(heard) == {("runs", "2.13")}
        versions["stopped"] = "2.14"
        while ("stopped", "2.14") not in heard:
            assert beaten.acquire(timeout=60)
    assert not any(thread.name == "heartbeats" for thread in threading.enumerate())

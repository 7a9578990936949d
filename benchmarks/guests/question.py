"""What every engine asks: one read-only line of sh, one line of JSON back."""

import re
import statistics
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

Host = tuple[str, int]

QUESTION = """printf '{"kernel":"%s","user":"%s"}\\n' "$(uname -r)" "$(id -un)\""""
# not the question itself, which some engines repeat when a host fails
ANSWER = re.compile(rb'\{"kernel":"[0-9]')


def is_answer(output: bytes) -> bool:
    """Whether a host answered."""
    return ANSWER.search(output) is not None


def ask_all(ask: Callable[[Host], bool], spec: Mapping[str, Any]) -> dict[str, float]:
    """Ask every host of a spec in threads: how many answered, and the median of their seconds."""

    def timed(host: Host) -> tuple[bool, float]:
        start = time.perf_counter()
        return ask(host), time.perf_counter() - start

    with ThreadPoolExecutor(spec["concurrency"]) as pool:
        done = list(pool.map(timed, ((address, port) for address, port in spec["hosts"])))
    return {
        "answered": sum(answered for answered, _ in done),
        "median": statistics.median(seconds for _, seconds in done),
    }

"""The estate in a process of its own: `python -m benchmarks.server VMS LATENCY_MS`.

Prints how to reach it as one line of JSON once it is ready, and what it served when its input ends.
"""

import asyncio
import sys
from typing import Any

import orjson

from auditor.simulator.estate import Estate, build_estate
from auditor.simulator.run import environment
from auditor.simulator.server import serve_estate
from auditor.simulator.world import Options


async def serve(estate: Estate, latency_ms: float) -> None:
    """Serve with the documented quotas enforced until standard input ends."""
    async with serve_estate(estate, options=Options(latency_ms=latency_ms)) as server:
        _say({"environment": environment(server), "first": estate.vms[0].key})
        await asyncio.to_thread(sys.stdin.read)
        _say(
            {
                "requests": dict(server.stats.requests),
                "throttled": server.stats.too_many,
                "verdicts": {key: truth.verdict for key, truth in estate.truth().items()},
            }
        )


def _say(line: dict[str, Any]) -> None:
    print(orjson.dumps(line).decode(), flush=True)


if __name__ == "__main__":
    asyncio.run(serve(build_estate(int(sys.argv[1]), seed=1), float(sys.argv[2])))

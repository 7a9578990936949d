"""The runs as a table: medians, ratios to the auditor, and what they may be."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.guests.engines import Cost

OURS = "auditor"
# how many times the auditor's own wall time another engine takes at least, or ours at most that of another
BUDGETS = {
    ("ssh2-python, threads", 0): (1 / 1.25, "at least 0.80x"),
    ("pyinfra exec", 0): (1.5, "at least 1.50x"),
    ("ansible raw, its defaults", 0): (5.0, "at least 5.00x"),
}
CPU_BUDGET = 4.5
TIMEOUT, MARGIN = 5.0, 1.0


@dataclass(frozen=True, slots=True)
class Run:
    """One engine over all hosts, `dead` of them dead."""

    engine: str
    dead: int
    cost: Cost


def table(title: str, runs: Sequence[Run], hosts: int) -> str:
    """Markdown: one row per engine and number of dead hosts."""
    lines = [
        f"| {title}, {hosts} hosts | dead | wall | against the auditor | CPU per host | answered | budget |",
        "|---|---|---|---|---|---|---|",
    ]
    for engine, dead in dict.fromkeys((run.engine, run.dead) for run in runs):
        lines.append(_row(title, engine, dead, runs, hosts))
    return "\n".join(lines)


def _row(title: str, engine: str, dead: int, runs: Sequence[Run], hosts: int) -> str:
    mine = _costs(runs, engine, dead)
    ratio = statistics.median(
        one.wall / ours.wall for one, ours in zip(mine, _costs(runs, OURS, dead), strict=True)
    )
    wall = statistics.median(cost.wall for cost in mine)
    cpu = statistics.median(cost.cpu for cost in mine) * 1000 / hosts
    answered = min(cost.answered for cost in mine)
    cells = [
        engine,
        str(dead),
        f"{wall:.2f} s",
        f"{ratio:.2f}x",
        f"{cpu:.1f} ms",
        f"{answered} of {hosts - dead}",
        _budget(engine, dead, ratio) or _own_budget(title, engine, dead, cpu, _later(runs, engine)),
    ]
    return f"| {' | '.join(cells)} |"


def _budget(engine: str, dead: int, ratio: float) -> str:
    limit = BUDGETS.get((engine, dead))
    return _verdict(limit[1], ratio >= limit[0]) if limit else ""


def _own_budget(title: str, engine: str, dead: int, cpu: float, later: float) -> str:
    if engine == OURS and dead:
        return _verdict(f"{later:.1f} s later, at most {TIMEOUT + MARGIN:g} s", later <= TIMEOUT + MARGIN)
    if engine == OURS and title == "SSH":
        return _verdict(f"CPU at most {CPU_BUDGET} ms", cpu <= CPU_BUDGET)
    return ""


def _later(runs: Sequence[Run], engine: str) -> float:
    """How much longer the run takes with dead hosts in it."""
    walls: dict[bool, list[float]] = {True: [], False: []}
    for run in runs:
        if run.engine == engine:
            walls[run.dead > 0].append(run.cost.wall)
    if not walls[True] or not walls[False]:
        return 0.0
    return statistics.median(walls[True]) - statistics.median(walls[False])


def _verdict(limit: str, kept: bool) -> str:
    return limit if kept else f"{limit}, missed"


def _costs(runs: Sequence[Run], engine: str, dead: int) -> list[Cost]:
    return [run.cost for run in runs if run.engine == engine and run.dead == dead]

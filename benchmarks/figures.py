"""The figures of a run against their budgets, as a table for the terminal and for docs/performance.md."""

import re
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from benchmarks.phases import LISTS
from benchmarks.processes import Audited, Costs, Server

MARKS = ("<!-- measured: start -->", "<!-- measured: end -->")
OPEN_BUDGET = 1.5


@dataclass(frozen=True, slots=True)
class Round:
    """One comparison and one audit, each in fresh processes with a fresh server."""

    bare: Costs
    ours: Costs
    audit: Audited
    served: Server
    browser: Mapping[str, float] | None


@dataclass(frozen=True, slots=True)
class Figure:
    """One row: how it is read from a round, how it is written, and the most it may be."""

    title: str
    read: Callable[[Round], float | None]
    form: str
    budget: float | None = None

    def cell(self, rounds: Sequence[Round]) -> str:
        """The median over the rounds, with the span where they differ, and a word if it is too much."""
        values = [value for value in map(self.read, rounds) if value is not None]
        if not values:
            return "not measured"
        middle, *ends = (
            self.form.format(value) for value in (statistics.median(values), min(values), max(values))
        )
        span = f" ({ends[0]} to {ends[1]})" if ends[0] != ends[1] else ""
        missed = self.budget is not None and statistics.median(values) > self.budget
        return f"{middle}{span}{', missed' if missed else ''}"

    @property
    def limit(self) -> str:
        """The budget as the row writes figures."""
        return "" if self.budget is None else f"at most {self.form.format(self.budget)}"


def _ratio(phase: str, what: str) -> Callable[[Round], float]:
    return lambda one: one.ours[phase][what] / one.bare[phase][what]


def _whole(one: Round) -> float:
    return one.audit.cpu / (one.bare["list"]["cpu"] / LISTS + one.bare["views"]["cpu"])


def _share(what: str) -> Callable[[Round], float | None]:
    return lambda one: one.browser[what] / OPEN_BUDGET if one.browser else None


def _wrong(one: Round) -> float:
    return sum(one.audit.verdicts.get(key) != verdict for key, verdict in one.served.verdicts.items())


FIGURES = (
    Figure("CPU per instance view, against bare", _ratio("views", "cpu"), "{:.2f}x", 2.5),
    Figure("CPU of the VM list, against bare", _ratio("list", "cpu"), "{:.2f}x", 3.0),
    Figure("Wall time of all instance views, against bare", _ratio("views", "wall"), "{:.2f}x"),
    Figure("CPU of the whole audit, against bare list and views", _whole, "{:.1f}x"),
    Figure(
        "Calls per VM, whole audit",
        lambda one: sum(one.served.requests.values()) / len(one.served.verdicts),
        "{:.3f}",
        1.05,
    ),
    Figure("Answers 429, whole audit", lambda one: one.served.throttled, "{:.0f}", 0),
    Figure("Peak memory, whole audit", lambda one: one.audit.memory, "{:.0f} MB", 300),
    Figure("HTML report", lambda one: one.audit.html, "{:.1f} MB", 15),
    Figure("JSON report", lambda one: one.audit.json, "{:.1f} MB"),
    Figure("Opening the HTML until rows are drawn, of 1.5 s", _share("rows"), "{:.2f}", 1.0),
    Figure("From a search key to its rows, of 1.5 s", _share("search"), "{:.2f}", 1.0),
    Figure("Verdicts other than seeded", _wrong, "{:.0f}", 0),
)


@dataclass(slots=True)
class Results:
    """All rounds by latency (milliseconds)."""

    vms: int
    machine: str
    rounds: dict[float, list[Round]] = field(default_factory=dict)

    def rows(self) -> list[list[str]]:
        """The table, its heading first."""
        heading = ["", *(f"{latency:g} ms" for latency in self.rounds), "budget"]
        body = [
            [figure.title, *(figure.cell(rounds) for rounds in self.rounds.values()), figure.limit]
            for figure in FIGURES
        ]
        return [heading, *body]

    def text(self) -> str:
        """For the terminal."""
        rows = self.rows()
        widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
        return "\n".join("  ".join(map(str.ljust, row, widths)).rstrip() for row in rows)

    def markdown(self) -> str:
        """For the page: what was measured on, and the table."""
        heading, *body = (f"| {' | '.join(row)} |" for row in self.rows())
        count = max(map(len, self.rounds.values()))
        measured = f"{self.vms:,} VMs, {count} interleaved rounds, median (least to most). {self.machine}"
        rule = "|---" * (len(self.rounds) + 2) + "|"
        return "\n".join([measured, "", heading, rule, *body])


def rewrite(page: str, results: Results) -> str:
    """The page with the measured part between its marks replaced; raises `ValueError` without marks."""
    start, end = MARKS
    part = re.compile(f"{re.escape(start)}.*{re.escape(end)}", re.DOTALL)
    if not part.search(page):
        raise ValueError(f"the page does not hold {start} and {end}")
    return part.sub(lambda _: f"{start}\n{results.markdown()}\n{end}", page)

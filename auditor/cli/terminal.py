"""What a person sees while the audit runs and when it is done; plain text where nobody watches."""

import sys
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from rich.cells import cell_len
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, TaskID, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bar
from rich.table import Table
from rich.text import Text

from auditor.model import AuditRun, MachineResult, Status, Verdict
from auditor.summary import by_check, decisive, gaps, headline, seen, worst
from auditor.text import shorten, visible

LONGEST = 200
WORST = 15
GAPS = 5

VERDICT_STYLES = {
    Verdict.READY: "green",
    Verdict.AT_RISK: "yellow",
    Verdict.UNKNOWN: "magenta",
    Verdict.NOT_READY: "bold red",
}
STATUS_STYLES = {
    Status.PASS: "green",
    Status.WARN: "yellow",
    Status.FAIL: "bold red",
    Status.SKIP: "dim",
    Status.UNKNOWN: "magenta",
}


def plain(text: str) -> str:
    """Text from outside as it may stand in rich markup: escapes shown, markup inert, length bounded."""
    return escape(_shown(text))


class Progress:
    """A progress bar on standard error, there only while a person watches.

    `update` takes the stage of the run, the machines done, and the machines in all.
    """

    def __init__(self, *, quiet: bool = False, console: Console | None = None) -> None:
        self._console = console or Console(stderr=True)
        self._bar = Bar(
            TextColumn("{task.description}"),
            BarColumn(bar_width=None),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            console=self._console,
            transient=True,
            disable=quiet or not self._console.is_terminal,
        )
        self._task: TaskID | None = None

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()

    def aside(self, ask: Callable[[str], str]) -> Callable[[str], str]:
        """The same question, asked while the bar is out of the way."""

        def asked(name: str) -> str:
            self._bar.stop()
            try:
                return ask(name)
            finally:
                self._bar.start()

        return asked

    def update(self, stage: str, done: int, total: int | None) -> None:
        """Show the stage, and that `done` of `total` machines are judged (None: not known yet)."""
        if self._task is None:
            self._task = self._bar.add_task(stage, total=total)
        self._bar.update(self._task, description=stage, completed=done, total=total)


def print_table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print rows under headings: folded to a terminal's width, whole lines everywhere else."""
    cells = [[visible(cell) for cell in row] for row in rows]
    console = Console()
    tolerate(console)
    if not console.is_terminal:
        widest = (max(map(cell_len, column)) for column in zip(headings, *cells, strict=True))
        console.width = sum(widest) + 2 * len(headings)
    table = Table(*headings, box=None, header_style="bold", pad_edge=False)
    for column in table.columns:
        column.overflow = "fold"
    for row in cells:
        table.add_row(*map(Text, row))
    console.print(table)


def print_summary(run: AuditRun, console: Console, paths: Iterable[Path] = ()) -> None:
    """Print the outcome: verdicts, checks, the worst machines, the coverage, the report files."""
    tolerate(console)
    console.print()
    console.print(Text(headline(run), style="bold"))
    console.print(_verdicts(run))
    if run.machines:
        console.print(_checks(run))
    _print_worst(run, console)
    _print_coverage(run, console)
    for path in paths:
        console.print(Text(f"Report: {path}"), soft_wrap=True)


def tolerate(console: Console) -> None:
    """Let a stream that cannot hold a character show its escape instead of failing."""
    if console.file is sys.stdout or console.file is sys.stderr:
        reconfigure = getattr(console.file, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="backslashreplace")


def _shown(text: str, length: int = LONGEST) -> str:
    return shorten(visible(text), length)


def _brief(scope: str) -> str:
    """An ARM id as "group/name", which is enough on a screen; the reports hold it whole."""
    parts = scope.split("/")
    group = next((place + 1 for place, part in enumerate(parts) if part.lower() == "resourcegroups"), None)
    short = f"{parts[group]}/{parts[-1]}" if group is not None and group < len(parts) - 1 else scope
    return _shown(short, 120)


def _verdicts(run: AuditRun) -> Text:
    counts = run.verdicts()
    parts = [
        Text(
            f"{counts[verdict]:,} {verdict.value}",
            style=VERDICT_STYLES[verdict] if counts[verdict] else "dim",
        )
        for verdict in Verdict
    ]
    return Text("  ").join(parts)


def _checks(run: AuditRun) -> Table:
    table = Table("check", *_headings(), box=None, header_style="bold", pad_edge=False)
    for column in table.columns[1:]:
        column.justify = "right"
        column.no_wrap = True
    table.columns[0].overflow = "fold"
    for figures in by_check(run):
        cells = [_count(figures.counts[status], status) for status in Status]
        table.add_row(Text(_shown(figures.id)), *cells)
    return table


def _headings() -> Sequence[str]:
    return [status.value for status in Status]


def _count(count: int, status: Status) -> Text:
    return Text(f"{count:,}", style=STATUS_STYLES[status] if count else "dim")


def _print_worst(run: AuditRun, console: Console) -> None:
    results = worst(run, WORST)
    if not results:
        return
    table = Table("verdict", "machine", "because", box=None, header_style="bold", pad_edge=False)
    table.columns[0].no_wrap = True
    table.columns[1].overflow = table.columns[2].overflow = "fold"
    names = Counter(result.machine.name for result in run.machines)
    for result in results:
        machine = result.machine
        verdict = Text(result.verdict.value, style=VERDICT_STYLES[result.verdict])
        name = machine.name if names[machine.name] == 1 else _brief(machine.id)
        table.add_row(verdict, Text(_shown(name, 60)), _because(result))
    console.print()
    console.print(table)
    rest = len(run.machines) - run.verdicts()[Verdict.READY] - len(results)
    if rest:
        console.print(Text(f"and {rest:,} more in the report", style="dim"))


def _because(result: MachineResult) -> Text:
    finding = decisive(result)
    if finding is None:
        return Text("")
    why = finding.reason if finding.status is Status.UNKNOWN and finding.reason else finding.summary
    return Text(f"{_shown(finding.check)}: {_shown(why)}")


def _print_coverage(run: AuditRun, console: Console) -> None:
    coverage = run.coverage
    console.print()
    style = "green" if coverage.complete else "bold magenta"
    console.print(Text(f"Coverage: {seen(coverage)}", style=style))
    found = gaps(coverage)
    for gap in found[:GAPS]:
        first, others = _brief(gap.scopes[0]), len(gap.scopes) - 1
        more = f" and {others:,} more" if others else ""
        console.print(Text(f"  not seen: {gap.plane.value} of {first}{more}: {_shown(gap.reason)}"))
    for lost in coverage.lost[:GAPS]:
        console.print(Text(f"  lost: {_brief(lost.id)}: {_shown(lost.reason)}"))
    hidden = max(0, len(found) - GAPS) + max(0, len(coverage.lost) - GAPS)
    if hidden:
        console.print(Text(f"  and {hidden:,} more in the report", style="dim"))

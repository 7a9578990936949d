"""The run as one self-contained page: charts and coverage in the markup, machines in embedded data."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib import resources

from markupsafe import Markup

from auditor import __version__
from auditor.model import AuditRun, MachineResult, Status, Verdict
from auditor.plugin import renderer
from auditor.summary import (
    WORST_FIRST,
    CheckFigures,
    by_check,
    common_cause,
    decisive,
    gaps,
    headline,
    seen,
    unknowns,
    worst,
)
from reports.charts import Part, parts
from reports.page import chunks, duration, environment, source
from reports.payload import payload

LISTED = 20
SCRIPTS = ("data.js", "state.js", "table.js", "detail.js", "page.js")

LABELS = {
    Verdict.READY: ("Ready", "Every blocking check holds"),
    Verdict.AT_RISK: ("At risk", "Works today, may not tomorrow"),
    Verdict.UNKNOWN: ("Unknown", "A blocking check could not be judged"),
    Verdict.NOT_READY: ("Not ready", "A blocking check fails"),
}
STATUS_ORDER = (Status.FAIL, Status.UNKNOWN, Status.WARN, Status.PASS, Status.SKIP)


@dataclass(frozen=True, slots=True)
class CheckRow:
    """One line of the chart of checks."""

    figures: CheckFigures
    bar: tuple[Part[Status], ...]


@renderer("html", suffix=".html")
def as_html(run: AuditRun) -> Iterator[bytes]:
    """One HTML file that needs no network and no server."""
    template = environment().get_template("report.html.j2")
    return chunks(template.generate(_context(run)))


def _context(run: AuditRun) -> dict[str, object]:
    style, script = _style(), _script()
    verdicts = run.verdicts()
    return {
        "run": run,
        "version": __version__,
        "duration": duration((run.finished_at - run.started_at).total_seconds()),
        "headline": headline(run),
        "cause": common_cause(run),
        "verdicts": verdicts,
        "labels": LABELS,
        "donut": parts(verdicts, WORST_FIRST[::-1]),
        "checks": [
            CheckRow(figures, parts(figures.counts, STATUS_ORDER, smallest=0.8)) for figures in by_check(run)
        ],
        "status_order": STATUS_ORDER,
        "seen": seen(run.coverage),
        "gaps": gaps(run.coverage),
        "unknowns": unknowns(run),
        "listed": LISTED,
        "worst": [_line(result) for result in worst(run, 200) if result.verdict is Verdict.NOT_READY],
        "style": Markup(style),  # noqa: S704 - our own file
        "script": Markup(script),  # noqa: S704 - our own files
        "policy": _policy(style, script),
        "data": (Markup(chunk) for chunk in payload(run)),  # noqa: S704 - escaped for a script element
    }


def _line(result: MachineResult) -> tuple[str, str]:
    finding = decisive(result)
    return result.machine.name, finding.summary if finding else ""


def _policy(style: str, script: str) -> str:
    return (
        f"default-src 'none'; style-src {source(style)}; script-src {source(script)}; "
        "img-src data:; base-uri 'none'; form-action 'none'"
    )


@cache
def _style() -> str:
    return environment().get_template("report.css.j2").render()


@cache
def _script() -> str:
    folder = resources.files(__package__) / "templates"
    body = "\n".join((folder / name).read_text(encoding="utf-8") for name in SCRIPTS)
    return f'"use strict";\n(() => {{\n{body}}})();\n'

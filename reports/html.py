"""The run as one self-contained page: charts and coverage in the markup, machines in embedded data."""

import base64
import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from importlib import resources

from jinja2 import Environment, PackageLoader, StrictUndefined
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
from auditor.text import visible
from reports.charts import Part, parts
from reports.payload import payload

CHUNK = 64 * 1024
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
    template = _environment().get_template("report.html.j2")
    return _chunks(template.generate(_context(run)))


@cache
def _environment() -> Environment:
    environment = Environment(loader=PackageLoader("reports"), autoescape=True, undefined=StrictUndefined)
    environment.filters["visible"] = visible
    environment.filters["moment"] = _moment
    environment.filters["number"] = lambda count: f"{count:,}"
    return environment


def _context(run: AuditRun) -> dict[str, object]:
    style, script = _style(), _script()
    verdicts = run.verdicts()
    return {
        "run": run,
        "version": __version__,
        "duration": _duration(run),
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
        f"default-src 'none'; style-src {_hash(style)}; script-src {_hash(script)}; "
        "img-src data:; base-uri 'none'; form-action 'none'"
    )


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


@cache
def _style() -> str:
    return _environment().get_template("report.css.j2").render()


@cache
def _script() -> str:
    folder = resources.files(__package__) / "templates"
    body = "\n".join((folder / name).read_text(encoding="utf-8") for name in SCRIPTS)
    return f'"use strict";\n(() => {{\n{body}}})();\n'


def _moment(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def _duration(run: AuditRun) -> str:
    seconds = max(0.0, (run.finished_at - run.started_at).total_seconds())
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"


def _chunks(pieces: Iterable[str]) -> Iterator[bytes]:
    waiting: list[str] = []
    size = 0
    for piece in pieces:
        waiting.append(piece)
        size += len(piece)
        if size >= CHUNK:
            yield "".join(waiting).encode()
            waiting, size = [], 0
    yield "".join(waiting).encode()

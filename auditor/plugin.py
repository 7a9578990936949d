"""What a plugin needs: the decorators, the outcomes, and the loader by entry points."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from typing import TypeVar

from auditor.errors import PluginError
from auditor.facts import Facts
from auditor.model import AuditRun, Evidence, Outcome, Plane, Severity, Status
from auditor.remedy import Answer, Case, Plan, RepairRun
from auditor.rules import Rules

CheckFunction = Callable[[Facts, Rules], Outcome]
RenderFunction = Callable[[AuditRun], Iterator[bytes]]
RepairFunction = Callable[[Case], Answer]
RenderPlan = Callable[[Plan], Iterator[bytes]]
RenderRepairs = Callable[[RepairRun], Iterator[bytes]]


@dataclass(frozen=True, slots=True)
class Explanation:
    """The prose of a check: shown by `auditor checks show` and in the docs."""

    what: str
    why: str
    evidence: str
    repair: str
    sources: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Check:
    """A named pure function over facts; `planes` are collected for it, no others."""

    id: str
    title: str
    planes: frozenset[Plane]
    severity: Severity
    explanation: Explanation
    run: CheckFunction


@dataclass(frozen=True, slots=True)
class Renderer:
    """Turns a run into the bytes of one file, in chunks, so that a large run need not fit twice."""

    id: str
    suffix: str
    render: RenderFunction


@dataclass(frozen=True, slots=True)
class RepairRenderer:
    """Turns a plan, or what became of one, into the bytes of a file; either is None where it cannot."""

    id: str
    suffix: str
    plan: RenderPlan | None = None
    run: RenderRepairs | None = None


@dataclass(frozen=True, slots=True)
class Repair:
    """The prose of a remediation: shown by `auditor remediations show` and in the docs."""

    what: str
    why: str
    how: str
    undo: str
    never: str
    sources: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Remediation:
    """A named pure function that proposes actions for one machine and touches nothing.

    `repairs` are the checks whose failure it may mend. One that is `opt_in` proposes only where `--allow`
    names it. Remediations are asked in the order of their registry, the mildest first.
    """

    id: str
    title: str
    repairs: tuple[str, ...]
    explanation: Repair
    opt_in: bool
    propose: RepairFunction


def check(
    id: str,
    *,
    title: str,
    planes: Iterable[Plane],
    explanation: Explanation,
    severity: Severity = Severity.BLOCKER,
) -> Callable[[CheckFunction], Check]:
    """Make a check of a function; `severity` counts only where the rule set names none."""
    return lambda run: Check(id, title, frozenset(planes), severity, explanation, run)


def renderer(id: str, *, suffix: str) -> Callable[[RenderFunction], Renderer]:
    """Make a renderer of a function; `suffix` is the file's, with the dot."""
    return lambda render: Renderer(id, suffix, render)


def remediation(
    id: str, *, title: str, repairs: Iterable[str], explanation: Repair, opt_in: bool = False
) -> Callable[[RepairFunction], Remediation]:
    """Make a remediation of a function that proposes."""
    return lambda propose: Remediation(id, title, tuple(repairs), explanation, opt_in, propose)


def passed(summary: str, *evidence: Evidence) -> Outcome:
    """The check holds."""
    return Outcome(Status.PASS, summary, evidence=evidence)


def warned(summary: str, *evidence: Evidence, remediation: str | None = None) -> Outcome:
    """The check holds for now, and soon may not."""
    return Outcome(Status.WARN, summary, evidence=evidence, remediation=remediation)


def failed(summary: str, *evidence: Evidence, remediation: str | None = None) -> Outcome:
    """The check does not hold; `remediation` is the next step in one sentence."""
    return Outcome(Status.FAIL, summary, evidence=evidence, remediation=remediation)


def skipped(reason: str, *evidence: Evidence) -> Outcome:
    """The check does not apply to this machine."""
    return Outcome(Status.SKIP, "not applicable", reason=reason, evidence=evidence)


def unknown(reason: str, *evidence: Evidence, remediation: str | None = None) -> Outcome:
    """The check applies and could not be judged."""
    return Outcome(
        Status.UNKNOWN, "could not be judged", reason=reason, evidence=evidence, remediation=remediation
    )


P = TypeVar("P", Check, Renderer, RepairRenderer, Remediation)


def load_checks() -> tuple[Check, ...]:
    """Every installed check, ours first; raises `PluginError` when there is none."""
    return _load("auditor.checks", Check)


def load_remediations() -> tuple[Remediation, ...]:
    """Every installed remediation, ours first; raises `PluginError` when there is none."""
    return _load("auditor.remediations", Remediation)


def load_renderers() -> tuple[Renderer, ...]:
    """Every installed renderer of audits, ours first; raises `PluginError` when there is none."""
    return _load(_RENDERERS, Renderer, RepairRenderer)


def load_repair_renderers() -> tuple[RepairRenderer, ...]:
    """Every installed renderer of repairs, ours first; raises `PluginError` when there is none."""
    return _load(_RENDERERS, RepairRenderer, Renderer)


_RENDERERS = "auditor.renderers"


def _load(group: str, kind: type[P], *others: type[object]) -> tuple[P, ...]:
    """The plugins of one kind in a group that may hold others too."""
    found = sorted(entry_points(group=group), key=lambda point: (point.name != "builtin", point.name))
    everything = [plugin for point in found for plugin in _plugins_of(point, (kind, *others))]
    plugins = [plugin for plugin in everything if isinstance(plugin, kind)]
    if not plugins:
        raise PluginError(
            f"no plugin found for {group}: the auditor is not installed; run `pip install -e .`"
        )
    _refuse_duplicates(group, plugins)
    return tuple(plugins)


def _plugins_of(point: EntryPoint, kinds: tuple[type[object], ...]) -> Sequence[object]:
    try:
        plugins = tuple(point.load())
    except Exception as error:
        raise PluginError(
            f"plugin {point.group}:{point.name} ({point.value}) cannot be loaded: {error}"
        ) from error
    for plugin in plugins:
        if not isinstance(plugin, kinds):
            raise PluginError(
                f"plugin {point.group}:{point.name} ({point.value}) holds {plugin!r}, "
                f"not a {kinds[0].__name__}"
            )
    return plugins


def _refuse_duplicates(group: str, plugins: Sequence[P]) -> None:
    seen: set[str] = set()
    for plugin in plugins:
        if plugin.id in seen:
            raise PluginError(f"two plugins of {group} are called {plugin.id!r}; uninstall one")
        seen.add(plugin.id)

"""A plan, and what became of it, as self-contained pages without a script."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache

from jinja2 import Environment
from markupsafe import Markup

from auditor import __version__
from auditor.model import Status, Verdict
from auditor.remedy import MachinePlan, MachineRecord, Plan, RepairRun, Result, Risk, Standing, Step
from auditor.text import visible
from reports.charts import parts
from reports.page import chunks, duration, environment, source

RESULTS = {
    Result.VERIFIED: ("Verified", "Looked at again, and in order", "ready"),
    Result.NOT_CONFIRMED: ("Not confirmed", "Done, and not seen to help yet", "at-risk"),
    Result.ROLLED_BACK: ("Rolled back", "Did not help, and was taken back", "at-risk"),
    Result.FAILED: ("Failed", "A step failed, or did not help", "not-ready"),
    Result.REFUSED: ("Refused", "A gate was closed; nothing was touched", "unknown"),
    Result.SKIPPED: ("Skipped", "Nothing was left to do, or its turn never came", "skip"),
}
OPEN = ("Not settled", "Begun, and its end is not known", "unknown")
STATUS_ICONS = {status: status.value for status in Status} | {Status.UNKNOWN: "unknown"}
RISK_TONES = {Risk.LOW: "ready", Risk.MEDIUM: "at-risk", Risk.HIGH: "not-ready"}


@dataclass(frozen=True, slots=True)
class Change:
    """One check before and after."""

    check: str
    before: Standing | None
    after: Standing | None

    @property
    def differs(self) -> bool:
        """Whether its status is another one now."""
        return (self.before and self.before.status) != (self.after and self.after.status)


@dataclass(frozen=True, slots=True)
class Ended:
    """A machine of a run beside its plan."""

    record: MachineRecord
    plan: MachinePlan | None

    @property
    def name(self) -> str:
        """Its name, or its id where the plan does not know it."""
        return self.plan.machine.name if self.plan else self.record.machine

    @property
    def label(self) -> tuple[str, str, str]:
        """How it ended: the word, what that means, the tone."""
        return OPEN if self.record.result is None else RESULTS[self.record.result]

    @property
    def verdicts(self) -> tuple[Verdict, Verdict] | None:
        """The machine's verdict in the plan and now, where it was looked at again."""
        now = self.record.verdict
        return (self.plan.verdict, now) if self.plan and now else None

    @property
    def steps(self) -> Mapping[str, Step]:
        """The steps planned for it, by id; those that take one back among them."""
        planned = self.plan.steps if self.plan else ()
        return {key: step for step in planned for key in (step.id, f"{step.id}-undo")}

    def changes(self) -> tuple[Change, ...]:
        """Every check before and after, those that changed first."""
        before, after = self.record.before, self.record.after
        rows = [Change(check, before.get(check), after.get(check)) for check in {**before, **after}]
        return tuple(sorted(rows, key=lambda row: not row.differs))


def plan_page(plan: Plan) -> Iterator[bytes]:
    """The plan as one HTML file."""
    risks = plan.risks()
    return _page(
        "repair-plan.html.j2",
        {
            "plan": plan,
            "machines": sorted(plan.machines, key=lambda one: not one.stages),
            "risks": risks,
            "bar": parts(risks, tuple(Risk)),
            "tones": RISK_TONES,
            "reboots": sum(step.reboot for step in plan.steps),
            "left": sum(1 for machine in plan.machines if not machine.stages),
        },
    )


def run_page(run: RepairRun) -> Iterator[bytes]:
    """What became of a plan, as one HTML file."""
    plans = {one.machine.id: one for one in run.plan.machines}
    machines = [Ended(record, plans.get(record.machine)) for record in run.machines]
    machines.sort(key=lambda one: -_rank(one.record))
    counts = run.results()
    took = (run.finished_at - run.started_at).total_seconds() if run.finished_at else None
    return _page(
        "repair-run.html.j2",
        {
            "run": run,
            "plan": run.plan,
            "machines": machines,
            "counts": counts,
            "unsettled": sum(one.record.result is None for one in machines),
            "results": RESULTS,
            "opened": OPEN,
            "donut": parts(counts, tuple(Result)),
            "took": None if took is None else duration(took),
            "untouched": [one for one in run.plan.touched if one.machine.id not in _ids(run)],
        },
    )


def _rank(record: MachineRecord) -> int:
    return len(Result) if record.result is None else list(Result).index(record.result)


def _ids(run: RepairRun) -> frozenset[str]:
    return frozenset(record.machine for record in run.machines)


def _page(template: str, content: Mapping[str, object]) -> Iterator[bytes]:
    style = _style()
    policy = (
        f"default-src 'none'; style-src {source(style)}; img-src data:; base-uri 'none'; form-action 'none'"
    )
    found = _templates().get_template(template)
    shared = {"version": __version__, "style": Markup(style), "policy": Markup(policy)}  # noqa: S704 - ours
    return chunks(found.generate({**shared, **content}))


@cache
def _templates() -> Environment:
    return environment().overlay(finalize=_shown)


def _shown(value: object) -> object:
    """Nothing that acts or hides gets onto the page, whichever field it came in by."""
    if isinstance(value, str) and not isinstance(value, Markup):
        return visible(value, keep="\n\t")
    return value


@cache
def _style() -> str:
    return environment().get_template("repair.css.j2").render()

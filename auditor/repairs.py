"""A plan applied from settings to result: planes, store, engine. The CLI and the demo both call it."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from dataclasses import dataclass, field
from datetime import timedelta

from auditor import credentials
from auditor.azure.estate import Azure
from auditor.azure.patience import Patience as AzurePatience
from auditor.credentials import Source
from auditor.engine import Audit
from auditor.errors import PlanError
from auditor.model import Machine
from auditor.plugin import Check
from auditor.remedy import Plan, RepairRun
from auditor.repair.apply import Application, Pace, Patience, Stop, Told, options_of
from auditor.repair.document import refuse_stale
from auditor.repair.gates import Limits
from auditor.repair.look import AuditLooker
from auditor.repair.seams import Journal
from auditor.repair.send import Sender
from auditor.rules import Rules, load_rules
from auditor.run import azure_for, guests_for, secrets_for, with_secrets
from auditor.settings import Settings

MAX_AGE = timedelta(hours=24)


@dataclass(frozen=True, slots=True)
class Order:
    """What a user asks for when a plan is applied."""

    settings: Settings
    checks: tuple[Check, ...]
    pace: Pace = field(default_factory=Pace)
    limits: Limits = field(default_factory=Limits)
    patience: Patience = field(default_factory=Patience)
    backup_now: bool = False
    max_age: timedelta = MAX_AGE
    azure: AzurePatience = field(default_factory=AzurePatience)


@dataclass(frozen=True, slots=True)
class Operator:
    """The person at the controls: a stop switch, where progress is told, who answers for secrets.

    `begun` is told the id of a new run.
    """

    stop: Stop = field(default_factory=Stop)
    told: Told | None = None
    ask: Source = credentials.ask
    begun: Callable[[str], None] | None = None


async def apply_plan(plan: Plan, order: Order, journal: Journal, operator: Operator) -> RepairRun:
    """Apply a plan; raises `PlanError`, `StoreError`, `UsageError` before anything is touched."""
    refuse_stale(plan, order.max_age)
    async with _work(plan, order, journal, operator) as work:
        noted = options_of(order.pace, order.limits, order.patience, backup_now=order.backup_now)
        run = journal.begin(plan, {**noted, "max_age": str(order.max_age / timedelta(hours=1))})
        if operator.begun is not None:
            operator.begun(run)
        return await work.run(run)


async def resume(run: str, order: Order, journal: Journal, operator: Operator) -> RepairRun:
    """Go on with a run where it stopped; raises `StoreError` for one that is unknown or worked on.

    Of a plan that is too old by now only what was begun is brought to its end.
    """
    async with _work(journal.load(run).plan, order, journal, operator) as work:
        journal.attach(run)
        try:
            refuse_stale(work.plan, order.max_age)
        except PlanError as error:
            operator.stop.ask(str(error))
        return await work.run(run)


def _fitting(plan: Plan, order: Order) -> Rules:
    """The rules by which the plan was made; raises `PlanError` where this run would judge by others."""
    checks = tuple(check.id for check in order.checks)
    rules = load_rules(order.settings.rules, checks)
    if rules.name != plan.rule_set:
        raise PlanError(
            f"the plan was made by the rules {plan.rule_set!r}, these are {rules.name!r}; make a new plan"
        )
    if plan.rules_digest not in ("", rules.digest):
        raise PlanError(f"the rules {rules.name!r} were changed after the plan was made; make a new plan")
    if missing := sorted(set(plan.checks) - set(checks)):
        raise PlanError(f"the plan was judged by checks that are not here: {', '.join(missing)}")
    if plan.cloud not in (order.settings.cloud, "none"):
        raise PlanError(f"the plan is for the cloud {plan.cloud!r}; say --cloud {plan.cloud}")
    return rules


def _azure(settings: Settings, machines: tuple[Machine, ...]) -> AbstractAsyncContextManager[Azure | None]:
    return azure_for(settings) if any(machine.in_azure for machine in machines) else nullcontext()


@asynccontextmanager
async def _work(plan: Plan, order: Order, journal: Journal, operator: Operator) -> AsyncIterator[Application]:
    rules, settings = _fitting(plan, order), order.settings
    secrets = secrets_for(settings, operator.ask)
    machines = tuple(planned.machine for planned in plan.machines if planned.stages)
    machines = await with_secrets(machines, secrets)
    async with _azure(settings, machines) as azure, guests_for(settings, rules, azure, secrets) as guests:
        audit = Audit(order.checks, rules, azure, guests, plan.cloud, {})
        await audit.read_vaults(machines)
        repairs = azure.repairs(order.azure) if azure is not None else None
        yield Application(
            plan=plan,
            look=AuditLooker(audit, repairs),
            sender=Sender(guests, repairs),
            journal=journal,
            pace=order.pace,
            limits=order.limits,
            patience=order.patience,
            backup_now=order.backup_now,
            stop=operator.stop,
            told=operator.told,
        )

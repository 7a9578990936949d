"""One audit from settings to result: inventory, planes, engine. The CLI and the demo both call it."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from auditor.azure.estate import Azure, open_azure
from auditor.engine import Audit, Inventory, Progress
from auditor.errors import SettingsError
from auditor.guests import Guests
from auditor.hosts.options import GuestOptions
from auditor.inventory.file import read_hosts
from auditor.inventory.scope import Scope
from auditor.model import AuditRun, Lost, Machine
from auditor.plugin import Check
from auditor.rules import Rules, load_rules
from auditor.settings import Settings


@dataclass(frozen=True, slots=True)
class Request:
    """What a user asked for, with everything loaded and checked before a connection is opened."""

    settings: Settings
    checks: tuple[Check, ...]
    rules: Rules
    hosts: tuple[Machine, ...]

    @classmethod
    def prepare(cls, settings: Settings, checks: Sequence[Check]) -> "Request":
        """Load rules and hosts files, and choose the checks; raises `UsageError` on bad input."""
        rules = load_rules(settings.rules, [check.id for check in checks])
        return cls(settings, choose(checks, settings), rules, _read_hosts(settings))

    @property
    def cloud(self) -> str:
        """The cloud's name for the report."""
        return self.settings.cloud if self.settings.azure else "none"


async def audit(request: Request, progress: Progress | None = None) -> AuditRun:
    """Do the audit; raises `AuthenticationError` when Azure was asked and nobody is signed in."""
    started = datetime.now(UTC)
    async with _azure(request.settings) as azure:
        if progress is not None:
            progress("Listing machines", 0, None)
        inventory = await _inventory(request, azure)
        async with _guests(request) as guests:
            work = Audit(
                checks=request.checks,
                rules=request.rules,
                control=azure,
                guests=guests,
                cloud=request.cloud,
                scope=request.settings.scope.as_mapping(),
                workers=request.settings.concurrency,
                progress=progress,
            )
            return await work.run(inventory, started)


async def inventory(request: Request) -> Inventory:
    """The machines that an audit would look at."""
    async with _azure(request.settings) as azure:
        return await _inventory(request, azure)


def choose(checks: Sequence[Check], settings: Settings) -> tuple[Check, ...]:
    """The checks that `--check` and `--skip-check` leave; raises `SettingsError` for unknown ids."""
    known = {check.id for check in checks}
    for name in (*settings.check, *settings.skip_check):
        if name not in known:
            raise SettingsError(f"unknown check {name!r}; `auditor checks` lists them all")
    chosen = tuple(
        check
        for check in checks
        if (not settings.check or check.id in settings.check) and check.id not in settings.skip_check
    )
    if not chosen:
        raise SettingsError("--check and --skip-check together leave no check to run")
    return chosen


def combine(azure: Inventory, hosts: Sequence[Machine]) -> Inventory:
    """Azure's machines and the hosts files' as one inventory.

    A host with an `azure_id` is that VM: it lends it its connection; if Azure does not list it, it is
    reported as lost. Every other host is a machine of its own.
    """
    by_id = {host.id: host for host in hosts}
    machines = tuple(
        replace(machine, connection=by_id[machine.id].connection) if machine.id in by_id else machine
        for machine in azure.machines
    )
    listed = {machine.id for machine in machines}
    missing = tuple(
        Lost(host.id, f"the hosts file's {host.name!r} names this VM, and Azure does not list it")
        for host in hosts
        if host.in_azure and host.id not in listed
    )
    own = tuple(host for host in hosts if not host.in_azure)
    return replace(azure, machines=machines + own, lost=azure.lost + missing)


async def _inventory(request: Request, azure: Azure | None) -> Inventory:
    scope = request.settings.scope
    hosts = tuple(host for host in request.hosts if host.in_azure or scope.includes(host))
    found = Inventory(hosts) if azure is None else combine(await azure.inventory(scope), hosts)
    return replace(found, lost=found.lost + unmatched(scope, found))


def unmatched(scope: Scope, found: Inventory) -> tuple[Lost, ...]:
    """Every `--vm` that names no machine: a typing error must not look like success."""
    present = {word for machine in found.machines for word in (machine.id, machine.name.lower())}
    present |= {lost.id for lost in found.lost}
    reason = "asked for, and no machine in scope has this name or resource id"
    wanted = {vm.strip().rstrip("/"): None for vm in scope.vms}
    return tuple(Lost(vm, reason) for vm in wanted if vm.lower() not in present)


@asynccontextmanager
async def _azure(settings: Settings) -> AsyncIterator[Azure | None]:
    if not settings.azure:
        yield None
        return
    async with open_azure(
        settings.cloud,
        ca_bundle=settings.ca_bundle,
        concurrency=settings.concurrency,
        max_wait=settings.throttle_wait,
    ) as azure:
        yield azure


def _guests(request: Request) -> Guests:
    settings = request.settings
    options = GuestOptions(
        concurrency=settings.concurrency,
        connect_timeout=settings.connect_timeout,
        banner_timeout=settings.connect_timeout,
        deadline=settings.host_deadline,
        known_hosts=(settings.known_hosts,) if settings.known_hosts else None,
        host_key_policy=settings.host_key_policy,
    )
    return Guests(request.rules.endpoints, options)


def _read_hosts(settings: Settings) -> tuple[Machine, ...]:
    hosts = tuple(host for path in settings.inventory for host in read_hosts(path))
    seen: set[str] = set()
    for host in hosts:
        if host.id in seen:
            raise SettingsError(f"two entries of the hosts files are {host.name!r} ({host.id})")
        seen.add(host.id)
    return hosts

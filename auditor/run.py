"""One audit from settings to result: inventory, planes, engine. The CLI and the demo both call it."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from auditor import credentials
from auditor.azure.estate import Azure, open_azure
from auditor.credentials import Secrets, Source
from auditor.engine import Audit, Inventory, Progress, Witness
from auditor.errors import SettingsError
from auditor.facts import NOT_COLLECTED, OUTSIDE_AZURE, Backup, Unseen, VmModel
from auditor.guests import Guests
from auditor.hosts.options import NO_SSH_CONFIG, STRICT, GuestOptions
from auditor.inventory import secrets as needed
from auditor.inventory.addresses import NicAddresses
from auditor.inventory.connections import Addresses, Connections
from auditor.inventory.connections_file import read_connections
from auditor.inventory.file import read_hosts
from auditor.inventory.host import Host
from auditor.inventory.scope import Scope, normal_location
from auditor.inventory.shared import shared
from auditor.model import RUN_COMMAND, AuditRun, Limit, Lost, Machine, Plane
from auditor.plugin import Check
from auditor.rules import Rules, load_rules
from auditor.settings import Settings


@dataclass(frozen=True, slots=True)
class Request:
    """What a user asked for, with everything loaded and checked before a connection is opened."""

    settings: Settings
    checks: tuple[Check, ...]
    rules: Rules
    hosts: tuple[Host, ...]
    connections: Connections

    @classmethod
    def prepare(cls, settings: Settings, checks: Sequence[Check]) -> "Request":
        """Load rules and files of machines, and choose the checks; raises `UsageError` on bad input."""
        check_usable(settings)
        rules = load_rules(settings.rules, [check.id for check in checks])
        connections = read_connections(settings.connections) if settings.connections else Connections()
        return cls(settings, choose(checks, settings), rules, _read_hosts(settings), connections)

    @property
    def cloud(self) -> str:
        """The cloud's name for the report."""
        return self.settings.cloud if self.settings.azure else "none"

    @property
    def planes(self) -> frozenset[Plane]:
        """The planes that the chosen checks need."""
        return frozenset[Plane]().union(*(check.planes for check in self.checks))


async def audit(
    request: Request,
    progress: Progress | None = None,
    ask: Source = credentials.ask,
    witness: Witness | None = None,
) -> AuditRun:
    """Do the audit; raises `AuthenticationError` when Azure was asked and nobody is signed in.

    `ask` is what asks a person for the secret of a name, before the first guest is asked; `witness` is shown
    the facts behind every result.
    """
    started = datetime.now(UTC)
    async with azure_for(request.settings) as azure:
        if progress is not None:
            progress("Listing machines", 0, None)
        listed = azure if request.settings.list_vms else None
        found = await _listed(request, listed)
        target, gaps = await _target(request, azure)
        secrets = secrets_for(request.settings, ask)
        if Plane.GUEST in request.planes:
            found = await _connected(request, listed, found)
            found = replace(found, machines=await with_secrets(found.machines, secrets))
        async with guests_for(request.settings, request.rules, listed, secrets) as guests:
            work = Audit(
                checks=request.checks,
                rules=request.rules,
                control=listed,
                guests=guests,
                cloud=request.cloud,
                scope=request.settings.scope.as_mapping(),
                workers=request.settings.concurrency,
                progress=progress,
                target=normal_location(request.settings.target_region or ""),
                target_backup=target,
                witness=witness,
            )
            return await work.run(replace(found, limits=found.limits + gaps), started)


async def inventory(request: Request) -> Inventory:
    """The machines that an audit would look at, and how it would reach them."""
    async with azure_for(request.settings) as azure:
        listed = azure if request.settings.list_vms else None
        return await _connected(request, listed, await _listed(request, listed))


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


def check_usable(wanted: Settings) -> None:
    """Refuse what no guest could be asked with: files that are not there, Run Command without Azure.

    Raises `SettingsError` naming the option and the way out.
    """
    config, key, known = wanted.ssh_config, wanted.key, wanted.known_hosts
    if config and config != NO_SSH_CONFIG and not config.is_file():
        raise SettingsError(f"--ssh-config: there is no file {config}; 'none' stands for none at all")
    if key and not key.is_file() and not key.with_name(key.name + ".pub").is_file():
        raise SettingsError(f"--key: there is no file {key}")
    if known and not known.is_file() and (wanted.host_key_policy == STRICT or known.exists()):
        raise SettingsError(f"--known-hosts: there is no file {known}; only accept-new begins one")
    if wanted.run_command and not wanted.list_vms:
        raise SettingsError(
            "--run-command goes through Azure, whose VMs are not part of this run; add --azure, or say "
            "--no-run-command"
        )


def combine(azure: Inventory, hosts: Sequence[Machine]) -> Inventory:
    """Azure's machines and the hosts files' as one inventory.

    A host with an `azure_id` is that VM; if Azure does not list it, it is reported as lost. Every other host
    is a machine of its own.
    """
    listed = {machine.id for machine in azure.machines}
    missing = tuple(
        Lost(host.id, f"the hosts file's {host.name!r} names this VM, and Azure does not list it")
        for host in hosts
        if host.in_azure and host.id not in listed
    )
    own = tuple(host for host in hosts if not host.in_azure)
    return replace(azure, machines=azure.machines + own, lost=azure.lost + missing)


async def _listed(request: Request, azure: Azure | None) -> Inventory:
    scope = request.settings.scope
    machines = (host.machine for host in request.hosts)
    hosts = tuple(machine for machine in machines if machine.in_azure or scope.includes(machine))
    found = Inventory(hosts) if azure is None else combine(await azure.inventory(scope), hosts)
    return replace(found, lost=found.lost + unmatched(scope, found))


async def _connected(request: Request, azure: Azure | None, found: Inventory) -> Inventory:
    """The inventory with each machine's connection, or why it has none."""
    hosts = {host.machine.id: host for host in request.hosts}
    asking = request.connections.asking_azure(found.machines, hosts)
    addresses = await _addresses(azure, asking) if asking else Addresses()
    machines = (
        request.connections.connect(machine, hosts.get(machine.id), addresses) for machine in found.machines
    )
    reached = tuple(_checked(_placed(one, addresses), azure) for one in machines)
    return replace(
        found,
        machines=reached,
        limits=found.limits + shared(reached),
        models={key: _addressed(model, addresses.known.get(key)) for key, model in found.models.items()},
    )


def _placed(machine: Machine, addresses: Addresses) -> Machine:
    """The machine with the subnets that it is in, where its interfaces were read."""
    seen = addresses.known.get(machine.id)
    return replace(machine, subnets=seen.subnets) if seen is not None else machine


def _addressed(model: VmModel, known: NicAddresses | None) -> VmModel:
    """The model with the address of the VM's primary interface, where that was read."""
    return replace(model, primary_address=known.private[0]) if known and known.private else model


def _checked(machine: Machine, azure: Azure | None) -> Machine:
    """The machine, out of reach where Run Command is its way in and cannot be."""
    connection = machine.connection
    if connection is None or connection.transport != RUN_COMMAND or machine.unreachable:
        return machine
    if not machine.in_azure:
        return replace(machine, unreachable="Run Command leads into Azure VMs, and this is none")
    if azure is None:
        return replace(machine, unreachable="Run Command goes through Azure, which was not asked (--azure)")
    return machine


async def _addresses(azure: Azure | None, machines: Sequence[Machine]) -> Addresses:
    if azure is None:
        reason = "Azure was not asked in this run (--azure)"
        return Addresses(gaps={machine.subscription: reason for machine in machines})
    known, limits = await azure.addresses(machines)
    return Addresses(known, {limit.scope.rpartition("/")[2]: limit.reason for limit in limits})


async def _target(request: Request, azure: Azure | None) -> tuple[Backup | Unseen, tuple[Limit, ...]]:
    """The vaults of the target region, and the gap where they could not be seen."""
    region = request.settings.target_region
    if not region:
        return OUTSIDE_AZURE, ()
    if Plane.BACKUP not in request.planes:
        return NOT_COLLECTED, ()
    if azure is None:
        return Unseen("Azure was not asked for the vaults of the target region", expected=False), ()
    answer = await azure.target_backup(region)
    if isinstance(answer, Unseen):
        return answer, (Limit(f"vaults in {region}", Plane.BACKUP, answer.reason),)
    return answer, ()


def secrets_for(settings: Settings, ask: Source) -> Secrets:
    """Where a run's secrets come from; `ask` asks a person."""

    def from_key_vault(name: str) -> str:
        from auditor.azure.keyvault import key_vault  # noqa: PLC0415 - with the SDK

        return key_vault(settings.cloud, settings.ca_bundle)(name)

    return Secrets({"prompt": ask, "keyvault": from_key_vault})


async def with_secrets(machines: tuple[Machine, ...], secrets: Secrets) -> tuple[Machine, ...]:
    """The machines, after every secret that they need was fetched once; prompts stay in the main thread."""
    wanted = needed.references(machines)
    remote = [reference for reference in wanted if reference.startswith("keyvault:")]
    failures = await asyncio.to_thread(secrets.resolve_all, remote) if remote else {}
    failures |= secrets.resolve_all(reference for reference in wanted if reference not in remote)
    return needed.without(machines, failures)


def unmatched(scope: Scope, found: Inventory) -> tuple[Lost, ...]:
    """Every `--vm` that names no machine: a typing error must not look like success."""
    present = {word for machine in found.machines for word in (machine.id, machine.name.lower())}
    present |= {lost.id for lost in found.lost}
    reason = "asked for, and no machine in scope has this name or resource id"
    wanted = {vm.strip().rstrip("/"): None for vm in scope.vms}
    return tuple(Lost(vm, reason) for vm in wanted if vm.lower() not in present)


@asynccontextmanager
async def azure_for(settings: Settings) -> AsyncIterator[Azure | None]:
    """Azure as the settings have it; None where it is not asked."""
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


def guests_for(settings: Settings, rules: Rules, azure: Azure | None, secrets: Secrets) -> Guests:
    """The guests as the settings have them reached."""
    options = GuestOptions(
        user=settings.user,
        key=str(settings.key) if settings.key else None,
        concurrency=settings.concurrency,
        connect_timeout=settings.connect_timeout,
        banner_timeout=settings.connect_timeout,
        command_timeout=settings.command_timeout,
        deadline=settings.host_deadline,
        known_hosts=(settings.known_hosts,) if settings.known_hosts else None,
        host_key_policy=settings.host_key_policy,
        ssh_config=settings.ssh_config,
        run_command=settings.run_command,
    )
    way = azure.run_commands() if azure else None
    return Guests(rules.endpoints, options, run_command=way, secrets=secrets)


def _read_hosts(settings: Settings) -> tuple[Host, ...]:
    hosts = tuple(host for path in settings.inventory for host in read_hosts(path))
    seen: set[str] = set()
    for host in hosts:
        machine = host.machine
        if machine.id in seen:
            raise SettingsError(f"two entries of the hosts files are {machine.name!r} ({machine.id})")
        seen.add(machine.id)
    return hosts

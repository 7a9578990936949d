"""Azure as the engine sees it: an inventory, instance views, and what the vaults say."""

import logging
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from auditor.azure import traffic
from auditor.azure.instance import parse_instance_view
from auditor.azure.patience import Patience
from auditor.azure.rights import Examination
from auditor.azure.throttle import MAX_WAIT, Gate
from auditor.engine import Inventory
from auditor.errors import NotFound, SourceError
from auditor.facts import Backup, InstanceView, Jobs, Unseen
from auditor.inventory.addresses import NicAddresses
from auditor.inventory.scope import Scope, normal_location
from auditor.model import Limit, Machine

if TYPE_CHECKING:
    from auditor.azure.client import Arm
    from auditor.azure.repairs import Repairs
    from auditor.azure.run_commands import RunCommands
    from auditor.azure.subscriptions import Selection
    from auditor.azure.vaults import VaultReader

logger = logging.getLogger(__name__)

CONCURRENCY = 64
_NOT_READ = Unseen("the vaults were not read")


class Azure:
    """One signed-in view of a cloud; made by `open_azure`."""

    def __init__(self, arm: "Arm") -> None:
        self._arm = arm
        self._selection: Selection | None = None
        self._vaults: VaultReader | None = None

    async def inventory(self, scope: Scope) -> Inventory:
        """The VMs in scope; raises `AuthenticationError` when nobody is signed in."""
        from auditor.azure.machines import list_machines  # noqa: PLC0415 - with the SDK
        from auditor.azure.subscriptions import select  # noqa: PLC0415

        self._selection = await select(self._arm, scope)
        return await list_machines(self._arm, self._selection, scope)

    async def instance_view(self, machine: Machine) -> InstanceView | Unseen:
        """The run-time view of one VM, with its extensions, in one call."""
        call = traffic.virtual_machine(machine.id, machine.subscription, machine.location, instance_view=True)
        try:
            return parse_instance_view(await self._arm.get(call), datetime.now(UTC))
        except NotFound as error:
            return Unseen(f"the VM is gone since it was listed: {error}")
        except SourceError as error:
            return Unseen(str(error))

    async def read_vaults(self, machines: Sequence[Machine], *, jobs: bool) -> tuple[Limit, ...]:
        """Read every vault of every visible subscription; returns what could not be read."""
        from auditor.azure.subscriptions import select  # noqa: PLC0415 - with the SDK
        from auditor.azure.vaults import VaultReader  # noqa: PLC0415

        selection = self._selection or await select(self._arm, Scope())
        self._vaults = VaultReader(self._arm)
        return await self._vaults.read(selection.visible, machines, jobs=jobs)

    async def target_backup(self, region: str) -> Backup | Unseen:
        """The vaults of a region that machines are to move to."""
        from auditor.azure.subscriptions import select  # noqa: PLC0415 - with the SDK
        from auditor.azure.vaults import VaultReader  # noqa: PLC0415

        try:
            selection = self._selection or await select(self._arm, Scope())
            return await VaultReader(self._arm).target(selection.visible, normal_location(region))
        except SourceError as error:
            return Unseen(str(error))

    async def addresses(
        self, machines: Iterable[Machine]
    ) -> tuple[Mapping[str, NicAddresses], tuple[Limit, ...]]:
        """The addresses of VMs, by machine id, and what could not be read."""
        from auditor.azure.addresses import read_addresses  # noqa: PLC0415 - with the SDK

        return await read_addresses(self._arm, machines)

    def run_commands(self) -> "RunCommands":
        """Run Command as a way into guests."""
        from auditor.azure.run_commands import RunCommands  # noqa: PLC0415 - with the SDK

        return RunCommands(self._arm)

    def repairs(self, patience: Patience = Patience()) -> "Repairs":  # noqa: B008 - frozen
        """Azure as repairs see it: every answer read anew, every change followed to its end."""
        from auditor.azure.repairs import Repairs  # noqa: PLC0415 - with the SDK

        return Repairs(self._arm, patience)

    async def examine(self, wanted: frozenset[str]) -> Examination:
        """What the identity may do of what is wanted; raises `AuthenticationError` for nobody signed in."""
        from auditor.azure.examination import examine  # noqa: PLC0415 - with the SDK

        return await examine(self._arm, wanted)

    def backup(self, machine: Machine) -> Backup | Unseen:
        """What the vaults say of one VM; call `read_vaults` first."""
        return self._vaults.backup(machine) if self._vaults else _NOT_READ

    def jobs(self, machine: Machine) -> Jobs | Unseen:
        """The backup jobs of one VM; call `read_vaults` first."""
        return self._vaults.jobs(machine) if self._vaults else _NOT_READ


@asynccontextmanager
async def open_azure(
    cloud: str = "public",
    *,
    ca_bundle: Path | None = None,
    concurrency: int = CONCURRENCY,
    max_wait: float = MAX_WAIT,
    read_timeout: float = 60.0,
) -> AsyncIterator[Azure]:
    """Connect to a cloud: a name or the https address of an ARM endpoint.

    Nothing is asked of ARM yet, and nobody signs in. `max_wait` and `read_timeout` are seconds.
    Raises `SettingsError` for a cloud, CA bundle, proxy or variable that cannot be used.
    """
    # the SDK takes a second to import; commands that never ask Azure do without
    from auditor.azure.client import Arm  # noqa: PLC0415
    from auditor.azure.cloud import find_cloud  # noqa: PLC0415
    from auditor.azure.identity import sign_in  # noqa: PLC0415
    from auditor.azure.network import open_session, tls_context  # noqa: PLC0415

    async with AsyncExitStack() as stack:
        session = await stack.enter_async_context(open_session(tls_context(ca_bundle), concurrency))
        found = await find_cloud(cloud, session)
        identity = await stack.enter_async_context(sign_in(found, session))
        arm = Arm(found, session, identity, Gate(max_wait=max_wait), read_timeout=read_timeout)
        stack.push_async_callback(arm.close)
        logger.info("cloud %s: ARM at %s, sign-in at %s", found.name, found.resource_manager, found.authority)
        yield Azure(arm)

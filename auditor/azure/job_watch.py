"""Jobs of vaults, looked at again and again for all who follow one, at a pace that the quota bears."""

import asyncio
import time
from collections import defaultdict
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from auditor.azure import traffic
from auditor.azure.backup import of_azure_vms
from auditor.azure.client import Arm
from auditor.azure.jobs import JobInVault, parse_job, window
from auditor.azure.listing import Listing, read_list
from auditor.facts import Vault

_SKEW = timedelta(hours=1)


@dataclass(slots=True)
class _Look:
    """A look that has not begun: since when it has to reach back."""

    since: datetime
    task: "asyncio.Task[Listing[JobInVault]]"


class JobWatch:
    """Lists the jobs of vaults, every page.

    Whoever asks before a look begins shares it: every answer was read after its question. In a subscription
    one look follows the other, `pause` seconds later for each page that it took.
    """

    def __init__(self, arm: Arm, pause: float) -> None:
        self._arm = arm
        self._pause = pause
        self._next: dict[str, _Look] = {}
        self._turns: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._due: defaultdict[str, float] = defaultdict(float)

    async def look(self, vault: Vault, since: datetime) -> Listing[JobInVault]:
        """The jobs of a vault that began since then (and some before), read after this call."""
        look = self._next.get(vault.id)
        if look is None:
            look = self._next[vault.id] = _Look(since, asyncio.create_task(self._in_turn(vault)))
        look.since = min(look.since, since)
        # one who gives up must not take the look from the others
        return await asyncio.shield(look.task)

    async def _in_turn(self, vault: Vault) -> Listing[JobInVault]:
        async with self._turns[vault.subscription]:
            await asyncio.sleep(self._due[vault.subscription] - time.monotonic())
            look = self._next.pop(vault.id)
            arm, used = self._arm.counted()
            try:
                return await self._read(arm, vault, look.since)
            finally:
                pages = max(used.values(), default=1)
                self._due[vault.subscription] = time.monotonic() + pages * self._pause

    @staticmethod
    async def _read(arm: Arm, vault: Vault, since: datetime) -> Listing[JobInVault]:
        now = datetime.now(UTC)
        call = traffic.jobs(vault.id, vault.subscription, window(now, now - since + _SKEW))
        return await read_list(arm, call, parse_job, of_azure_vms)

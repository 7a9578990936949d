"""Looking at what the identity can see and may do, by harmless reads alone."""

import asyncio
from collections.abc import AsyncIterator, Awaitable
from dataclasses import replace
from typing import Any

from auditor.azure import traffic, wire
from auditor.azure.client import Arm
from auditor.azure.rights import Examination, Permission, Read, Seen, allowed
from auditor.azure.subscriptions import Subscription, select
from auditor.errors import NotFound, PermissionMissing, SourceError
from auditor.inventory.scope import Scope

_AT_ONCE = 8


async def examine(arm: Arm, wanted: frozenset[str]) -> Examination:
    """Look at every visible subscription; raises `AuthenticationError` when nobody is signed in."""
    selection = await select(arm, Scope())
    slots = asyncio.Semaphore(_AT_ONCE)

    async def one(subscription: Subscription) -> Seen:
        async with slots:
            reads = await _reads(arm, subscription)
            seen = await _permissions(arm, subscription, reads.groups, wanted)
            if seen.problem is None:
                reads.results["Microsoft.Authorization/permissions/read"] = Read(worked=True)
            return replace(seen, reads=reads.results)

    found = await asyncio.gather(*(one(subscription) for subscription in selection.visible))
    return Examination(tuple(found), selection.limits)


async def _permissions(
    arm: Arm, subscription: Subscription, groups: set[str], wanted: frozenset[str]
) -> Seen:
    one = Seen(subscription.id, subscription.name, subscription.state)
    try:
        here = await read_permissions(arm, subscription.path)
        if all(allowed(here, action) for action in wanted):
            return replace(one, permissions=here)
        scopes = {group: f"{subscription.path}/resourceGroups/{group}" for group in sorted(groups)}
        found = {group: await read_permissions(arm, scope) for group, scope in scopes.items()}
        return replace(one, permissions=here, groups=found)
    except SourceError as error:
        return replace(one, problem=str(error))


async def read_permissions(arm: Arm, scope: str) -> tuple[Permission, ...]:
    """What the identity may do at a subscription or resource group; raises `SourceError`."""
    pages = [page async for page in arm.pages(traffic.permissions(scope))]
    return tuple(parse_permission(entry) for page in pages for entry in page)


def parse_permission(entry: Any) -> Permission:
    """One entry of the list; raises `WireError` where its shape is wrong."""
    body = wire.mapping(entry, "the permission")
    return Permission(
        wire.texts(body.get("actions"), "actions"), wire.texts(body.get("notActions"), "notActions")
    )


class _Reads:
    """One harmless read per right, and the resource groups that they came across."""

    def __init__(self) -> None:
        self.results: dict[str, Read] = {}
        self.groups: set[str] = set()

    async def first(self, arm: Arm, call: traffic.Call) -> str | None:
        """The id of the first entry of a list; notes how it went, and the groups of the first pages."""
        return await self._tried(call, self._first(arm, call))

    async def one(self, arm: Arm, call: traffic.Call) -> None:
        """One resource; that it is not there proves the right as well."""
        await self._tried(call, _got(arm, call))

    async def _tried(self, call: traffic.Call, work: Awaitable[str | None]) -> str | None:
        found: str | None = None
        try:
            found = await work
            read = Read(worked=True)
        except SourceError as error:
            read = Read(False, isinstance(error, PermissionMissing), str(error))
        for action in call.permission.split(" and "):
            self.results[action] = read
        return found

    async def _first(self, arm: Arm, call: traffic.Call) -> str | None:
        first: str | None = None
        async for identifier in _ids(arm, call):
            first = first or identifier
            parts = identifier.split("/")
            if len(parts) > 4 and parts[3].lower() == "resourcegroups":
                self.groups.add(parts[4].lower())
        return first


async def _reads(arm: Arm, subscription: Subscription) -> _Reads:
    reads = _Reads()
    reads.results["Microsoft.Resources/subscriptions/read"] = Read(worked=True)
    vm = await reads.first(arm, traffic.virtual_machines(subscription.id))
    vault = await reads.first(arm, traffic.vaults(subscription.id))
    await reads.first(arm, traffic.network_interfaces(subscription.id))
    await reads.first(arm, traffic.public_addresses(subscription.id))
    if vm is not None:
        await reads.one(arm, traffic.virtual_machine(vm, subscription.id, "", instance_view=True))
        await reads.one(arm, traffic.changed(f"{vm}/extensions/VMSnapshot"))
    if vault is not None:
        await reads.first(arm, traffic.policies(vault, subscription.id))
        await reads.first(arm, traffic.jobs_in_flight(vault, subscription.id, "InProgress"))
        item = await reads.first(arm, traffic.protected_items(vault, subscription.id))
        if item is not None:
            await reads.first(arm, traffic.recovery_points(item, subscription.id))
    return reads


async def _got(arm: Arm, call: traffic.Call) -> None:
    try:
        await arm.get(call)
    except NotFound:
        return


async def _ids(arm: Arm, call: traffic.Call) -> AsyncIterator[str]:
    async for page in arm.pages(call):
        for entry in page:
            found: Any = wire.text(wire.mapping(entry, "an entry").get("id"))
            if found:
                yield found

"""Which subscriptions a run is about: all that are visible, or those that were asked for."""

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from auditor.azure import traffic, wire
from auditor.azure.client import Arm
from auditor.azure.listing import read_list
from auditor.errors import AuthenticationError
from auditor.inventory.scope import Scope
from auditor.model import Limit, Plane


@dataclass(frozen=True, slots=True)
class Subscription:
    """A subscription as ARM lists it; the id is lower-cased, the state as it stands there."""

    id: str
    name: str
    state: str

    @property
    def path(self) -> str:
        """Its resource id."""
        return f"/subscriptions/{self.id}"

    @property
    def enabled(self) -> bool:
        """Whether it is in normal use (a warned or past-due one still is)."""
        return self.state.lower() in ("enabled", "warned", "pastdue")


@dataclass(frozen=True, slots=True)
class Selection:
    """The subscriptions to audit, those that are visible at all, and what could not be found out."""

    chosen: tuple[Subscription, ...]
    visible: tuple[Subscription, ...]
    limits: tuple[Limit, ...]


def parse_subscription(entry: Any) -> Subscription:
    """A subscription of the list; raises `WireError` where it has no id."""
    body = wire.mapping(entry, "the subscription")
    identifier = wire.required(body.get("subscriptionId"), "the subscription's id").lower()
    return Subscription(
        id=identifier,
        name=wire.text(body.get("displayName")) or identifier,
        state=wire.text(body.get("state")) or "Enabled",
    )


async def select(arm: Arm, scope: Scope) -> Selection:
    """The run's subscriptions; raises `AuthenticationError` where nobody is signed in."""
    listing = await read_list(arm, traffic.subscriptions(), parse_subscription)
    if isinstance(listing.failure, AuthenticationError):
        raise listing.failure
    visible = tuple({entry.id: entry for entry in listing.entries}.values())
    limits = [_limit("/subscriptions", str(problem)) for problem in listing.problems]
    if not visible and not limits:
        limits.append(_limit("/subscriptions", "no subscription is visible to this identity; give it Reader"))
    if not scope.subscriptions and not scope.management_groups:
        return Selection(visible, visible, tuple(limits))
    named, unseen = _named(scope.subscriptions, visible)
    grouped, group_limits = await _grouped(arm, scope.management_groups, visible)
    chosen = tuple({entry.id: entry for entry in (*named, *grouped)}.values())
    return Selection(chosen, visible, (*limits, *unseen, *group_limits))


def _named(
    wanted: Iterable[str], visible: tuple[Subscription, ...]
) -> tuple[list[Subscription], list[Limit]]:
    chosen: list[Subscription] = []
    limits: list[Limit] = []
    for word in wanted:
        folded = word.strip().lower()
        found = [entry for entry in visible if folded in (entry.id, entry.name.lower())]
        chosen += found
        if not found:
            limits.append(
                _limit(f"/subscriptions/{word}", "asked for, and not visible to this identity (or misspelt)")
            )
    return chosen, limits


async def _grouped(
    arm: Arm, groups: Iterable[str], visible: tuple[Subscription, ...]
) -> tuple[list[Subscription], list[Limit]]:
    by_id = {entry.id: entry for entry in visible}
    answers = await asyncio.gather(*(_below(arm, group) for group in groups))
    ids = [identifier for found, _ in answers for identifier in found]
    limits = [limit for _, found in answers for limit in found]
    limits += [
        _limit(f"/subscriptions/{identifier}", "below the management group, and not visible to this identity")
        for identifier in ids
        if identifier not in by_id
    ]
    return [by_id[identifier] for identifier in ids if identifier in by_id], limits


async def _below(arm: Arm, group: str) -> tuple[list[str], list[Limit]]:
    listing = await read_list(arm, traffic.descendants(group), _subscription_name, _is_subscription)
    path = f"/providers/Microsoft.Management/managementGroups/{group}"
    return listing.entries, [_limit(path, str(problem)) for problem in listing.problems]


def _is_subscription(entry: Any) -> bool:
    kind = entry.get("type") if isinstance(entry, Mapping) else None
    return isinstance(kind, str) and kind.lower().rpartition("/")[2] == "subscriptions"


def _subscription_name(entry: Any) -> str:
    return wire.required(entry.get("name"), "the subscription's id").lower()


def _limit(scope: str, reason: str) -> Limit:
    return Limit(scope, Plane.INVENTORY, reason)

"""`auditor doctor`: what the present identity and guest accounts may do, before anything is begun."""

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import partial
from typing import Annotated

import typer

from auditor import credentials
from auditor import run as runs
from auditor.cli.options import Given, with_settings
from auditor.cli.terminal import Progress, print_table
from auditor.doctor import MISSING, OK, UNKNOWN, Diagnosis, diagnose_azure, signed_out
from auditor.engine import Inventory
from auditor.errors import AuthenticationError
from auditor.exits import Exit
from auditor.facts import Facts, Unseen
from auditor.model import Machine, Plane, Platform
from auditor.plugin import load_checks
from auditor.repair.identity import barred, refusals
from auditor.settings import settings

IDENTITY = "guest-identity"
SAMPLE = 3
_NOT_OPTIONS = {"fail_on", "format", "output", "target_region", "check", "skip_check"}


@partial(with_settings, without=_NOT_OPTIONS)
def doctor(
    given: Given,
    all_: Annotated[
        bool,
        typer.Option("--all", rich_help_panel="Guests", help=f"Ask every guest, not {SAMPLE} of a kind"),
    ] = False,
) -> None:
    """Say what this identity and these accounts may do; only looks, and changes nothing."""
    request = runs.Request.prepare(settings(given.values), load_checks())
    with Progress(quiet=given.quiet) as progress:
        rows = asyncio.run(_examine(request, None if all_ else SAMPLE, progress))
    print_table(
        ("status", "subject", "found", "way out"),
        ((row.status, row.subject, row.detail, row.way_out or "-") for row in rows),
    )
    fine = all(row.status == OK for row in rows if row.needed)
    raise typer.Exit(Exit.OK if fine else Exit.INCOMPLETE)


async def _examine(request: runs.Request, most: int | None, progress: Progress) -> list[Diagnosis]:
    rows: list[Diagnosis] = []
    try:
        found = await runs.inventory(request)
    except AuthenticationError as error:
        return [signed_out(error)]
    async with runs.azure_for(request.settings) as azure:
        if azure is not None:
            there = {machine.subscription.lower() for machine in found.machines if machine.in_azure}
            rows += await diagnose_azure(azure, there)
    if any(row.status == MISSING and row.subject == "Azure: sign-in" for row in rows):
        return rows
    told = {row.subject for row in rows}
    rows += [row for row in not_found(found) if row.subject not in told]
    return [*rows, *await _guests(request, found.machines, most, progress)]


def not_found(found: Inventory) -> Iterator[Diagnosis]:
    """What was asked for by name and is not there, or could not be listed."""
    for limit in found.limits:
        if limit.expected:
            yield Diagnosis(
                f"Azure: {limit.scope}", MISSING, limit.reason, "Correct its name, or ask for it."
            )
    for lost in found.lost:
        yield Diagnosis(f"Machine: {lost.id}", MISSING, lost.reason, "Correct its name, or widen the scope.")


async def _guests(
    request: runs.Request, machines: tuple[Machine, ...], most: int | None, progress: Progress
) -> list[Diagnosis]:
    chosen = sample(machines, most)
    seen: list[Facts] = []
    if chosen:
        ask = progress.aside(credentials.ask)
        await runs.audit(_about(request, chosen), progress.update, ask, lambda facts, _: seen.append(facts))
    return [*examined(seen), *_others(machines, chosen)]


def _about(request: runs.Request, machines: Iterable[Machine]) -> runs.Request:
    """The same request for these machines and the one check that asks a guest who it is."""
    scope = replace(request.settings.scope, vms=tuple(machine.id for machine in machines))
    checks = tuple(check for check in load_checks() if check.id == IDENTITY and Plane.GUEST in check.planes)
    return replace(request, settings=replace(request.settings, scope=scope), checks=checks)


def sample(machines: Iterable[Machine], most: int | None) -> tuple[Machine, ...]:
    """At most so many guests per platform, transport and account; None takes all that have a way in."""
    kinds: dict[tuple[str, ...], list[Machine]] = defaultdict(list)
    for machine in machines:
        way = machine.connection
        if way is not None and not machine.left_out:
            kinds[machine.platform, way.transport, way.user or "", way.key or "", way.password or ""].append(
                machine
            )
    return tuple(machine for kind in kinds.values() for machine in kind[:most])


def examined(seen: Iterable[Facts]) -> Iterator[Diagnosis]:
    """What each guest showed of the way into it: reached, its host proven, the account's rights, its id."""
    found = tuple(seen)
    refused = refusals(found)
    for facts in found:
        subject = f"Guest: {facts.machine.name}"
        way = facts.machine.connection
        account = f"{way.transport} as {way.user or 'the usual user'}" if way else "no way in"
        bar = refused.get(facts.machine.id) or barred(facts)
        if bar is not None:
            yield Diagnosis(subject, MISSING, f"{account}: {bar.reason}", f"{bar.how}.")
        elif not isinstance(facts.guest, Unseen):
            windows = facts.guest.platform == Platform.WINDOWS
            rights = "an administrator" if windows else "root"
            yield Diagnosis(subject, OK, f"{account}: reached, its host proven, {rights}")


def _others(machines: Iterable[Machine], chosen: tuple[Machine, ...]) -> Iterator[Diagnosis]:
    """The machines that were not asked, by why not."""
    asked = {machine.id for machine in chosen}
    rest = [machine for machine in machines if machine.id not in asked and not machine.left_out]
    alike = sum(machine.connection is not None for machine in rest)
    if alike:
        yield Diagnosis(
            "Guests", UNKNOWN, f"{alike} more were not asked", "Ask them too: --all.", needed=False
        )
    if len(rest) > alike:
        found, how = f"{len(rest) - alike} have no way in", "Name one in a hosts file or --connections."
        yield Diagnosis("Guests", UNKNOWN, found, how, needed=False)

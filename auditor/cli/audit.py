"""`auditor audit` and `auditor inventory`."""

import asyncio
from collections.abc import Sequence

import typer
from rich.console import Console

from auditor import credentials
from auditor import run as runs
from auditor.cli.options import Given, with_settings
from auditor.cli.standard_output import summary_of
from auditor.cli.terminal import Progress, print_summary, print_table
from auditor.engine import Inventory
from auditor.errors import SettingsError
from auditor.exits import Exit, exit_code
from auditor.model import Machine, Plane
from auditor.output import write_reports
from auditor.plugin import Renderer, load_checks, load_renderers
from auditor.settings import settings
from auditor.text import place, visible


@with_settings
def audit(given: Given) -> None:
    """Audit machines and write the reports."""
    wanted = settings(given.values)
    renderers = choose_renderers(wanted.format)
    request = runs.Request.prepare(wanted, load_checks())
    with Progress(quiet=given.quiet) as progress:
        run = asyncio.run(runs.audit(request, progress.update, progress.aside(credentials.ask)))
    paths = write_reports(run, renderers, wanted.output)
    if not given.quiet:
        with summary_of("the reports are written"):
            print_summary(run, Console(), paths)
    raise typer.Exit(exit_code(run, wanted.fail_on))


@with_settings
def inventory(given: Given) -> None:
    """List the machines that a run would audit."""
    request = runs.Request.prepare(settings(given.values), load_checks())
    found = asyncio.run(runs.inventory(request))
    _print_inventory(found)
    unseen = [limit for limit in found.limits if limit.expected or limit.plane is not Plane.GUEST]
    raise typer.Exit(Exit.INCOMPLETE if unseen or found.lost else Exit.OK)


def choose_renderers(formats: Sequence[str]) -> tuple[Renderer, ...]:
    """The renderers of the formats; raises `SettingsError` naming the known ones."""
    known = {renderer.id: renderer for renderer in load_renderers()}
    if not formats:
        raise SettingsError(f"no report format is chosen; known: {', '.join(known)}")
    for name in formats:
        if name not in known:
            raise SettingsError(f"unknown format {name!r}; known: {', '.join(known)}")
    return tuple(known[name] for name in dict.fromkeys(formats))


def _way(machine: Machine) -> str:
    """How the guest of a machine would be reached, in a few words."""
    connection = machine.connection
    if machine.left_out:
        return "left out"
    if machine.unreachable:
        return "out of reach"
    if connection is None:
        return "-"
    where = connection.address if connection.port is None else place(connection.address, connection.port)
    user = f"{connection.user}@" if connection.user else ""
    return f"{connection.transport} {user}{where}" if where else connection.transport


def _print_inventory(found: Inventory) -> None:
    print_table(
        ("name", "platform", "location", "source", "guest", "id"),
        (
            (machine.name, machine.platform, machine.location, machine.source, _way(machine), machine.id)
            for machine in found.machines
        ),
    )
    typer.echo(f"{len(found.machines)} machines")
    for machine in found.machines:
        if machine.unreachable:
            typer.echo(visible(f"out of reach: {machine.name}: {machine.unreachable}"))
    for limit in found.limits:
        shown = "" if limit.plane is Plane.GUEST and not limit.expected else "could not see "
        typer.echo(visible(f"{shown}{limit.scope}: {limit.reason}"))
    for lost in found.lost:
        typer.echo(visible(f"lost {lost.id}: {lost.reason}"))

"""`auditor audit` and `auditor inventory`."""

import asyncio
from collections.abc import Sequence

import typer
from rich.console import Console
from rich.table import Table

from auditor import run as runs
from auditor.cli.options import Given, with_settings
from auditor.cli.terminal import Progress, plain, print_summary
from auditor.engine import Inventory
from auditor.errors import SettingsError
from auditor.exits import Exit, exit_code
from auditor.output import write_reports
from auditor.plugin import Renderer, load_checks, load_renderers
from auditor.settings import settings


@with_settings
def audit(given: Given) -> None:
    """Audit machines and write the reports."""
    wanted = settings(given.values)
    renderers = choose_renderers(wanted.format)
    request = runs.Request.prepare(wanted, load_checks())
    with Progress(quiet=given.quiet) as progress:
        run = asyncio.run(runs.audit(request, progress.update))
    paths = write_reports(run, renderers, wanted.output)
    if not given.quiet:
        print_summary(run, Console(), paths)
    raise typer.Exit(exit_code(run, wanted.fail_on))


@with_settings
def inventory(given: Given) -> None:
    """List the machines that a run would audit."""
    request = runs.Request.prepare(settings(given.values), load_checks())
    found = asyncio.run(runs.inventory(request))
    _print_inventory(found, Console(soft_wrap=True))
    raise typer.Exit(Exit.INCOMPLETE if found.limits or found.lost else Exit.OK)


def choose_renderers(formats: Sequence[str]) -> tuple[Renderer, ...]:
    """The renderers of the formats; raises `SettingsError` naming the known ones."""
    known = {renderer.id: renderer for renderer in load_renderers()}
    for name in formats:
        if name not in known:
            raise SettingsError(f"unknown format {name!r}; known: {', '.join(known)}")
    return tuple(known[name] for name in dict.fromkeys(formats))


def _print_inventory(found: Inventory, console: Console) -> None:
    table = Table("name", "platform", "location", "source", "id", box=None, header_style="bold")
    for machine in found.machines:
        row = (machine.name, machine.platform, machine.location, machine.source, machine.id)
        table.add_row(*map(plain, row))
    console.print(table)
    console.print(f"{len(found.machines)} machines")
    for limit in found.limits:
        console.print(f"could not see {plain(limit.scope)}: {plain(limit.reason)}")
    for lost in found.lost:
        console.print(f"lost {plain(lost.id)}: {plain(lost.reason)}")

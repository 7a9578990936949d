"""`auditor remediate`: plans made, shown and exported."""

import asyncio
import sys
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from auditor import credentials
from auditor.cli.options import Given, with_settings
from auditor.cli.payloads import allowed, linux_package, windows_agent
from auditor.cli.planning import Planned, make_plan
from auditor.cli.plans import LISTED, print_plan
from auditor.cli.terminal import Progress
from auditor.errors import OutputError, SettingsError
from auditor.exits import Exit
from auditor.output import write_whole
from auditor.plugin import load_checks, load_remediations, load_repair_renderers
from auditor.remedy import Plan, RepairOptions
from auditor.repair.document import plan_bytes, read_plan
from auditor.repair.export_ansible import as_ansible
from auditor.repair.export_az import as_az
from auditor.repair.export_bash import as_bash
from auditor.repair.export_powershell import as_powershell
from auditor.settings import settings
from auditor.summary import seen
from auditor.text import visible

remediate_app = typer.Typer(no_args_is_help=True, help="Plan repairs, look at plans, apply them.")

EXPORTERS: Mapping[str, Callable[[Plan], str]] = {
    "az": as_az,
    "powershell": as_powershell,
    "bash": as_bash,
    "ansible": as_ansible,
}
PANEL = "Repairs"


def repair_option(text: str, *names: str, metavar: str | None = None, **more: Any) -> Any:
    """An option of repairs, with its help."""
    return typer.Option(*names, metavar=metavar, rich_help_panel=PANEL, help=text, **more)


_file, _hash = partial(repair_option, metavar="FILE"), partial(repair_option, metavar="HEX")

PlanFile = Annotated[Path, typer.Argument(metavar="PLAN", help="A plan's JSON file.", show_default=False)]
Report = Annotated[Path | None, repair_option("Only what this audit.json found", "--from", metavar="RUN")]
Allow = Annotated[
    list[str] | None, repair_option("Let a remediation that asks first take part", metavar="ID")
]
AllowReboot = Annotated[bool, repair_option("Let steps reboot guests", "--allow-reboot")]
WindowsAgent = Annotated[
    str | None,
    repair_option(
        "Agent installer: https URL, share, or a local .msi to push",
        "--windows-agent",
        metavar="SOURCE",
    ),
]
InstallerHash = Annotated[str | None, _hash("The installer's SHA-256")]
Publisher = Annotated[
    str | None, repair_option("Its signer (default: Microsoft Corporation)", metavar="NAME")
]
LinuxPackage = Annotated[
    Path | None,
    _file("Agent package (.deb, .rpm) to push where no repository offers one", "--linux-package"),
]
PackageHash = Annotated[str | None, _hash("The SHA-256 it must have")]
Output = Annotated[Path | None, _file("The plan's file (default: out/plan.json)")]


@partial(with_settings, without={"fail_on", "format", "target_region"})
def plan(  # noqa: PLR0917 - typer reads options from parameters
    given: Given,
    report: Report = None,
    allow: Allow = None,
    allow_reboot: AllowReboot = False,
    windows_agent_: WindowsAgent = None,
    windows_agent_sha256: InstallerHash = None,
    windows_agent_publisher: Publisher = None,
    linux_package_: LinuxPackage = None,
    linux_package_sha256: PackageHash = None,
    output: Output = None,
) -> None:
    """Audit machines, and plan the repair of what is wrong; nothing is touched."""
    remediations = load_remediations()
    wanted = settings(given.values)
    path = plan_path(output or wanted.output / "plan.json")
    options = RepairOptions(
        allowed=allowed(allow or (), remediations),
        allow_reboot=allow_reboot,
        windows_agent=windows_agent(windows_agent_, windows_agent_sha256, windows_agent_publisher),
        linux_package=linux_package(linux_package_, linux_package_sha256),
    )
    with Progress(quiet=given.quiet) as progress:
        work = make_plan(
            wanted,
            load_checks(),
            remediations,
            options,
            report=report,
            progress=progress.update,
            ask=progress.aside(credentials.ask),
        )
        made = asyncio.run(work)
    paths = write_plan(made.plan, path)
    if not given.quiet:
        _tell(made, paths)
    raise typer.Exit(Exit.OK if made.run.machines and made.run.coverage.complete else Exit.INCOMPLETE)


remediate_app.command("plan")(plan)


def plan_path(path: Path) -> Path:
    """Where a plan is written, its HTML beside it; raises `SettingsError` where these would be one file."""
    if path.suffix.lower() == ".html":
        raise SettingsError(f"--output {path} is where the HTML would stand; name a .json file")
    return path


def write_plan(plan: Plan, path: Path) -> list[Path]:
    """Write a plan and what renders it, side by side; raises `OutputError`."""
    rendered = [(path, iter((plan_bytes(plan),)))]
    for renderer in load_repair_renderers():
        if renderer.plan is not None and renderer.suffix != ".json":
            rendered.append((path.with_suffix(renderer.suffix), renderer.plan(plan)))
    for place, chunks in rendered:
        try:
            place.parent.mkdir(parents=True, exist_ok=True)
            write_whole(place, chunks)
        except OSError as error:
            raise OutputError(f"cannot write {place}: {error.strerror or error}") from error
    return [place for place, _ in rendered]


def _tell(made: Planned, paths: list[Path]) -> None:
    console = Console()
    print_plan(made.plan, console, most=LISTED)
    typer.echo()
    typer.echo(visible(f"Coverage: {seen(made.run.coverage)}"))
    for lost in made.run.coverage.lost:
        typer.echo(visible(f"lost {lost.id}: {lost.reason}"))
    for path in paths:
        typer.echo(visible(f"Plan: {path}"))


@remediate_app.command("show")
def show(
    file: PlanFile,
    commands: Annotated[bool, typer.Option("--commands", help="Print every byte that would be sent")] = False,
    vm: Annotated[
        str | None, typer.Option(metavar="NAME", help="Only the machine of this name or resource id")
    ] = None,
) -> None:
    """Print a plan: what is to be done on each machine, what is not, and why."""
    found = read_plan(file)
    if vm is not None:
        known = {word for one in found.machines for word in (one.machine.name.lower(), one.machine.id)}
        if vm.lower() not in known:
            raise SettingsError(f"--vm: the plan has no machine {vm!r}")
    print_plan(found, Console(), commands=commands, name=vm)


def _print(content: bytes) -> None:
    if sys.stdout is None:
        raise OutputError("standard output is closed; name a file with --output")
    sys.stdout.buffer.write(content)
    sys.stdout.buffer.flush()


@remediate_app.command("export")
def export(
    file: PlanFile,
    format: Annotated[str, typer.Option(metavar="FORMAT", help=f"One of {', '.join(EXPORTERS)}")],
    output: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write it here (default: standard output)")
    ] = None,
) -> None:
    """Print a plan as a script, for people who may not let a tool write."""
    if format not in EXPORTERS:
        raise SettingsError(f"--format: unknown format {format!r}; known: {', '.join(EXPORTERS)}")
    content = EXPORTERS[format](read_plan(file)).encode("utf-8", "backslashreplace")
    if output is None:
        _print(content)
        return
    try:
        write_whole(output, (content,))
    except OSError as error:
        raise OutputError(f"cannot write {output}: {error.strerror or error}") from error

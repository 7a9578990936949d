"""`auditor remediate apply`, `resume` and `runs`: a plan carried out, and what became of it."""

import asyncio
import signal
import sys
from collections.abc import Coroutine, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from auditor import credentials, repairs
from auditor.cli.options import Given, with_settings
from auditor.cli.plans import LISTED, blast_radius, print_run
from auditor.cli.remediate import PlanFile, remediate_app, repair_option
from auditor.cli.standard_output import summary_of
from auditor.cli.terminal import Progress, print_table
from auditor.errors import OutputError, PlanError, SettingsError
from auditor.exits import Exit, repair_exit_code
from auditor.output import write_whole
from auditor.plugin import load_checks, load_repair_renderers
from auditor.remedy import Plan, RepairRun
from auditor.repair.apply import Pace, Patience, Stop
from auditor.repair.document import read_plan
from auditor.repair.gates import Limits
from auditor.repair.waves import parse_waves
from auditor.repair.window import parse_window
from auditor.run import check_usable
from auditor.settings import Settings, settings
from auditor.store.journal import SqliteJournal
from auditor.store.place import default_store
from auditor.text import visible

__all__ = ["remediate_app"]

STOPPED = 130
WEEK = 7 * 24 * 60
DECADE = 10 * 366 * 24
_WITHOUT = frozenset(
    {
        *("fail_on", "format", "target_region", "check", "skip_check", "inventory", "subscription"),
        *("management_group", "resource_group", "vm", "tag", "location", "connections", "run_command"),
    }
)

Store = Annotated[
    Path | None,
    repair_option("The journal (default: in the user's state)", metavar="FILE"),
]
Yes = Annotated[bool, repair_option("Do not ask", "--yes", "-y")]
_number = partial(repair_option, metavar="N")


@partial(with_settings, without=_WITHOUT)
def apply(  # noqa: PLR0917 - typer reads options from parameters
    given: Given,
    file: PlanFile,
    yes: Yes = False,
    wave: Annotated[str, repair_option("How far each wave goes", metavar="WAVES")] = "5,25%,100%",
    canary: Annotated[int, _number("Machines that have to be verified first", min=0)] = 1,
    max_failures: Annotated[int, _number("Stop when more machines failed", min=0)] = 3,
    max_machines: Annotated[int | None, _number("Touch no more machines", min=1)] = None,
    at_once: Annotated[int, _number("Machines in work at the same time", min=1)] = 10,
    per_availability_set: Annotated[int, _number("Of these in one availability set", min=1)] = 1,
    per_subnet: Annotated[int, _number("Of these in one subnet", min=1)] = 5,
    window: Annotated[
        str | None, repair_option("Only then, in UTC: 22:00-04:00, sat,sun 00:00-24:00", metavar="WINDOW")
    ] = None,
    backup_margin: Annotated[
        float, repair_option("Minutes to keep free before a backup", metavar="MINUTES", min=0, max=WEEK)
    ] = 60,
    wait: Annotated[
        float,
        repair_option("Minutes to wait until Azure hears the agent", metavar="MINUTES", min=0, max=WEEK),
    ] = 15,
    backup_now: Annotated[
        bool, repair_option("Back up what is verified, to its end", "--backup-now")
    ] = False,
    max_age: Annotated[
        float, repair_option("Hours that a plan may be old", metavar="HOURS", min=0, max=DECADE)
    ] = 24,
    store: Store = None,
) -> None:
    """Apply a plan: gates, canary, waves; every machine is checked again, and the evidence is written."""
    plan = read_plan(file)
    order = repairs.Order(
        settings=_settings(given, plan),
        checks=load_checks(),
        pace=Pace(
            shares=parse_waves(wave),
            canary=canary,
            max_failures=max_failures,
            max_machines=max_machines,
            at_once=at_once,
            per_availability_set=per_availability_set,
            per_subnet=per_subnet,
        ),
        limits=Limits(parse_window(window) if window else None, timedelta(minutes=backup_margin)),
        patience=Patience(confirm=wait * 60),
        backup_now=backup_now,
        max_age=timedelta(hours=max_age),
    )
    _agree(plan, yes)
    with SqliteJournal.open(store or default_store()) as journal, _controls(given) as operator:
        done = _watched(repairs.apply_plan(plan, order, journal, operator), operator.stop)
    _finish(done, order.settings, given)


remediate_app.command("apply")(apply)


@partial(with_settings, without=_WITHOUT)
def resume(
    given: Given,
    run: Annotated[
        str | None, typer.Argument(metavar="RUN", help="The run's id (default: the newest unfinished)")
    ] = None,
    store: Store = None,
) -> None:
    """Go on with a run that was stopped or killed: look at its machines again, lose and double nothing."""
    with SqliteJournal.open(_there(store)) as journal:
        known = run or next(iter(journal.unfinished()), None)
        if known is None:
            raise SettingsError("there is no unfinished run; `auditor remediate runs` lists them all")
        plan, noted = journal.load(known).plan, journal.options(known)
        order = _noted(noted, _settings(given, plan))
        with _controls(given) as operator:
            done = _watched(repairs.resume(known, order, journal, operator), operator.stop)
    _finish(done, order.settings, given)


remediate_app.command("resume")(resume)


@remediate_app.command("runs")
def runs(store: Store = None) -> None:
    """List the runs of the journal, the newest first."""
    with SqliteJournal.open(_there(store)) as journal:
        heads = journal.runs()
    print_table(
        ("run", "began", "ended", "results"),
        (
            (
                head.id,
                f"{head.started_at:%Y-%m-%d %H:%M:%S}",
                f"{head.finished_at:%Y-%m-%d %H:%M:%S}" if head.finished_at else "not finished",
                ", ".join(f"{count} {result}" for result, count in head.results.items() if count) or "-",
            )
            for head in heads
        ),
    )


def _there(store: Path | None) -> Path:
    """The journal to look into; raises `SettingsError` for one that was named and is not there."""
    if store is not None and not store.exists():
        raise SettingsError(f"there is no unfinished run, nor any other: no journal is at {store} (--store)")
    return store or default_store()


def _settings(given: Given, plan: Plan) -> Settings:
    """The settings, for the cloud of the plan where none was named."""
    wanted = settings(given.values)
    check_usable(wanted)
    named = given.values["cloud"].origin != "default"
    return wanted if named or plan.cloud == "none" else replace(wanted, cloud=plan.cloud)


def _noted(options: Mapping[str, str], wanted: Settings) -> repairs.Order:
    """What a run was begun with; settings and checks are this process's own."""
    most = options.get("max_machines", "")
    window = options.get("window", "")
    return repairs.Order(
        settings=wanted,
        checks=load_checks(),
        pace=Pace(
            shares=parse_waves(options["wave"]),
            canary=int(options["canary"]),
            max_failures=int(options["max_failures"]),
            max_machines=int(most) if most else None,
            at_once=int(options["at_once"]),
            per_availability_set=int(options["per_availability_set"]),
            per_subnet=int(options["per_subnet"]),
        ),
        limits=Limits(
            parse_window(window) if window else None, timedelta(minutes=float(options["backup_margin"]))
        ),
        patience=Patience(settle=float(options["settle"]), confirm=float(options["confirm"])),
        backup_now=bool(options["backup_now"]),
        max_age=timedelta(hours=float(options["max_age"])) if "max_age" in options else repairs.MAX_AGE,
    )


def _agree(plan: Plan, yes: bool) -> None:
    """Show the blast radius and ask; raises `SettingsError` where nobody can be asked, ends for a no."""
    if not plan.touched:
        raise PlanError("the plan touches nothing; `auditor remediate show` says why")
    if yes:
        return
    if not sys.stdin.isatty():
        raise SettingsError(f"{blast_radius(plan)}: nobody can be asked here; say --yes")
    with suppress(typer.Abort, KeyboardInterrupt):
        if typer.confirm(f"{blast_radius(plan)}. Go on?"):
            return
    typer.echo("nothing was touched", err=True)
    raise typer.Exit(Exit.INCOMPLETE)


@contextmanager
def _controls(given: Given) -> Iterator[repairs.Operator]:
    with Progress(quiet=given.quiet) as progress:
        yield repairs.Operator(
            told=progress.update,
            ask=progress.aside(credentials.ask),
            begun=None if given.quiet else lambda run: typer.echo(f"run {run}", err=True),
        )


def _watched(work: Coroutine[Any, Any, RepairRun], stop: Stop) -> RepairRun:
    """Do the work; Ctrl-C once lets what is in flight finish, twice stops now."""

    async def watched() -> RepairRun:
        loop, task = asyncio.get_running_loop(), asyncio.current_task()

        pressed = False

        def interrupt() -> None:
            nonlocal pressed
            if pressed and task is not None:
                task.cancel()
            else:
                pressed = True
                typer.echo("finishing what is in flight; Ctrl-C again stops now", err=True)
                stop.interrupt()

        with suppress(NotImplementedError):  # Windows event loops take no signal handlers
            loop.add_signal_handler(signal.SIGINT, interrupt)
        return await work

    try:
        return asyncio.run(watched())
    except asyncio.CancelledError:
        typer.echo("stopped; `auditor remediate resume` looks at every machine again and goes on", err=True)
        raise typer.Exit(STOPPED) from None


def _finish(run: RepairRun, wanted: Settings, given: Given) -> None:
    paths = write_evidence(run, wanted.output)
    if not given.quiet:
        with summary_of("the evidence is written"):
            print_run(run, Console(), most=LISTED)
            for path in paths:
                typer.echo(visible(f"Evidence: {path}"))
    raise typer.Exit(repair_exit_code(run))


def write_evidence(run: RepairRun, folder: Path) -> Sequence[Path]:
    """Write what became of a plan, in every format that shows it; raises `OutputError`."""
    paths = []
    for renderer in load_repair_renderers():
        if renderer.run is None:
            continue
        path = folder / f"repair{renderer.suffix}"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            write_whole(path, renderer.run(run))
        except OSError as error:
            raise OutputError(f"cannot write {path}: {error.strerror or error}") from error
        paths.append(path)
    return paths

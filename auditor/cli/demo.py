"""`auditor demo`: the main job against a simulated estate, checked against what was seeded."""

import asyncio
import os
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from auditor import repairs
from auditor import run as runs
from auditor.cli.applying import write_evidence
from auditor.cli.audit import choose_renderers
from auditor.cli.planning import Planned, make_plan
from auditor.cli.plans import print_run
from auditor.cli.remediate import write_plan
from auditor.cli.terminal import Progress, plain, print_summary
from auditor.errors import SettingsError
from auditor.exits import Exit
from auditor.model import AuditRun
from auditor.output import write_reports
from auditor.plugin import load_checks, load_remediations
from auditor.remedy import Plan, RepairOptions, RepairRun, Result
from auditor.repair.apply import Patience
from auditor.settings import Settings, resolve, settings
from auditor.store.journal import SqliteJournal

PATIENCE = Patience(settle=30, confirm=120, pause=0.5)


def demo(
    vms: Annotated[int, typer.Option(min=1, help="Simulated VMs")] = 60,
    seed: Annotated[int, typer.Option(help="Seed of the estate")] = 1,
    output: Annotated[Path, typer.Option(help="Folder for the reports", metavar="DIR")] = Path("out"),
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Only the comparison")] = False,
) -> None:
    """Audit a simulated estate, repair what can be repaired, and compare both with what was seeded."""
    try:
        from auditor.simulator.site import Site  # noqa: PLC0415 - an optional extra
    except ImportError as error:
        raise SettingsError(
            f"the demo needs its extra: pip install 'fleet-auditor[demo]' ({error})"
        ) from error
    console = Console(soft_wrap=True)
    with Site(vms, seed) as site:
        os.environ.update(site.environment)
        server = site.server
        wanted = _settings(server.url, server.ca_pem, site.hosts_files, site.linux.known_hosts, output)
        with Progress(quiet=quiet) as progress:
            made = _planned(wanted, progress)
        paths = write_reports(made.run, choose_renderers(wanted.format), output)
        paths += write_plan(made.plan, output / "plan.json")
        if not quiet:
            print_summary(made.run, console, paths)
        site.learn(made.plan)
        with Progress(quiet=quiet) as progress:
            done = _applied(made.plan, wanted, progress)
            after = _audited_again(made.plan, wanted, progress)
        evidence = write_evidence(done, output)
    if not quiet:
        print_run(done, console)
        for path in evidence:
            console.print(f"Evidence: {path}")
    found, ends, seeded = _verdicts(made.run), _ends(done, after), site.seeded
    right = [
        compare(found, seeded.verdicts(), "verdicts"),
        compare(found, seeded.guest_verdicts(), "guest verdicts"),
        compare(ends, seeded.mendable(), "repaired"),
        compare(ends, seeded.refused(), "refused during a backup"),
    ]
    raise typer.Exit(Exit.OK if all(right) else Exit.INTERNAL)


def _settings(url: str, ca_pem: Path, hosts: Sequence[Path], known_hosts: Path, output: Path) -> Settings:
    given = {
        "cloud": url,
        "ca_bundle": str(ca_pem),
        "inventory": [str(path) for path in hosts],
        "known_hosts": str(known_hosts),
        "ssh_config": "none",
        "output": str(output),
    }
    return settings(resolve(given, environment={}, read_file=False))


def _planned(wanted: Settings, progress: Progress) -> Planned:
    """The audit, and the plan that rests on it."""
    from auditor.simulator.mendable import INSTALLER  # noqa: PLC0415 - an optional extra

    options = RepairOptions(windows_agent=INSTALLER)
    work = make_plan(wanted, load_checks(), load_remediations(), options, progress=progress.update)
    made = asyncio.run(work)
    return replace(made, run=replace(made.run, cloud="simulated estate"))


def _applied(plan: Plan, wanted: Settings, progress: Progress) -> RepairRun:
    """The plan applied: the canary, then the waves."""
    order = repairs.Order(wanted, load_checks(), patience=PATIENCE)
    operator = repairs.Operator(told=progress.update)
    with (
        tempfile.TemporaryDirectory(prefix="auditor-demo-") as folder,
        SqliteJournal.open(Path(folder) / "auditor.db") as journal,
    ):
        return asyncio.run(repairs.apply_plan(plan, order, journal, operator))


def _audited_again(plan: Plan, wanted: Settings, progress: Progress) -> AuditRun:
    """The machines that the plan touches, as they are now."""
    touched = tuple(machine.machine.id for machine in plan.touched)
    only = replace(wanted, scope=replace(wanted.scope, vms=touched))
    return asyncio.run(runs.audit(runs.Request.prepare(only, load_checks()), progress.update))


def _verdicts(run: AuditRun) -> dict[str, str]:
    return {result.machine.id: result.verdict for result in run.machines}


def _ends(done: RepairRun, after: AuditRun) -> dict[str, str]:
    """Every machine of a run with its verdict now, or with its result where it was not verified."""
    now = _verdicts(after)
    return {
        record.machine: now.get(record.machine, "gone")
        if record.result is Result.VERIFIED
        else str(record.result or "not settled")
        for record in done.machines
    }


def compare(found: Mapping[str, str], seeded: Mapping[str, str], noun: str) -> bool:
    """Print how many machines ended as they were seeded, and name the others; whether all did."""
    console = Console(soft_wrap=True)
    wrong = {key: verdict for key, verdict in seeded.items() if found.get(key) != verdict}
    if seeded:
        console.print(f"{len(seeded) - len(wrong)} of {len(seeded)} {noun} as seeded")
    for key, verdict in wrong.items():
        console.print(f"  {plain(key)}: seeded {verdict}, found {found.get(key, 'nothing')}")
    return not wrong

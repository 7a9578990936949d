"""`auditor demo`: the main job against a simulated estate, checked against what was seeded."""

import asyncio
import os
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from auditor import run as runs
from auditor.cli.audit import choose_renderers
from auditor.cli.terminal import Progress, plain, print_summary
from auditor.errors import SettingsError
from auditor.exits import Exit
from auditor.model import AuditRun, Verdict
from auditor.output import write_reports
from auditor.plugin import load_checks
from auditor.settings import Settings, resolve, settings


def demo(
    vms: Annotated[int, typer.Option(min=1, help="Simulated VMs")] = 60,
    seed: Annotated[int, typer.Option(help="Seed of the estate")] = 1,
    output: Annotated[Path, typer.Option(help="Folder for the reports", metavar="DIR")] = Path("out"),
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Only the comparison")] = False,
) -> None:
    """Audit a simulated estate and compare the verdicts with the faults that were seeded."""
    try:
        from auditor.simulator.estate import build_estate  # noqa: PLC0415 - an optional extra
        from auditor.simulator.guests import GUESTS, SshGuests  # noqa: PLC0415
        from auditor.simulator.inside import look_inside  # noqa: PLC0415
        from auditor.simulator.run import environment  # noqa: PLC0415
        from auditor.simulator.server import EstateServer  # noqa: PLC0415
        from auditor.simulator.windows import WinRmGuests  # noqa: PLC0415
        from auditor.simulator.windows.guests import OUTSIDE_AZURE  # noqa: PLC0415
    except ImportError as error:
        raise SettingsError(
            f"the demo needs its extra: pip install 'fleet-auditor[demo]' ({error})"
        ) from error
    estate = build_estate(vms, seed)
    inside = look_inside(estate)
    with ExitStack() as stack:
        server = stack.enter_context(EstateServer(estate))
        linux = stack.enter_context(SshGuests((*GUESTS, *inside.linux)))
        windows = stack.enter_context(WinRmGuests((*OUTSIDE_AZURE, *inside.windows)))
        os.environ.update(environment(server))
        hosts = (linux.hosts_file, windows.hosts_file)
        wanted = _settings(server.url, server.ca_pem, hosts, linux.known_hosts, output)
        request = runs.Request.prepare(wanted, load_checks())
        with Progress(quiet=quiet) as progress:
            run = asyncio.run(runs.audit(request, progress.update))
        run = replace(run, cloud="simulated estate")
    paths = write_reports(run, choose_renderers(wanted.format), output)
    console = Console(soft_wrap=True)
    if not quiet:
        print_summary(run, console, paths)
    seen = linux.truth() | windows.truth()
    unseen = {key: truth for key, truth in estate.truth().items() if key not in seen}
    right = [
        _compare(run, {key: truth.verdict for key, truth in part.items()}, noun, console)
        for part, noun in ((unseen, "verdicts"), (seen, "guest verdicts"))
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


def _compare(run: AuditRun, seeded: Mapping[str, Verdict], noun: str, console: Console) -> bool:
    found = {result.machine.id: result.verdict for result in run.machines}
    wrong = {key: verdict for key, verdict in seeded.items() if found.get(key) is not verdict}
    console.print(f"{len(seeded) - len(wrong)} of {len(seeded)} {noun} as seeded")
    for key, verdict in wrong.items():
        console.print(f"  {plain(key)}: seeded {verdict}, found {found.get(key, 'nothing')}")
    return not wrong

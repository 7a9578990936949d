"""The command line: options become objects, objects become output."""

import logging
import sys
from typing import Annotated

import typer

from auditor import __version__
from auditor.cli import audit, demo, simulate
from auditor.cli.applying import remediate_app
from auditor.cli.checks import checks_app, rules_app
from auditor.cli.config import config_app
from auditor.cli.doctor import doctor
from auditor.cli.remediations import remediations_app
from auditor.cli.selftest import selftest_app
from auditor.cli.standard_output import standard_output
from auditor.credentials import hide
from auditor.errors import AuditorError
from auditor.exits import Exit
from auditor.text import visible

INTERRUPTED = 130

logger = logging.getLogger(__name__)

app = typer.Typer(
    name="auditor",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Find out which machines Azure Backup can protect, which it cannot, and why.",
)
app.command("audit")(audit.audit)
app.command("inventory")(audit.inventory)
app.add_typer(checks_app, name="checks")
app.add_typer(remediate_app, name="remediate")
app.add_typer(remediations_app, name="remediations")
app.add_typer(rules_app, name="rules")
app.add_typer(config_app, name="config")
app.command("doctor")(doctor)
app.command("demo")(demo.demo)
app.command("simulate")(simulate.simulate)
app.add_typer(selftest_app, name="selftest")


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"auditor {__version__}")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version")
    ] = False,
) -> None:
    """Find out which machines Azure Backup can protect, which it cannot, and why."""


def main() -> None:
    """Run the command line; the one place where an error becomes an exit code."""
    try:
        with standard_output():
            app()
    except AuditorError as error:
        logger.info("ended with an error: %s", error)
        typer.echo(f"error: {visible(hide(str(error)))}", err=True)
        sys.exit(Exit.USAGE)
    except SystemExit as end:
        # typer turns an interrupt into this exit code, without a word
        if end.code == INTERRUPTED:
            typer.echo("interrupted: no report was written", err=True)
        raise
    except Exception:
        logger.exception("internal error; please report it with this log")
        sys.exit(Exit.INTERNAL)

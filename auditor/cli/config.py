"""`auditor config show`: every setting, its value, and where the value came from."""

import typer

from auditor.cli.options import Given, with_settings
from auditor.cli.terminal import print_table
from auditor.settings import OPTIONS, settings

config_app = typer.Typer(no_args_is_help=True, help="Look at the settings.")


@config_app.callback()
def config() -> None:
    """Look at the settings."""


@config_app.command("show")
@with_settings
def show(given: Given) -> None:
    """Show every setting, its value and where it came from."""
    settings(given.values)
    print_table(
        ("setting", "value", "from"),
        (
            (option.name, _shown(given.values[option.name].value), given.values[option.name].origin)
            for option in OPTIONS
        ),
    )


def _shown(value: object) -> str:
    if value is None or value == ():
        return "-"
    if isinstance(value, tuple):
        return ", ".join("=".join(item) if isinstance(item, tuple) else str(item) for item in value)
    return str(value)

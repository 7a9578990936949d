"""`auditor config show`: every setting, its value, and where the value came from."""

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from auditor.cli.options import Given, with_settings
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
    table = Table("setting", "value", "from", box=None, header_style="bold")
    for option in OPTIONS:
        value = given.values[option.name]
        table.add_row(option.name, escape(_shown(value.value)), escape(value.origin))
    Console(soft_wrap=True).print(table)


def _shown(value: object) -> str:
    if value is None or value == ():
        return "-"
    if isinstance(value, tuple):
        return ", ".join("=".join(item) if isinstance(item, tuple) else str(item) for item in value)
    return str(value)

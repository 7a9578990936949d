"""`auditor checks` and `auditor rules`: what is checked, why, and against which numbers."""

from collections.abc import Sequence
from difflib import get_close_matches
from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text

from auditor.cli.terminal import print_table
from auditor.errors import UsageError
from auditor.model import Plane
from auditor.plugin import Check, load_checks
from auditor.rules import Rules, default_rules_text, load_rules
from auditor.text import visible

checks_app = typer.Typer(invoke_without_command=True, help="List the checks, or explain one.")
rules_app = typer.Typer(no_args_is_help=True, help="Look at the rule set.")


@checks_app.callback()
def list_checks(context: typer.Context) -> None:
    """List the checks, or explain one."""
    if context.invoked_subcommand is not None:
        return
    rules = load_rules()
    print_table(
        ("check", "severity", "planes", "title"),
        (
            (check.id, rules.severity(check.id, check.severity), _planes(check), check.title)
            for check in load_checks()
        ),
    )


@checks_app.command("show")
def show_check(id: Annotated[str, typer.Argument(metavar="ID", help="The id of a check.")]) -> None:
    """Explain one check: what, why, evidence, how repaired, sources."""
    check = _find(id, load_checks())
    console = Console(soft_wrap=not Console().is_terminal)
    for heading, text in _explained(check, load_rules()):
        console.print(Text(heading, style="bold"))
        console.print(Text(visible(text, keep="\n")))
        console.print()


@rules_app.callback()
def rules() -> None:
    """Look at the rule set."""


@rules_app.command("show")
def show_rules() -> None:
    """Print the rule set that ships, to copy and change."""
    typer.echo(default_rules_text(), nl=False)


def _find(id: str, checks: Sequence[Check]) -> Check:
    by_id = {check.id: check for check in checks}
    if id in by_id:
        return by_id[id]
    near = get_close_matches(id.lower(), by_id, n=3)
    hint = f"did you mean {', '.join(near)}?" if near else f"known: {', '.join(by_id)}"
    raise UsageError(f"unknown check {id!r}; {hint}")


def _explained(check: Check, rules: Rules) -> tuple[tuple[str, str], ...]:
    explanation = check.explanation
    severity = rules.severity(check.id, check.severity)
    return (
        (check.id, f"{check.title} (severity: {severity}; reads: {_planes(check)})"),
        ("What", explanation.what),
        ("Why", explanation.why),
        ("Evidence", explanation.evidence),
        ("Repair", explanation.repair),
        ("Sources", "\n".join(f"- {source}" for source in explanation.sources)),
    )


def _planes(check: Check) -> str:
    return ", ".join(plane for plane in Plane if plane in check.planes)

"""`auditor remediations`: what can be repaired, how, and what never is."""

from collections.abc import Sequence
from difflib import get_close_matches
from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text

from auditor.cli.terminal import print_table
from auditor.errors import UsageError
from auditor.plugin import Remediation, Repair, load_remediations
from auditor.text import visible

remediations_app = typer.Typer(invoke_without_command=True, help="List the remediations, or explain one.")


@remediations_app.callback()
def default(context: typer.Context) -> None:
    """List the remediations, or explain one."""
    if context.invoked_subcommand is None:
        list_remediations()


@remediations_app.command("list")
def list_remediations(
    markdown: Annotated[
        bool, typer.Option("--markdown", help="Explain each, as docs/remediation.md does")
    ] = False,
) -> None:
    """List the remediations in the order in which they are asked."""
    if markdown:
        typer.echo("\n\n".join(section(one) for one in load_remediations()))
        return
    print_table(
        ("remediation", "asked for by", "repairs", "title"),
        (
            (one.id, f"--allow {one.id}" if one.opt_in else "-", ", ".join(one.repairs), one.title)
            for one in load_remediations()
        ),
    )


@remediations_app.command("show")
def show_remediation(id: Annotated[str, typer.Argument(metavar="ID", help="A remediation's id.")]) -> None:
    """Explain one remediation: what, why, how, how it is taken back, what it never does, sources."""
    console = Console(soft_wrap=not Console().is_terminal)
    for heading, text in _explained(find(id, load_remediations())):
        console.print(Text(heading, style="bold"))
        console.print(Text(visible(text, keep="\n")))
        console.print()


def find(id: str, remediations: Sequence[Remediation]) -> Remediation:
    """The remediation of that id; raises `UsageError` naming those that are near."""
    by_id = {one.id: one for one in remediations}
    if id in by_id:
        return by_id[id]
    near = get_close_matches(id.lower(), by_id, n=3)
    hint = f"did you mean {', '.join(near)}?" if near else f"known: {', '.join(by_id)}"
    raise UsageError(f"unknown remediation {id!r}; {hint}")


def section(one: Remediation) -> str:
    """One remediation's section of the documentation."""
    words = one.explanation
    asked = f"opt-in: `--allow {one.id}`" if one.opt_in else "part of every plan"
    repairs = ", ".join(f"`{check}`" for check in one.repairs)
    paragraphs = (
        f"### `{one.id}`",
        f"**{one.title}** · {asked} · repairs: {repairs}",
        *(f"*{heading}.* {text}" for heading, text in zip(_HEADINGS, _prose(words), strict=True)),
        "*Sources.*\n" + "\n".join(f"- {source}" for source in words.sources),
    )
    return "\n\n".join(paragraphs)


_HEADINGS = ("What", "Why", "How", "Undo", "Never")


def _prose(words: Repair) -> tuple[str, ...]:
    return words.what, words.why, words.how, words.undo, words.never


def _explained(one: Remediation) -> tuple[tuple[str, str], ...]:
    words = one.explanation
    asked = f"only with --allow {one.id}" if one.opt_in else "always part of a plan"
    return (
        (one.id, f"{one.title} ({asked}; repairs: {', '.join(one.repairs)})"),
        *zip(_HEADINGS, _prose(words), strict=True),
        ("Sources", "\n".join(f"- {source}" for source in words.sources)),
    )

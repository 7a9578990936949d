"""The documents say what the program does: checked against the registries, the options and --help."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer.main
from typer.core import TyperCommand, TyperGroup

from auditor.cli import app
from auditor.exits import Exit
from auditor.plugin import load_checks, load_remediations, load_renderers
from auditor.rules import load_rules
from auditor.settings import OPTIONS

ROOT = Path(__file__).resolve().parent.parent
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").glob("*.md")])
README = (ROOT / "README.md").read_text(encoding="utf-8")


Words = tuple[str, ...]


def commands(group: TyperCommand | TyperGroup, path: Words = ()) -> Iterator[tuple[Words, TyperCommand]]:
    if isinstance(group, TyperGroup):
        for name, command in group.commands.items():
            yield from commands(command, (*path, name))
    else:
        yield path, group


COMMANDS = dict(commands(typer.main.get_command(app)))


def test_readme_lists_every_check_with_its_severity() -> None:
    rules = load_rules()
    for check in load_checks():
        severity = rules.severity(check.id, check.severity)
        assert re.search(rf"\| `{check.id}` \| {severity} \|", README), check.id


def test_every_check_has_its_section() -> None:
    text = (ROOT / "docs" / "checks.md").read_text(encoding="utf-8")
    assert re.findall(r"^## `([a-z-]+)`", text, re.MULTILINE) == [check.id for check in load_checks()]


def test_readme_lists_every_remediation() -> None:
    table = README[README.index("## Repairs") : README.index("## Exit codes")]
    assert re.findall(r"^\| `([a-z-]+)` \|", table, re.MULTILINE) == [one.id for one in load_remediations()]


def test_every_format_is_documented() -> None:
    text = (ROOT / "docs" / "reports.md").read_text(encoding="utf-8")
    assert [renderer.id for renderer in load_renderers() if f"`{renderer.id}`" not in text] == []


def test_exit_codes_are_documented() -> None:
    table = README[README.index("## Exit codes") : README.index("## Permissions")]
    assert {int(code) for code in re.findall(r"^\| (\d+) \|", table, re.MULTILINE)} == set(map(int, Exit))


def test_every_option_is_documented_with_its_default() -> None:
    text = (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(--[a-z-]+)` \| `([A-Z_]+)` \| (.*?) \| (.*?) \|$", text, re.MULTILINE)
    assert rows == [_row(option) for option in OPTIONS]


def _row(option: object) -> tuple[str, str, str, str]:
    assert hasattr(option, "flag")
    value = option.default
    shown = "-" if value in (None, ()) else ", ".join(value) if isinstance(value, tuple) else str(value)
    return option.flag, option.variable, shown, option.help + (" (repeatable)" if option.many else "")


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_every_command_is_documented_and_has_help(path: tuple[str, ...]) -> None:
    everything = "\n".join(page.read_text(encoding="utf-8") for page in PAGES)
    assert f"auditor {' '.join(path)}" in everything
    assert COMMANDS[path].help


def examples() -> Iterator[tuple[str, str]]:
    for page in PAGES:
        for line in re.findall(
            r"^\$ (?:\S+/)?(auditor .*?)(?:\s+[#>].*)?$", page.read_text("utf-8"), re.MULTILINE
        ):
            yield page.name, line


@pytest.mark.parametrize(("page", "line"), sorted(set(examples())))
def test_examples_use_commands_and_options_that_exist(page: str, line: str) -> None:
    words = line.split()[1:]
    path = next((tuple(words[:size]) for size in (2, 1) if tuple(words[:size]) in COMMANDS), None)
    options = {word.partition("=")[0] for word in words if word.startswith("--")}
    if path is None:
        assert options <= {"--version", "--help", "--install-completion", "--show-completion"}, (
            f"{page}: {line}"
        )
        return
    known = {
        flag for parameter in COMMANDS[path].params for flag in (*parameter.opts, *parameter.secondary_opts)
    }
    assert options <= known | {"--help"}, f"{page}: {line}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    targets = re.findall(r"\]\((?!https?:|#)([^)#\s]+)", page.read_text(encoding="utf-8"))
    assert [target for target in targets if not (page.parent / target).exists()] == []

"""`auditor checks`, `auditor checks show`, `auditor rules show`."""

import tomllib
from pathlib import Path

import pytest
from typer.testing import CliRunner

from auditor.cli.checks import checks_app, rules_app
from auditor.errors import UsageError
from auditor.plugin import load_checks
from auditor.rules import default_rules_text, load_rules

RUN = CliRunner()


def test_the_list_has_one_line_per_check() -> None:
    result = RUN.invoke(checks_app, [])
    assert result.exit_code == 0
    heading, *lines = result.output.splitlines()
    assert heading.split() == ["check", "severity", "planes", "title"]
    assert [line.split()[0] for line in lines] == [check.id for check in load_checks()]
    for line, check in zip(lines, load_checks(), strict=True):
        assert check.title in line
        assert all(plane in line for plane in check.planes)


@pytest.mark.parametrize("check", load_checks(), ids=lambda check: check.id)
def test_an_explanation_says_everything(check: object) -> None:
    result = RUN.invoke(checks_app, ["show", check.id])  # type: ignore[attr-defined]
    assert result.exit_code == 0
    explanation = check.explanation  # type: ignore[attr-defined]
    texts = (explanation.what, explanation.why, explanation.evidence, explanation.repair)
    for text in (*texts, *explanation.sources):
        assert text in result.output


@pytest.mark.parametrize(
    ("id", "hint"),
    [
        ("wireserver", "did you mean wire-server"),
        ("VM-AGENT-REDY", "vm-agent-ready"),
        ("zzz", "known: guest-identity"),
    ],
)
def test_an_unknown_id_is_answered_with_those_that_are_near(id: str, hint: str) -> None:
    result = RUN.invoke(checks_app, ["show", id])
    assert isinstance(result.exception, UsageError)
    assert hint in str(result.exception)


def test_the_printed_rules_can_be_used_as_they_are(tmp_path: Path) -> None:
    result = RUN.invoke(rules_app, ["show"])
    assert result.exit_code == 0
    assert result.output == default_rules_text()
    assert tomllib.loads(result.output)["name"] == load_rules().name
    copy = tmp_path / "copy.toml"
    copy.write_text(result.output, encoding="utf-8")
    assert load_rules(copy) == load_rules()

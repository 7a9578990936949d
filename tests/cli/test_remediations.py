"""`auditor remediations` and the page that is made from it."""

import subprocess
from collections.abc import Callable

import pytest

from auditor.cli.remediations import section
from auditor.plugin import Remediation, load_checks, load_remediations
from tests.conftest import ROOT

Program = Callable[..., subprocess.CompletedProcess[str]]
REMEDIATIONS = load_remediations()
PAGE = (ROOT / "docs" / "remediation.md").read_text(encoding="utf-8")


def test_the_list_holds_each_and_what_has_to_be_asked_for(program: Program) -> None:
    for words in ((), ("list",)):
        lines = program("remediations", *words).stdout.splitlines()[1:]
        assert [line.split()[0] for line in lines] == [one.id for one in REMEDIATIONS]
        for line, one in zip(lines, REMEDIATIONS, strict=True):
            assert (f"--allow {one.id}" in line) == one.opt_in


def test_show_explains_one(program: Program) -> None:
    done = program("remediations", "show", "linux-agent")
    assert done.returncode == 0
    for heading in ("What", "Why", "How", "Undo", "Never", "Sources"):
        assert f"\n{heading}\n" in done.stdout


def test_an_unknown_id_names_those_that_are_near(program: Program) -> None:
    done = program("remediations", "show", "linux-agnt")
    assert (done.returncode, "did you mean linux-agent" in done.stderr) == (2, True)


@pytest.mark.parametrize("one", REMEDIATIONS, ids=lambda one: one.id)
def test_the_page_holds_its_section(one: Remediation) -> None:
    assert section(one) in PAGE, "see `auditor remediations list --markdown`"


def test_the_page_holds_no_other_section(program: Program) -> None:
    assert PAGE.endswith(program("remediations", "list", "--markdown").stdout)


@pytest.mark.parametrize("one", REMEDIATIONS, ids=lambda one: one.id)
def test_a_remediation_repairs_checks_that_exist_and_says_how(one: Remediation) -> None:
    words = one.explanation
    assert set(one.repairs) <= {check.id for check in load_checks()}
    assert one.repairs
    assert all((words.what, words.why, words.how, words.undo, words.never, words.sources))

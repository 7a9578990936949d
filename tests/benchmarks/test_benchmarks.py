"""The benchmarks run: tiny numbers, every figure, and no judgement on time."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.figures import FIGURES, Results, Round, rewrite
from benchmarks.processes import Audited, Server


def row(table: str, title: str) -> str:
    return next(line.removeprefix(title).strip() for line in table.splitlines() if line.startswith(title))


def test_a_tiny_run_prints_every_figure(root: Path) -> None:
    command = [sys.executable, "-m", "benchmarks", "--vms", "12", "--rounds", "1", "--latency-ms", "0"]
    table = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True).stdout
    assert [figure.title for figure in FIGURES if not row(table, figure.title)] == []
    assert float(row(table, "Calls per VM, whole audit").partition(",")[0]) > 1
    for title in ("Answers 429, whole audit", "Verdicts other than seeded"):
        assert re.fullmatch(r"0 +at most 0", row(table, title))


def one_round(views: float, memory: float = 100.0) -> Round:
    bare = {"list": {"cpu": 5.0, "wall": 5.0}, "views": {"cpu": 2.0, "wall": 2.0}}
    ours = {"list": {"cpu": 9.0, "wall": 9.0}, "views": {"cpu": views, "wall": 4.0}}
    served = Server({}, "", {"vm.get": 2}, 0, {"a": "ready", "b": "unknown"})
    audited = Audited(30.0, 40.0, memory, 1.5, 20.0, {"a": "ready", "b": "at-risk"})
    return Round(bare, ours, audited, served, None)


@pytest.fixture
def results() -> Results:
    rounds = [one_round(5.0), one_round(4.0), one_round(8.0, memory=310.0)]
    return Results(2, "A machine.", {0.0: rounds, 50.0: rounds[:1]})


@pytest.mark.parametrize(
    ("title", "cells"),
    [
        ("CPU per instance view, against bare", "2.50x (2.00x to 4.00x) | 2.50x | at most 2.50x"),
        ("Peak memory, whole audit", "100 MB (100 MB to 310 MB) | 100 MB | at most 300 MB"),
        ("CPU of the whole audit, against bare list and views", "10.0x | 10.0x | "),
        ("Verdicts other than seeded", "1, missed | 1, missed | at most 0"),
        ("Opening the HTML until rows are drawn, of 1.5 s", "not measured | not measured | at most 1.00"),
    ],
)
def test_a_row_has_median_span_and_budget(results: Results, title: str, cells: str) -> None:
    assert f"| {title} | {cells} |" in results.markdown()


def test_only_the_measured_part_of_the_page_is_replaced(results: Results) -> None:
    page = "before\n<!-- measured: start -->\nold\n<!-- measured: end -->\nafter\n"
    written = rewrite(page, results)
    assert written.startswith("before\n<!-- measured: start -->\n2 VMs, 3 interleaved rounds")
    assert written.endswith("|\n<!-- measured: end -->\nafter\n")
    assert "old" not in written
    assert rewrite(written, results) == written


def test_a_page_without_marks_is_refused(results: Results) -> None:
    with pytest.raises(ValueError, match="measured: start"):
        rewrite("nothing here", results)

"""The benchmarks of guests run: tiny numbers, every row, and no judgement on time."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.guests.engines import Cost
from benchmarks.guests.question import QUESTION, is_answer
from benchmarks.guests.table import Run, table
from tests.conftest import require_lane


def test_a_tiny_run_reaches_every_living_host(root: Path) -> None:
    require_lane("sshd", os.access("/usr/sbin/sshd", os.X_OK))
    command = [sys.executable, "-m", "benchmarks.guests", "--hosts", "10", "--rounds", "1"]
    said = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True).stdout
    rows = [line for line in said.splitlines() if line.startswith(("| auditor", "| pywinrm"))]
    assert [row.split(" | ")[5] for row in rows] == [
        "10 of 10",
        "9 of 9",
        "10 of 10",
        "10 of 10",
        "9 of 9",
        "9 of 9",
    ]
    assert "One host, median of 20: " in said


def run(engine: str, dead: int, wall: float, cpu: float = 1.0, answered: int = 100) -> Run:
    return Run(engine, dead, Cost(wall, cpu, answered))


RUNS = [
    run("auditor", 0, 2.0, 0.4),
    run("pyinfra exec", 0, 4.0),
    run("ssh2-python, threads", 0, 1.5),
    run("ansible raw, its defaults", 0, 9.0),
    run("auditor", 0, 2.0, 0.4),
    run("pyinfra exec", 0, 4.0),
    run("ssh2-python, threads", 0, 1.5),
    run("ansible raw, its defaults", 0, 9.0, answered=90),
    run("auditor", 10, 7.0, answered=90),
    run("auditor", 10, 9.0, answered=90),
]


@pytest.mark.parametrize(
    ("title", "row"),
    [
        ("SSH", "| auditor | 0 | 2.00 s | 1.00x | 4.0 ms | 100 of 100 | CPU at most 4.5 ms |"),
        ("SSH", "| pyinfra exec | 0 | 4.00 s | 2.00x | 10.0 ms | 100 of 100 | at least 1.50x |"),
        (
            "SSH",
            "| ssh2-python, threads | 0 | 1.50 s | 0.75x | 10.0 ms | 100 of 100 | at least 0.80x, missed |",
        ),
        (
            "SSH",
            "| ansible raw, its defaults | 0 | 9.00 s | 4.50x | 10.0 ms | 90 of 100 "
            "| at least 5.00x, missed |",
        ),
        ("SSH", "| auditor | 10 | 8.00 s | 1.00x | 10.0 ms | 90 of 90 | 6.0 s later, at most 6 s |"),
        ("WinRM", "| auditor | 0 | 2.00 s | 1.00x | 4.0 ms | 100 of 100 |  |"),
    ],
)
def test_a_row_has_medians_and_budgets(title: str, row: str) -> None:
    assert row in table(title, RUNS, 100).splitlines()


def test_the_question_is_answered_and_is_no_answer_itself() -> None:
    said = subprocess.run(["sh", "-c", QUESTION], capture_output=True, check=True).stdout
    assert is_answer(said)
    assert not is_answer(QUESTION.encode())

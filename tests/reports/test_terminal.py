"""What the terminal shows: everything that matters, nothing that acts."""

import io
import os
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rich.console import Console

from auditor.cli.terminal import plain, print_summary
from auditor.model import AuditRun, Status, Verdict

ESCAPE = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def shown(run: AuditRun, *, width: int = 100, paths: tuple[Path, ...] = ()) -> str:
    stream = io.StringIO()
    print_summary(run, Console(file=stream, width=width), paths)
    return stream.getvalue()


def test_shows_verdicts_checks_worst_machines_and_coverage(demo_run: Callable[..., AuditRun]) -> None:
    run = demo_run(200)
    text = shown(run, paths=(Path("out/audit.html"), Path("out/audit.json")))
    counts = run.verdicts()
    assert f"{counts[Verdict.NOT_READY]} of 200 machines are not ready" in text
    for verdict, count in counts.items():
        assert f"{count} {verdict}" in text
    for finding in run.machines[0].findings:
        row = next(line for line in text.splitlines() if line.startswith(finding.check))
        every = [f.status for r in run.machines for f in r.findings if f.check == finding.check]
        assert [int(cell) for cell in row.split()[1:]] == [every.count(status) for status in Status]
    assert "200 of 201 machines audited, 1 lost" in text
    assert run.coverage.lost[0].reason in text
    assert f"and {200 - counts[Verdict.READY] - 15} more in the report" in text
    assert "Report: out/audit.html" in text
    assert "Report: out/audit.json" in text


def test_each_of_the_worst_stands_with_its_reason(demo_run: Callable[..., AuditRun]) -> None:
    lines = shown(demo_run(200), width=200).splitlines()
    rows = [line for line in lines if line.startswith("not-ready ")]
    assert len(rows) == 15
    assert all(re.search(r"vm-\S+\s+[a-z-]+: \S", row) for row in rows)


def test_machines_of_one_name_are_told_apart(demo_run: Callable[..., AuditRun]) -> None:
    run = demo_run(1)
    ids = [f"/subscriptions/s/resourceGroups/rg-{at}/providers/x/virtualMachines/same" for at in (1, 2)]
    twins = tuple(
        replace(
            run.machines[0],
            machine=replace(run.machines[0].machine, id=known, name="same"),
            verdict=Verdict.UNKNOWN,
        )
        for known in ids
    )
    text = shown(replace(run, machines=twins))
    assert "rg-1/same" in text
    assert "rg-2/same" in text


def test_a_ready_fleet_has_no_list_of_the_worst(one_machine: Callable[..., AuditRun]) -> None:
    assert "because" not in shown(one_machine("web-1", Verdict.READY))


def test_an_empty_run(demo_run: Callable[..., AuditRun]) -> None:
    text = shown(demo_run(0, complete=True))
    assert "No machine was audited" in text
    assert "0 of 0 machines audited, nothing missing" in text


@given(text=st.text(st.characters(exclude_categories=()), min_size=1))
@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_text_reaches_the_terminal_as_a_command(one_machine: Callable[..., AuditRun], text: str) -> None:
    assert not ESCAPE.search(shown(one_machine(text)))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("\x1b[31mred", "<U+001B>[31mred"),
        ("\x1b]0;title\x07", "<U+001B>]0;title<U+0007>"),
        ("a\u202eb", "a<U+202E>b"),
        ("[bold red]x[/]", "[bold red]x[/]"),
        ("two\nlines", "two<U+000A>lines"),
        ("=cmd|' /C calc'!A0", "=cmd|' /C calc'!A0"),
        ("{{7*7}}", "{{7*7}}"),
        ("\u0645\u06cc\u200c\u062e", "\u0645\u06cc\u200c\u062e"),
    ],
)
def test_hostile_text_is_spelled_out(one_machine: Callable[..., AuditRun], text: str, expected: str) -> None:
    assert expected in shown(one_machine(text), width=200)
    stream = io.StringIO()
    Console(file=stream, width=200).print(plain(text))
    assert stream.getvalue() == f"{expected}\n"


def test_an_endless_name_is_cut_and_says_so(one_machine: Callable[..., AuditRun]) -> None:
    text = shown(one_machine("x" * 10_000))
    assert len(text) < 4_000
    assert "…" in text


@pytest.mark.parametrize("width", [40, 60, 80, 200])
def test_no_check_and_no_count_is_cut(demo_run: Callable[..., AuditRun], width: int) -> None:
    run = demo_run(60)
    text = shown(run, width=width)
    assert max(map(len, text.splitlines())) <= width
    together = re.sub(r"\s", "", text)
    for status in Status:
        assert status.value in together
    assert "…" not in text


SHOW = """
import sys, importlib.util
from rich.console import Console
from auditor.cli.terminal import Progress, print_summary
spec = importlib.util.spec_from_file_location("fleet", sys.argv[1])
fleet = importlib.util.module_from_spec(spec)
spec.loader.exec_module(fleet)
with Progress(quiet="quiet" in sys.argv) as progress:
    progress.update("Listing machines", 0, None)
    for done in range(1, 31):
        progress.update("Auditing", done, 30)
print_summary(fleet.demo_run(30), Console())
"""


def arguments(*extra: str) -> list[str]:
    return [sys.executable, "-c", SHOW, str(Path(__file__).with_name("conftest.py")), *extra]


def environment(**extra: str) -> dict[str, str]:
    kept = {
        name: value
        for name, value in os.environ.items()
        if name not in ("NO_COLOR", "FORCE_COLOR", "COLUMNS")
    }
    return {**kept, "TERM": "xterm-256color", **extra}


def test_a_pipe_gets_plain_text_and_no_bar() -> None:
    done = subprocess.run(arguments(), capture_output=True, check=True, env=environment(), timeout=60)
    assert done.stderr == b""
    assert b"\x1b" not in done.stdout
    assert b"machines are not ready" in done.stdout


def test_a_stream_of_another_encoding_gets_escapes_instead_of_an_error() -> None:
    done = subprocess.run(
        arguments(), capture_output=True, check=True, env=environment(PYTHONIOENCODING="ascii"), timeout=60
    )
    assert b"Coverage: 30 of 31" in done.stdout


@pytest.mark.skipif(sys.platform == "win32", reason="no pseudo-terminal")
@pytest.mark.parametrize(
    ("extra", "variables", "bar", "colour"),
    [
        ((), {}, True, True),
        (("quiet",), {}, False, True),
        ((), {"NO_COLOR": "1"}, True, False),
        ((), {"TERM": "dumb"}, False, False),
    ],
)
def test_a_terminal_gets_a_bar_and_colours(
    extra: tuple[str, ...], variables: dict[str, str], bar: bool, colour: bool
) -> None:
    output = in_a_terminal(arguments(*extra), environment(**variables))
    assert (b"Auditing" in output) is bar
    assert bool(re.search(rb"\x1b\[[0-9;]*3[0-9]m", output)) is colour
    assert b"machines are not ready" in output


def in_a_terminal(command: list[str], variables: dict[str, str]) -> bytes:
    ours, theirs = os.openpty()
    with subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, env=variables) as process:
        os.close(theirs)
        output = b""
        while chunk := _read(ours):
            output += chunk
    os.close(ours)
    assert process.returncode == 0, output
    return output


def _read(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, 65536)
    except OSError:  # Linux says EIO when the other side is closed
        return b""

"""`auditor audit` as a user runs it: exit codes, filters, outputs, errors."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from auditor.plugin import load_checks
from auditor.simulator.run import environment
from auditor.simulator.server import RunningServer
from reports.json import schema

Program = Callable[..., Any]


def machine(server: RunningServer, *scenarios: str) -> list[str]:
    """`--vm ID` for one machine of each scenario."""
    chosen = [
        next(key for key, truth in server.estate.truth().items() if truth.scenario == scenario)
        for scenario in scenarios
    ]
    return [word for key in chosen for word in ("--vm", key)]


def report(folder: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((folder / "out" / "audit.json").read_text(encoding="utf-8"))
    Draft202012Validator(schema()).validate(content)
    return content


@pytest.mark.parametrize(
    ("scenarios", "arguments", "code"),
    [
        (("healthy",), (), 0),
        (("agent-stale", "healthy"), (), 20),
        (("agent-stale",), ("--fail-on", "at-risk"), 20),
        (("agent-stale", "deallocated"), (), 20),
        (("windows-agent-between-floors",), ("--fail-on", "at-risk"), 10),
        (("deallocated",), (), 3),
        (("deallocated", "windows-agent-between-floors"), ("--fail-on", "at-risk"), 10),
    ],
)
def test_exit_codes(
    program: Program, server: RunningServer, scenarios: tuple[str, ...], arguments: tuple[str, ...], code: int
) -> None:
    done = program("audit", *machine(server, *scenarios), *arguments)
    assert done.returncode == code, done.stdout + done.stderr


def test_every_verdict_is_as_seeded(program: Program, server: RunningServer, tmp_path: Path) -> None:
    done = program("audit")
    content = report(tmp_path)
    found = {item["id"]: item["verdict"] for item in content["machines"]}
    assert found == {key: truth.verdict for key, truth in server.estate.truth().items()}
    assert done.returncode == 20
    assert content["coverage"]["expected"] == content["coverage"]["audited"] == 60
    assert all(len(item["findings"]) == len(load_checks()) for item in content["machines"])
    statuses = {
        (item["id"], finding["check"]): finding["status"]
        for item in content["machines"]
        for finding in item["findings"]
    }
    seeded = {
        (key, check): status
        for key, truth in server.estate.truth().items()
        for check, status in truth.findings.items()
    }
    assert {pair: statuses[pair] for pair in seeded} == seeded


def test_only_the_planes_of_the_chosen_checks_are_read(program: Program, server: RunningServer) -> None:
    before = server.stats.requests.copy()
    program("audit", "--check", "vault-in-region", "--location", "westeurope")
    used = server.stats.requests - before
    assert not [kind for kind in used if "instance" in kind.lower() or "job" in kind.lower()], used


@pytest.mark.parametrize(
    "arguments",
    [
        ("--location", "westeurope"),
        ("--location", "West Europe"),
        ("--resource-group", "RG-APP"),
        ("--tag", "environment=prod"),
    ],
)
def test_filters_choose_machines(program: Program, server: RunningServer, arguments: tuple[str, str]) -> None:
    done = program("inventory", *arguments)
    chosen = int(re.search(r"^(\d+) machines$", done.stdout, re.MULTILINE)[1])  # type: ignore[index]
    assert 0 < chosen < len(server.estate.vms)


def test_the_inventory_prints_every_id_whole(program: Program, server: RunningServer) -> None:
    lines = program("inventory").stdout.splitlines()
    assert {line.split()[-1] for line in lines if "/subscriptions/" in line} == set(server.estate.truth())


def test_same_name_in_two_groups_is_two_machines(
    program: Program, server: RunningServer, tmp_path: Path
) -> None:
    names = [key.rsplit("/", 1)[1] for key in server.estate.truth()]
    twin = next(name for name in names if names.count(name) > 1)
    program("audit", "--vm", twin)
    assert len({item["id"] for item in report(tmp_path)["machines"]}) == names.count(twin)


def test_quiet_prints_nothing_and_writes_both_reports(
    program: Program, server: RunningServer, tmp_path: Path
) -> None:
    done = program("audit", "--quiet", "--log-file", "run.jsonl", "-v", *machine(server, "healthy"))
    assert done.stdout == ""
    assert done.stderr == ""
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["audit.html", "audit.json"]
    lines = [json.loads(line) for line in (tmp_path / "run.jsonl").read_text().splitlines()]
    assert all({"time", "level", "logger", "message"} <= set(line) for line in lines)
    told, (found,) = [line["message"] for line in lines], report(tmp_path)["machines"]
    assert f"{found['id']}: ready" in told
    assert {f"wrote out/audit.{kind}" for kind in ("html", "json")} <= set(told)
    assert [text.partition(": ")[2] for text in told if text.startswith("run ")] == [
        "1 of 1 machines audited: 1 ready"
    ]


def test_the_secret_is_nowhere(program: Program, server: RunningServer, tmp_path: Path) -> None:
    done = program("audit", "-vv", "--log-file", "run.jsonl", *machine(server, "healthy"))
    secret = server.estate.client_secret
    written = [path.read_text(errors="replace") for path in tmp_path.rglob("*") if path.is_file()]
    assert [text for text in (done.stdout, done.stderr, *written) if secret in text] == []


def test_no_colour_and_no_bar_without_a_terminal(program: Program) -> None:
    done = program("audit", env={"NO_COLOR": "1"})
    assert "\x1b" not in done.stdout + done.stderr
    assert "Auditing" not in done.stderr


@pytest.mark.parametrize(
    ("arguments", "env", "message"),
    [
        (("--cloud", "mars"), {}, "'mars' is not a cloud; choose public"),
        (("--check", "nope"), {}, "unknown check 'nope'"),
        (("--format", "pdf"), {}, "unknown format 'pdf'; known: html, json"),
        (("--fail-on", "x"), {}, "--fail-on: fail_on must be one of"),
        (("--rules", "none.toml"), {}, "none.toml"),
        (("--inventory", "none.yaml"), {}, "none.yaml"),
        (("--config", "none.toml"), {}, "none.toml"),
        ((), {"AUDITOR_CONCURRENCY": "x"}, "environment AUDITOR_CONCURRENCY"),
        (("--ca-bundle", "none.pem"), {}, "none.pem"),
        ((), {"REQUESTS_CA_BUNDLE": None, "SSL_CERT_FILE": None}, "--ca-bundle"),
        ((), {"AZURE_CLIENT_SECRET": "wrong"}, "sign"),
        (("--cloud", "https://127.0.0.1:9"), {}, "127.0.0.1:9"),
        (("--log-file", "no/such/folder/x"), {}, "cannot write no/such/folder/x"),
        (
            ("--check", "wire-server", "--skip-check", "wire-server"),
            {},
            "--check and --skip-check together leave no check",
        ),
    ],
)
def test_bad_input_names_itself_and_the_way_out(
    program: Program, tmp_path: Path, arguments: tuple[str, ...], env: dict[str, str | None], message: str
) -> None:
    done = program("audit", *arguments, env=env)
    assert done.returncode == 2, done.stderr
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "out").exists()


def test_a_run_without_a_report_is_refused(program: Program, tmp_path: Path) -> None:
    (tmp_path / "auditor.toml").write_text("format = []\n")
    done = program("audit")
    assert (done.returncode, done.stderr) == (2, "error: no report format is chosen; known: html, json\n")


def test_an_output_that_is_a_file_is_named(program: Program, server: RunningServer, tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("mine")
    done = program("audit", "--output", "taken", *machine(server, "healthy"))
    assert done.returncode == 2
    assert "taken" in done.stderr
    assert (tmp_path / "taken").read_text() == "mine"


def test_a_machine_that_is_not_there_is_no_success(program: Program, tmp_path: Path) -> None:
    done = program("audit", "--vm", "no-such-machine")
    assert done.returncode == 3
    coverage = report(tmp_path)["coverage"]
    assert [lost["id"] for lost in coverage["lost"]] == ["no-such-machine"]
    assert (coverage["expected"], coverage["audited"]) == (1, 0)


def test_a_wish_for_a_subscription_that_is_not_there(program: Program) -> None:
    done = program("audit", "--subscription", "nowhere")
    assert done.returncode in (2, 3)
    assert "nowhere" in done.stdout + done.stderr


def test_config_show_says_where_each_value_came_from(program: Program, tmp_path: Path) -> None:
    (tmp_path / "auditor.toml").write_text('fail-on = "at-risk"\n')
    done = program("config", "show", "--location", "westeurope")
    rows = {line.split()[0]: line for line in done.stdout.splitlines() if line.strip()}
    assert "file auditor.toml" in rows["fail_on"]
    assert "environment AUDITOR_CLOUD" in rows["cloud"]
    assert "command line" in rows["location"]
    assert "default" in rows["output"]


# whoever runs the tests in the background has told their children to ignore interrupts
INTERRUPTIBLE = """
import signal
signal.signal(signal.SIGINT, signal.default_int_handler)
from auditor.cli import main
main()
"""


def test_an_interrupt_ends_the_run_at_once_and_says_what_became_of_it(
    server: RunningServer, faults: Callable[..., None], tmp_path: Path
) -> None:
    faults({"path_regex": "instanceView", "hang": True})
    process = subprocess.Popen(
        [sys.executable, "-P", "-c", INTERRUPTIBLE, "audit", "--quiet"],
        cwd=tmp_path,
        env={"PATH": os.environ["PATH"], "HOME": str(tmp_path), **environment(server)},
        stderr=subprocess.PIPE,
        text=True,
    )
    before = server.stats.requests.total()
    deadline = time.monotonic() + 30
    while server.stats.requests.total() < before + 20 and time.monotonic() < deadline:
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=15)
    assert (process.returncode, said) == (130, "interrupted: no report was written\n")
    assert not (tmp_path / "out").exists()


def audit_into(stdout: int, server: RunningServer, folder: Path) -> subprocess.CompletedProcess[str]:
    """One machine that is not ready, with the summary printed into a file descriptor."""
    return subprocess.run(
        [sys.executable, "-P", "-m", "auditor", "audit", *machine(server, "agent-stale")],
        cwd=folder,
        env={"PATH": os.environ["PATH"], "HOME": str(folder), **environment(server)},
        stdout=stdout,
        stderr=subprocess.PIPE,
        text=True,
        timeout=60,
        check=False,
    )


def test_a_reader_that_goes_away_does_not_change_the_outcome(server: RunningServer, tmp_path: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    done = audit_into(writing, server, tmp_path)
    os.close(writing)
    assert (done.returncode, done.stderr) == (20, "")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has a device that is always full")
def test_an_output_that_is_full_costs_neither_reports_nor_exit_code(
    server: RunningServer, tmp_path: Path
) -> None:
    with Path("/dev/full").open("w") as full:
        done = audit_into(full.fileno(), server, tmp_path)
    said = "the summary cannot be printed: No space left on device; the reports are written\n"
    assert (done.returncode, done.stderr) == (20, said)
    assert len(report(tmp_path)["machines"]) == 1

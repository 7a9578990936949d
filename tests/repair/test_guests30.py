"""The thirty guests: they are what they say, a whole run repairs them, and disputes are seen."""

import asyncio
import json
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from auditor.plugin import load_checks
from auditor.probe import linux_script
from auditor.remedy import Plan, RepairRun, Result, StepResult
from auditor.repair.apply import Pace, Patience
from auditor.repair.document import read_plan
from auditor.repair.waves import Share
from auditor.repairs import Operator, Order, apply_plan, resume
from auditor.rules import load_rules
from auditor.simulator.guest_work import Trouble
from auditor.store.journal import SqliteJournal
from tests.repair.guests30 import SEEDED, Ward, swapped, ward

PACE = Pace(shares=(Share(5, False), Share(100, True)), max_failures=30, per_subnet=30)
PATIENCE = Patience(settle=0.0, confirm=0.0, pause=0.05)


def applied(guests: Ward, plan: Plan, folder: Path) -> RepairRun:
    order = Order(guests.settings(), load_checks(), PACE, patience=PATIENCE)
    with SqliteJournal.open(folder / "store.db") as journal:
        return asyncio.run(apply_plan(plan, order, journal, Operator()))


@pytest.fixture
def few() -> Iterator[Ward]:
    with ward(6) as guests:
        yield guests


def test_a_program_of_its_own_finds_every_fault(tmp_path: Path) -> None:
    with ward() as guests:
        options = ["--inventory", str(guests.ssh.hosts_file), "--known-hosts", str(guests.ssh.known_hosts)]
        options += ["--ssh-config", "none", "--quiet", "--fail-on", "none", "--output", str(tmp_path)]
        subprocess.run([sys.executable, "-m", "auditor", "audit", *options], check=True, timeout=100)
        assert len(guests.broken()) == 30
    found = json.loads((tmp_path / "audit.json").read_bytes())
    verdicts = {machine["name"]: machine["verdict"] for machine in found["machines"]}
    assert len(verdicts) == 30
    assert verdicts == {name: SEEDED[name.rpartition("-")[0]].verdict for name in verdicts}


def test_a_run_repairs_all_and_sends_what_the_plan_shows(tmp_path: Path) -> None:
    with ward() as guests:
        plan = guests.plan()
        run = applied(guests, plan, tmp_path)
        assert Counter(record.result for record in run.machines) == {Result.VERIFIED: 30}
        assert guests.broken() == set()
        assert guests.executions() == {step.id: 1 for step in plan.steps}
        assert guests.disputes(run) == []
        probe = linux_script(load_rules().endpoints).encode()
        for machine in plan.machines:
            shown = [command.text.encode() for step in machine.steps for command in step.commands]
            assert [script for script in guests.log(machine.machine.id) if script != probe] == shown


def test_each_trouble_ends_as_it_should(tmp_path: Path) -> None:
    troubles = {
        "host/agent-stopped-00": Trouble(drops=1),
        "host/unit-masked-01": Trouble(refuses="no room"),
        "host/agent-missing-02": Trouble(fails=100),
    }
    with ward(6, troubles=troubles) as guests:
        run = applied(guests, guests.plan(), tmp_path)
        results = {record.machine: record.result for record in run.machines}
        assert results["host/agent-stopped-00"] is Result.VERIFIED
        assert results["host/unit-masked-01"] is Result.REFUSED
        assert results["host/agent-missing-02"] is Result.FAILED
        assert guests.executions() == {"guests30-00": 1} | {
            f"guests30-0{number}": 1 for number in range(2, 6)
        }
        assert guests.broken() == {"host/unit-masked-01", "host/agent-missing-02"}


def test_two_addresses_swapped_are_not_touched(few: Ward, tmp_path: Path) -> None:
    plan = few.plan()
    places = {machine.machine.name: machine.machine.connection for machine in plan.machines}
    one, other = list(places)[:2]
    few.ssh.hosts_file.write_text(swapped(few.ssh.hosts_file, one, other), encoding="utf-8")
    mistaken = few.plan("swapped")
    assert [machine.machine.connection for machine in mistaken.machines][:2] == [places[other], places[one]]
    run = applied(few, mistaken, tmp_path)
    refused = {record.machine for record in run.machines if record.result is Result.REFUSED}
    assert refused == {f"host/{one}", f"host/{other}"}
    assert not few.executions().keys() & {"swapped-00", "swapped-01"}


def test_a_plan_that_grew_stale_is_resumed_for_what_was_begun_alone(few: Ward, tmp_path: Path) -> None:
    plan = few.plan()
    machine = plan.machines[0].machine.id
    order = Order(few.settings(), load_checks(), PACE, patience=PATIENCE, max_age=timedelta(0))
    with SqliteJournal.open(tmp_path / "store.db") as journal:
        known = journal.begin(plan, {})
        assert journal.lease(known, machine) is None
        journal.intend(known, machine, plan.machines[0].steps[0].id)
        run = asyncio.run(resume(known, order, journal, Operator()))
    results = {record.machine: record.result for record in run.machines}
    assert results.pop(machine) is Result.VERIFIED
    assert list(results.values()) == [Result.SKIPPED] * 5
    assert "make a new one" in run.machines[-1].reason
    assert len(few.executions()) == 1


def auditor(folder: Path, *arguments: str) -> list[str]:
    return [sys.executable, "-P", "-m", "auditor", "remediate", *arguments, "--output", str(folder)]


def killed_after(executions: int, command: list[str], guests: Ward) -> None:
    """Run the program until so many works have begun, and kill it there, while the last of them goes on."""
    with guests.held(executions), subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        while sum(guests.executions().values()) < executions and process.poll() is None:
            time.sleep(0.01)
        process.kill()
    assert process.returncode == -signal.SIGKILL


@pytest.mark.timeout(300)
def test_a_program_that_is_killed_again_and_again_does_every_step_once(tmp_path: Path) -> None:
    with ward(work_seconds=0.3) as guests:
        reach = ["--known-hosts", str(guests.ssh.known_hosts), "--ssh-config", "none", "--quiet"]
        inventory = ["--inventory", str(guests.ssh.hosts_file)]
        planning = auditor(tmp_path / "plan.json", "plan", *inventory, *reach)
        subprocess.run(planning, check=True, timeout=100)
        plan = read_plan(tmp_path / "plan.json")
        assert len(plan.touched) == 30
        guests.learn(plan)
        store = ["--store", str(tmp_path / "store.db"), *reach]
        killed_after(1, auditor(tmp_path, "apply", str(tmp_path / "plan.json"), "--yes", *store), guests)
        for executions in (4, 12, 20):
            killed_after(executions, auditor(tmp_path, "resume", *store), guests)
        subprocess.run(auditor(tmp_path, "resume", *store), check=True, timeout=200)
        with SqliteJournal.open(tmp_path / "store.db") as journal:
            assert journal.unfinished() == ()
            run = journal.load(journal.runs()[0].id)
        assert Counter(record.result for record in run.machines) == {Result.VERIFIED: 30}
        assert guests.disputes(run) == []
        assert guests.broken() == set()


def test_a_lost_and_a_doubled_step_and_a_false_end_are_disputes(few: Ward, tmp_path: Path) -> None:
    plan = few.plan()
    run = applied(few, plan, tmp_path)
    assert few.disputes(run) == []
    lost, doubled, false = (machine.machine.id for machine in plan.machines[:3])
    few.ssh.guests[lost].executions.clear()
    few.ssh.guests[doubled].executions["guests30-01"] += 1
    few.ssh.guests[false].change(lambda state: state.changed(auto_update=False))
    assert [dispute.partition(":")[0] for dispute in few.disputes(run)] == [lost, doubled, false]


def test_a_run_that_forgot_a_step_is_disputed(few: Ward, tmp_path: Path) -> None:
    run = applied(few, few.plan(), tmp_path)
    first, *others = run.machines
    forgotten = replace(run, machines=(replace(first, steps=()), *others))
    assert len(few.disputes(forgotten)) == 1
    wrong = replace(first.steps[0], ended_at=datetime.now(UTC), result=StepResult("failed", 1))
    mistaken = replace(run, machines=(replace(first, steps=(wrong,)), *others))
    assert len(few.disputes(mistaken)) == 1

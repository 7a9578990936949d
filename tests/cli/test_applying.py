"""`auditor remediate apply`, `resume` and `runs` as a user has them, over SSH to simulated guests."""

import json
import os
import pty
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from auditor.exits import Exit
from auditor.remedy import Plan
from auditor.repair.document import plan_bytes, sealed
from auditor.simulator.guest_work import Trouble
from tests.repair.guests30 import Ward, ward

STEPS = 6


@dataclass
class Desk:
    """Six guests, a plan for them in a file, and the program."""

    ward: Ward
    folder: Path
    plan: Plan

    @property
    def file(self) -> Path:
        return self.folder / "plan.json"

    def command(self, *words: str) -> list[str]:
        given = self.ward.given()
        flags = ["--known-hosts", given["known_hosts"], "--ssh-config", given["ssh_config"]]
        flags += ["--output", str(self.folder), "--store", str(self.folder / "auditor.db")]
        return [sys.executable, "-m", "auditor", "remediate", *words, *flags]

    def run(self, *words: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            self.command(*words), capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False
        )

    def evidence(self) -> dict[str, str]:
        document = json.loads((self.folder / "repair.json").read_bytes())
        return {one["id"]: one["result"] for one in document["machines"]}


def desk(tmp_path: Path, **more: object) -> Iterator[Desk]:
    with ward(STEPS, **more) as served:  # type: ignore[arg-type]
        plan = served.plan()
        (tmp_path / "plan.json").write_bytes(plan_bytes(plan))
        yield Desk(served, tmp_path, plan)


@pytest.fixture
def healthy(tmp_path: Path) -> Iterator[Desk]:
    yield from desk(tmp_path)


@pytest.fixture
def troubled(tmp_path: Path) -> Iterator[Desk]:
    yield from desk(tmp_path, troubles={"host/unit-masked-01": Trouble(fails=100)})


def test_a_plan_is_applied_shown_and_listed(healthy: Desk) -> None:
    done = healthy.run("apply", str(healthy.file), "--yes")
    assert done.returncode == Exit.OK, done.stdout + done.stderr
    assert "6 verified" in done.stdout
    assert set(healthy.evidence().values()) == {"verified"}
    assert (healthy.folder / "repair.html").is_file()
    assert healthy.ward.broken() == set()
    listed = subprocess.run(
        [sys.executable, "-m", "auditor", "remediate", "runs", "--store", str(healthy.folder / "auditor.db")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert "6 verified" in listed.stdout


def test_a_failure_has_its_own_exit_code(troubled: Desk) -> None:
    done = troubled.run("apply", str(troubled.file), "--yes", "--canary", "0")
    assert done.returncode == Exit.REPAIR_FAILED
    assert troubled.evidence()["host/unit-masked-01"] == "failed"


def test_only_what_the_plan_shows_reached_the_guests(healthy: Desk) -> None:
    healthy.run("apply", str(healthy.file), "--yes")
    for machine in healthy.plan.machines:
        shown = {command.text.encode() for step in machine.steps for command in step.commands}
        changed = [
            script for script in healthy.ward.log(machine.machine.id) if b"AUDITOR-PROBE" not in script
        ]
        assert set(changed) == shown


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "nobody can be asked here; say --yes"),
        (("--yes", "--max-age", "0"), "make a new one"),
        (("--yes", "--max-age", "inf"), "'--max-age'"),
        (("--yes", "--backup-margin", "1e300"), "'--backup-margin'"),
        (("--yes", "--wait", "inf"), "'--wait'"),
        (("--yes", "--wave", "no"), "are no waves"),
        (("--yes", "--window", "no"), "is no maintenance window"),
    ],
)
def test_what_cannot_be_done_is_said_before_anything_is_touched(
    healthy: Desk, words: tuple[str, ...], said: str
) -> None:
    done = healthy.run("apply", str(healthy.file), *words)
    assert (done.returncode, said in done.stderr) == (Exit.USAGE, True), done.stderr
    assert not healthy.ward.executions()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"rule_set": "theirs"}, "made by the rules 'theirs'"),
        ({"rules_digest": "0" * 64}, "were changed after"),
    ],
)
def test_a_plan_is_not_applied_by_other_rules(healthy: Desk, changes: dict[str, str], said: str) -> None:
    healthy.file.write_bytes(plan_bytes(sealed(replace(healthy.plan, **changes))))  # type: ignore[arg-type]
    done = healthy.run("apply", str(healthy.file), "--yes")
    assert (done.returncode, said in done.stderr) == (Exit.USAGE, True), done.stderr
    assert not healthy.ward.executions()


@pytest.mark.parametrize("answer", ["n\n", "\x04", "\x03"])
def test_a_no_touches_nothing_and_says_so(healthy: Desk, answer: str) -> None:
    leader, follower = pty.openpty()
    command = healthy.command("apply", str(healthy.file))
    with subprocess.Popen(
        command, stdin=follower, stdout=follower, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        asked = b""
        while b"Go on?" not in asked:
            assert select.select([leader], [], [], 30)[0]
            asked += os.read(leader, 1000)
        os.write(leader, answer.encode())
        if answer == "\x03":
            process.send_signal(signal.SIGINT)
        try:
            _, said = process.communicate(timeout=30)
        finally:
            process.kill()
    os.close(leader)
    os.close(follower)
    assert (process.returncode, "nothing was touched" in said) == (Exit.INCOMPLETE, True), said
    assert not healthy.ward.executions()


@pytest.mark.parametrize("command", ["runs", "resume"])
def test_a_journal_that_is_not_there_is_named_and_not_made(tmp_path: Path, command: str) -> None:
    words = [sys.executable, "-m", "auditor", "remediate", command, "--store", "no/such.db"]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, "no journal is at no/such.db" in done.stderr) == (Exit.USAGE, True)
    assert not list(tmp_path.iterdir())


def test_a_plan_that_was_changed_is_refused(healthy: Desk) -> None:
    healthy.file.write_bytes(healthy.file.read_bytes().replace(b"mend", b"ruin", 1))
    done = healthy.run("apply", str(healthy.file), "--yes")
    assert done.returncode == Exit.USAGE
    assert "was changed after it was made" in done.stderr


def test_a_plan_is_not_applied_twice(healthy: Desk) -> None:
    healthy.run("apply", str(healthy.file), "--yes")
    done = healthy.run("apply", str(healthy.file), "--yes")
    assert done.returncode == Exit.USAGE
    assert "was applied already" in done.stderr


def test_nothing_to_resume_is_said(healthy: Desk) -> None:
    done = healthy.run("resume")
    assert done.returncode == Exit.USAGE
    assert "there is no unfinished run" in done.stderr


def interrupted(place: Desk, times: int) -> "subprocess.CompletedProcess[str]":
    """Apply, and press Ctrl-C while the first step is at work, which ends only after that.

    Ctrl-C is pressed again only once it was heard, and what was pressed twice ends before the work.
    """
    command = place.command("apply", str(place.file), "--yes", "--at-once", "1")
    errors = place.folder / "stderr"
    with errors.open("w") as stderr, ExitStack() as held:
        held.enter_context(place.ward.held(1))
        with subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=stderr, text=True, stdin=subprocess.DEVNULL
        ) as program:
            try:
                wait_while(lambda: not place.ward.executions(), program)
                program.send_signal(signal.SIGINT)
                wait_while(lambda: "finishing what is in flight" not in errors.read_text(), program)
                if times == 2:
                    program.send_signal(signal.SIGINT)
                    program.wait(timeout=60)
            finally:
                held.close()
            stdout, _ = program.communicate()
    return subprocess.CompletedProcess(command, program.returncode, stdout, errors.read_text())


def wait_while(holds: Callable[[], bool], program: "subprocess.Popen[str]") -> None:
    """Wait while something holds and the program runs."""
    while program.poll() is None and holds():
        time.sleep(0.02)


def test_ctrl_c_finishes_what_is_in_flight_and_resume_does_the_rest(healthy: Desk) -> None:
    first = interrupted(healthy, 1)
    assert "finishing what is in flight" in first.stderr
    assert first.returncode == Exit.INCOMPLETE, first.stdout + first.stderr
    assert list(healthy.evidence().values()) == ["verified"]
    again = healthy.run("resume")
    assert again.returncode == Exit.OK, again.stdout + again.stderr
    assert set(healthy.ward.executions().values()) == {1}
    assert healthy.ward.broken() == set()


def test_ctrl_c_twice_stops_at_once_and_nothing_is_lost_or_doubled(healthy: Desk) -> None:
    first = interrupted(healthy, 2)
    assert first.returncode == 130, first.stdout + first.stderr
    assert "goes on" in first.stderr
    again = healthy.run("resume")
    assert again.returncode == Exit.OK, again.stdout + again.stderr
    assert set(healthy.ward.executions().values()) == {1}
    assert len(healthy.ward.executions()) == STEPS

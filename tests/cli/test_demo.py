"""`auditor demo`: an estate audited and repaired by the installed program, and compared with its seeds."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from auditor.cli.demo import compare
from auditor.remedy import Result
from auditor.repair.document import read_plan
from auditor.simulator.site import Seeded

VMS, SEED = 8, 1
BUSY = (60, 7)
"""An estate in which the backup of a machine runs that could be mended."""


@pytest.fixture(scope="module")
def ended(tmp_path_factory: pytest.TempPathFactory) -> tuple[subprocess.CompletedProcess[str], Path]:
    folder = tmp_path_factory.mktemp("demo")
    environment = {"PATH": os.environ["PATH"], "HOME": str(folder), "COLUMNS": "200"}
    ran = subprocess.run(
        [sys.executable, "-P", "-m", "auditor", "demo", "--vms", str(VMS), "--seed", str(SEED)],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    return ran, folder / "out"


@pytest.mark.timeout(400)
def test_all_that_can_be_repaired_is_ready(ended: tuple[subprocess.CompletedProcess[str], Path]) -> None:
    ran, out = ended
    assert ran.returncode == 0, ran.stdout + ran.stderr
    seeded = Seeded(VMS, SEED)
    for expected, noun in (
        (seeded.verdicts(), "verdicts"),
        (seeded.guest_verdicts(), "guest verdicts"),
        (seeded.mendable(), "repaired"),
    ):
        assert f"{len(expected)} of {len(expected)} {noun} as seeded" in ran.stdout.splitlines()
    evidence = json.loads((out / "repair.json").read_bytes())
    ends = {machine["id"]: machine["result"] for machine in evidence["machines"]}
    assert ends == dict.fromkeys(seeded.mendable(), "verified")


def test_the_run_shows_before_and_after(ended: tuple[subprocess.CompletedProcess[str], Path]) -> None:
    ran, out = ended
    changes = r"verdict: not-ready → ready *\n +agent-service: fail → pass"
    assert re.search(rf"verified +guest-agent-stopped .*{changes}", ran.stdout)
    assert "Evidence: out/repair.html" in ran.stdout
    written = {path.name for path in out.iterdir()}
    assert {"audit.html", "audit.json", "plan.json", "repair.html", "repair.json"} <= written
    plan = read_plan(out / "plan.json")
    assert {machine.machine.id for machine in plan.touched} == Seeded(VMS, SEED).mendable().keys()


def test_a_machine_whose_backup_runs_is_seeded_to_be_refused() -> None:
    seeded = Seeded(*BUSY)
    assert list(seeded.refused().values()) == [Result.REFUSED]
    assert not seeded.refused().keys() & seeded.mendable().keys()


def test_a_difference_from_the_seeds_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert not compare(
        {"host/one": "ready", "host/two": "failed"}, {"host/two": "ready", "x": "ready"}, "fixed"
    )
    assert capsys.readouterr().out.splitlines() == [
        "0 of 2 fixed as seeded",
        "  host/two: seeded ready, found failed",
        "  x: seeded ready, found nothing",
    ]
    assert compare({"host/one": "ready"}, {"host/one": "ready"}, "fixed")

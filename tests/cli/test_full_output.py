"""Standard output that has no room: one line says so, whatever was to be printed."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from auditor.simulator.run import environment
from auditor.simulator.server import RunningServer

pytestmark = pytest.mark.skipif(
    not Path("/dev/full").exists(), reason="only Linux has a device that is always full"
)


@pytest.mark.parametrize(
    "words",
    [
        ("--help",),
        ("--version",),
        ("inventory",),
        ("doctor", "--azure"),
        ("checks",),
        ("checks", "show", "guest-clock"),
        ("rules", "show"),
        ("config", "show"),
        ("remediations",),
        ("remediations", "list", "--markdown"),
        ("remediations", "show", "linux-agent"),
        ("remediate", "plan"),
        ("remediate", "show", "out/plan.json"),
        ("remediate", "show", "out/plan.json", "--commands"),
        ("remediate", "export", "out/plan.json", "--format", "az"),
        ("remediate", "runs"),
    ],
    ids=" ".join,
)
def test_one_line_says_that_there_is_no_room(
    server: RunningServer, tmp_path: Path, words: tuple[str, ...]
) -> None:
    def run(*arguments: str, output: int) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-P", "-m", "auditor", *arguments],
            cwd=tmp_path,
            env={"PATH": os.environ["PATH"], "HOME": str(tmp_path), **environment(server)},
            stdout=output,
            stderr=subprocess.PIPE,
            text=True,
            timeout=60,
            check=False,
        )

    if "out/plan.json" in words:
        assert run("remediate", "plan", output=subprocess.DEVNULL).returncode in (0, 3)
    with Path("/dev/full").open("w") as full:
        done = run(*words, output=full.fileno())
    assert done.returncode == 2, done.stderr
    assert done.stderr == "error: cannot write to standard output: No space left on device\n"

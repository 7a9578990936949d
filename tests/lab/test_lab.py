"""The lab itself: it touches nothing of this machine, and leaves nothing behind."""

import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.lab.bases import Base
from tests.lab.cgroups import Cgroup
from tests.lab.lab import PREFIX, STATE, Lab, sweep
from tests.lab.network import NAMESPACES, OPERATOR

pytestmark = [pytest.mark.lab, pytest.mark.timeout(600)]

ANOTHER = """
import sys, time
from pathlib import Path
from tests.lab.bases import Base
from tests.lab.lab import Lab
lab = Lab()
lab.start()
lab.add(Base(sys.argv[1], Path(sys.argv[2])), {"left": {}})
print("ready", flush=True)
time.sleep(600)
"""


def traces(name: str) -> list[str]:
    """What this machine shows of a lab."""
    mounts = Path("/proc/self/mountinfo").read_text().splitlines()
    folders = [*STATE.glob(f"{name}*"), *NAMESPACES.glob(f"{name}*"), *Cgroup(name).folders]
    return [line for line in mounts if name in line] + [str(path) for path in folders if path.exists()]


def test_this_machine_has_no_part_in_the_network(lab: Lab) -> None:
    interfaces = {name for _, name in socket.if_nameindex()}
    assert not [name for name in interfaces if re.fullmatch(r"lab|g\d+", name)]
    with socket.socket() as link:
        link.settimeout(2)
        assert link.connect_ex((OPERATOR, 80)) != 0


def test_what_a_killed_lab_left_is_swept_away(lab: Lab, suite: Base) -> None:
    command = [sys.executable, "-c", ANOTHER, suite.suite, str(suite.folder)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
        finally:
            os.kill(process.pid, signal.SIGKILL)
    name = f"{PREFIX}{process.pid}"
    assert traces(name)
    sweep()
    assert traces(name) == []
    assert traces(lab.name)

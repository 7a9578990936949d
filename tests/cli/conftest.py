"""The installed program against a simulated estate over TLS."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from auditor.simulator.estate import build_estate
from auditor.simulator.faults import Fault
from auditor.simulator.run import environment
from auditor.simulator.server import EstateServer, RunningServer
from auditor.simulator.world import Options

Program = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="session")
def server() -> Iterator[RunningServer]:
    """An estate with every scenario in it; the many runs here would use up an hour's quota."""
    with EstateServer(build_estate(60, 1), options=Options(enforce_quotas=False)) as running:
        yield running


@pytest.fixture
def faults(server: RunningServer) -> Iterator[Callable[..., None]]:
    """Add faults to the server for the length of a test."""
    yield lambda *faults: server.faults.add(*(Fault(**fault) for fault in faults))
    server.faults.clear()


@pytest.fixture
def program(server: RunningServer, tmp_path: Path) -> Program:
    """Run `auditor ...` in a folder of its own, signed in to the estate."""

    def run(*arguments: str, env: Mapping[str, str | None] | None = None) -> subprocess.CompletedProcess[str]:
        variables = {
            "PATH": os.environ["PATH"],
            "HOME": str(tmp_path),
            "COLUMNS": "100",
            **environment(server),
            **(env or {}),
        }
        return subprocess.run(
            [sys.executable, "-P", "-m", "auditor", *arguments],
            cwd=tmp_path,
            env={name: value for name, value in variables.items() if value is not None},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    return run

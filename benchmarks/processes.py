"""Fresh processes: servers, the two clients in turn, the whole audit, the browser."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson

ROOT = Path(__file__).resolve().parent.parent
# the environment's own proxies, settings and credentials stay outside
KEPT = ("PATH", "HOME", "TMPDIR", "LANG")
MEGABYTE = 1_000_000
READY = b"\n"

Environment = Mapping[str, str]
Costs = Mapping[str, Mapping[str, float]]


@dataclass(slots=True)
class Server:
    """A running estate; `requests`, `throttled` and `verdicts` are known once it has ended."""

    environment: Environment
    first: str
    requests: dict[str, int] = field(default_factory=dict)
    throttled: int = 0
    verdicts: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Audited:
    """The whole command: seconds, megabytes, and the verdicts in its JSON report."""

    cpu: float
    wall: float
    memory: float
    html: float
    json: float
    verdicts: dict[str, str]


@contextmanager
def serving(vms: int, latency_ms: float) -> Iterator[Server]:
    """A fresh estate with full quotas, in its own process."""
    command = [sys.executable, "-m", "benchmarks.server", str(vms), str(latency_ms)]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        ready = orjson.loads(process.stdout.readline())
        server = Server(_kept() | ready["environment"], ready["first"])
        yield server
        process.stdin.close()
        served = orjson.loads(process.stdout.readline())
        server.requests, server.throttled = served["requests"], served["throttled"]
        server.verdicts = served["verdicts"]


def compare(server: Server) -> tuple[Costs, Costs]:
    """Let the bare client and ours take turns on one server; what each phase cost them."""
    with _client("bare", server) as bare, _client("ours", server, server.first) as ours:
        clients = (bare, ours)
        said = [_answer(client) for client in clients]
        while READY in said:
            said = [
                _answer(client, READY) if line == READY else line
                for client, line in zip(clients, said, strict=True)
            ]
        return orjson.loads(said[0]), orjson.loads(said[1])


def _client(module: str, server: Server, *arguments: str) -> "subprocess.Popen[bytes]":
    command = [sys.executable, "-m", f"benchmarks.{module}", *arguments]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, cwd=ROOT, env=server.environment, stdin=pipe, stdout=pipe)


def _answer(process: "subprocess.Popen[bytes]", line: bytes = b"") -> bytes:
    """The next line of a process, after it was given one."""
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(line)
    process.stdin.flush()
    return process.stdout.readline()


def run(module: str, *arguments: str, environment: Environment | None = None) -> Any:
    """Run a module of this package to its end; what it printed as JSON."""
    command = [sys.executable, "-m", f"benchmarks.{module}", *arguments]
    done = subprocess.run(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, check=True)
    return orjson.loads(done.stdout)


def audit(environment: Environment, folder: Path) -> Audited:
    """Run `auditor audit` with both reports into a folder."""
    cost = run("command", str(folder), environment=environment)
    report = folder / "audit.json"
    return Audited(
        cpu=cost["cpu"],
        wall=cost["wall"],
        memory=cost["memory"] / MEGABYTE,
        html=(folder / "audit.html").stat().st_size / MEGABYTE,
        json=report.stat().st_size / MEGABYTE,
        verdicts=_verdicts(report),
    )


def browser(report: Path, profile: Path) -> dict[str, float] | None:
    """What `benchmarks.browser` measures, or nothing where there is no Chromium."""
    if not (shutil.which("chromium") and shutil.which("chromedriver")):
        return None
    found: dict[str, float] = run("browser", str(report), str(profile))
    return found


def _kept() -> dict[str, str]:
    kept = {name: os.environ[name] for name in KEPT if name in os.environ}
    return {**kept, "PYTHONPATH": str(ROOT)}  # this checkout is measured, whatever is installed


def _verdicts(report: Path) -> dict[str, str]:
    run = orjson.loads(report.read_bytes())
    return {machine["id"]: machine["verdict"] for machine in run["machines"]}

"""Every engine as a command of its own: what it is told, and what it cost."""

import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from benchmarks.guests.question import ANSWER, QUESTION
from benchmarks.processes import ROOT

LIMIT = 300.0
CURVE = "-o KexAlgorithms=curve25519-sha256"
Spec = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Cost:
    """One run of an engine over all hosts: seconds of the whole process, and how many answered.

    `median` is that of one host, where the engine tells it.
    """

    wall: float
    cpu: float
    answered: int
    median: float | None = None


Engine = Callable[[Spec, Path], Cost]


def threads(*command: str) -> Engine:
    """An engine of ours: takes the spec on standard input, says what it did as JSON."""

    def run(spec: Spec, _folder: Path) -> Cost:
        wall, cpu, output = _timed(command, orjson.dumps({**spec, "question": QUESTION}))
        told = orjson.loads(output)
        return Cost(wall, cpu, told["answered"], told.get("median"))

    return run


def module(name: str) -> Engine:
    """A module of this package, in this environment."""
    return threads(sys.executable, "-m", f"benchmarks.guests.{name}")


def ssh2(peers: Path) -> Engine:
    """Threads over ssh2-python."""
    return threads(str(peers / "python"), str(ROOT / "benchmarks" / "guests" / "ssh_ssh2.py"))


def pyinfra(peers: Path) -> Engine:
    """pyinfra's `exec`, as many hosts at a time as the others."""

    def run(spec: Spec, folder: Path) -> Cost:
        hosts = [
            (
                f"h{number}",
                {
                    "ssh_hostname": address,
                    "ssh_port": port,
                    "ssh_user": spec["user"],
                    "ssh_key": spec["key"],
                    "ssh_known_hosts_file": spec["known_hosts"],
                    "ssh_strict_host_key_checking": "yes",
                    "ssh_connect_retries": 0,
                    "ssh_paramiko_connect_kwargs": {"timeout": spec["timeout"]},
                },
            )
            for number, (address, port) in enumerate(spec["hosts"])
        ]
        inventory = folder / "inventory.py"
        inventory.write_text(f"hosts = {hosts!r}\n")
        parallel = ["--parallel", str(spec["concurrency"])]
        command = [str(peers / "pyinfra"), "-y", *parallel, str(inventory), "exec", "--", QUESTION]
        return _counted(command, folder)

    return run


def ansible(peers: Path, *more: str, forks: int | None = 50) -> Engine:
    """`ansible -m raw` over OpenSSH with more options for it; Ansible's default is five forks."""

    def run(spec: Spec, folder: Path) -> Cost:
        arguments = f"-o UserKnownHostsFile={spec['known_hosts']} -o StrictHostKeyChecking=yes -F none"
        lines = [
            f"h{number} ansible_host={address} ansible_port={port} ansible_user={spec['user']} "
            f"ansible_ssh_private_key_file={spec['key']} "
            f"ansible_ssh_common_args='{' '.join((arguments, *more))}'"
            for number, (address, port) in enumerate(spec["hosts"])
        ]
        inventory = folder / "inventory.ini"
        inventory.write_text("[all]\n" + "\n".join(lines) + "\n")
        command = [str(peers / "ansible"), "all", "-i", str(inventory), "-m", "raw", "-a", QUESTION]
        command += ["-T", str(int(spec["timeout"]))]
        return _counted([*command, *(["-f", str(forks)] if forks else [])], folder)

    return run


def _counted(command: Sequence[str], folder: Path) -> Cost:
    """An engine that prints the hosts' answers; its home is a folder of its own."""
    environment = {"HOME": str(folder), "ANSIBLE_LOCALHOST_WARNING": "False", "LC_ALL": "C.UTF-8"}
    wall, cpu, output = _timed(command, b"", environment)
    return Cost(wall, cpu, len(ANSWER.findall(output)))


def _timed(
    command: Sequence[str], told: bytes, more: Mapping[str, str] | None = None
) -> tuple[float, float, bytes]:
    """Wall and processor seconds of a process with all its children, and what it said."""
    environment = {**os.environ, **(more or {}), "PYTHONPATH": str(ROOT)}
    before, start = _children(), time.perf_counter()
    with tempfile.TemporaryFile() as given:
        given.write(told)
        given.seek(0)
        done = subprocess.run(
            command, cwd=ROOT, env=environment, stdin=given, capture_output=True, timeout=LIMIT, check=False
        )
    return time.perf_counter() - start, _children() - before, done.stdout + done.stderr


def _children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime

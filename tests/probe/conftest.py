"""The Linux probe, run for real: on this machine and in a network namespace with a small Azure in it."""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from auditor.facts import Guest
from auditor.probe import linux_script, parse
from auditor.rules import Endpoint
from tests.conftest import require_lane

AZURE = Path(__file__).with_name("small_azure.py")


@dataclass(frozen=True)
class Answer:
    """What a probe said: as facts, as JSON, as bytes; how long it took, and the script."""

    guest: Guest
    json: Mapping[str, Any]
    output: bytes
    seconds: float
    script: str


def run_probe(
    command: Iterable[str],
    script: str | None = None,
    environment: Mapping[str, str] | None = None,
    endpoints: Iterable[Endpoint] = (),
) -> Answer:
    """Give the probe to a shell on its standard input, as sshd does."""
    start = time.monotonic()
    text = script or linux_script(endpoints)
    ran = subprocess.run(
        [*command], check=False, input=text.encode(), capture_output=True, env=environment, timeout=60
    )
    seconds = time.monotonic() - start
    assert ran.returncode == 0, ran.stderr
    body = ran.stdout.partition(b"AUDITOR-PROBE-BEGIN ")[2].partition(b" AUDITOR-PROBE-END")[0]
    guest = parse(ran.stdout, observed_at=datetime.now(UTC), transport="ssh")
    return Answer(guest, json.loads(body.decode("utf-8", "replace")), ran.stdout, seconds, text)


@cache
def _namespaces() -> bool:
    if not shutil.which("unshare") or not shutil.which("ip"):
        return False
    tried = subprocess.run(["unshare", "-rnm", "true"], check=False, capture_output=True)
    return tried.returncode == 0


@dataclass
class Box:
    """A network namespace of its own, as root of a user namespace of its own; `hidden` programs are gone."""

    folder: Path

    def probe(
        self,
        *azure: str,
        hidden: Iterable[str] = (),
        setup: Iterable[str] = (),
        endpoints: Iterable[Endpoint] = (),
        **environment: str,
    ) -> Answer:
        """Run the probe where `azure` (arguments of small_azure) is all the network there is."""
        ready = self.folder / "ready"
        ready.unlink(missing_ok=True)
        lines = [
            "set -e",
            "ip link set lo up",
            *setup,
            f"{sys.executable} {AZURE} {ready} {' '.join(map(_quoted, azure))} >&2 &",
            f"until [ -e {ready} ]; do sleep 0.05; done",
            *(f"mount --bind /dev/null {path}" for name in hidden if (path := _program(name))),
            "sh -s; kill $!",
        ]
        command = ["unshare", "-rnm", "--kill-child", "sh", "-c", "\n".join(lines)]
        plain = {"PATH": os.environ["PATH"], "HOME": str(self.folder)}
        return run_probe(command, environment={**plain, **environment}, endpoints=endpoints)


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"


def _program(name: str) -> str | None:
    found = shutil.which(name, path="/usr/sbin:/usr/bin:/sbin:/bin")
    return os.path.realpath(found) if found else None


@pytest.fixture
def box(tmp_path: Path) -> Box:
    """A namespace to probe in."""
    require_lane("namespaces", _namespaces())
    return Box(tmp_path)


class Stubbed:
    """The probe with stand-ins for the agent, the system's programs and the files it reads.

    They encode our own belief of what stands there: this tries the reading, not the belief. `folder` gets
    the programs in `stubs` and the top of the file system in `root`.
    """

    def __init__(self, folder: Path) -> None:
        self.stubs, self.top = folder / "stubs", folder / "root"
        self.stubs.mkdir()
        self.top.mkdir()

    def __call__(
        self,
        config: str | None = None,
        lib: Iterable[str] = (),
        tree: Mapping[str, str | bytes] | None = None,
        only: Iterable[str] = (),
        without: Iterable[str] = (),
        shell: Sequence[str] = ("sh", "-s"),
        **programs: str,
    ) -> Answer:
        """Run the probe; `only` names the facts to be asked for, by default all but the network's.

        `without` names programs of this machine that the guest has not.
        """
        files = {**(tree or {}), **({"etc/waagent.conf": config} if config is not None else {})}
        for path, content in files.items():
            (self.top / path).parent.mkdir(parents=True, exist_ok=True)
            (self.top / path).write_bytes(content if isinstance(content, bytes) else content.encode())
        for name in lib:
            (self.top / "var/lib/waagent" / name).mkdir(parents=True)
        if "systemctl" in programs:
            (self.top / "run/systemd/system").mkdir(parents=True, exist_ok=True)
        for own in ("proc", "sys"):
            if not (self.top / own).exists():
                (self.top / own).symlink_to(f"/{own}")
        for name, body in {"curl": "exit 7", **programs}.items():
            path = self.stubs / name.replace("_", "-")
            path.write_text(f"#!/bin/sh\n{body}\n")
            path.chmod(0o755)
        script = self.script(only)
        for name in without:
            assert f"has {name}" in script
            script = script.replace(f"has {name}", "has no-such-program")
        return run_probe(shell, script)

    def script(self, only: Iterable[str] = ()) -> str:
        """The probe with our programs before the system's, and another top of the file system."""
        script = linux_script([])
        asked = "\n".join(f"  fact_{name} &" for name in only)
        for real, ours in {
            "  fact_installable &\n": "",
            "\nPATH=/usr/sbin:": f"\nPATH={self.stubs}:/usr/sbin:",
            "\nROOT=\n": f"\nROOT={self.top}\n",
            "for agent_dir in /usr/sbin ": f"for agent_dir in {self.stubs} /usr/sbin ",
            '  fact_endpoints "$@" &\n  fact_wire &\n  fact_imds &\n': f"{asked}\n  wait\n  return\n"
            * bool(asked),
        }.items():
            assert real in script
            script = script.replace(real, ours)
        return script


@pytest.fixture
def stubbed(tmp_path: Path) -> Stubbed:
    """Stand-ins for what the probe finds on a guest."""
    return Stubbed(tmp_path)

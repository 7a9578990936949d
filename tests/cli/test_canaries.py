"""Secrets in every place that takes one, and a run at debug level: nothing it leaves behind holds them."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from auditor.simulator.estate import build_estate
from auditor.simulator.guests import GUESTS, SshGuests
from auditor.simulator.run import environment
from auditor.simulator.server import EstateServer, RunningServer
from auditor.simulator.windows import WINDOWS_GUESTS, WindowsGuest
from auditor.simulator.world import Options
from auditor.simulator.wsman import WinRmServer

IN_ENVIRONMENT = "c4nary-environment-9d1"
IN_FILE = "c4nary-file-0b7"
IN_VAULT = "c4nary-vault-55e"
WRONG = "c4nary-refused-31a"
USER = "SIM\\auditor"


@dataclass
class Seen:
    """What any user of this machine could read of our processes while they ran."""

    text: str = ""


@pytest.fixture
def processes() -> Iterator[Seen]:
    """Look at every command line again and again."""
    seen, stop = Seen(), threading.Event()

    def look() -> None:
        while not stop.wait(0.05):
            for path in Path("/proc").glob("[0-9]*/cmdline"):
                with suppress(OSError):
                    seen.text += path.read_bytes().decode("utf-8", "replace") + "\n"

    thread = threading.Thread(target=look)
    thread.start()
    yield seen
    stop.set()
    thread.join()


@pytest.fixture
def estate() -> Iterator[RunningServer]:
    with EstateServer(build_estate(6, 1), options=Options(secrets={"guests": IN_VAULT})) as running:
        yield running


@pytest.mark.skipif(not Path("/proc/self/cmdline").exists(), reason="no /proc")
def test_no_secret_is_left_anywhere(estate: RunningServer, processes: Seen, tmp_path: Path) -> None:
    (tmp_path / "password").write_text(f"{IN_FILE}\n")
    (tmp_path / "password").chmod(0o600)
    executor = WindowsGuest(WINDOWS_GUESTS[0].state)
    references = {
        IN_ENVIRONMENT: "env:GUEST_PASSWORD",
        IN_FILE: f"file:{tmp_path}/password",
        IN_VAULT: f"keyvault:{estate.url}/guests",
        WRONG: "env:WRONG_PASSWORD",
    }
    with SshGuests(GUESTS[:1]) as linux, WinRmServer(executor, accounts={USER: IN_ENVIRONMENT}) as one, \
            WinRmServer(executor, accounts={USER: IN_FILE}) as two, \
            WinRmServer(executor, accounts={USER: IN_VAULT}) as three:  # fmt: skip
        hosts = [_host(server, references[secret]) for server, secret in
                 ((one, IN_ENVIRONMENT), (two, IN_FILE), (three, IN_VAULT), (one, WRONG))]  # fmt: skip
        hosts += json.loads(linux.hosts_file.read_text())["hosts"]
        for number, host in enumerate(hosts):
            host["name"] = f"h{number}"
        (tmp_path / "hosts.yaml").write_text(json.dumps({"hosts": hosts}))
        said = _audit(estate, linux, tmp_path)
        private = linux.folder.joinpath("id_ed25519").read_text().splitlines()[2]
    report = json.loads((tmp_path / "out" / "audit.json").read_text())
    answered = [machine for machine in report["machines"] if machine["id"].startswith("host/")]
    verdicts = {machine["name"]: machine["verdict"] for machine in answered}
    reasons = {finding["reason"] for machine in answered for finding in machine["findings"]}
    assert verdicts == {"h0": "ready", "h1": "ready", "h2": "ready", "h3": "unknown", "h4": "ready"}, reasons
    tokens = list(estate.tokens._valid_until)
    secrets = [*references, private, estate.estate.client_secret, *tokens]
    assert len(tokens) >= 1
    left = {
        path.name: path.read_text()
        for path in tmp_path.rglob("*")
        if path.suffix in (".html", ".json", ".jsonl")
    }
    assert "VMs" in left["audit.jsonl"]
    for place, text in {**left, "stdout": said.stdout, "stderr": said.stderr, "ps": processes.text}.items():
        assert [secret for secret in secrets if secret in text] == [], place
    assert "auditor" in processes.text


def _host(server: WinRmServer, password: str) -> dict[str, object]:
    return {
        "platform": "windows",
        "address": server.address,
        "port": server.port,
        "user": USER,
        "password": password,
        "ca": str(server.ca_file),
    }


def _audit(estate: RunningServer, linux: SshGuests, folder: Path) -> "subprocess.CompletedProcess[str]":
    variables = {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "GUEST_PASSWORD": IN_ENVIRONMENT,
        "WRONG_PASSWORD": WRONG,
        **environment(estate),
    }
    arguments = ["--inventory", "hosts.yaml", "--known-hosts", str(linux.known_hosts), "--azure"]
    done = subprocess.run(
        [sys.executable, "-P", "-m", "auditor", "audit", *arguments, "--log-file", "audit.jsonl", "-v"],
        cwd=folder,
        env=variables,
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )
    assert done.returncode in (3, 20), done.stderr
    return done

"""`auditor simulate` as its users start it."""

import os
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import orjson
import pytest

from auditor.simulator.estate import build_estate
from auditor.simulator.run import write_env_file

COMMAND = [sys.executable, "-m", "auditor", "simulate"]
Start = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def start() -> Iterator[Start]:
    """Start the simulator and wait for a file that it writes when it is ready."""
    running: list[subprocess.Popen[str]] = []

    def run(ready: Path, *arguments: str) -> subprocess.Popen[str]:
        process = subprocess.Popen([*COMMAND, *arguments], stdout=subprocess.PIPE, text=True)
        running.append(process)
        deadline = time.monotonic() + 60
        while not ready.exists():
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.05)
        return process

    yield run
    for process in running:
        process.kill()
        process.communicate()


@pytest.mark.skipif(sys.platform == "win32", reason="a POSIX shell sources the file")
def test_a_shell_sources_the_env_file_and_reaches_the_estate(tmp_path: Path, start: Start) -> None:
    env_file, truth_file = tmp_path / "client.env", tmp_path / "truth.json"
    arguments = ("--vms", "12", "--seed", "4", "--env-file", str(env_file), "--truth-file", str(truth_file))
    process = start(env_file, *arguments)
    assert stat.S_IMODE(env_file.stat().st_mode) == 0o600
    shell = f'. "{env_file}" && printf "%s\\n" "$AUDITOR_CLOUD" "$AZURE_CLIENT_SECRET" "$SSL_CERT_FILE"'
    url, secret, bundle = subprocess.run(
        ["/bin/sh", "-c", shell], capture_output=True, text=True, check=True
    ).stdout.split()
    estate = build_estate(12, 4)
    assert url.startswith("https://127.0.0.1:")
    assert secret == estate.client_secret
    assert "BEGIN CERTIFICATE" in Path(bundle).read_text()
    truth = orjson.loads(truth_file.read_bytes())
    assert {key: row["verdict"] for key, row in truth.items()} == {
        key: row.verdict for key, row in estate.truth().items()
    }
    process.send_signal(signal.SIGTERM)
    out, _ = process.communicate(timeout=20)
    assert process.returncode == 0
    assert out.startswith(f"12 machines at {url}")
    assert secret not in out
    assert not env_file.exists()


@pytest.mark.parametrize("option", ["--env-file", "--truth-file"])
def test_a_folder_that_is_not_there_is_named(tmp_path: Path, option: str) -> None:
    done = subprocess.run(
        [*COMMAND, option, str(tmp_path / "none" / "file")],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 2
    assert "the folder does not exist" in done.stderr


def test_a_port_in_use_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        done = subprocess.run(
            [*COMMAND, "--vms", "2", "--port", port], capture_output=True, text=True, timeout=60, check=False
        )
    assert done.returncode == 2
    assert "cannot serve the estate" in done.stderr
    assert port in done.stderr


def test_the_env_file_is_quoted_and_replaced_whole(tmp_path: Path) -> None:
    path = tmp_path / "client.env"
    path.write_text("old")
    os.chmod(path, 0o644)
    write_env_file(path, {"NAME": "it's $(id) `id`"})
    assert path.read_text() == "export NAME='it'\"'\"'s $(id) `id`'\n"
    assert [entry.name for entry in tmp_path.iterdir()] == ["client.env"]

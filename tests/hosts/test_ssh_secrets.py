"""Canaries: a password, a passphrase and sudo's password, planted where they belong, turn up nowhere else."""

import logging
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from auditor.credentials import Secrets
from auditor.errors import HostError
from auditor.hosts import CommandResult, Script
from auditor.hosts.options import GuestOptions
from auditor.hosts.ssh import Credentials
from auditor.model import Connection
from tests.hosts.conftest import Sshd, make_key, opened
from tests.hosts.sudo import RIGHT, install
from tests.hosts.test_ssh_jump import PIPE

pytestmark = [
    pytest.mark.sshd,
    pytest.mark.usefixtures("nothing_left_behind"),
    pytest.mark.skipif(
        not Path("/proc/self/environ").exists(), reason="processes are looked at through /proc"
    ),
]

CANARIES = {
    "CANARY_PASSWORD": f"canary-in-the-password-{os.getpid()}",
    "CANARY_PASSPHRASE": f"canary-in-the-passphrase-{os.getpid()}",
    "CANARY_SUDO": RIGHT,
}
AZURE = {
    "AZURE_CLIENT_SECRET": f"canary-of-the-azure-sdk-{os.getpid()}",
    "IDENTITY_HEADER": f"canary-of-the-managed-identity-{os.getpid()}",
}
PLANTED = {**CANARIES, **AZURE}
EVERYTHING = 1


@pytest.fixture
def records() -> Iterator[list[logging.LogRecord]]:
    """Everything that anybody logs, at every level, paramiko's silent channel included."""
    found: list[logging.LogRecord] = []

    class Keep(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            found.append(record)

    loggers = [logging.getLogger(name) for name in ("", "paramiko", "auditor.hosts.ssh.paramiko")]
    levels = [logger.level for logger in loggers]
    keep = Keep(EVERYTHING)
    logging.getLogger().addHandler(keep)
    for logger in loggers:
        logger.setLevel(EVERYTHING)
    yield found
    logging.getLogger().removeHandler(keep)
    for logger, level in zip(loggers, levels, strict=True):
        logger.setLevel(level)


class Watch(threading.Thread):
    """Looks at the arguments and environments of all processes that start, again and again."""

    def __init__(self) -> None:
        super().__init__()
        self.leaks: set[str] = set()
        self.seen: set[str] = set()
        self.over = threading.Event()
        self.before = set(Path("/proc").glob("[0-9]*"))

    def run(self) -> None:
        while not self.over.wait(0.02):
            for folder in set(Path("/proc").glob("[0-9]*")) - self.before:
                for name in ("cmdline", "environ"):
                    self.look(folder, name)

    def look(self, folder: Path, name: str) -> None:
        try:
            text = (folder / name).read_bytes().decode("utf-8", "replace")
        except OSError:
            return
        self.seen.add(text)
        self.leaks |= {f"{folder.name}/{name}: {text}" for canary in PLANTED.values() if canary in text}

    def __enter__(self) -> "Watch":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.over.set()
        self.join()


@pytest.fixture
def guest(
    start_sshd: Callable[..., Sshd], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[[str], tuple[Connection, GuestOptions, Credentials]]:
    """A guest with a closed key and sudo, behind a ProxyCommand; the secrets are in our environment."""
    (tmp_path / "pipe.py").write_text(PIPE)

    def start(mode: str) -> tuple[Connection, GuestOptions, Credentials]:
        server = start_sshd(path=install(tmp_path / "bin", mode))
        make_key(server.folder / "closed", "-N", CANARIES["CANARY_PASSPHRASE"])
        (server.folder / "authorized_keys").write_text((server.folder / "closed.pub").read_text())
        config = tmp_path / "ssh_config"
        config.write_text(f"ProxyCommand {sys.executable} {tmp_path}/pipe.py %h %p\n")
        config.chmod(0o600)
        for name, value in PLANTED.items():
            monkeypatch.setenv(name, value)
        options = server.options(ssh_config=config)
        secrets = Secrets()
        secrets.resolve_all(f"env:{name}" for name in CANARIES)
        way = replace(
            server.connection,
            key=str(server.folder / "closed"),
            password="env:CANARY_PASSWORD",
            passphrase="env:CANARY_PASSPHRASE",
            sudo_password="env:CANARY_SUDO",
        )
        return way, options, Credentials(options, secrets)

    return start


Start = Callable[[str], tuple[Connection, GuestOptions, Credentials]]


def assert_quiet(records: list[logging.LogRecord], watch: Watch) -> None:
    formatter = logging.Formatter("%(message)s")
    logged = "\n".join(formatter.format(record) for record in records)
    assert "Authentication (publickey)" in logged
    assert not [canary for canary in CANARIES.values() if canary in logged]
    assert any("pipe.py" in text for text in watch.seen)
    assert watch.leaks == set()


def test_a_session_with_every_secret(guest: Start, records: list[logging.LogRecord]) -> None:
    connection, options, credentials = guest("slow")
    with Watch() as watch, opened(connection, options, credentials=credentials) as host:
        said = host.run(Script("sleep 0.5; echo $STANDIN; env; cat /proc/$$/environ\n"), 10)
        assert said.stdout.startswith(b"root\n")
        assert not [canary for canary in CANARIES.values() if canary.encode() in said.stdout]
        assert not [canary for canary in CANARIES.values() if canary in repr((host, credentials, said))]
    assert any("auditor-asks-" in text for text in watch.seen)
    assert_quiet(records, watch)


def test_a_session_in_which_everything_is_refused(
    guest: Start, records: list[logging.LogRecord], tmp_path: Path
) -> None:
    stranger = make_key(tmp_path / "stranger")
    connection, options, credentials = guest("denied")
    with Watch() as watch:
        with opened(connection, options, credentials=credentials) as host:
            said = host.run(Script("sleep 0.2"), 10)
            assert said == CommandResult(0, b"", note=said.note)
            assert said.note.startswith("sudo took the password and started no shell")
        refused = replace(connection, key=str(stranger), passphrase=None, sudo_password=None)
        with opened(refused, options, credentials=credentials) as host, pytest.raises(HostError) as caught:
            host.run(Script("true"), 10)
        time.sleep(0.1)
    text = f"{caught.value} {caught.value.__cause__} {said.note}"
    assert "(publickey, password)" in text
    assert not [canary for canary in CANARIES.values() if canary in text]
    assert_quiet(records, watch)


def test_the_watch_would_see_a_leak(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CANARY_PASSWORD", CANARIES["CANARY_PASSWORD"])
    with Watch() as watch:
        os.waitpid(os.posix_spawn("/bin/sleep", ["sleep", "1"], os.environ), 0)
    assert watch.leaks

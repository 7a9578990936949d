"""Root by a password: the dialogue with sudo.

The sudo here is a stand-in, a shell script in the PATH of a real sshd's session: it prompts, reads one line,
and tries three times, as the real one was seen to do. The real one is in test_ssh_accounts.py.
"""

import asyncio
import logging
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from auditor.credentials import Secrets
from auditor.errors import HostError
from auditor.facts import Guest, Unseen
from auditor.guests import Guests
from auditor.hosts import CommandResult, Script
from auditor.hosts.fake import FakeHost
from auditor.hosts.ssh import Credentials
from auditor.model import Connection
from tests.hosts.conftest import Sshd, machine, opened
from tests.hosts.sudo import RIGHT, install

pytestmark = [pytest.mark.sshd, pytest.mark.usefixtures("nothing_left_behind")]

LATE = 3.0
SECRETS = {"RIGHT": RIGHT, "WRONG": "root-me-badly", "LINES": "two\nlines"}
NOTHING = "sudo started no shell"
WRONG = "sudo refused the password"
WHO = Script("echo ${STANDIN:-nobody}; echo err >&2; exit 3\n")
Start = Callable[..., Sshd]


@pytest.fixture
def server(start_sshd: Start, tmp_path: Path) -> Callable[[str], Sshd]:
    """An sshd whose sudo is the stand-in, in a mode."""

    def start(mode: str) -> Sshd:
        return start_sshd(path=install(tmp_path / "bin", mode))

    return start


Server = Callable[[str], Sshd]


def given(server: Sshd) -> list[str]:
    """What the stand-in was given as passwords."""
    return (server.folder.parent / "bin" / "given").read_text().splitlines()


def way(server: Sshd, name: str) -> Connection:
    return replace(server.connection, sudo_password=f"env:{name}")


@pytest.mark.parametrize(("mode", "passwords"), [("password", 1), ("lecture", 1), ("free", 0)])
def test_a_script_runs_as_root(server: Server, mode: str, passwords: int) -> None:
    sshd = server(mode)
    with opened(way(sshd, "RIGHT"), sshd.options(), SECRETS) as host:
        assert host.run(WHO, 10) == CommandResult(3, b"root\n", b"err\n")
        assert host.run(Script("exit 0"), 10) == CommandResult(0, b"")
    assert given(sshd) == [SECRETS["RIGHT"]] * 2 * passwords


@pytest.mark.parametrize(
    ("mode", "secret", "passwords", "note"),
    [
        ("password", "WRONG", 1, WRONG),
        ("one-try", "WRONG", 1, WRONG),
        (
            "denied",
            "RIGHT",
            1,
            "sudo took the password and started no shell; it said: Sorry, user azops is not",
        ),
        ("absent", "RIGHT", 0, "sudo started no shell; it said: sh: 1: sudo: not found"),
        ("tty", "RIGHT", 0, "sudo started no shell; it said: sudo: sorry, you must have a tty to run sudo"),
        ("password", "LINES", 0, "sudo was not asked: its password has more than one line"),
        ("password", "ABSENT", 0, "the password cannot be had: the environment variable ABSENT is not set"),
    ],
)
def test_a_script_runs_without_root_and_says_why(
    server: Server, caplog: pytest.LogCaptureFixture, mode: str, secret: str, passwords: int, note: str
) -> None:
    sshd = server(mode)
    credentials = Credentials(sshd.options(), Secrets(environment=SECRETS))
    for _ in range(2):
        with (
            caplog.at_level(logging.WARNING),
            opened(way(sshd, secret), sshd.options(), credentials=credentials) as host,
        ):
            said = host.run(WHO, 10)
            assert replace(said, note="") == CommandResult(3, b"nobody\n", b"err\n")
            assert said.note.startswith(note)
    assert given(sshd) == [SECRETS.get(secret)] * passwords
    assert f"asked as {sshd.connection.user}, not as root: {note}" in caplog.text
    assert not any(value in caplog.text for value in SECRETS.values())


def test_a_sudo_that_never_answers_leaves_half_of_the_time(server: Server) -> None:
    sshd = server("mute")
    with opened(way(sshd, "RIGHT"), sshd.options(), SECRETS) as host:
        start = time.monotonic()
        said = host.run(WHO, 4)
        assert time.monotonic() - start < 2 + LATE
    assert said == CommandResult(3, b"nobody\n", b"err\n", note=f"{NOTHING} within 2 s; it said: nothing")


def test_a_host_that_echoes_the_command_is_not_given_the_password(start_sshd: Start) -> None:
    server = start_sshd('ForceCommand echo "$SSH_ORIGINAL_COMMAND"; echo "$SSH_ORIGINAL_COMMAND" >&2; cat')
    with opened(way(server, "RIGHT"), server.options(), SECRETS) as host:
        said = host.run(Script("the script\n"), 4)
    assert said.stdout == b"/bin/sh -s\nthe script\n"
    assert said.note.startswith(f"{NOTHING} within 2 s; it said: sudo -k -S -p auditor-asks-")


def test_a_host_that_talks_without_end_is_not_listened_to(start_sshd: Start) -> None:
    server = start_sshd("ForceCommand yes")
    with opened(way(server, "RIGHT"), server.options(), SECRETS) as host:
        said = host.run(Script("true"), 10)
    assert said.truncated
    assert said.note.startswith(f"{NOTHING}; it said: y y y")


def test_an_abort_ends_the_wait_for_sudo(server: Server) -> None:
    sshd = server("mute")
    with opened(way(sshd, "RIGHT"), sshd.options(), SECRETS) as host:
        timer = threading.Timer(0.5, host.abort, ["enough"])
        timer.start()
        start = time.monotonic()
        with pytest.raises(HostError, match=r"^enough$"):
            host.run(WHO, 15)
        assert time.monotonic() - start < 0.5 + LATE
        timer.join()


def test_the_reason_stands_behind_what_was_not_seen() -> None:
    unseen = b'{"schema":1,"platform":"linux","privileged":false,"vm_id":{"unseen":"root alone may look"}}'
    answer = CommandResult(0, b"AUDITOR-PROBE-BEGIN " + unseen + b" AUDITOR-PROBE-END", note=WRONG)

    async def ask() -> Guest | Unseen:
        async with Guests([], openers={"ssh": lambda connection: FakeHost([answer])}) as guests:
            return await guests.probe(machine(Connection("127.0.0.1")))

    guest = asyncio.run(ask())
    assert isinstance(guest, Guest)
    assert guest.vm_id == Unseen(f"root alone may look ({WRONG})")

"""Passwords and passphrases.

The passwords here are checked by a stand-in, paramiko's own server: a private sshd has no accounts of its
own. Real accounts with PAM and sudo are in test_ssh_accounts.py. Keys are tried against a real sshd.
"""

import contextlib
import getpass
import os
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import paramiko
import pytest

from auditor.errors import HostError
from auditor.hosts import CommandResult, Script
from auditor.hosts.options import NO_SSH_CONFIG, GuestOptions
from auditor.model import Connection
from tests.hosts.conftest import Sshd, make_key, opened

pytestmark = pytest.mark.usefixtures("nothing_left_behind")

RIGHT = {"PASSWORD": "right-horse-battery", "PASSPHRASE": "open-sesame-now"}
WRONG = {"PASSWORD": "wrong-horse-battery", "PASSPHRASE": "open-barley-now"}

Start = Callable[..., Sshd]


Rounds = tuple[tuple[tuple[str, bool], ...], ...]


class StandIn(paramiko.ServerInterface):
    """A server that takes what it is told to take, and remembers every secret that it was given."""

    def __init__(self, *methods: str, rounds: Rounds = ((("Password: ", False),),)) -> None:
        self.methods = methods
        self.rounds = rounds
        self.given: list[tuple[str, str]] = []
        self.round = 0

    def get_allowed_auths(self, username: str) -> str:
        return ",".join(self.methods)

    def check_auth_password(self, username: str, password: str) -> int:
        if "password" not in self.methods:
            return paramiko.AUTH_FAILED
        return self._judge("password", password)

    def check_auth_interactive(self, username: str, submethods: str) -> int | paramiko.InteractiveQuery:
        return paramiko.InteractiveQuery("", "", *self.rounds[0])

    def check_auth_interactive_response(self, responses: list[str]) -> int | paramiko.InteractiveQuery:
        self.round += 1
        if self.round < len(self.rounds):
            self.given += [("keyboard-interactive", answer) for answer in responses]
            return paramiko.InteractiveQuery("", "", *self.rounds[self.round])
        return self._judge("keyboard-interactive", *responses)

    def _judge(self, method: str, *secrets: str) -> int:
        self.given += [(method, secret) for secret in secrets]
        return paramiko.AUTH_SUCCESSFUL if secrets == (RIGHT["PASSWORD"],) else paramiko.AUTH_FAILED

    def check_channel_request(self, kind: str, chanid: int) -> int:
        return paramiko.OPEN_SUCCEEDED

    def check_channel_exec_request(self, channel: paramiko.Channel, command: bytes) -> bool:
        threading.Thread(target=self._answer, args=(channel, command)).start()
        return True

    def _answer(self, channel: paramiko.Channel, command: bytes) -> None:
        said = b""
        while chunk := channel.recv(1000):
            said += chunk
        channel.sendall(command + b": " + said)
        # a client that has all that it wants may be gone before the last of these is sent
        with contextlib.suppress(EOFError):
            channel.send_exit_status(0)
            channel.close()


class SecondFactor(StandIn):
    """Takes the right password, and then wants answers too."""

    def check_auth_password(self, username: str, password: str) -> int:
        super().check_auth_password(username, password)
        self.methods = ("keyboard-interactive",)
        return paramiko.AUTH_PARTIALLY_SUCCESSFUL


@pytest.fixture
def stand_in(tmp_path: Path) -> Iterator[Callable[[StandIn], tuple[Connection, GuestOptions]]]:
    """Start the stand-in for one connection on a port of its own; gives the way in."""
    make_key(tmp_path / "host_key")
    key = paramiko.Ed25519Key(filename=str(tmp_path / "host_key"))
    with contextlib.ExitStack() as stack:

        def serve(listener: socket.socket, server: StandIn) -> None:
            link, _ = listener.accept()
            transport = paramiko.Transport(link)
            stack.callback(transport.close)
            transport.add_server_key(key)
            with contextlib.suppress(paramiko.SSHException, EOFError):
                transport.start_server(server=server)

        def start(server: StandIn) -> tuple[Connection, GuestOptions]:
            listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
            port = listener.getsockname()[1]
            thread = threading.Thread(target=serve, args=(listener, server))
            thread.start()
            stack.callback(thread.join)
            (tmp_path / "known_hosts").write_text(f"[127.0.0.1]:{port} ssh-ed25519 {key.get_base64()}\n")
            options = GuestOptions(
                key=str(tmp_path / "no-key"),
                known_hosts=(tmp_path / "known_hosts",),
                agent=False,
                ssh_config=NO_SSH_CONFIG,
                deadline=20,
            )
            return Connection("127.0.0.1", port, "azops", password="env:PASSWORD"), options

        yield start


Serve = Callable[[StandIn], tuple[Connection, GuestOptions]]


@pytest.mark.parametrize("method", ["password", "keyboard-interactive"])
def test_a_password_signs_in(stand_in: Serve, method: str) -> None:
    server = StandIn(method)
    with opened(*stand_in(server), RIGHT) as host:
        assert host.run(Script("true\n"), 10) == CommandResult(0, b"/bin/sh -s: true\n")
    assert server.given == [(method, RIGHT["PASSWORD"])]


@pytest.mark.parametrize(
    "methods", [("password",), ("keyboard-interactive",), ("password", "keyboard-interactive")]
)
def test_a_wrong_password_is_tried_once(stand_in: Serve, methods: tuple[str, ...]) -> None:
    server = StandIn(*methods)
    connection, options = stand_in(server)
    with opened(connection, options, WRONG) as host, pytest.raises(HostError) as caught:
        host.run(Script("true"), 10)
    assert server.given == [(methods[0], WRONG["PASSWORD"])]
    tried = "publickey, password" if methods[0] == "password" else "publickey, password, keyboard-interactive"
    assert str(caught.value).startswith(f"authentication failed for user azops ({tried}): key file ")
    assert str(caught.value).endswith(f"{methods[0]}: refused")
    assert WRONG["PASSWORD"] not in str(caught.value)


@pytest.mark.parametrize(
    ("rounds", "given", "said"),
    [
        (((("Password: ", False), ("Code: ", False)),), 0, "more than the password: 'Password: Code:'"),
        (((("User: ", True),),), 0, "more than the password: 'User:'"),
        (
            ((("Password: ", False),), (("Verification code: ", False),)),
            1,
            "the password: 'Verification code:'",
        ),
        (((("Password: ", False),), (("New \x1b[1mpassword: ", False),)), 1, "'New [1mpassword:'"),
    ],
    ids=["two-questions", "shown-answer", "code", "expired"],
)
def test_a_host_that_asks_for_more(stand_in: Serve, rounds: Rounds, given: int, said: str) -> None:
    server = StandIn("keyboard-interactive", rounds=rounds)
    connection, options = stand_in(server)
    with opened(connection, options, RIGHT) as host, pytest.raises(HostError) as caught:
        host.run(Script("true"), 10)
    assert said in str(caught.value)
    assert "keyboard-interactive: the host asks for" in str(caught.value)
    assert len(server.given) == given


def test_a_password_is_no_second_factor(stand_in: Serve) -> None:
    server = SecondFactor("password", "keyboard-interactive")
    connection, options = stand_in(server)
    with opened(connection, options, RIGHT) as host, pytest.raises(HostError) as caught:
        host.run(Script("true"), 10)
    assert str(caught.value).endswith("password: accepted, but the host also wants keyboard-interactive")
    assert server.given == [("password", RIGHT["PASSWORD"])]


def test_a_round_without_questions_is_answered_so(stand_in: Serve) -> None:
    server = StandIn("keyboard-interactive", rounds=((), (("Password: ", False),)))
    with opened(*stand_in(server), RIGHT) as host:
        assert host.run(Script("true"), 10).exit_status == 0


def test_a_password_that_cannot_be_had(stand_in: Serve) -> None:
    server = StandIn("password")
    connection, options = stand_in(server)
    with opened(connection, options) as host, pytest.raises(HostError, match="PASSWORD is not set"):
        host.run(Script("true"), 10)
    assert server.given == []


# ---- with a real sshd -----------------------------------------------------------------------------


@pytest.mark.sshd
def test_keys_come_before_the_password(sshd: Sshd) -> None:
    with opened(replace(sshd.connection, password="env:PASSWORD"), sshd.options()) as host:
        assert host.run(Script("true"), 10).exit_status == 0
    assert "Accepted publickey" in (sshd.folder / "log").read_text()


@pytest.fixture
def closed_key(sshd: Sshd) -> Path:
    """A key with a passphrase that the sshd lets in."""
    key = sshd.folder / "closed"
    make_key(key, "-N", RIGHT["PASSPHRASE"])
    (sshd.folder / "authorized_keys").write_text(key.with_suffix(".pub").read_text())
    return key


@pytest.mark.sshd
def test_a_passphrase_opens_a_key(sshd: Sshd, closed_key: Path) -> None:
    connection = replace(sshd.connection, key=str(closed_key), passphrase="env:PASSPHRASE")
    with opened(connection, sshd.options(), RIGHT) as host:
        assert host.run(Script("true"), 10).exit_status == 0


@pytest.mark.sshd
@pytest.mark.parametrize("form", ["RFC4716", "PEM"])
def test_what_does_not_open_a_key(sshd: Sshd, closed_key: Path, form: str) -> None:
    if form == "PEM":
        closed_key.unlink()
        make_key(closed_key, "-t", "ecdsa", "-m", "PEM", "-N", RIGHT["PASSPHRASE"])
    for secrets, said in (
        (WRONG, "is not opened by its passphrase"),
        ({}, "is encrypted, and its passphrase cannot be had: the environment variable PASSPHRASE"),
    ):
        connection = replace(sshd.connection, key=str(closed_key), passphrase="env:PASSPHRASE")
        with opened(connection, sshd.options(), secrets) as host, pytest.raises(HostError) as caught:
            host.run(Script("true"), 10)
        assert f"(publickey): key file {closed_key} {said}" in str(caught.value)


@pytest.mark.sshd
@pytest.mark.parametrize("form", ["open", "pipe"])
def test_a_key_file_that_will_not_do(sshd: Sshd, tmp_path: Path, form: str) -> None:
    path = tmp_path / "key"
    if form == "open":
        make_key(path).chmod(0o640)
    else:
        os.mkfifo(path, 0o600)
    said = {"open": "is open to others; chmod 600 it", "pipe": "is no plain file"}[form]
    way = replace(sshd.connection, key=str(path))
    with opened(way, sshd.options()) as host, pytest.raises(HostError) as caught:
        host.run(Script("true"), 10)
    assert f"(publickey): key file {path} {said}" in str(caught.value)


@pytest.fixture
def agent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Path], None]]:
    """A real ssh-agent; call it to load a key."""
    path = tmp_path / "agent"
    with subprocess.Popen(["ssh-agent", "-D", "-a", str(path)], stdout=subprocess.DEVNULL) as process:
        while not path.exists():
            threading.Event().wait(0.01)
        monkeypatch.setenv("SSH_AUTH_SOCK", str(path))
        yield lambda key: subprocess.run(["ssh-add", "-q", str(key)], check=True, capture_output=True)
        process.terminate()


@pytest.mark.sshd
@pytest.mark.parametrize("beside", [True, False], ids=["public-half-beside", "public-half-inside"])
def test_the_agent_serves_for_a_closed_key_and_for_no_other(
    sshd: Sshd, closed_key: Path, agent: Callable[[Path], None], beside: bool
) -> None:
    connection = replace(sshd.connection, key=str(closed_key))
    agent(sshd.key)
    copy = sshd.folder / "copy"
    copy.write_bytes(closed_key.read_bytes())
    copy.chmod(0o600)
    subprocess.run(
        ["ssh-keygen", "-q", "-p", "-P", RIGHT["PASSPHRASE"], "-N", "", "-f", str(copy)],
        check=True,
        capture_output=True,
    )
    if not beside:
        closed_key.with_suffix(".pub").unlink()
    with opened(connection, sshd.options(agent=True)) as host, pytest.raises(HostError) as caught:
        host.run(Script("true"), 10)
    assert "agent key" not in str(caught.value)
    agent(copy)
    with opened(connection, sshd.options(agent=True)) as host:
        assert host.run(Script("true"), 10).exit_status == 0


@pytest.mark.sshd
def test_a_key_alone_is_not_enough_for_a_host_that_wants_a_password_too(start_sshd: Start) -> None:
    server = start_sshd("AuthenticationMethods publickey,password")
    connection = replace(server.connection, password="env:PASSWORD")
    with opened(connection, server.options(), WRONG) as host, pytest.raises(HostError) as caught:
        host.run(Script("true"), 10)
    assert str(caught.value) == (
        f"authentication failed for user {getpass.getuser()} (publickey, password): key {server.key}: "
        "accepted, but the host also wants password; password: refused"
    )

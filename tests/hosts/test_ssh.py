"""Every way in which a host over SSH can be good or bad, against a real sshd."""

import asyncio
import contextlib
import getpass
import os
import socket
import subprocess
import threading
import time
import tracemalloc
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from auditor.errors import HostError
from auditor.facts import Guest, Unseen
from auditor.guests import Guests
from auditor.hosts import CommandResult, Script
from auditor.hosts.options import NO_SSH_CONFIG, GuestOptions
from auditor.model import Connection
from tests.hosts.conftest import Sshd, machine, make_key, opened

pytestmark = [pytest.mark.sshd, pytest.mark.usefixtures("nothing_left_behind")]

LATE = 3.0
"""Seconds that a busy machine may add to a limit."""

Start = Callable[..., Sshd]


def probe(connection: Connection, options: GuestOptions) -> Guest | Unseen:
    """What the guest plane says of one host."""

    async def ask() -> Guest | Unseen:
        async with Guests([], options) as guests:
            return await guests.probe(machine(connection))

    return asyncio.run(ask())


def reason(connection: Connection, options: GuestOptions, within: float) -> str:
    """Why the host cannot be seen, within a time."""
    start = time.monotonic()
    answer = probe(connection, options)
    assert time.monotonic() - start < within + LATE
    assert isinstance(answer, Unseen), answer
    assert answer.expected
    return answer.reason


# ---- good -----------------------------------------------------------------------------------------


def test_a_good_host_answers(sshd: Sshd) -> None:
    guest = probe(sshd.connection, sshd.options())
    assert isinstance(guest, Guest)
    assert guest.hostname == socket.gethostname()
    assert guest.kernel == os.uname().release
    assert guest.transport == "ssh"
    assert guest.privileged or os.getuid() != 0


def test_a_script_leaves_status_and_both_streams(sshd: Sshd) -> None:
    with opened(sshd.connection, sshd.options()) as host:
        said = host.run(Script("echo out; echo err >&2; exit 7"), 10)
        assert said == CommandResult(7, b"out\n", b"err\n")
        assert host.run(Script("echo again"), 10) == CommandResult(0, b"again\n")


def test_a_host_in_a_hurry_for_nobody(start_sshd: Start) -> None:
    server = start_sshd("ForceCommand sleep 1; exec /bin/sh -s")
    assert isinstance(probe(server.connection, server.options()), Guest)


def test_a_login_full_of_noise(start_sshd: Start) -> None:
    server = start_sshd("ForceCommand echo '{\"schema\": 1} AUDITOR-PROBE-END'; echo x >&2; exec /bin/sh -s")
    assert isinstance(probe(server.connection, server.options()), Guest)


def test_an_address_that_refuses_does_not_hide_one_that_answers(start_sshd: Start) -> None:
    server = start_sshd()
    server.known_hosts.write_text(f"[localhost]:{server.port} {server.host_key}\n")
    connection = replace(server.connection, address="localhost")
    assert isinstance(probe(connection, server.options()), Guest)


# ---- keys of hosts --------------------------------------------------------------------------------


def test_a_changed_host_key(sshd: Sshd, tmp_path: Path) -> None:
    other = make_key(tmp_path / "other").with_suffix(".pub").read_text()
    sshd.trust(" ".join(other.split()[:2]))
    for policy in ("strict", "accept-new"):
        told = reason(sshd.connection, sshd.options(host_key_policy=policy), 1)
        expected = fingerprint(tmp_path / "other.pub")
        got = fingerprint(sshd.folder / "host_key.pub")
        assert told.startswith(f"host key changed: expected {expected} (ssh-ed25519) got {got} (ssh-ed25519)")
        assert told.endswith("not connected")
    assert "Accepted" not in (sshd.folder / "log").read_text()


def fingerprint(path: Path) -> str:
    shown = subprocess.run(["ssh-keygen", "-l", "-f", str(path)], check=True, capture_output=True, text=True)
    return shown.stdout.split()[1]


def test_an_unknown_host_key(sshd: Sshd) -> None:
    sshd.trust()
    told = reason(sshd.connection, sshd.options(), 1)
    assert f"host key of {sshd.address}:{sshd.port} is not in known_hosts" in told
    assert fingerprint(sshd.folder / "host_key.pub") in told
    assert isinstance(probe(sshd.connection, sshd.options(host_key_policy="accept-new")), Guest)
    assert isinstance(probe(sshd.connection, sshd.options()), Guest)


def test_the_known_type_of_key_is_asked_for(start_sshd: Start, tmp_path: Path) -> None:
    ecdsa = make_key(tmp_path / "ecdsa", "-t", "ecdsa")
    server = start_sshd(f"HostKey {ecdsa}")
    server.trust(" ".join(ecdsa.with_suffix(".pub").read_text().split()[:2]))
    assert isinstance(probe(server.connection, server.options()), Guest)


# ---- signing in -----------------------------------------------------------------------------------


def test_a_wrong_key(sshd: Sshd, tmp_path: Path) -> None:
    wrong = make_key(tmp_path / "wrong")
    told = reason(replace(sshd.connection, key=str(wrong)), sshd.options(), 3)
    assert told == f"authentication failed for user {getpass.getuser()} (publickey): key {wrong}: refused"


def encrypted(path: Path) -> None:
    path.unlink()
    make_key(path, "-N", "secret-words")


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda path: path.unlink(), "does not exist"),
        (lambda path: path.write_bytes(b"\xff\x00not a key"), "holds no usable private key"),
        (lambda path: (path.unlink(), path.mkdir()), "cannot be read: Is a directory"),
        (encrypted, "is encrypted; name its passphrase, or load it into the ssh-agent"),
    ],
    ids=["absent", "garbage", "folder", "encrypted"],
)
def test_a_key_file_that_is_none(
    sshd: Sshd, tmp_path: Path, spoil: Callable[[Path], object], said: str
) -> None:
    path = make_key(tmp_path / "spoilt")
    spoil(path)
    told = reason(replace(sshd.connection, key=str(path)), sshd.options(), 3)
    assert f"key file {path} {said}" in told


@pytest.mark.skipif(os.getuid() == 0, reason="root reads every file")
def test_a_key_file_that_may_not_be_read(sshd: Sshd) -> None:
    sshd.key.chmod(0)
    assert f"key file {sshd.key} cannot be read: Permission denied" in reason(
        sshd.connection, sshd.options(), 3
    )


def test_a_host_that_takes_only_passwords(start_sshd: Start) -> None:
    server = start_sshd("PubkeyAuthentication no")
    assert "the host takes no keys, only" in reason(server.connection, server.options(), 3)


def test_a_host_that_wants_a_second_factor(start_sshd: Start) -> None:
    server = start_sshd("AuthenticationMethods publickey,password")
    assert "accepted, but the host also wants password" in reason(server.connection, server.options(), 3)


@pytest.fixture
def agent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A real ssh-agent."""
    path = tmp_path / "agent"
    with subprocess.Popen(["ssh-agent", "-D", "-a", str(path)], stdout=subprocess.DEVNULL) as process:
        while not path.exists():
            time.sleep(0.01)
        monkeypatch.setenv("SSH_AUTH_SOCK", str(path))
        yield path
        process.terminate()


@pytest.mark.usefixtures("agent")
def test_keys_in_the_agent(sshd: Sshd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    nobody = replace(sshd.connection, key=None)
    assert "no key to offer" in reason(nobody, sshd.options(agent=True), 3)
    for key in (make_key(tmp_path / "first"), sshd.key):
        subprocess.run(["ssh-add", "-q", str(key)], check=True, capture_output=True)
    assert isinstance(probe(nobody, sshd.options(agent=True)), Guest)
    assert "no key to offer" in reason(nobody, sshd.options(agent=False), 3)


def test_an_agent_that_never_answers(sshd: Sshd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("SSH_AUTH_SOCK", str(tmp_path / "mute"))
    with socket.socket(socket.AF_UNIX) as mute:
        mute.bind(str(tmp_path / "mute"))
        mute.listen()
        told = reason(replace(sshd.connection, key=None), sshd.options(agent=True, auth_timeout=1), 1)
    assert "the ssh-agent did not answer" in told


# ---- the way there --------------------------------------------------------------------------------


def test_a_refused_port(sshd: Sshd, refused_port: int) -> None:
    told = reason(replace(sshd.connection, port=refused_port), sshd.options(), 1)
    assert told == f"connection refused by 127.0.0.1:{refused_port}"


def test_a_name_that_means_nothing(sshd: Sshd) -> None:
    connection = replace(sshd.connection, address="a" * 64 + ".invalid")
    assert "could not be resolved" in reason(connection, sshd.options(), 5)


def test_an_address_without_a_route(sshd: Sshd) -> None:
    connection = replace(sshd.connection, address="255.255.255.255")
    told = reason(connection, sshd.options(), 1)
    assert told == f"255.255.255.255:{sshd.port} is unreachable: Network is unreachable"


def test_a_black_hole(sshd: Sshd) -> None:
    with socket.socket() as full, contextlib.ExitStack() as waiting:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        port = full.getsockname()[1]
        for _ in range(3):
            filler = waiting.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(("127.0.0.1", port))
        told = reason(replace(sshd.connection, port=port), sshd.options(connect_timeout=0.5), 0.5)
    assert told == f"no answer from 127.0.0.1:{port} within 0.5 s (TCP connect)"


@contextlib.contextmanager
def saying(words: bytes, *, endless: bool = False, hang_up: bool = False) -> Iterator[int]:
    """A port that says something to whoever connects, and nothing else."""
    stop = threading.Event()

    def serve(listener: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while not stop.is_set():
                link, _ = listener.accept()
                with link, contextlib.suppress(OSError):
                    link.sendall(words)
                    while endless:
                        link.sendall(words)
                    if not hang_up:
                        stop.wait(30)

    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        thread = threading.Thread(target=serve, args=(listener,))
        thread.start()
        yield listener.getsockname()[1]
        stop.set()
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()


@pytest.mark.parametrize(
    ("words", "manner", "said", "within", "limit"),
    [
        (b"", {}, "sent no SSH banner within 0.5 s (banner timeout)", 0.5, 0.5),
        (b"", {"hang_up": True}, "closed the connection before its banner", 0, 5),
        (b"220 mail\r\n", {}, "does not speak SSH; it said '220 mail'", 0.5, 0.5),
        (b"Exceeded MaxStartups\r\n", {"hang_up": True}, "Exceeded MaxStartups", 0.5, 5),
        (b"A" * 4096, {"endless": True}, "does not speak SSH; it said 'AAAA", 0.5, 0.5),
        (b"SSH-", {"endless": True}, "dropped the connection while exchanging keys", 5, 5),
        (b"SSH-1.5-old\r\n", {}, "offers no algorithm that is accepted here", 1, 5),
        (b"SSH-2.0-x\r\n", {}, "did not finish the key exchange within 2 s", 2, 5),
        (b"SSH-2.0-x\r\n" + b"\xff" * 400, {}, "dropped the connection while exchanging keys", 2, 5),
        (b"hello\r\nSSH-2.0-x\r\n", {"hang_up": True}, "dropped the connection while exchanging keys", 2, 5),
    ],
    ids=["silent", "closed", "smtp", "busy", "flood", "flooded-banner", "ssh1", "mute", "noise", "preface"],
)
def test_a_port_that_is_no_ssh(
    tmp_path: Path, words: bytes, manner: dict[str, bool], said: str, within: float, limit: float
) -> None:
    options = GuestOptions(
        known_hosts=(tmp_path / "none",),
        banner_timeout=limit,
        auth_timeout=2,
        deadline=8,
        agent=False,
        ssh_config=NO_SSH_CONFIG,
    )
    with saying(words, **manner) as port:
        assert said in reason(Connection("127.0.0.1", port, "nobody", "none"), options, within)


def test_classic_diffie_hellman_is_not_negotiated(start_sshd: Start) -> None:
    server = start_sshd("KexAlgorithms diffie-hellman-group14-sha256,diffie-hellman-group16-sha512")
    told = reason(server.connection, server.options(), 1)
    assert "offers no algorithm that is accepted here" in told
    assert "kex" in told


# ---- the command ----------------------------------------------------------------------------------


def test_a_host_that_drops_mid_command(start_sshd: Start, tmp_path: Path) -> None:
    server = start_sshd(f"ForceCommand echo x >> {tmp_path}/tries; sleep 0.3; kill -9 $PPID; sleep 5")
    told = reason(server.connection, server.options(), 3)
    assert told == "the connection dropped while the probe ran, twice (exit status unknown)"
    assert (tmp_path / "tries").read_text() == "x\nx\n"


def test_a_host_that_drops_once(start_sshd: Start, tmp_path: Path) -> None:
    server = start_sshd(f"ForceCommand mkdir {tmp_path}/seen && sleep 0.3 && kill -9 $PPID; exec /bin/sh -s")
    assert isinstance(probe(server.connection, server.options()), Guest)


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("head -c 20000 /dev/urandom", "the guest did not answer the probe; it said: "),
        ("true", "the guest did not answer the probe; it said: nothing (exit status 0)"),
        ("echo This account is not available.; exit 1", "This account is not available. (exit status 1)"),
        ("echo no such shell >&2; exit 127", "(exit status 127); it complained: no such shell"),
        ("echo 'AUDITOR-PROBE-BEGIN {]] AUDITOR-PROBE-END'", "the guest's answer is not JSON"),
        ("echo 'AUDITOR-PROBE-BEGIN {} AUDITOR-PROBE-END'", "answered in an unknown form: schema None"),
        ("head -c 50000000 /dev/zero", "too much output (more than 1000000 bytes)"),
        ("head -c 50000000 /dev/zero >&2", "too much output (more than 1000000 bytes)"),
        ("yes", "too much output (more than 1000000 bytes)"),
    ],
    ids=[
        "garbage",
        "nothing",
        "nologin",
        "no-shell",
        "not-json",
        "empty",
        "50-MB",
        "50-MB-stderr",
        "endless",
    ],
)
def test_a_host_that_talks_nonsense(start_sshd: Start, command: str, said: str) -> None:
    server = start_sshd(f"ForceCommand {command}")
    tracemalloc.start()
    try:
        told = reason(server.connection, server.options(), 10)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert said in told
    assert told.isprintable()
    assert peak < 12_000_000


def test_a_command_that_hangs(start_sshd: Start) -> None:
    server = start_sshd("ForceCommand sleep 15")
    told = reason(server.connection, server.options(command_timeout=1), 1)
    assert told == "the script did not end within 1 s"


def test_the_deadline_counts_for_everything(start_sshd: Start) -> None:
    server = start_sshd("ForceCommand sleep 15")
    told = reason(server.connection, server.options(deadline=1.5), 1.5)
    assert told in {
        "the deadline of 1.5 s passed while running the script",
        "the script did not end within 1.5 s",
    } or told.startswith("the script did not end within 1.")


def test_a_host_without_sessions(start_sshd: Start) -> None:
    server = start_sshd("MaxSessions 0")
    assert "refused to open a session" in reason(server.connection, server.options(), 2)


def test_what_a_host_is_asked_is_always_the_same_command(start_sshd: Start) -> None:
    server = start_sshd('ForceCommand echo "$SSH_ORIGINAL_COMMAND"; cat >&2')
    with opened(server.connection, server.options()) as host:
        result = host.run(Script("$(touch /nowhere)\n"), 10)
    assert result == CommandResult(0, b"/bin/sh -s\n", b"$(touch /nowhere)\n")


def test_an_abort_from_another_thread_ends_every_wait(start_sshd: Start) -> None:
    server = start_sshd("ForceCommand sleep 15")
    with opened(server.connection, server.options()) as host:
        timer = threading.Timer(1, host.abort, ["enough"])
        timer.start()
        start = time.monotonic()
        with pytest.raises(HostError, match=r"^enough$"):
            host.run(Script("true"), 30)
        assert time.monotonic() - start < 1 + LATE
        timer.join()
        with pytest.raises(HostError, match=r"^enough$"):
            host.run(Script("true"), 30)

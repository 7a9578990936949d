"""The guest plane: deadlines from outside, cancellation, many hosts at once, identity."""

import asyncio
import contextlib
import gc
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

import paramiko
import pytest
from paramiko.common import AUTH_SUCCESSFUL, OPEN_SUCCEEDED

from auditor.credentials import Secret
from auditor.errors import HostError, RuleSetError
from auditor.facts import Guest, Unseen, identity_mismatch
from auditor.guests import Guests
from auditor.hosts import CommandResult, Script
from auditor.hosts.fake import FakeHost
from auditor.hosts.options import GuestOptions
from auditor.model import Connection, Platform
from auditor.rules import Endpoint
from tests.hosts import conftest as ssh
from tests.hosts.conftest import Sshd, machine

sshd, start_sshd, refused_port = ssh.sshd, ssh.start_sshd, ssh.refused_port

WAY = Connection("192.0.2.1")
ANSWER = b'noise AUDITOR-PROBE-BEGIN {"schema":1,"platform":"linux","hostname":"web-1"} AUDITOR-PROBE-END\n'
OK = CommandResult(0, ANSWER)
NOW = datetime(2026, 11, 22, tzinfo=UTC)


def ask(host: FakeHost, options: GuestOptions | None = None) -> Guest | Unseen:
    async def one() -> Guest | Unseen:
        async with Guests([], options, openers={"ssh": lambda connection: host}) as guests:
            return await guests.probe(machine(WAY))

    return asyncio.run(one())


# ---- over the fake: what becomes of an answer ------------------------------------------------------


def test_an_answer_becomes_a_guest() -> None:
    host = FakeHost([OK])
    guest = ask(host)
    assert isinstance(guest, Guest)
    assert guest.hostname == "web-1"
    assert host.closed


def test_an_unknown_exit_status_is_probed_again_once() -> None:
    assert isinstance(ask(FakeHost([CommandResult(None, ANSWER), OK])), Guest)
    host = FakeHost([CommandResult(None, ANSWER), CommandResult(None, ANSWER), OK])
    assert ask(host) == Unseen(
        "the connection dropped while the probe ran, twice (exit status unknown)", expected=True
    )
    assert len(host.scripts) == 2


def test_a_reason_is_passed_on_and_the_host_closed() -> None:
    host = FakeHost([HostError("connection refused by 192.0.2.1:22")])
    assert ask(host) == Unseen("connection refused by 192.0.2.1:22")
    assert host.closed


def test_a_guest_that_says_a_secret_again_is_not_quoted() -> None:
    canary = "canary-'of\\a guest"
    Secret(canary)
    attempt = {"target": "a:443", "stage": "tls", "ms": 1, "detail": f"{canary}!"}
    told = {
        "schema": 1,
        "platform": "linux",
        "hostname": canary,
        "vm_id": f"is {canary}",
        "endpoints": [attempt],
    }
    said = f"AUDITOR-PROBE-BEGIN {json.dumps(told)} AUDITOR-PROBE-END"
    guest = ask(FakeHost([CommandResult(0, said.encode())]))
    assert isinstance(guest, Guest)
    assert (guest.platform, guest.hostname, guest.vm_id) == ("linux", "***", "is ***")
    assert isinstance(guest.endpoints, tuple)
    assert [(one.target, one.stage, one.detail) for one in guest.endpoints] == [("a:443", "tls", "***!")]
    assert ask(FakeHost([HostError(f"it asks {canary}?")])) == Unseen("it asks ***?")


def test_a_fake_without_answers_says_so() -> None:
    assert "no answer left" in str(ask(FakeHost()))


def test_endpoints_reach_the_script_as_quoted_arguments() -> None:
    host = FakeHost([OK])

    async def one() -> None:
        endpoints = [Endpoint("a.example", 443, True, ""), Endpoint("b.example", 80, False, "")]
        async with Guests(endpoints, openers={"ssh": lambda connection: host}) as guests:
            await guests.probe(machine(WAY))

    asyncio.run(one())
    assert host.scripts[0].text.splitlines()[0] == "set -- tls/443/a.example tcp/80/b.example"


@pytest.mark.parametrize("name", ["a;reboot", "$(reboot)", "a b", "", "-x", "a\nb", "a" * 300, "a'b"])
def test_an_endpoint_that_is_no_host_is_refused(name: str) -> None:
    with pytest.raises(RuleSetError, match="is no host name and port"):
        asyncio.run(_only(Endpoint(name, 443, True, "")))


async def _only(endpoint: Endpoint) -> None:
    Guests([endpoint])


def test_a_machine_without_a_way_in_was_never_expected() -> None:
    answer = asyncio.run(_probe(Guests, Platform.LINUX, None))
    assert answer == Unseen("no guest connection is configured for this machine", expected=False)


async def _probe(kind: type[Guests], platform: Platform, connection: Connection | None) -> Guest | Unseen:
    async with kind([]) as guests:
        return await guests.probe(replace(machine(connection), platform=platform))


# ---- deadlines and cancellation, over hosts that do not play along -----------------------------------


@dataclass
class Stuck:
    """A session that waits for its own end, or ignores even that."""

    obeys: bool = True
    stage: str = "thinking"
    ended: threading.Event = field(default_factory=threading.Event)
    started: threading.Event = field(default_factory=threading.Event)
    closed: threading.Event = field(default_factory=threading.Event)
    reason: str = ""

    def run(self, script: Script, timeout: float) -> CommandResult:
        self.started.set()
        self.ended.wait(30)
        raise HostError(self.reason)

    def abort(self, reason: str) -> None:
        self.reason = reason
        if self.obeys:
            self.ended.set()

    def close(self) -> None:
        self.closed.set()


def test_a_session_that_ignores_its_abort_does_not_hold_the_run() -> None:
    stuck = Stuck(obeys=False)

    async def one() -> Guest | Unseen:
        options = GuestOptions(deadline=0.3, grace=0.2)
        async with Guests([], options, openers={"ssh": lambda connection: stuck}) as guests:
            return await guests.probe(machine(WAY))

    start = time.monotonic()
    assert asyncio.run(one()) == Unseen("the deadline of 0.3 s passed while thinking")
    assert time.monotonic() - start < 3
    stuck.ended.set()
    assert stuck.closed.wait(5)


def test_cancellation_cuts_the_session_and_closes_it() -> None:
    stuck = Stuck()

    async def one() -> None:
        async with Guests([], openers={"ssh": lambda connection: stuck}) as guests:
            task = asyncio.create_task(guests.probe(machine(WAY)))
            await asyncio.to_thread(stuck.started.wait, 5)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

    start = time.monotonic()
    asyncio.run(one())
    assert time.monotonic() - start < 5
    assert stuck.reason == "the run was cancelled"
    assert stuck.closed.is_set()


def test_a_script_that_is_cut_leaves_nothing_on_the_terminal(caplog: pytest.LogCaptureFixture) -> None:
    stuck = Stuck()

    async def one() -> None:
        async with Guests([], openers={"ssh": lambda connection: stuck}) as guests:
            task = asyncio.create_task(guests.send(machine(WAY), Script("true"), 20))
            await asyncio.to_thread(stuck.started.wait, 5)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            await asyncio.to_thread(stuck.closed.wait, 5)

    asyncio.run(one())
    gc.collect()
    assert stuck.reason == "the run was cancelled"
    assert [record.getMessage() for record in caplog.records if record.name == "asyncio"] == []


class _NeverAnswers(paramiko.ServerInterface):
    """A server that accepts anybody and never answers the request to run something."""

    def __init__(self, stop: threading.Event) -> None:
        self._stop = stop

    def check_auth_publickey(self, username: str, key: paramiko.PKey) -> int:
        return AUTH_SUCCESSFUL

    def get_allowed_auths(self, username: str) -> str:
        return "publickey"

    def check_channel_request(self, kind: str, chanid: int) -> int:
        return OPEN_SUCCEEDED

    def check_channel_exec_request(self, channel: paramiko.Channel, command: bytes) -> bool:
        self._stop.wait(20)
        return False


@contextlib.contextmanager
def hanging_server(key: paramiko.PKey) -> Iterator[int]:
    """A server in which the client's library waits without any limit of its own."""
    stop = threading.Event()
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()

        def serve() -> None:
            with contextlib.suppress(OSError, EOFError, paramiko.SSHException):
                link, _ = listener.accept()
                transport = paramiko.Transport(link)
                transport.add_server_key(key)
                transport.start_server(server=_NeverAnswers(stop))
                stop.wait(20)
                transport.close()
                transport.join(5)

        thread = threading.Thread(target=serve)
        thread.start()
        yield listener.getsockname()[1]
        stop.set()
        thread.join()


@pytest.mark.sshd
def test_the_deadline_ends_a_wait_inside_the_library(sshd: Sshd) -> None:
    key = paramiko.PKey.from_path(sshd.folder / "host_key")
    with hanging_server(key) as port:
        sshd.known_hosts.write_text(f"[127.0.0.1]:{port} {sshd.host_key}\n")
        options = sshd.options(deadline=1.5)
        start = time.monotonic()
        answer = asyncio.run(_ask(options, replace(sshd.connection, port=port)))
        assert 1 < time.monotonic() - start < 5
    assert answer == Unseen("the deadline of 1.5 s passed while running the script")


async def _ask(options: GuestOptions, *connections: Connection) -> Guest | Unseen:
    async with Guests([], options) as guests:
        (answer,) = await asyncio.gather(*(guests.probe(machine(connection)) for connection in connections))
    return answer


# ---- many ---------------------------------------------------------------------------------------------


@pytest.mark.sshd
def test_dead_hosts_do_not_hold_the_living(start_sshd: Callable[..., Sshd], refused_port: int) -> None:
    server = start_sshd()
    dead = [socket.socket() for _ in range(4)]
    for link in dead:
        link.bind(("127.0.0.1", 0))
        link.listen()
    ways = [replace(server.connection, port=link.getsockname()[1]) for link in dead]
    ways += [replace(server.connection, port=refused_port), *[server.connection] * 12]
    before = threading.active_count()

    async def all_of_them() -> list[Guest | Unseen]:
        async with Guests([], server.options(banner_timeout=2, concurrency=32, deadline=60)) as guests:
            return await asyncio.gather(*(guests.probe(machine(way)) for way in ways))

    answers = asyncio.run(all_of_them())
    for link in dead:
        link.close()
    assert [type(answer) for answer in answers] == [Unseen] * 5 + [Guest] * 12
    end = time.monotonic() + 5
    while threading.active_count() > before and time.monotonic() < end:
        time.sleep(0.05)
    assert threading.active_count() <= before


def test_no_more_than_the_allowed_number_at_once(tmp_path: Path) -> None:
    working: list[int] = []
    most = [0]

    class Counted(FakeHost):
        def run(self, script: Script, timeout: float) -> CommandResult:
            working.append(1)
            most[0] = max(most[0], len(working))
            time.sleep(0.02)
            working.pop()
            return OK

    async def all_of_them() -> list[Guest | Unseen]:
        options = GuestOptions(concurrency=3)
        async with Guests([], options, openers={"ssh": lambda connection: Counted()}) as guests:
            return await asyncio.gather(*(guests.probe(machine(WAY, str(n))) for n in range(20)))

    assert all(isinstance(answer, Guest) for answer in asyncio.run(all_of_them()))
    assert most[0] == 3


# ---- identity -----------------------------------------------------------------------------------------

ID = "5b1ca0de-0000-4000-8000-00000000a001"
SWAPPED = "dea01c5b-0000-0040-8000-00000000a001"
OTHER = ID[:-1] + "2"
SILENT = Unseen("no metadata service")


@pytest.mark.parametrize(
    ("guest_id", "board_id", "azure_id", "shown"),
    [
        (ID, None, ID, None),
        (ID.upper(), None, ID, None),
        (None, None, ID, None),
        (SILENT, SILENT, ID, None),
        (ID, None, None, None),
        (OTHER, None, ID, OTHER),
        # either id is enough; the board may show its first three groups with their bytes swapped
        (SILENT, ID.upper(), ID, None),
        (SILENT, SWAPPED, ID, None),
        (OTHER, SWAPPED, ID, None),
        (ID, OTHER, ID, None),
        (SILENT, OTHER, ID, OTHER),
        (OTHER, OTHER, ID, OTHER),
        # a board that shows no id of its own
        (SILENT, "Not Settable", ID, None),
        (SILENT, "00000000-0000-0000-0000-000000000000", ID, None),
        (SILENT, "FFFFFFFF-FFFF-FFFF-FFFF-FFFFFFFFFFFF", ID, None),
    ],
)
def test_identity(
    guest_id: str | Unseen | None, board_id: str | Unseen | None, azure_id: str | None, shown: str | None
) -> None:
    guest = Guest("linux", NOW, "ssh", True, vm_id=guest_id, firmware_id=board_id)
    told = identity_mismatch(guest, azure_id)
    assert (told is None) is (shown is None)
    if told is not None:
        assert told.reason.startswith("identity mismatch: the guest says it is VM")
        assert (told.shown, told.wanted, told.expected) == (shown, azure_id, True)

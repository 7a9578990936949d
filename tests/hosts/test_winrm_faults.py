"""Windows guests that fail (protocol tier): the right reason, in time, no shell and no thread left behind."""

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from auditor.errors import HostError, Unreachable
from auditor.hosts import CommandResult
from auditor.hosts.options import GuestOptions
from auditor.model import WINRM, Connection
from auditor.simulator.wsman import Execution, Fault, Kind, Limits, WinRmServer
from tests.conftest import require_lane
from tests.hosts.windows import (
    ADMIN,
    LATE,
    PASSWORD,
    QUICK,
    Windows,
    ask,
    cmd,
    connection_to,
    nothing_left,
    opened,
    reason,
)

PATIENT = GuestOptions(deadline=60)
SHORT = replace(QUICK, connect_timeout=1, auth_timeout=1)
HURRIED = replace(QUICK, auth_timeout=5, deadline=1)
STALLED = replace(SHORT, connect_timeout=20)
UNHURRIED = replace(QUICK, auth_timeout=20, deadline=8)  # with time to close a shell on a busy machine
HANGING = replace(UNHURRIED, deadline=3)
TOO_LATE = "^the deadline of 3 s passed while running the script$"


@pytest.fixture(autouse=True)
def nothing_left_behind() -> Iterator[None]:
    """No thread and no descriptor outlives a test."""
    with nothing_left():
        yield


@pytest.fixture
def server() -> Iterator[WinRmServer]:
    """A guest over HTTPS, to be spoilt."""
    with WinRmServer(Windows(), accounts={ADMIN: PASSWORD}) as running:
        yield running


# A shell whose number never came cannot be closed: Windows ends it when it has been idle for three minutes.
@pytest.mark.parametrize(
    ("fault", "options", "said", "within", "left"),
    [
        (Fault(Kind.STALL), STALLED, "stalled while signing in: no answer within 1 s", 1, 0),
        (Fault(Kind.STALL), UNHURRIED, "(stalled|deadline of 8 s passed) while signing in", 8, 0),
        (Fault(Kind.STALL, "Create"), SHORT, "stalled while opening a shell: no answer within 1 s", 1, 1),
        (Fault(Kind.STALL, "Command"), SHORT, "stalled while running the script", 1, 0),
        (
            Fault(Kind.STALL, "Receive"),
            UNHURRIED,
            "(stalled|deadline of 8 s passed) while running the script",
            8,
            0,
        ),
        (Fault(Kind.SLOW_HANDSHAKE), SHORT, "did not finish the TLS handshake within 1 s", 1, 0),
        (
            Fault(Kind.SLOW_HANDSHAKE),
            HURRIED,
            "did not finish the TLS handshake|deadline of 1 s passed while connecting",
            1,
            0,
        ),
        (Fault(Kind.DROP), QUICK, "dropped the connection while signing in", 0, 0),
        (Fault(Kind.DROP, "Create"), QUICK, "dropped the connection while opening a shell", 0, 2),
        (Fault(Kind.SERVER_ERROR), QUICK, "answered HTTP 500 while signing in", 0, 0),
        (Fault(Kind.SERVER_ERROR, "Receive"), QUICK, "answered HTTP 500 while running the script", 0, 0),
        (Fault(Kind.MALFORMED), QUICK, "answered what is no WS-Man while signing in", 0, 0),
        (Fault(Kind.MALFORMED, "Command"), QUICK, "answered what is no WS-Man while running", 0, 0),
        (Fault(Kind.QUOTA), QUICK, "opens no more shells for .*quota.*MaxShellsPerUser", 0, 0),
        (Fault(Kind.SHELL_GONE, "Receive"), QUICK, "has lost the shell while running the script", 0, 0),
        (Fault(Kind.HANG), HANGING, TOO_LATE, 3, 0),
    ],
)
def test_a_fault_has_its_reason(
    server: WinRmServer, fault: Fault, options: GuestOptions, said: str, within: float, left: int
) -> None:
    server.faults.add(fault)
    why = reason(connection_to(server), within, options)
    assert re.search(said, why), why
    assert f"{server.address}:{server.port}" in why or why.startswith("the deadline of")
    assert server.open_shells == left


def test_a_guest_that_refuses_may_be_reached_another_way(server: WinRmServer) -> None:
    server.faults.add(Fault(Kind.REFUSE))
    with pytest.raises(Unreachable, match=f"connection refused by {server.address}:{server.port}"):
        ask(connection_to(server))


def test_a_name_that_nobody_knows() -> None:
    connection = Connection("no-such-host.invalid", user="x", password="env:PASSWORD", transport=WINRM)
    assert "'no-such-host.invalid'" in reason(connection, 2)


def test_an_address_that_never_answers() -> None:
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        others = [socket.socket() for _ in range(3)]
        for other in others:
            other.setblocking(False)
            other.connect_ex(full.getsockname())
        address, port = full.getsockname()
        connection = Connection(address, port, "x", password="env:PASSWORD", transport=WINRM)
        assert "(TCP connect)" in reason(connection, 1, SHORT)
        for other in others:
            other.close()


def test_a_connection_lost_before_anything_ran_is_tried_once_more(server: WinRmServer) -> None:
    server.faults.add(Fault(Kind.DROP, times=1))
    assert ask(connection_to(server)).exit_status == 0
    assert server.open_shells == 0


@pytest.mark.parametrize("settings", [{}, {"tls": None}], ids=["https", "sealed"])
@pytest.mark.parametrize("operation", ["Command", "Receive"])
def test_a_connection_lost_mid_command_is_no_answer_and_the_next_is(
    settings: dict[str, Any], operation: str
) -> None:
    with WinRmServer(Windows(), accounts={ADMIN: PASSWORD}, **settings) as server:
        server.faults.add(Fault(Kind.DROP, operation, times=1))
        with opened(connection_to(server), PATIENT) as host:
            assert host.run(cmd("echo 1"), 20) == CommandResult(None, b"")
            assert server.open_shells == 0
            assert host.run(cmd("echo 2"), 20) == CommandResult(0, b"2\r\n")
        assert server.open_shells == 0


def test_what_came_before_the_loss_is_kept(server: WinRmServer) -> None:
    server.faults.add(Fault(Kind.DROP, "Receive", after=1))
    said = ask(connection_to(server), cmd("print 400000"))
    assert said.exit_status is None
    assert said.stdout
    assert said.stdout == (b"0123456789abcdef" * 25_000)[: len(said.stdout)]
    assert server.open_shells == 0


def test_an_answer_is_not_lost_with_the_goodbye(server: WinRmServer) -> None:
    server.faults.add(Fault(Kind.DROP, "Signal"))
    server.faults.add(Fault(Kind.DROP, "Delete"))
    with opened(connection_to(server)) as host:
        assert host.run(cmd("echo 1"), 5) == CommandResult(0, b"1\r\n")
        assert host.run(cmd("echo 2"), 5) == CommandResult(0, b"2\r\n")


def test_a_goodbye_that_is_not_answered_is_short(server: WinRmServer) -> None:
    server.faults.add(Fault(Kind.STALL, "Delete"))
    start = time.monotonic()
    assert ask(connection_to(server)) == CommandResult(0, b"hello\r\n")
    assert time.monotonic() - start < 2 + LATE


def test_a_command_that_hangs_is_ended(server: WinRmServer) -> None:
    server.faults.add(Fault(Kind.HANG, times=1))
    with opened(connection_to(server)) as host:
        start = time.monotonic()
        with pytest.raises(HostError, match=r"the script did not end within 1\.5 s"):
            host.run(cmd("echo 1"), 1.5)
        assert 1.5 <= time.monotonic() - start < 1.5 + LATE
        assert server.open_shells == 0
        assert host.run(cmd("echo 2"), 5).exit_status == 0
    assert Counter(seen.operation for seen in server.requests)["Signal"] == 1


def test_a_slow_command_is_waited_for() -> None:
    def asked() -> int:
        return Counter(seen.operation for seen in tuple(server.requests))["Receive"]

    class Slow(Windows):
        def run(self, *given: Any) -> Execution:
            while asked() < 3:
                time.sleep(0.05)
            return Execution(0, b"done")

    with WinRmServer(Slow(), accounts={ADMIN: PASSWORD}, limits=Limits(receive=0.3)) as server:
        assert ask(connection_to(server)) == CommandResult(0, b"done")
        assert asked() >= 4


def test_slow_output_is_cut_at_the_command_s_time(server: WinRmServer) -> None:
    server.faults.add(Fault(Kind.SLOW_OUTPUT, seconds=0.2, size=2))
    why = reason(connection_to(server), 0.5, timeout=0.5)
    assert why == "the script did not end within 0.5 s"
    assert server.open_shells == 0


def test_input_that_is_not_taken_does_not_hide_the_answer() -> None:
    with WinRmServer(Windows(), accounts={ADMIN: PASSWORD}, limits=Limits(envelope=100_000)) as server:
        said = ask(connection_to(server), cmd("echo 1", b"x" * 200_000))
        assert said == CommandResult(0, b"1\r\n")


def test_a_shell_quota_of_the_server_itself() -> None:
    with (
        WinRmServer(Windows(), accounts={ADMIN: PASSWORD}, limits=Limits(shells_per_user=1)) as server,
        opened(connection_to(server)) as first,
    ):
        first.run(cmd("echo 1"), 5)
        assert "quota" in reason(connection_to(server), 0)
        assert server.open_shells == 1


# ---- cut from outside -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fault", "stage"),
    [
        (Fault(Kind.SLOW_HANDSHAKE, times=1), "connecting"),
        (Fault(Kind.STALL, times=1), "signing in"),
        (Fault(Kind.STALL, "Create", times=1), "opening a shell"),
        (Fault(Kind.HANG, times=1), "running the script"),
        (Fault(Kind.STALL, "Receive", times=1), "running the script"),
    ],
)
def test_an_abort_ends_every_wait(server: WinRmServer, fault: Fault, stage: str) -> None:
    server.faults.add(fault)
    cut_at: list[float] = []
    with opened(connection_to(server), replace(QUICK, auth_timeout=20, connect_timeout=20)) as host:

        def cut() -> None:
            end = time.monotonic() + 20
            while host.stage != stage and time.monotonic() < end:
                time.sleep(0.01)
            time.sleep(0.4)  # so that the wait is under way
            assert host.stage == stage
            cut_at.append(time.monotonic())
            host.abort("enough")

        with ThreadPoolExecutor() as pool:
            cutter = pool.submit(cut)
            with pytest.raises(HostError, match=r"^enough$"):
                host.run(cmd("echo 1"), 20)
            cutter.result()
        assert time.monotonic() - cut_at[0] < LATE
        with pytest.raises(HostError, match=r"^enough$"):
            host.run(cmd("echo 1"), 5)
    assert server.open_shells == (1 if fault.operation == "Create" else 0)


DEAF_RESOLVER = """
import json, socket, subprocess, sys, threading, time
from pathlib import Path
from auditor.credentials import Secrets
from auditor.errors import HostError
from auditor.hosts import Script, Shell
from auditor.hosts.options import GuestOptions
from auditor.hosts.winrm import WinRmHost
from auditor.model import Connection
settings = Path(sys.argv[1])
settings.write_text("nameserver 127.0.9.9\\noptions timeout:1 attempts:2\\n")
subprocess.run(["mount", "--bind", settings, "/etc/resolv.conf"], check=True)
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as deaf:
    deaf.bind(("127.0.9.9", 53))
    secrets = Secrets(environment={"P": "secret"})
    connection = Connection("win-1.sim.test", user="x", password="env:P")
    host = WinRmHost(connection, GuestOptions(connect_timeout=1), secrets)
    start = time.monotonic()
    try:
        host.run(Script("ver", Shell.CMD), 5)
    except HostError as error:
        print(json.dumps([str(error), time.monotonic() - start]))
    host.close()
    resolver = [thread for thread in threading.enumerate() if thread.name == "resolver"]
    resolver[0].join(10)
    print(threading.active_count())
"""


@pytest.mark.lab
def test_a_name_server_that_never_answers(tmp_path: Path) -> None:
    require_lane("root", os.name == "posix" and os.getuid() == 0 and shutil.which("unshare") is not None)
    command = ["unshare", "-m", sys.executable, "-c", DEAF_RESOLVER, str(tmp_path / "resolv.conf")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    told, left = done.stdout.splitlines()
    why, seconds = json.loads(told)
    assert why == "the name 'win-1.sim.test' was not resolved within 1 s (DNS)"
    assert seconds < 1 + LATE
    assert left == "1"

"""The SSH guests, asked by the tool itself and by a stranger."""

import asyncio
from collections import Counter
from collections.abc import Iterator

import asyncssh
import pytest

from auditor.errors import HostError
from auditor.facts import Guest
from auditor.guests import Guests
from auditor.hosts import CommandResult, Script, Shell
from auditor.hosts.options import NO_SSH_CONFIG, GuestOptions
from auditor.inventory.file import read_hosts
from auditor.model import Machine
from auditor.probe import linux_script
from auditor.remedy import StepResult, Work
from auditor.repair.work import answer, command
from auditor.rules import load_rules
from auditor.simulator.guest_states import GUESTS
from auditor.simulator.guest_work import Outcome, Scene, Trouble, Workshop, digest
from auditor.simulator.guests import SshGuests
from auditor.simulator.windows.guests import OUTSIDE_AZURE, WinRmGuests


@pytest.fixture(scope="module")
def guests() -> Iterator[SshGuests]:
    with SshGuests() as running:
        yield running


async def ask(guests: SshGuests, machines: tuple[Machine, ...]) -> dict[str, Guest]:
    options = GuestOptions(known_hosts=(guests.known_hosts,), agent=False, ssh_config=NO_SSH_CONFIG)
    async with Guests(load_rules().endpoints, options) as pool:
        answers = await asyncio.gather(*(pool.probe(machine) for machine in machines))
    assert all(isinstance(answer, Guest) for answer in answers), answers
    return {
        machine.name: answer
        for machine, answer in zip(machines, answers, strict=True)
        if isinstance(answer, Guest)
    }


def test_the_tool_sees_each_guest_in_its_state(guests: SshGuests) -> None:
    machines = tuple(host.connected() for host in read_hosts(guests.hosts_file))
    assert {machine.id for machine in machines} == set(guests.truth())
    seen = asyncio.run(ask(guests, machines))
    assert {name: guest.hostname for name, guest in seen.items()} == {
        state.name: state.name for state in GUESTS
    }
    agents = {name: getattr(guest.agent, "active", None) for name, guest in seen.items()}
    assert agents["guest-agent-stopped"] == "inactive"
    assert agents["guest-agent-missing"] is None
    assert seen["guest-extensions-disabled"].extensions_enabled is False
    reached = {
        name: {attempt.ok for attempt in guest.endpoints}
        for name, guest in seen.items()
        if isinstance(guest.endpoints, tuple)
    }
    assert reached["guest-healthy"] == {True}
    assert reached["guest-internet-blocked"] == {False}
    expected = {f"{endpoint.host}:{endpoint.port}" for endpoint in load_rules().endpoints}
    endpoints = seen["guest-healthy"].endpoints
    assert isinstance(endpoints, tuple)
    assert {attempt.target for attempt in endpoints} == expected


async def run(guests: SshGuests, command: str, script: str, user: str = "auditor") -> int | None:
    connection = read_hosts(guests.hosts_file)[0].connected().connection
    assert connection is not None
    async with asyncssh.connect(
        connection.address,
        connection.port or 22,
        username=user,
        client_keys=[connection.key],
        known_hosts=str(guests.known_hosts),
        config=None,
    ) as session:
        stdin = {"input": script} if script else {"stdin": asyncssh.DEVNULL}
        return (await session.run(command, **stdin)).exit_status


PROBE = linux_script(())


@pytest.mark.parametrize(
    ("command", "script", "status"),
    [
        ("/bin/sh -s", PROBE, 0),
        ("/bin/sh -s", PROBE + "rm -rf /\n", 127),
        ("/bin/sh -s", PROBE.replace("main", "niam", 1), 127),
        ("/bin/sh -s", "set -- 'unclosed\n" + PROBE, 127),
        ("/bin/sh -s", "", 127),
        ("id", PROBE, 127),
        ("id", "", 127),
    ],
)
def test_a_guest_answers_the_probe_and_nothing_else(
    guests: SshGuests, command: str, script: str, status: int
) -> None:
    assert asyncio.run(run(guests, command, script)) == status


def test_a_stranger_with_another_key_is_refused(guests: SshGuests) -> None:
    connection = read_hosts(guests.hosts_file)[0].connected().connection
    assert connection is not None

    async def knock() -> None:
        await asyncssh.connect(
            connection.address,
            connection.port or 22,
            username="auditor",
            client_keys=[asyncssh.generate_private_key("ssh-ed25519")],
            known_hosts=str(guests.known_hosts),
            config=None,
        )

    with pytest.raises(asyncssh.PermissionDenied):
        asyncio.run(knock())


RESTART = Work(Shell.SH, "systemctl restart walinuxagent")
STEP = "step-0001"


def restarted(scene: Scene) -> Outcome:
    return Outcome(scene.state.mended("agent"), 0, "restarted")


async def send(guests: SshGuests, scripts: list[Script]) -> list[CommandResult | HostError]:
    """What the first guest says to one script after the other, and how a connection ended that it cut."""
    machine = read_hosts(guests.hosts_file)[0].connected()
    options = GuestOptions(known_hosts=(guests.known_hosts,), agent=False, ssh_config=NO_SSH_CONFIG)
    replies: list[CommandResult | HostError] = []
    async with Guests((), options) as pool:
        for script in scripts:
            try:
                replies.append(await pool.send(machine, script, 30))
            except HostError as error:
                replies.append(error)
    return replies


STOPPED = next(state for state in GUESTS if state.name == "guest-agent-stopped")


class Counting(Counter[str]):
    """Counts on while somebody goes through it."""

    def items(self) -> Iterator[tuple[str, int]]:  # type: ignore[override]
        """What was counted until now, and then something more."""
        for item in super().items():
            yield item
            self["later"] += 1


def test_executions_are_summed_while_they_are_counted() -> None:
    with SshGuests((STOPPED,)) as ssh, WinRmGuests(OUTSIDE_AZURE[:1]) as winrm:
        (linux,), (windows,) = ssh.guests.values(), winrm.running.values()
        linux.executions = windows.steps.executions = Counting({STEP: 1})
        assert ssh.executions == winrm.executions == {STEP: 1}


def test_a_step_over_ssh_changes_what_the_next_probe_sees() -> None:
    script = command(STEP, RESTART)
    with SshGuests((STOPPED,), Workshop({digest(RESTART): restarted})) as guests:
        sent = [Script(PROBE), script, script, Script(PROBE)]
        before, first, second, after = asyncio.run(send(guests, sent))
        guest = guests.guests[STOPPED.machine_id]
        assert guest.log == [one.text.encode() for one in sent]
        assert guests.executions == {STEP: 1}
    assert isinstance(first, CommandResult)
    assert first == second
    assert answer(first) == StepResult("done", 0, "restarted")
    assert isinstance(before, CommandResult)
    assert isinstance(after, CommandResult)
    assert b'"active":"inactive"' in before.stdout
    assert b'"active":"active"' in after.stdout


def test_a_connection_that_drops_in_a_step_leaves_the_work_to_the_guest() -> None:
    script = command(STEP, RESTART)
    troubles = {STOPPED.machine_id: Trouble(drops=1)}
    with SshGuests((STOPPED,), Workshop({digest(RESTART): restarted}), troubles) as guests:
        cut, told = asyncio.run(send(guests, [script, script]))
        assert guests.executions == {STEP: 1}
    assert isinstance(cut, HostError) or cut.exit_status is None
    assert isinstance(told, CommandResult)
    assert answer(told).state == "done"


def test_a_sender_that_dies_leaves_the_work_to_the_guest() -> None:
    script = command(STEP, RESTART)
    shop = Workshop({digest(RESTART): restarted}, work_seconds=0.3)
    with SshGuests((STOPPED,), shop) as guests:
        connection = read_hosts(guests.hosts_file)[0].connected().connection
        assert connection is not None

        async def begin_and_die() -> None:
            session = await asyncssh.connect(
                connection.address,
                connection.port or 22,
                username="auditor",
                client_keys=[connection.key],
                known_hosts=str(guests.known_hosts),
                config=None,
            )
            process = await session.create_process("/bin/sh -s")
            process.stdin.write(script.text)
            process.stdin.write_eof()
            while not guests.executions:  # noqa: ASYNC110 - the guests run in another thread
                await asyncio.sleep(0.01)
            session.abort()
            await session.wait_closed()

        asyncio.run(begin_and_die())
        (told,) = asyncio.run(send(guests, [script]))
        assert guests.executions == {STEP: 1}
    assert isinstance(told, CommandResult)
    assert answer(told) == StepResult("done", 0, "restarted")


def test_a_step_that_no_guest_was_told_of_is_not_known(guests: SshGuests) -> None:
    (reply,) = asyncio.run(send(guests, [command(STEP, RESTART)]))
    assert isinstance(reply, CommandResult)
    assert reply.exit_status == 127

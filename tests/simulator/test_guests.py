"""The SSH guests, asked by the tool itself and by a stranger."""

import asyncio
from collections.abc import Iterator

import asyncssh
import pytest

from auditor.facts import Guest
from auditor.guests import Guests
from auditor.hosts.options import NO_SSH_CONFIG, GuestOptions
from auditor.inventory.file import read_hosts
from auditor.model import Machine
from auditor.probe import linux_script
from auditor.rules import load_rules
from auditor.simulator.guests import GUESTS, SshGuests


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

"""Which way leads into a guest: its own connection, else Azure's Run Command where that is allowed."""

import asyncio
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

import pytest

from auditor.errors import HostError, Unreachable
from auditor.facts import Guest, InstanceView, Unseen
from auditor.guests import NO_CONNECTION, Guests
from auditor.hosts import CommandResult
from auditor.hosts.fake import FakeHost
from auditor.hosts.options import GuestOptions
from auditor.model import RUN_COMMAND, Connection, Machine, Platform
from auditor.probe import Probe

VM = "/subscriptions/s/resourcegroups/g/providers/microsoft.compute/virtualmachines/v"
NOW = datetime(2026, 11, 23, tzinfo=UTC)
VIEW = InstanceView("running", None, None, (), NOW)
HERE = Guest("linux", NOW, "ssh", True, hostname="web-1")
THERE = Guest("linux", NOW, RUN_COMMAND, True)
ANSWER = CommandResult(0, b'AUDITOR-PROBE-BEGIN {"schema":1,"hostname":"web-1"} AUDITOR-PROBE-END\n')


@dataclass
class Azure:
    """Run Command's place, with an answer of the test's choice."""

    answer: Guest | Unseen = THERE
    asked: list[str] = field(default_factory=list)

    async def probe(self, machine: Machine, probe: Probe, view: InstanceView | Unseen) -> Guest | Unseen:
        assert view == VIEW
        self.asked.append(machine.id)
        return self.answer


def ask(
    connection: Connection | None, host: FakeHost, azure: Azure | None, id: str = VM, *, allowed: bool = True
) -> Guest | Unseen:
    async def view() -> InstanceView | Unseen:
        return VIEW

    async def one() -> Guest | Unseen:
        machine = Machine(id, "v", Platform.LINUX, "azure", connection=connection)
        openers = {"ssh": lambda connection: host}
        options = GuestOptions(run_command=allowed)
        async with Guests([], options, openers=openers, run_command=azure) as guests:
            return await guests.probe(machine, asyncio.ensure_future(view()))

    return asyncio.run(one())


def reason(answer: Guest | Unseen) -> str | None:
    return answer.reason if isinstance(answer, Unseen) else None


SSH = Connection("192.0.2.1")
DIRECT = Connection("", transport=RUN_COMMAND)
CLOSED = Unreachable("connection refused by 192.0.2.1:22")


@pytest.mark.parametrize(
    ("connection", "said", "expected", "asked"),
    [
        (SSH, ANSWER, "web-1", 0),
        (SSH, CLOSED, RUN_COMMAND, 1),
        (SSH, HostError("authentication failed"), "authentication failed", 0),
        (None, ANSWER, RUN_COMMAND, 1),
        (DIRECT, ANSWER, RUN_COMMAND, 1),
    ],
)
def test_azure_is_the_way_where_no_port_leads_in(
    connection: Connection | None, said: CommandResult | HostError, expected: str, asked: int
) -> None:
    azure = Azure()
    answer = ask(connection, FakeHost([said]), azure)
    told = answer.reason if isinstance(answer, Unseen) else (answer.hostname or answer.transport)
    assert told == expected
    assert len(azure.asked) == asked


def test_both_reasons_are_said_where_neither_way_leads_in() -> None:
    answer = ask(SSH, FakeHost([CLOSED]), Azure(Unseen("not asked through Run Command: off")))
    assert answer == Unseen(f"{CLOSED}; not asked through Run Command: off")


@pytest.mark.parametrize(("azure", "id"), [(None, VM), (Azure(), "host/v")])
def test_without_azure_nothing_else_is_tried(azure: Azure | None, id: str) -> None:
    assert reason(ask(SSH, FakeHost([CLOSED]), azure, id)) == str(CLOSED)
    assert ask(None, FakeHost([]), azure, id) == NO_CONNECTION


def test_azure_is_no_way_unless_it_was_allowed() -> None:
    azure = Azure()
    assert reason(ask(SSH, FakeHost([CLOSED]), azure, allowed=False)) == str(CLOSED)
    assert ask(None, FakeHost([]), azure, allowed=False) == NO_CONNECTION
    assert azure.asked == []
    assert ask(DIRECT, FakeHost([]), azure, allowed=False) == THERE


def test_an_unknown_transport_is_named() -> None:
    answer = ask(replace(SSH, transport="telnet"), FakeHost([]), None)
    assert answer == Unseen("the transport 'telnet' is not known")

"""Guests that are not asked, and what is said instead."""

import asyncio
from dataclasses import replace

import pytest

from auditor.facts import Guest, InstanceView, Unseen
from auditor.guests import LEFT_OUT, NO_CONNECTION, Guests
from auditor.hosts.fake import FakeHost
from auditor.hosts.options import GuestOptions
from auditor.model import RUN_COMMAND, Connection, Machine, Platform
from auditor.probe import Probe

VM = Machine("/subscriptions/s/resourcegroups/g/providers/m/virtualmachines/v", "v", Platform.LINUX, "azure")
SSH = Connection("192.0.2.1")


class Azure:
    """Run Command's place."""

    async def probe(self, machine: Machine, probe: Probe, view: InstanceView | Unseen) -> Guest | Unseen:
        return Unseen("asked through Azure")


def ask(machine: Machine, *, fallback: bool) -> Guest | Unseen:
    async def view() -> Unseen:
        return Unseen("no view")

    async def one() -> Guest | Unseen:
        options = GuestOptions(run_command=fallback)
        openers = {"ssh": lambda connection: FakeHost([])}
        async with Guests([], options, openers, Azure()) as guests:
            seen = asyncio.ensure_future(view())
            answer = await guests.probe(machine, seen)
            await seen
            return answer

    return asyncio.run(one())


@pytest.mark.parametrize(
    ("machine", "fallback", "answer"),
    [
        (VM, False, NO_CONNECTION),
        (VM, True, Unseen("asked through Azure")),
        (replace(VM, unreachable="no address"), False, Unseen("no address")),
        (replace(VM, unreachable="no address"), True, Unseen("asked through Azure")),
        (replace(VM, unreachable="no secret", connection=SSH), True, Unseen("no secret")),
        (replace(VM, left_out=True), True, LEFT_OUT),
        (replace(VM, left_out=True, connection=SSH), True, LEFT_OUT),
        (replace(VM, connection=replace(SSH, transport=RUN_COMMAND)), False, Unseen("asked through Azure")),
        (replace(VM, id="host/v", unreachable="no address"), True, Unseen("no address")),
    ],
)
def test_who_is_not_asked(machine: Machine, fallback: bool, answer: Unseen) -> None:
    assert ask(machine, fallback=fallback) == answer


def test_a_guest_that_is_left_out_does_not_make_the_run_incomplete() -> None:
    assert not LEFT_OUT.expected
    answer = ask(replace(VM, unreachable="no address"), fallback=False)
    assert isinstance(answer, Unseen)
    assert answer.expected

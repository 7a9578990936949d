"""`auditor doctor`: who may do what, said before anything is begun."""

import subprocess
from collections.abc import Callable
from dataclasses import replace

import pytest

from auditor.cli.doctor import examined, sample
from auditor.doctor import MISSING, OK
from auditor.facts import Facts, Unseen
from auditor.model import Connection, Machine, Platform
from auditor.simulator.guests import GUESTS, SshGuests
from tests.repair.bench import host, vm

Program = Callable[..., subprocess.CompletedProcess[str]]


def machine(name: str, platform: Platform = Platform.LINUX, **way: str) -> Machine:
    connection = Connection(name, **{"user": "azops", **way})  # type: ignore[arg-type]
    return Machine(f"host/{name}", name, platform, "hosts", connection=connection)


def test_a_few_guests_of_each_kind_are_asked() -> None:
    machines = [machine(f"a{place}") for place in range(5)]
    machines += [machine("b", user="root"), machine("c", Platform.WINDOWS, transport="winrm")]
    machines += [replace(machine("d"), connection=None), replace(machine("e"), left_out=True)]
    assert [one.name for one in sample(machines, 2)] == ["a0", "a1", "b", "c"]
    assert len(sample(machines, None)) == 7


@pytest.mark.parametrize(
    ("facts", "status", "words"),
    [
        (host(), OK, "ssh as azops: reached, its host proven, root"),
        (host(platform="windows"), OK, "an administrator"),
        (host(privileged=False), MISSING, "the account is not root in this guest"),
        (vm(vm_id=None), MISSING, "the guest shows no id"),
        (replace(host(), guest=Unseen("the host key is not known")), MISSING, "the host key is not known"),
    ],
)
def test_each_guest_says_what_stands_in_the_way(facts: Facts, status: str, words: str) -> None:
    (row,) = examined([facts])
    assert (row.status, words in row.detail, bool(row.way_out)) == (status, True, status == MISSING)


def test_swapped_guests_are_told() -> None:
    rows = examined([host("web1", hostname="db1"), host("db1", hostname="web1")])
    assert [(row.status, "swapped" in row.detail) for row in rows] == [(MISSING, True)] * 2


def test_guests_without_azure(program: Program) -> None:
    with SshGuests(GUESTS[:5]) as guests:
        words = ("doctor", "--inventory", str(guests.hosts_file), "--ssh-config", "none", "--no-azure")
        known = ("--known-hosts", str(guests.known_hosts))
        some, every = program(*words, *known), program(*words, *known, "--all")
        stranger = program(*words)
    assert some.stdout.count("\nok ") == 3
    assert "2 more were not asked" in some.stdout
    assert every.stdout.count("\nok ") + every.stdout.count("\nmissing ") == 5
    assert some.returncode == 0, some.stdout + some.stderr
    assert stranger.returncode == 3
    assert "host key" in stranger.stdout


def test_azure_rights_come_first(program: Program) -> None:
    done = program("doctor", "--azure")
    rows = done.stdout.splitlines()[1:]
    assert rows[0].split(maxsplit=2)[:2] == ["ok", "Azure:"]
    assert any("Microsoft.Compute/virtualMachines/read" in row for row in rows)
    assert "have no way in" in rows[-1]


@pytest.mark.parametrize("words", [("--vm", "nosuch"), ("--subscription", "nosuch")])
def test_a_name_that_nothing_has_is_no_success(program: Program, words: tuple[str, str]) -> None:
    done = program("doctor", "--azure", *words)
    assert done.returncode == 3, done.stdout + done.stderr
    (row,) = (line for line in done.stdout.splitlines() if line.startswith("missing "))
    assert "nosuch" in row


def test_nobody_signed_in_is_said_and_no_guest_is_asked(program: Program) -> None:
    done = program("doctor", "--azure", env={"AZURE_CLIENT_SECRET": "wrong"})
    assert done.returncode == 3, done.stdout + done.stderr
    assert "Azure: sign-in" in done.stdout
    assert "Guests" not in done.stdout

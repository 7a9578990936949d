"""Guests with rpm, repaired over SSH by the plan's own commands; and those that must not be touched."""

from collections.abc import Iterator, Mapping
from concurrent.futures import Future
from contextlib import ExitStack
from dataclasses import dataclass

import pytest

from auditor.facts import Package, known
from auditor.remedy import Payload, RepairOptions, StepResult, Work
from tests.lab.bases import Base
from tests.lab.estate import running
from tests.lab.faults import Fault
from tests.lab.guests import Guest
from tests.lab.lab import Lab
from tests.lab.repairs import AGENT, Operator, Repairable, Told, Untouchable, payload
from tests.lab.rpm_repairs import CONTENT, repairable, untouchable
from tests.lab.rpms import FAMILIES, NEWEST, OLDER

pytestmark = [pytest.mark.lab, pytest.mark.timeout(600)]
REPAIRABLE: Mapping[str, Repairable] = {
    f"{family}-{name}": one for family in FAMILIES for name, one in repairable(family).items()
}
UNTOUCHABLE: Mapping[str, Untouchable] = {
    f"{family}-{name}": one for family in FAMILIES for name, one in untouchable(family).items()
}
# what only lists that were just renewed can tell is refused by the step itself, which leaves its receipt
LATE = ("dnf-withdrawn",)
# the plan itself holds what the guest then refuses, or a file that does
PLANNED = {name for name, one in UNTOUCHABLE.items() if one.pushed or name.endswith("-withdrawn")}


@dataclass(frozen=True)
class Ward:
    """The guests after their treatment, and what the untouchable held before.

    `forced` is what the untouchable say to work that no plan holds for them.
    """

    guests: Mapping[str, Guest]
    told: Mapping[str, Told]
    forced: Mapping[str, StepResult]
    before: Mapping[str, str]
    after: Mapping[str, str]


@pytest.fixture(scope="module")
def guests(lab: Lab, rpm_bases: Future[Mapping[str, Base]]) -> Iterator[Mapping[str, Guest]]:
    """Every fault of both families in a guest of its own."""
    faults = {
        **{name: Fault(one.setup) for name, one in REPAIRABLE.items()},
        **{name: Fault(one.setup, disk=one.disk) for name, one in UNTOUCHABLE.items()},
    }
    with ExitStack() as stack:
        found: dict[str, Guest] = {}
        for family, base in rpm_bases.result().items():
            ours = {name: fault for name, fault in faults.items() if family_of(name) == family}
            found.update(stack.enter_context(running(lab, base, ours)))
        yield found


@pytest.fixture(scope="module")
def ward(lab: Lab, guests: Mapping[str, Guest], tmp_path_factory: pytest.TempPathFactory) -> Ward:
    """All treated at once."""
    connections = {name: one.connection for name, one in REPAIRABLE.items()}
    operator = Operator(lab, tmp_path_factory.mktemp("operator"), guests, connections)
    before = {name: guests[name].sh(CONTENT) for name in UNTOUCHABLE}
    for guest in guests.values():
        lab.services.reports.pop(guest.address, None)
    told = operator.repair(wanted(guests))
    forced = operator.send(
        {name: (f"forced-{name}", install(told, name)) for name in UNTOUCHABLE if name not in PLANNED}
    )
    return Ward(guests, told, forced, before, {name: guests[name].sh(CONTENT) for name in UNTOUCHABLE})


def family_of(name: str) -> str:
    """The family of a guest."""
    return name.partition("-")[0]


def install(told: Mapping[str, Told], name: str) -> Work:
    """The work that installs the agent in guests of this one's family."""
    work = told[f"{family_of(name)}-missing"].plan.steps[0].work
    assert work is not None
    return work


def wanted(guests: Mapping[str, Guest]) -> dict[str, tuple[tuple[str, ...], RepairOptions]]:
    """What is to be repaired in each guest, and the files that the user gave."""
    asked = {
        name: (one.checks, options(guests[name], "newest" if one.pushed else ""))
        for name, one in REPAIRABLE.items()
    }
    return asked | {name: (AGENT, options(guests[name], one.pushed)) for name, one in UNTOUCHABLE.items()}


def options(guest: Guest, pushed: str) -> RepairOptions:
    """With one of the packages of a guest's family, by its name here."""
    if not pushed:
        return RepairOptions()
    agent = FAMILIES[family_of(guest.name)].agent
    files = {"newest": f"packages/{agent}-{NEWEST}.rpm", "older": f"packages/{agent}-{OLDER}.rpm"}
    file: Payload = payload(guest.base.folder / files.get(pushed, f"root/root/{pushed}"))
    return RepairOptions(linux_package=file)


@pytest.mark.parametrize("name", REPAIRABLE)
def test_a_fault_is_planned_and_repaired(ward: Ward, lab: Lab, name: str) -> None:
    fault, told = REPAIRABLE[name], ward.told[name]
    assert any(told.before.status(check) in ("fail", "warn") for check in fault.checks)
    assert tuple(told.sent) == fault.stages, told.plan
    assert {result.state for results in told.sent.values() for result in results} == {"done"}, told.words
    assert {told.after.status(check) for check in fault.checks} == {"pass"}
    lab.services.wait_for_report(ward.guests[name].address, NEWEST)


@pytest.mark.parametrize("name", UNTOUCHABLE)
def test_what_must_not_be_repaired_is_refused_and_untouched(ward: Ward, name: str) -> None:
    told, reason = ward.told[name], UNTOUCHABLE[name].reason
    states = {result.state for results in told.sent.values() for result in results}
    assert states <= {"refused"}, told.words
    if name in PLANNED:
        assert reason in told.words
    else:
        forced = ward.forced[name]
        assert (forced.state, reason in forced.output) == ("refused", True), forced
    assert ward.after[name] == ward.before[name]
    assert name in LATE or "fleet-auditor" not in ward.guests[name].sh("ls /var/lib")


@pytest.mark.parametrize("name", ["dnf-missing", "dnf-yum", "zypper-missing"])
def test_what_a_guest_can_install_is_seen(ward: Ward, name: str) -> None:
    guest = known(ward.told[name].before.facts.guest)
    manager = name.removeprefix("dnf-").replace("missing", family_of(name)).removeprefix("zypper-")
    assert guest.installable == Package(manager, FAMILIES[family_of(name)].agent, f"{NEWEST}-1")


@pytest.mark.parametrize("family", FAMILIES)
def test_an_older_agent_was_older(ward: Ward, family: str) -> None:
    agent = known(known(ward.told[f"{family}-older"].before.facts.guest).agent)
    assert agent is not None
    assert (agent.package, agent.package_version, agent.unit, agent.origin) == (
        *(FAMILIES[family].agent, f"{OLDER}-1"),
        *("waagent", "package"),
    )


@pytest.mark.parametrize("name", [name for name in REPAIRABLE if name.endswith("locked")])
def test_another_package_manager_is_waited_for(ward: Ward, name: str) -> None:
    assert "waiting for it" in ward.told[name].words

"""Real guests, repaired over SSH by the plan's own commands; and those that must not be touched."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from auditor.facts import known
from auditor.remedy import RepairOptions, StepResult
from auditor.repair.proposals import undo_id
from tests.lab.bases import OLD, Base
from tests.lab.estate import running
from tests.lab.faults import CONF, VERSIONS
from tests.lab.guests import Guest
from tests.lab.lab import Lab
from tests.lab.repairs import (
    AGENT,
    EVERYTHING,
    REPAIRABLE,
    UNTOUCHABLE,
    Operator,
    Told,
    contents,
    package,
    payload,
)

pytestmark = [pytest.mark.lab, pytest.mark.timeout(900)]
CONFIGURED = ("r-no-extensions", "r-updates-off", "r-both-keys")


@dataclass(frozen=True)
class Ward:
    """The guests of a suite after their treatment, and what they held before.

    `forced` is what the untouchable say to work that no plan holds for them. `changed` are the configurations
    that were changed, one of which was taken back afterwards.
    """

    guests: Mapping[str, Guest]
    told: Mapping[str, Told]
    forced: Mapping[str, StepResult]
    before: Mapping[str, str]
    after: Mapping[str, str]
    configurations: Mapping[str, str]
    changed: Mapping[str, str]
    undone: StepResult


@pytest.fixture(scope="session")
def ward(lab: Lab, suite: Base, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ward]:
    """Every fault in a guest of its own, all treated at once."""
    with running(lab, suite, EVERYTHING) as guests:
        folder = tmp_path_factory.mktemp("operator")
        operator = Operator(lab, folder, guests, {name: one.connection for name, one in REPAIRABLE.items()})
        other = folder / "other.deb"
        other.write_bytes((guests["u-conflict"].root / "root/nm.deb").read_bytes())
        held = [guests[name] for name in UNTOUCHABLE]
        before = contents(held)
        configurations = {name: configuration(guests[name]) for name in REPAIRABLE}
        for guest in guests.values():
            lab.services.reports.pop(guest.address, None)
        told = operator.repair(wanted(package(suite), {"older": package(suite, older=True), "other": other}))
        install = told["r-purged"].plan.steps[0].work
        assert install is not None
        forced = operator.send(
            {name: (f"forced-{name}", install) for name, one in UNTOUCHABLE.items() if not one.pushed}
        )
        changed = {name: configuration(guests[name]) for name in CONFIGURED}
        undone = take_back(operator, told["r-both-keys"])
        yield Ward(guests, told, forced, before, contents(held), configurations, changed, undone)


def take_back(operator: Operator, told: Told) -> StepResult:
    """Undo the one step of a guest that can be."""
    ((step, name),) = [(step, told.plan.machine.name) for step in told.plan.steps if step.undo]
    assert step.undo is not None
    return operator.send({name: (undo_id(step.id), step.undo)})[name]


def wanted(right: Path, wrong: Mapping[str, Path]) -> dict[str, tuple[tuple[str, ...], RepairOptions]]:
    """What is to be repaired in each guest, and the files that the user gave."""
    asked = {
        name: (one.checks, RepairOptions(linux_package=payload(right) if one.pushed else None))
        for name, one in REPAIRABLE.items()
    }
    for name, one in UNTOUCHABLE.items():
        asked[name] = (AGENT, RepairOptions(linux_package=payload(wrong[one.pushed]) if one.pushed else None))
    return asked


def configuration(guest: Guest) -> str:
    """The agent's configuration, with its owner and its rights."""
    return guest.sh(f"[ ! -e {CONF} ] || {{ stat -c '%a %U %G' {CONF}; cat {CONF}; }}")


@pytest.mark.parametrize("name", REPAIRABLE)
def test_a_fault_is_planned_and_repaired(ward: Ward, lab: Lab, suite: Base, name: str) -> None:
    fault, told = REPAIRABLE[name], ward.told[name]
    assert any(told.before.status(check) in ("fail", "warn") for check in fault.checks)
    assert tuple(told.sent) == fault.stages, told.plan
    assert {result.state for results in told.sent.values() for result in results} == {"done"}, told.words
    # the agent of bullseye is below the floor of support, however new
    well = {"pass", "warn"} if (name, suite.suite) == ("r-older", "bullseye") else {"pass"}
    assert {told.after.status(check) for check in fault.checks} <= well
    lab.services.wait_for_report(ward.guests[name].address, VERSIONS[suite.suite])


@pytest.mark.parametrize("name", UNTOUCHABLE)
def test_what_must_not_be_repaired_is_refused_and_untouched(ward: Ward, name: str) -> None:
    told = ward.told[name]
    states = {result.state for results in told.sent.values() for result in results}
    assert states <= {"refused"}, told.words
    if name in ward.forced:
        assert (ward.forced[name].state, UNTOUCHABLE[name].reason in ward.forced[name].output) == (
            "refused",
            True,
        ), ward.forced[name]
    else:
        assert UNTOUCHABLE[name].reason in told.words
    assert ward.after[name] == ward.before[name]
    assert "no receipts" in ward.after[name]


@pytest.mark.parametrize("name", CONFIGURED)
def test_only_the_wanted_keys_change(ward: Ward, name: str) -> None:
    before, after = ward.configurations[name].splitlines(), ward.changed[name].splitlines()
    keys = ("Extensions.Enabled", "AutoUpdate.Enabled", "AutoUpdate.UpdateToLatestVersion")
    changed = set(before) ^ set(after)
    assert changed
    assert all(line.partition("=")[0] in keys for line in changed), changed
    assert [line for line in before if line in after] == [line for line in after if line in before]


def test_a_configuration_is_taken_back(ward: Ward) -> None:
    assert ward.undone.state == "done", ward.undone
    assert configuration(ward.guests["r-both-keys"]) == ward.configurations["r-both-keys"]


@pytest.mark.parametrize("name", ["r-locked", "r-corrupt", "r-no-modules", "r-older", "r-masked"])
def test_a_package_leaves_the_configuration(ward: Ward, name: str) -> None:
    assert configuration(ward.guests[name]) == ward.configurations[name]


@pytest.mark.parametrize("name", ["r-left-over", "r-half-done"])
def test_the_state_of_an_earlier_agent_stays(ward: Ward, name: str) -> None:
    assert ward.guests[name].sh("cat /var/lib/waagent/kept/file") == "state\n"
    assert ward.guests[name].sh("ls -d /var/lib/waagent?* || true") == ""


def test_an_older_agent_was_older(ward: Ward) -> None:
    agent = known(known(ward.told["r-older"].before.facts.guest).agent)
    assert agent is not None
    assert agent.daemon_version == OLD.partition("-")[0]


@pytest.mark.parametrize("name", ["r-locked", "r-between"])
def test_another_package_manager_is_waited_for(ward: Ward, name: str) -> None:
    assert "waiting for it" in ward.told[name].words

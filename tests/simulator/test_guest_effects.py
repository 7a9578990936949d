"""What repairs do to the seeded guests: those that can be repaired become ready, the others stay."""

from datetime import UTC, datetime

import pytest

from auditor.facts import Facts
from auditor.judge import judge
from auditor.model import Machine, Platform, Verdict
from auditor.probe import parse
from auditor.rules import load_rules
from auditor.simulator.guest_effects import EFFECTS, UNDOES
from auditor.simulator.guest_states import GUESTS, GuestState, probe_answer
from auditor.simulator.guest_work import Scene
from checks import CHECKS

RULES = load_rules()
STATES = {state.name.removeprefix("guest-"): state for state in GUESTS}
ALL_KEYS = ("Extensions.Enabled=y", "AutoUpdate.UpdateToLatestVersion=y")


def verdict(state: GuestState) -> Verdict:
    answer = probe_answer(state, [f"{endpoint.host}:{endpoint.port}" for endpoint in RULES.endpoints])
    now = datetime.now(UTC)
    guest = parse(answer, observed_at=now, transport="ssh")
    machine = Machine(state.machine_id, state.name, Platform.LINUX, "hosts.yaml")
    return judge(Facts(machine=machine, now=now, guest=guest), CHECKS, RULES).verdict


@pytest.mark.parametrize(
    ("name", "remediation", "exit_status", "after"),
    [
        ("agent-stopped", "agent-restart", 0, Verdict.READY),
        ("unit-masked", "agent-restart", 10, Verdict.NOT_READY),
        ("python-broken", "agent-restart", 1, Verdict.NOT_READY),
        ("agent-missing", "agent-restart", 10, Verdict.NOT_READY),
        ("agent-missing", "linux-agent", 0, Verdict.READY),
        ("python-broken", "linux-agent", 0, Verdict.READY),
        ("unit-masked", "linux-agent", 0, Verdict.READY),
        ("disk-full", "linux-agent", 10, Verdict.NOT_READY),
        ("noexec", "linux-agent", 0, Verdict.NOT_READY),
        ("extensions-disabled", "linux-agent", 0, Verdict.NOT_READY),
        ("extensions-disabled", "linux-agent-config", 0, Verdict.READY),
        ("update-off", "linux-agent-config", 0, Verdict.READY),
        ("healthy", "linux-agent-config", 11, Verdict.READY),
        ("healthy", "agent-update", 0, Verdict.READY),
    ],
)
def test_an_effect_leaves_what_the_real_one_would(
    name: str, remediation: str, exit_status: int, after: Verdict
) -> None:
    outcome = EFFECTS[remediation](Scene(STATES[name], ALL_KEYS))
    assert outcome.exit_status == exit_status
    assert verdict(outcome.state) is after


@pytest.mark.parametrize("state", GUESTS, ids=lambda state: state.name)
def test_who_can_be_repaired_is_seeded(state: GuestState) -> None:
    best = {verdict(effect(Scene(state, ALL_KEYS)).state) for effect in EFFECTS.values()}
    assert (Verdict.READY in best) == (Verdict.READY in (state.verdict, state.repaired))
    if state.repaired is None:
        assert best == {state.verdict}


def test_a_configuration_is_taken_back_as_it_was() -> None:
    off = STATES["extensions-disabled"]
    on = EFFECTS["linux-agent-config"](Scene(off, ALL_KEYS)).state
    assert UNDOES["linux-agent-config"](Scene(on, kept=off)).state == off
    assert UNDOES["linux-agent-config"](Scene(on)).exit_status == 11


def test_an_agent_that_is_stopped_reads_its_configuration_later() -> None:
    stopped = STATES["agent-stopped"].changed(extensions_enabled=False)
    outcome = EFFECTS["linux-agent-config"](Scene(stopped, ALL_KEYS))
    assert outcome.state == STATES["agent-stopped"]


def test_a_full_disk_takes_no_package_and_changes_nothing() -> None:
    missing = STATES["agent-missing"].changed(disk=STATES["disk-full"].changes["disk"])
    outcome = EFFECTS["linux-agent"](Scene(missing))
    assert (outcome.exit_status, outcome.state) == (10, missing)

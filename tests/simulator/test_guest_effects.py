"""What repairs do to the seeded guests: those that can be repaired become ready, the others stay."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from auditor.facts import Facts
from auditor.judge import judge
from auditor.model import Machine, Platform, Verdict
from auditor.probe import parse
from auditor.rules import load_rules
from auditor.simulator.guest_effects import EFFECTS
from auditor.simulator.guest_states import GUESTS, GuestState, probe_answer
from checks import CHECKS

RULES = load_rules()
STATES = {state.name.removeprefix("guest-"): state for state in GUESTS}
ALL_KEYS = ("Extensions.Enabled", "y", "AutoUpdate.Enabled=y")
FULL = STATES["disk-full"].changes


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
        ("unit-masked", "agent-restart", 0, Verdict.READY),
        ("python-broken", "agent-restart", 1, Verdict.NOT_READY),
        ("agent-missing", "agent-restart", 5, Verdict.NOT_READY),
        ("agent-missing", "linux-agent", 0, Verdict.READY),
        ("python-broken", "linux-agent", 0, Verdict.READY),
        ("unit-masked", "linux-agent", 0, Verdict.READY),
        ("disk-full", "linux-agent", 100, Verdict.NOT_READY),
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
    outcome = EFFECTS[remediation](STATES[name], ALL_KEYS)
    assert outcome.exit_status == exit_status
    assert verdict(outcome.state) is after


@pytest.mark.parametrize("state", GUESTS, ids=lambda state: state.name)
def test_who_can_be_repaired_is_seeded(state: GuestState) -> None:
    best = {verdict(effect(state, ALL_KEYS).state) for effect in EFFECTS.values()}
    assert (Verdict.READY in best) == (Verdict.READY in (state.verdict, state.repaired))
    if state.repaired is None:
        assert best == {state.verdict}


def test_a_masked_unit_is_not_restarted_as_it_is() -> None:
    outcome = EFFECTS["linux-agent-config"](
        STATES["unit-masked"].changed(extensions_enabled=False), ("Extensions.Enabled=y",)
    )
    assert outcome.exit_status == 1
    assert outcome.state == STATES["unit-masked"]


def test_a_full_disk_takes_no_package_and_changes_nothing() -> None:
    missing = replace(STATES["agent-missing"], changes={**STATES["agent-missing"].changes, **FULL})
    assert EFFECTS["linux-agent"](missing, ()).state == missing

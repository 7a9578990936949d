"""The states of simulated guests: what the checks say of them, and that they speak as the real probe does."""

import json
import subprocess
from datetime import UTC, datetime

import pytest

from auditor.facts import Facts
from auditor.judge import judge
from auditor.model import Machine, MachineResult, Platform, Status
from auditor.probe import linux_script, parse
from auditor.rules import load_rules
from auditor.simulator.guest_states import GUESTS, GuestState, probe_answer
from checks import CHECKS

RULES = load_rules()
HOST = Machine("host/guest", "guest", Platform.LINUX, "hosts.yaml")


def judged(state: GuestState) -> MachineResult:
    answer = probe_answer(state, [f"{endpoint.host}:{endpoint.port}" for endpoint in RULES.endpoints])
    now = datetime.now(UTC)
    guest = parse(answer, observed_at=now, transport="ssh")
    return judge(Facts(machine=HOST, now=now, guest=guest), CHECKS, RULES)


@pytest.mark.parametrize("state", GUESTS, ids=lambda state: state.name)
def test_the_checks_say_what_the_state_promises(state: GuestState) -> None:
    result = judged(state)
    found = {finding.check: finding.status for finding in result.findings}
    assert {check: found[check] for check in state.findings} == state.findings
    assert result.verdict == state.verdict


@pytest.mark.parametrize("state", GUESTS, ids=lambda state: state.name)
def test_only_what_a_state_promises_is_wrong_with_it(state: GuestState) -> None:
    fine = {Status.PASS, Status.SKIP}
    wrong = {finding.check for finding in judged(state).findings if finding.status not in fine}
    promised = {check for check, status in state.findings.items() if status not in fine}
    assert wrong == promised


def test_a_simulated_guest_says_what_the_real_probe_says() -> None:
    ran = subprocess.run(
        ["sh", "-s"], input=linux_script(()).encode(), capture_output=True, timeout=60, check=True
    )

    def document(output: bytes) -> dict[str, object]:
        body = output.partition(b"AUDITOR-PROBE-BEGIN ")[2].partition(b" AUDITOR-PROBE-END")[0]
        found = json.loads(body)
        assert isinstance(found, dict)
        return found

    real, simulated = document(ran.stdout), document(probe_answer(GUESTS[0], ()))
    assert simulated.keys() - {"freeze_problem"} == real.keys() - {"freeze_problem"}
    if isinstance(real["python"], dict):
        assert isinstance(simulated["python"], dict)
        assert real["python"].keys() == simulated["python"].keys()

"""What every check on the guest does where the guest was not asked, not reached, or is another machine."""

from dataclasses import replace

import pytest

from auditor.facts import Facts, Mismatch, Unseen
from auditor.judge import judge
from auditor.model import Platform, Status, Verdict
from checks import CHECKS
from tests.checks.estate import (
    ASIDE,
    GUEST,
    GUID,
    RULES,
    VM,
    agentless,
    guested,
    linux,
    said,
    viewed,
    windowed,
)

SKIP, UNKNOWN = Status.SKIP, Status.UNKNOWN
SYSTEM = ("guest-dhcp", "guest-proxy", "guest-clock", "guest-disk-space")
BOTH = ("agent-service", *SYSTEM)
WINDOWS = ("agent-certificate", "windows-vss", "windows-prerequisites")
LINUX = ("agent-auto-update", "linux-python", "linux-freeze")
REFUSED = Unseen("the host key changed")
MISMATCH = Mismatch("identity mismatch: the guest says it is VM a", shown="a", wanted="b")


def fitting(check: str, facts: Facts = VM) -> Facts:
    """The machine on the platform that the check is for."""
    return linux(facts) if check in LINUX else facts


each = pytest.mark.parametrize("check", [*BOTH, *WINDOWS, *LINUX])


@each
def test_without_a_way_in_it_is_skipped(check: str) -> None:
    assert said(check, fitting(check)) == (SKIP, "no guest connection is configured for this machine")


@each
def test_with_a_way_in_and_no_answer_it_is_unknown(check: str) -> None:
    assert said(check, replace(fitting(check), guest=REFUSED)) == (UNKNOWN, "the host key changed")


@each
def test_another_machine_is_no_answer(check: str) -> None:
    assert said(check, replace(fitting(check), guest=MISMATCH)) == (UNKNOWN, MISMATCH.reason)
    disguised = replace(fitting(check), guest=replace(GUEST, vm_id=GUID[:-1] + "9"))
    if check not in WINDOWS:  # a Linux guest
        status, reason = said(check, disguised)
        assert (status, "identity mismatch" in reason) == (UNKNOWN, True)


@each
def test_where_no_agent_is_needed_neither_is_its_system(check: str) -> None:
    guest = windowed(agentless()) if check in WINDOWS else guested(agentless(linux()))
    status, reason = said(check, guest)
    assert (status, "crash-consistent" in reason) == (SKIP, True)


@pytest.mark.parametrize("check", WINDOWS)
def test_a_linux_machine_has_no_windows(check: str) -> None:
    assert said(check, linux()) == (SKIP, "for Windows only")
    assert said(check, guested()) == (SKIP, "for Windows only")


@pytest.mark.parametrize("check", LINUX)
def test_a_windows_machine_has_no_linux(check: str) -> None:
    assert said(check, VM) == (SKIP, "for Linux only")
    assert said(check, windowed(linux())) == (SKIP, "for Linux only")


@pytest.mark.parametrize("check", [*WINDOWS, *LINUX])
def test_a_machine_of_unknown_platform_is_not_skipped(check: str) -> None:
    facts = replace(VM, machine=replace(VM.machine, platform=Platform.UNKNOWN), guest=REFUSED)
    assert said(check, facts) == (UNKNOWN, "the host key changed")


@pytest.mark.parametrize("check", ["agent-service", "agent-auto-update", "linux-python", "agent-certificate"])
def test_without_an_agent_there_is_nothing_to_judge(check: str) -> None:
    facts = windowed(agent_is=None) if check in WINDOWS else guested(linux(), agent_is=None)
    assert said(check, facts) == (SKIP, "no agent is installed; vm-agent-installed judges that")


@pytest.mark.parametrize(
    ("platform", "name", "version"),
    [
        (Platform.WINDOWS, "Windows Server 2022 Datacenter", "10.0.20348.2700"),
        (Platform.LINUX, "ubuntu", "22.04"),
    ],
)
def test_an_audit_of_azure_alone_keeps_its_verdict(platform: Platform, name: str, version: str) -> None:
    facts = replace(VM, machine=replace(VM.machine, platform=platform))
    assert facts.guest is ASIDE
    result = judge(viewed(facts, os_name=name, os_version=version), CHECKS, RULES)
    assert {one.status for one in result.findings} == {Status.PASS, SKIP, UNKNOWN}
    assert [one.check for one in result.findings if one.status is UNKNOWN] == ["internet-connectivity"]
    assert result.verdict is Verdict.READY

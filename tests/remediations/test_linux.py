"""What is proposed for Linux guests: restart, configuration, package, update."""

from dataclasses import replace
from typing import Any

import pytest

from auditor.facts import Attempt, Disk, Facts, Package, Python, Unseen
from auditor.judge import judge
from auditor.plugin import Remediation
from auditor.remedy import Action, Answer, Case, Manual, Nothing, Payload, Remedy, RepairOptions, Risk, Work
from auditor.repair.work import command
from remediations.configuration import linux_agent_config
from remediations.linux_package import agent_update, linux_agent
from remediations.restart import agent_restart
from tests.checks.estate import CHECKS, HOST, NOW, RULES, VIEW, agent, ago, guested, linux, windowed

PYTHON = Python("/usr/bin/python3", "3.11.2", True)
OFFER = Package("apt", "waagent", "2.7.3.0-4.1")
DEB = Payload("/srv/waagent.deb", "0" * 64, 1000)
AGENT = {"origin": "package", "package": "waagent", "package_version": "2.7.3.0-4.1"}
BLOCKED = (Attempt("http://168.63.129.16/?comp=versions", "tcp"), Attempt("168.63.129.16:32526", "tcp"))
UNREAD = Unseen("systemctl hangs")


def seen(facts: Facts = HOST, *, agent_is: Any = None, **changes: Any) -> Facts:
    """A guest whose package, Python and disk were seen; `agent_is` and `changes` as in `guested`."""
    about = {**AGENT, **agent_is} if isinstance(agent_is, dict) else agent_is
    usual = {"python": PYTHON, "installable": OFFER, "disk": Disk("/var/lib/waagent", 10**10, 2 * 10**10)}
    return guested(facts, agent_is=AGENT if agent_is is None else about, **{**usual, **changes})


def absent(**changes: Any) -> Facts:
    facts = seen(**changes)
    assert not isinstance(facts.guest, Unseen)
    return replace(facts, guest=replace(facts.guest, agent=None))


def case(facts: Facts, package: Payload | None = None) -> Case:
    findings = {finding.check: finding for finding in judge(facts, CHECKS, RULES).findings}
    return Case(facts, findings, RULES, RepairOptions(linux_package=package))


def action(answer: Answer) -> Action:
    assert isinstance(answer, Remedy), answer
    (only,) = answer.actions
    return only


def work(answer: Answer) -> Work:
    act = action(answer).act
    assert isinstance(act, Work)
    return act


def words(answer: Answer) -> str:
    assert isinstance(answer, Manual | Nothing), answer
    return answer.reason


STALE = replace(linux(), instance=replace(VIEW, agent=agent("2.7.3.0", at=ago(hours=3))))
DAMAGED = {"daemon_version": None, "goal_state_version": None, "problem": "it is damaged", "active": "failed"}
BROKEN = replace(PYTHON, imports_agent=False, problem="No module named azurelinuxagent")
NO_PYTHON = Python("/usr/bin/python3", None, None, "python3 gives no version")
FULL = Disk("/var/lib/waagent", 5_000_000, 10**10)


# ---- agent-restart ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "facts",
    [
        seen(agent_is={"active": "failed"}),
        seen(agent_is={"active": "inactive"}),
        seen(agent_is={"active": "inactive", "enabled": None}),
        seen(agent_is={"active": "activating", "unit": "waagent"}),
        seen(STALE),
        # a slow answer shows no fault
        seen(agent_is={"active": "failed", "problem": "no version within 6 s", "timed_out": True}),
    ],
)
def test_a_restart_may_do(facts: Facts) -> None:
    case_ = case(facts)
    assert case_.bad(*agent_restart.repairs)
    restart = action(agent_restart.propose(case_))
    assert restart.risk is Risk.LOW
    assert work(agent_restart.propose(case_)).arguments == (case_.facts.guest.agent.unit,)  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("facts", "kind", "text"),
    [
        (absent(), Nothing, "no agent"),
        (seen(agent_is=UNREAD), Nothing, "no agent"),
        (seen(agent_is={"active": "inactive", "enabled": "masked"}), Nothing, "masked"),
        (seen(agent_is={"active": "inactive", "enabled": "disabled"}), Nothing, "disabled"),
        (seen(agent_is={"unit": None, "active": "not-found", "enabled": None}), Nothing, "no service"),
        (seen(agent_is=DAMAGED), Nothing, "damaged"),
        (seen(agent_is={"path": None, "active": "failed"}), Nothing, "damaged"),
        (seen(agent_is={"active": "failed"}, python=BROKEN), Nothing, "damaged"),
        (seen(agent_is={"active": "failed"}, disk=FULL), Manual, "no room"),
        (seen(STALE, wire_server=BLOCKED), Manual, "168.63.129.16"),
        (replace(HOST, guest=Unseen("the host key changed")), Nothing, "the host key changed"),
    ],
)
def test_no_restart_helps(facts: Facts, kind: type, text: str) -> None:
    answer = agent_restart.propose(case(facts))
    assert isinstance(answer, kind)
    assert text in words(answer)


# ---- linux-agent-config ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("facts", "settings"),
    [
        (seen(extensions_enabled=False), ("Extensions.Enabled=y",)),
        (seen(auto_update=False), ("AutoUpdate.Enabled=y",)),
        (
            seen(auto_update=False, agent_is={"daemon_version": "2.12.0.2"}),
            ("AutoUpdate.Enabled=y", "AutoUpdate.UpdateToLatestVersion=y"),
        ),
        (seen(auto_update=False, agent_is={"daemon_version": "2.9.1.1"}), ("AutoUpdate.Enabled=y",)),
        (seen(auto_update=False, agent_is={"daemon_version": None}), ("AutoUpdate.Enabled=y",)),
        (seen(auto_update=False, agent_is={"daemon_version": "2.x"}), ("AutoUpdate.Enabled=y",)),
        (
            seen(auto_update=False, extensions_enabled=False),
            ("Extensions.Enabled=y", "AutoUpdate.Enabled=y"),
        ),
    ],
)
def test_keys_that_are_set(facts: Facts, settings: tuple[str, ...]) -> None:
    answer = linux_agent_config.propose(case(facts))
    assert work(answer).arguments == settings
    assert action(answer).undo is not None
    assert all(setting in action(answer).what for setting in settings)


@pytest.mark.parametrize(
    ("facts", "text"),
    [
        (seen(), "forbids nothing"),
        (seen(linux(), extensions_enabled=True), "forbids nothing"),
        (absent(extensions_enabled=None), "no agent"),
        (windowed(), "for Linux only"),
    ],
)
def test_no_key_is_set(facts: Facts, text: str) -> None:
    assert text in words(linux_agent_config.propose(case(facts)))


# ---- linux-agent -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("facts", "arguments"),
    [
        (absent(), ("install", "start", "100")),
        # to be moved to Azure: it may start there only
        (absent(on_azure_host=False), ("install", "later", "100")),
        (absent(on_azure_host=Unseen("no tag")), ("install", "start", "100")),
        (seen(agent_is={"active": "inactive", "enabled": "disabled"}), ("wake", "start", "100")),
        (seen(agent_is={"active": "inactive", "enabled": "masked"}), ("wake", "start", "100")),
        (seen(agent_is={"active": "failed"}), ("wake", "start", "100")),
        (seen(agent_is={"enabled": "disabled"}), ("wake", "start", "100")),
        (seen(agent_is=DAMAGED), ("reinstall", "start", "100")),
        (seen(agent_is={"path": None, "daemon_version": None, "goal_state_version": None}), ("reinstall",)),
        (seen(agent_is={"unit": None, "active": "not-found", "enabled": None}), ("reinstall",)),
        (seen(python=BROKEN), ("reinstall", "start", "100")),
        # its package is only half there
        (seen(agent_is={"package": None, "active": "inactive"}), ("install", "start", "100")),
    ],
)
def test_what_the_package_needs(facts: Facts, arguments: tuple[str, ...]) -> None:
    answer = linux_agent.propose(case(facts))
    assert work(answer).arguments[: len(arguments)] == arguments
    wake = arguments[0] == "wake"
    assert (action(answer).risk, action(answer).undo) == (Risk.LOW if wake else Risk.MEDIUM, None)


@pytest.mark.parametrize(
    ("facts", "kind", "text"),
    [
        (seen(), Nothing, "whole"),
        (seen(agent_is={**DAMAGED, "origin": "source", "package": None}), Manual, "installed from source"),
        (absent(disk=FULL), Manual, "too little free disk"),
        (seen(agent_is=DAMAGED, disk=FULL), Manual, "too little free disk"),
        (seen(agent_is={"active": "failed"}, python=NO_PYTHON), Manual, "missing or broken"),
        (seen(python=None), Manual, "missing or broken"),
        (seen(python=replace(PYTHON, version="2.5")), Manual, "too old"),
        (seen(agent_is=UNREAD), Nothing, "systemctl hangs"),
        (windowed(), Nothing, "for Linux only"),
        (replace(HOST, guest=Unseen("no port")), Nothing, "no port"),
    ],
)
def test_what_the_package_is_spared(facts: Facts, kind: type, text: str) -> None:
    answer = linux_agent.propose(case(facts))
    assert isinstance(answer, kind)
    assert text in words(answer)


def test_a_service_is_woken_on_a_full_disk() -> None:
    answer = linux_agent.propose(case(seen(agent_is={"active": "inactive", "enabled": "masked"}, disk=FULL)))
    assert work(answer).arguments[0] == "wake"


@pytest.mark.parametrize(
    ("offer", "given", "sent"),
    [
        (OFFER, DEB, True),
        (OFFER, None, False),
        (replace(OFFER, manager="dnf"), DEB, False),
        (replace(OFFER, manager="dnf"), replace(DEB, path="/srv/WALinuxAgent.rpm"), True),
        (None, DEB, True),
        (Unseen("apt has no package lists"), DEB, True),
    ],
)
def test_a_file_is_sent_where_it_may_fit(
    offer: Package | Unseen | None, given: Payload | None, sent: bool
) -> None:
    answer = linux_agent.propose(case(absent(installable=offer), given))
    assert (work(answer).payload is not None) is sent
    assert (DEB.sha256 in action(answer).what) is sent


def test_waking_sends_no_file() -> None:
    facts = seen(agent_is={"active": "inactive", "enabled": "masked"})
    assert work(linux_agent.propose(case(facts, DEB))).payload is None


# ---- agent-update ----------------------------------------------------------------------------------

OLD = {"daemon_version": "2.0.8", "goal_state_version": "2.0.8", "package_version": "2.0.8-1"}


@pytest.mark.parametrize(
    ("offer", "given"),
    [(OFFER, None), (Unseen("not asked"), None), (None, DEB), (replace(OFFER, version="2.0.8-1"), DEB)],
)
def test_a_newer_version_may_be_had(offer: Package | Unseen | None, given: Payload | None) -> None:
    case_ = case(seen(agent_is=OLD, installable=offer), given)
    assert case_.bad("vm-agent-version")
    answer = agent_update.propose(case_)
    assert work(answer).arguments == ("update", "start", "100")
    assert work(answer).payload == given


@pytest.mark.parametrize(
    ("facts", "kind", "text"),
    [
        (seen(agent_is=OLD, installable=replace(OFFER, version="2.0.8-1")), Manual, "no newer agent"),
        (seen(agent_is=OLD, installable=None), Manual, "no newer agent"),
        (seen(agent_is={**OLD, "origin": "source", "package": None}), Manual, "from source"),
        (seen(agent_is={**OLD, "package": None}), Nothing, "not whole"),
        (seen(agent_is=OLD, disk=FULL), Manual, "too little free disk"),
        (absent(), Nothing, "no agent"),
        (windowed(), Nothing, "for Linux only"),
    ],
)
def test_no_newer_version_is_put_in(facts: Facts, kind: type, text: str) -> None:
    answer = agent_update.propose(case(facts))
    assert isinstance(answer, kind)
    assert text in words(answer)


# ---- all of them -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("remediation", "facts"),
    [
        (agent_restart, seen(agent_is={"active": "failed"})),
        (linux_agent_config, seen(extensions_enabled=False)),
        (linux_agent, absent()),
        (agent_update, seen(agent_is=OLD)),
    ],
)
def test_its_work_is_a_command_with_a_guard(remediation: Remediation, facts: Facts) -> None:
    proposal = action(remediation.propose(case(facts)))
    for act in (proposal.act, proposal.undo):
        if isinstance(act, Work):
            assert command("plan0000-1", act).text.count("no_snapshot() {") == 2
    assert proposal.what
    assert proposal.why
    assert proposal.expect


def test_what_a_guest_said_is_no_shell() -> None:
    facts = seen(agent_is={"unit": "x; rm -rf /", "active": "failed"})
    sent = command("plan0000-1", work(agent_restart.propose(case(facts)))).text
    assert "'x; rm -rf /'" in sent
    assert sent.count("rm -rf /") == 1


def test_the_clock_of_the_facts_is_of_no_matter() -> None:
    facts = replace(absent(), now=NOW.replace(year=2030))
    assert linux_agent.propose(case(facts)) == linux_agent.propose(case(absent()))

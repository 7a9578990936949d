"""vm-agent-installed, vm-agent-ready, vm-agent-version."""

from dataclasses import replace

import pytest

from auditor.facts import AZURE_NOT_ASKED, Facts, Service, Unseen, known
from auditor.model import Platform, Status
from tests.checks.estate import (
    GUEST,
    GUEST_AGENT,
    GUID,
    HOST,
    NOW,
    RD_AGENT,
    VM,
    agent,
    agentless,
    ago,
    backed,
    finding,
    guested,
    item,
    linux,
    modelled,
    operated,
    said,
    status,
    viewed,
    windowed,
)

PASS, WARN, FAIL, SKIP, UNKNOWN = Status.PASS, Status.WARN, Status.FAIL, Status.SKIP, Status.UNKNOWN
FORBIDDEN = replace(VM, instance=Unseen("403: may not read instanceView"))
SILENT = agent("Unknown", code="ProvisioningState/Unavailable", level="Warning", display="Not Ready", at=NOW)
STALE = agent(at=ago(hours=3))
DEALLOCATED = viewed(power_state="deallocated", agent=None, handlers=None)
STOPPED = viewed(power_state="stopped", agent=agent(at=ago(days=2)))
UNPOWERED = viewed(power_state=None, agent=None, handlers=None)
NEW = modelled(viewed(agent=SILENT, handlers=None), created_at=ago(minutes=4))
OLD_DAEMON = {"daemon_version": "2.2.45", "goal_state_version": None}
UNREAD = Unseen("the chassis tag is not readable")
BARE = guested(HOST, agent_is=None)
TELEMETRY_STOPPED = Service("WindowsAzureTelemetryService", "stopped", "disabled")
UNREACHED = replace(HOST, guest=Unseen("the host key changed"))


@pytest.mark.parametrize(
    ("facts", "status", "text"),
    [
        (VM, PASS, "agent 2.7.41491.1095 reports"),
        (viewed(agent=STALE), PASS, "last heard 3 h ago"),
        (viewed(agent=agent("2.7.41491.1095", code="ProvisioningState/NotReady")), PASS, "reports"),
        (viewed(agent=SILENT, handlers=None), UNKNOWN, "missing or silent"),
        (viewed(agent=None), FAIL, "never heard"),
        (modelled(viewed(agent=None), provision_vm_agent=True), FAIL, "never heard"),
        (modelled(VM, provision_vm_agent=False), PASS, "reports"),
        (NEW, UNKNOWN, "created 4 min ago"),
        (modelled(viewed(agent=None), created_at=ago(minutes=2)), UNKNOWN, "created 2 min ago"),
        (DEALLOCATED, UNKNOWN, "the VM is deallocated, and Azure keeps no agent status"),
        (STOPPED, UNKNOWN, "stopped; its agent status is 2 d old"),
        (viewed(power_state="starting", agent=None), UNKNOWN, "starting"),
        (UNPOWERED, UNKNOWN, "unknown power state"),
        (operated(UNPOWERED, minutes=90), UNKNOWN, "unknown power state"),
        (operated(viewed(agent=None), minutes=2), UNKNOWN, "started or changed 2 min ago"),
        (operated(viewed(agent=SILENT), minutes=2), UNKNOWN, "started or changed 2 min ago"),
        (operated(viewed(agent=None), minutes=11), FAIL, "never heard"),
        (viewed(agent=agent(at=ago(hours=-5))), PASS, "last heard 5 h in the future"),
        (FORBIDDEN, UNKNOWN, "403"),
        (agentless(viewed(agent=None)), SKIP, "crash-consistent"),
        # both planes: the fresher word counts
        (guested(), PASS, "agent 2.13.0.2 is in the guest"),
        (guested(agent_is=None), FAIL, "no VM agent in the guest"),
        (guested(agent_is=None, observed_at=ago(hours=1)), PASS, "reports to Azure"),
        (guested(viewed(agent=SILENT)), PASS, "in the guest"),
        (guested(viewed(agent=SILENT), observed_at=ago(minutes=1)), PASS, "in the guest"),
        (guested(viewed(agent=SILENT), agent_is=None, observed_at=ago(minutes=1)), FAIL, "no VM agent"),
        (guested(FORBIDDEN), PASS, "in the guest"),
        (guested(agent_is=Unseen("waagent is not readable")), PASS, "reports to Azure"),
        (guested(FORBIDDEN, agent_is=Unseen("not readable")), UNKNOWN, "not readable"),
        (guested(FORBIDDEN, agent_is=Unseen("not readable")), UNKNOWN, "403"),
        # the guest that answered is another VM: nothing of it counts
        (guested(agent_is=None, vm_id="other"), PASS, "reports to Azure"),
        (guested(agent_is=None, vm_id=GUID.lower()), FAIL, "no VM agent"),
        # outside Azure only the guest knows
        (HOST, PASS, "2.13.0.2"),
        (BARE, FAIL, "no VM agent"),
        (guested(HOST, agent_is=None, on_azure_host=False), WARN, "not installed yet"),
        (guested(HOST, agent_is=None, on_azure_host=UNREAD), WARN, "not installed yet"),
        (guested(agent_is=None, on_azure_host=False), FAIL, "no VM agent"),
        (UNREACHED, UNKNOWN, "the host key changed"),
        (guested(HOST, agent_is=Unseen("no python")), UNKNOWN, "no python"),
        (
            guested(
                HOST,
                agent_is={
                    "daemon_version": None,
                    "goal_state_version": None,
                    "problem": "slow",
                    "timed_out": True,
                },
            ),
            PASS,
            "of unknown version",
        ),
        (
            guested(HOST, agent_is={"daemon_version": None, "goal_state_version": None, "problem": "bad"}),
            WARN,
            "does not start",
        ),
        (
            guested(HOST, agent_is={"daemon_version": None, "goal_state_version": None, "path": None}),
            FAIL,
            "its program is not",
        ),
    ],
)
def test_installed(facts: Facts, status: Status, text: str) -> None:
    got, words = said("vm-agent-installed", facts)
    assert (got, text in words) == (status, True), words


@pytest.mark.parametrize(
    ("facts", "status", "text"),
    [
        (VM, PASS, "Ready"),
        (viewed(agent=agent(code="provisioningState/Succeeded")), PASS, "Ready"),
        (viewed(agent=agent(display="Bereit")), PASS, "Ready"),
        (viewed(agent=agent(at=ago(minutes=14.9))), PASS, "Ready"),
        (viewed(agent=agent(at=ago(minutes=15.1))), FAIL, "stale: last heard 15 min ago"),
        (viewed(agent=STALE), FAIL, "stale: last heard 3 h ago"),
        (viewed(agent=agent(at=ago(minutes=-2))), PASS, "Ready"),
        (viewed(agent=agent(at=ago(hours=-5))), UNKNOWN, "in the future"),
        (viewed(agent=agent(at=None)), UNKNOWN, "without saying since when"),
        (viewed(agent=SILENT), FAIL, "Not Ready"),
        (viewed(agent=agent(code="ProvisioningState/Unavailable", display="Ready")), FAIL, "the agent is"),
        (viewed(agent=None), FAIL, "no status"),
        (viewed(agent=replace(agent(), statuses=())), FAIL, "no status"),
        (viewed(power_state=None), PASS, "Ready"),
        (viewed(power_state="unknown"), PASS, "Ready"),
        (viewed(power_state=None, agent=STALE), UNKNOWN, "unknown power state; its agent status"),
        (viewed(power_state="unknown", agent=SILENT), UNKNOWN, "unknown power state"),
        # just started or changed: what was said before that is no word on now
        (operated(viewed(agent=agent(at=ago(minutes=3))), minutes=2), UNKNOWN, "changed 2 min ago"),
        (operated(viewed(agent=agent(at=ago(minutes=1))), minutes=2), PASS, "Ready"),
        (operated(viewed(agent=STALE), minutes=2), UNKNOWN, "started or changed 2 min ago"),
        (operated(viewed(agent=SILENT), minutes=2), UNKNOWN, "started or changed 2 min ago"),
        (operated(viewed(agent=SILENT), minutes=11), FAIL, "Not Ready"),
        (operated(viewed(agent=agent(at=ago(minutes=14))), minutes=12), UNKNOWN, "changed 12 min ago"),
        (operated(viewed(agent=agent(at=ago(minutes=16))), minutes=12), FAIL, "stale"),
        (operated(viewed(agent=agent(at=ago(minutes=14))), minutes=20), PASS, "Ready"),
        (viewed(power_state="Running"), PASS, "Ready"),
        (NEW, UNKNOWN, "created 4 min ago"),
        (modelled(NEW, created_at=ago(minutes=11)), FAIL, "Not Ready"),
        (modelled(VM, created_at=ago(minutes=4)), PASS, "Ready"),
        (DEALLOCATED, UNKNOWN, "deallocated"),
        (STOPPED, UNKNOWN, "stopped"),
        (FORBIDDEN, UNKNOWN, "403"),
        (agentless(), SKIP, "crash-consistent"),
        (guested(), PASS, "Ready"),
        (guested(agent_is={"active": "inactive"}), FAIL, "does not run in the guest"),
        (guested(agent_is={"active": None}), PASS, "Ready"),
        (guested(agent_is=None), FAIL, "does not run in the guest"),
        (guested(agent_is={"active": "inactive"}, observed_at=ago(hours=1)), PASS, "Ready"),
        (guested(viewed(agent=SILENT)), FAIL, "Not Ready"),
        (guested(FORBIDDEN), UNKNOWN, "whether Azure hears it was not seen: 403"),
        (guested(FORBIDDEN, agent_is={"active": "failed"}), FAIL, "does not run in the guest"),
        (guested(FORBIDDEN, agent_is=None), FAIL, "no VM agent in the guest"),
        (guested(replace(VM, instance=AZURE_NOT_ASKED)), UNKNOWN, "Azure was not asked"),
        (guested(agent_is={"active": "inactive"}, vm_id="other"), PASS, "Ready"),
        (windowed(), PASS, "Ready"),
        (windowed(agent_is={"services": (RD_AGENT, replace(GUEST_AGENT, state="stopped"))}), FAIL, "not run"),
        (windowed(agent_is={"services": (RD_AGENT, TELEMETRY_STOPPED)}), PASS, "Ready"),
        # outside Azure nobody hears it
        (HOST, SKIP, "only Azure hears heartbeats"),
        (BARE, SKIP, "only Azure hears heartbeats"),
        (UNREACHED, SKIP, "only Azure hears heartbeats"),
    ],
)
def test_ready(facts: Facts, status: Status, text: str) -> None:
    got, words = said("vm-agent-ready", facts)
    assert (got, text in words) == (status, True), words


def azure_says(version: str | None, platform: Platform) -> Facts:
    facts = viewed(agent=agent(version))
    return replace(facts, machine=replace(facts.machine, platform=platform))


@pytest.mark.parametrize(
    ("platform", "version", "status"),
    [
        ("windows", "2.6.1198.717", FAIL),
        ("windows", "2.5.1198.709", FAIL),
        ("windows", "2.6.1198.718", WARN),
        ("windows", "2.7.1198.911", WARN),
        ("windows", "2.7.41491.971", WARN),
        ("windows", "2.7.41491.1009", WARN),
        ("windows", "2.7.41491.1010", PASS),
        ("windows", "2.7.41491.1095", PASS),
        ("linux", "2.2.53.1", PASS),
        ("linux", "2.2.53", WARN),
        ("linux", "2.2.45", WARN),
        ("linux", "2.2.20", WARN),
        ("linux", "2.2.19", FAIL),
        ("linux", "2.1.5", FAIL),
        ("linux", "2.2.18-1.el6", FAIL),
        ("linux", "2.7.3.0-4.1", PASS),
        ("linux", "2.9.1.1", PASS),
        ("linux", "2.13.0.2", PASS),
        ("linux", "9.9.9.9", WARN),
        ("windows", "Unknown", UNKNOWN),
        ("linux", "unknown", UNKNOWN),
        ("linux", "", UNKNOWN),
        ("linux", None, UNKNOWN),
        ("linux", "newest", UNKNOWN),
        ("unknown", "2.13.0.2", UNKNOWN),
    ],
)
def test_version_against_the_floors_of_its_platform(
    platform: str, version: str | None, status: Status
) -> None:
    assert said("vm-agent-version", azure_says(version, Platform(platform)))[0] is status


@pytest.mark.parametrize(
    ("facts", "status", "text"),
    [
        (DEALLOCATED, UNKNOWN, "deallocated"),
        (STOPPED, UNKNOWN, "says nothing of now"),
        (NEW, UNKNOWN, "created 4 min ago"),
        (FORBIDDEN, UNKNOWN, "403"),
        (agentless(), SKIP, "crash-consistent"),
        (viewed(agent=STALE), PASS, "2.7.41491.1095"),
        # the guest is fresher
        (guested(linux(viewed(agent=agent("2.2.45")))), PASS, "2.13.0.2"),
        (guested(linux(), agent_is={"goal_state_version": "2.2.45"}), WARN, "2.2.45 is older than 2.2.53.1"),
        (
            guested(linux(), agent_is={"daemon_version": "2.2.45", "goal_state_version": "2.2.53.1"}),
            PASS,
            "agent 2.2.53.1",
        ),
        (guested(linux(viewed(agent=agent("2.13.0.2"))), agent_is=OLD_DAEMON), PASS, "agent 2.13.0.2"),
        (guested(linux(viewed(agent=STALE)), agent_is=OLD_DAEMON), WARN, "2.2.45 is older"),
        (guested(HOST, agent_is=OLD_DAEMON), WARN, "2.2.45 is older"),
        (
            guested(linux(), observed_at=ago(hours=1), agent_is={"goal_state_version": "2.2.45"}),
            PASS,
            "2.7.41491.1095",
        ),
        (guested(linux(DEALLOCATED)), PASS, "2.13.0.2"),
        (guested(agent_is=None), SKIP, "no agent is installed"),
        # in a Windows guest WaAppAgent's version is the one that has the floor
        (windowed(agent_is={"daemon_version": "2.7.41491.1009"}), WARN, "2.7.41491.1009 is older"),
        (windowed(agent_is={"goal_state_version": "2.7.41491.1009"}), PASS, "2.7.41491.1095"),
        (windowed(agent_is={"daemon_version": None}), PASS, "2.7.41491.1092"),
        (
            windowed(agent_is={"daemon_version": None, "goal_state_version": None}),
            PASS,
            "2.7.41491.1095",
        ),
        (HOST, PASS, "2.13.0.2"),
        (BARE, SKIP, "no agent is installed"),
        (UNREACHED, UNKNOWN, "the host key changed"),
        (
            guested(HOST, agent_is={"goal_state_version": None, "daemon_version": None}),
            UNKNOWN,
            "prints no version",
        ),
        (
            guested(
                HOST, agent_is={"goal_state_version": None, "daemon_version": None, "problem": "no module"}
            ),
            UNKNOWN,
            "no module",
        ),
        (
            replace(HOST, machine=replace(HOST.machine, platform=Platform.UNKNOWN)),
            PASS,
            "2.13.0.2",
        ),
        (
            replace(
                HOST,
                machine=replace(HOST.machine, platform=Platform.UNKNOWN),
                guest=replace(GUEST, platform="plan9"),
            ),
            UNKNOWN,
            "operating system",
        ),
    ],
)
def test_version_by_the_fresher_plane(facts: Facts, status: Status, text: str) -> None:
    got, words = said("vm-agent-version", facts)
    assert (got, text in words) == (status, True), words


def test_the_windows_floor_is_not_named_for_linux() -> None:
    found = finding("vm-agent-version", azure_says("2.2.45", Platform.LINUX))
    assert found.summary == "agent 2.2.45 is older than 2.2.53.1"


def test_both_planes_stand_in_the_evidence_with_their_times() -> None:
    found = finding("vm-agent-ready", guested(agent_is={"active": "inactive"}))
    assert [(row.plane, row.observed_at, row.value) for row in found.evidence] == [
        ("instance-view", ago(minutes=1), "2.7.41491.1095, Ready"),
        ("guest", NOW, "2.13.0.2 (daemon 2.7.3.0), service inactive"),
    ]


def test_versions_that_differ_stand_side_by_side() -> None:
    found = finding("vm-agent-version", windowed(viewed(agent=agent("2.7.41491.1000"))))
    assert [row.value for row in found.evidence] == [
        "2.7.41491.1000, Ready",
        "2.7.41491.1095 (GuestAgentVersion 2.7.41491.1092), service running",
    ]


def test_of_several_statuses_the_newest_counts() -> None:
    old = status("ProvisioningState/Unavailable", at=ago(hours=5))
    other = status("ComponentStatus/failed", at=NOW)
    facts = viewed(agent=replace(agent(), statuses=(old, *agent().statuses, other)))
    assert finding("vm-agent-ready", facts).status is PASS


def test_a_stopped_backup_does_not_excuse_the_agent() -> None:
    facts = agentless(viewed(agent=None))
    (only,) = known(facts.backup).items
    assert finding("vm-agent-installed", facts).status is SKIP
    stopped = backed(facts, items=(replace(only, protection_state="ProtectionStopped"),))
    assert finding("vm-agent-installed", stopped).status is FAIL
    mixed = backed(facts, items=(only, item()))
    assert finding("vm-agent-installed", mixed).status is FAIL


def test_a_failure_names_the_next_step_of_its_platform() -> None:
    windows, other = finding("vm-agent-installed", viewed(agent=None)), finding("vm-agent-installed", BARE)
    assert "MSI" in str(windows.remediation)
    assert "package" in str(other.remediation)


def test_hostile_text_is_cut_to_one_line() -> None:
    word = "Not\nReady" * 100
    facts = viewed(agent=agent("2.7\n" + "x" * 10_000, display=word, code="ProvisioningState/x"))
    for check in ("vm-agent-installed", "vm-agent-ready", "vm-agent-version"):
        found = finding(check, facts)
        for text in (found.summary, found.reason or "", *(row.value for row in found.evidence)):
            assert len(text) <= 260
            assert "\n" not in text

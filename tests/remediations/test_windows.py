"""What is proposed for Windows guests: the catalogue's, and what no guest of it shows."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from threading import Event

import pytest

from auditor.facts import Disk, Facts, Guest, GuestAgent, Unseen
from auditor.hosts import CommandResult
from auditor.hosts.commands import command_line
from auditor.judge import judge
from auditor.model import Finding, Machine, Platform, Severity, Status
from auditor.probe import windows_probe
from auditor.remedy import (
    AgentInstaller,
    Answer,
    Case,
    Manual,
    Nothing,
    Payload,
    Remedy,
    RepairOptions,
    Risk,
    Work,
)
from auditor.repair.work import command
from auditor.rules import load_rules
from auditor.simulator.windows import WINDOWS_GUESTS, WindowsGuest
from checks import CHECKS
from remediations import REMEDIATIONS

RULES = load_rules()
BY_ID = {one.id: one for one in REMEDIATIONS}
STATES = {one.name: one.state for one in WINDOWS_GUESTS}
INSTALLER = AgentInstaller("https://files.example/agent.amd64.msi", "ab" * 32)
GIVEN = RepairOptions(windows_agent=INSTALLER)


def seen(name: str) -> Guest:
    """A guest of the catalogue, as the probe sees it."""
    guest, probe = WindowsGuest(STATES[name]), windows_probe(RULES.endpoints)
    runs = [guest.run(command_line(one), one.data, {}, "ann", Event()) for one in probe.scripts]
    answers = [CommandResult(run.exit_code, run.stdout, run.stderr) for run in runs]
    return probe.read(answers, datetime.now(UTC), "winrm")


def case(guest: Guest | Unseen, options: RepairOptions = GIVEN, **bad: str) -> Case:
    """The case that an audit makes of a guest; `bad` are Azure's checks that fail, by their summaries."""
    machine = Machine("host/w", "w", Platform.WINDOWS, "hosts-file")
    facts = Facts(machine, datetime.now(UTC), guest=guest)
    findings = {one.check: one for one in judge(facts, CHECKS, RULES).findings}
    for name, summary in bad.items():
        check = name.replace("_", "-")
        findings[check] = Finding(machine.id, check, Status.FAIL, Severity.BLOCKER, summary)
    return Case(facts, findings, RULES, options)


def proposed(id: str, asked: Case) -> Answer:
    return BY_ID[id].propose(asked)


def work_of(answer: Answer) -> Work:
    """The one action's work, as it can be sent."""
    assert isinstance(answer, Remedy), answer
    (action,) = answer.actions
    assert isinstance(action.act, Work)
    command("windows-test", action.act)
    return action.act


# ---- a restart -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["win-service-stopped", "win-service-disabled"])
def test_services_that_do_not_run_are_started(name: str) -> None:
    assert work_of(proposed("agent-restart", case(seen(name)))).arguments == ("start",)


def test_services_that_azure_does_not_hear_are_restarted() -> None:
    asked = case(seen("win-healthy"), vm_agent_ready="silent for an hour")
    assert work_of(proposed("agent-restart", asked)).arguments == ("restart",)


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("win-healthy", "both services run"),
        ("win-agent-missing", "no agent was found"),
        ("win-image-path-gone", "the program of RdAgent is missing"),
    ],
)
def test_no_restart(name: str, why: str) -> None:
    answer = proposed("agent-restart", case(seen(name)))
    assert isinstance(answer, Nothing)
    assert why in answer.reason


@pytest.mark.parametrize("id", ["agent-restart", "windows-agent"])
def test_a_guest_that_does_not_reach_the_wire_server_is_not_helped(id: str) -> None:
    answer = proposed(id, case(seen("win-wire-server-blocked"), vm_agent_ready="silent"))
    assert isinstance(answer, Manual)
    assert "168.63.129.16" in answer.reason


# ---- the installer -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "way", "why"),
    [
        ("win-agent-missing", "over", "the guest has no agent"),
        ("win-image-path-gone", "over", "the program of RdAgent is missing"),
        ("win-service-stopped", "over", "WindowsAzureGuestAgent is stopped"),
        ("win-old-agent", "update", "is older than"),
    ],
)
def test_an_installation(name: str, way: str, why: str) -> None:
    answer = proposed("windows-agent", case(seen(name)))
    assert work_of(answer).arguments == (
        INSTALLER.source, INSTALLER.sha256, "Microsoft Corporation", "1000", "stay", way,
    )  # fmt: skip
    assert isinstance(answer, Remedy)
    assert why in answer.actions[0].why
    assert (answer.actions[0].risk, answer.actions[0].reboot) == (Risk.MEDIUM, False)


def test_a_restart_of_windows_is_begun_only_where_it_is_allowed() -> None:
    options = replace(GIVEN, allow_reboot=True)
    answer = proposed("windows-agent", case(seen("win-agent-missing"), options))
    assert work_of(answer).arguments[4] == "reboot"
    assert isinstance(answer, Remedy)
    assert answer.actions[0].reboot


def test_a_file_of_this_machine_is_sent() -> None:
    payload = Payload("/somewhere/agent.msi", "cd" * 32, 17)
    options = RepairOptions(windows_agent=AgentInstaller(payload.path, payload.sha256, payload))
    act = work_of(proposed("windows-agent", case(seen("win-agent-missing"), options)))
    assert (act.payload, act.arguments[:2]) == (payload, ("", payload.sha256))


def test_nothing_to_install() -> None:
    answers = [proposed(one, case(seen("win-healthy"))) for one in ("windows-agent", "windows-agent-clean")]
    assert all(isinstance(answer, Nothing) for answer in answers)


@pytest.mark.parametrize("id", ["windows-agent", "windows-agent-clean"])
def test_a_guest_that_is_none_for_it(id: str) -> None:
    for guest in (Unseen("refused"), replace(seen("win-healthy"), platform="linux")):
        assert isinstance(proposed(id, case(guest)), Nothing)


def test_an_agent_that_was_not_seen_is_not_replaced() -> None:
    guest = replace(seen("win-healthy"), agent=Unseen("denied"))
    assert proposed("windows-agent", case(guest)) == Nothing("the agent was not seen: denied")


def test_without_an_installer_the_way_out_is_told() -> None:
    answer = proposed("windows-agent", case(seen("win-agent-missing"), RepairOptions()))
    assert isinstance(answer, Manual)
    assert "--windows-agent URL|FILE and --windows-agent-sha256" in answer.how


def _setup(change: str, value: object) -> Callable[[Guest], Guest]:
    return lambda guest: replace(guest, windows=replace(guest.windows, **{change: value}))  # type: ignore[type-var]


def _disabled(guest: Guest) -> Guest:
    named = guest.windows.services  # type: ignore[union-attr]
    services = tuple(replace(one, start="disabled") if one.name == "msiserver" else one for one in named)  # type: ignore[union-attr]
    return _setup("services", services)(guest)


BARS: Mapping[str, tuple[Callable[[Guest], Guest], str]] = {
    "32 bits": (lambda guest: replace(guest, architecture="x86"), "the guest is X86"),
    "not known": (lambda guest: replace(guest, architecture=None), "the guest is not known"),
    "full": (lambda guest: replace(guest, disk=Disk("C:\\", 5_000_000, 9_000_000_000)), "less than"),
    "wmi": (_setup("std_reg_prov", False), "StdRegProv"),
    "restart": (_setup("pending_reboot", ("Windows Update",)), "a restart of Windows is pending"),
    "installer": (_disabled, "the Windows Installer service is disabled"),
}


@pytest.mark.parametrize(("change", "why"), BARS.values(), ids=list(BARS))
def test_what_stands_in_the_way_for_certain(change: Callable[[Guest], Guest], why: str) -> None:
    answer = proposed("windows-agent", case(change(seen("win-agent-missing"))))
    assert isinstance(answer, Manual)
    assert why in answer.reason


def test_what_does_not_stand_in_the_way() -> None:
    guest = seen("win-agent-missing")
    for fine in (
        replace(guest, architecture="ARM64"),
        _setup("pending_reboot", ("file renames",))(guest),
        _setup("std_reg_prov", Unseen("no answer"))(guest),
        replace(guest, windows=Unseen("denied"), disk=Unseen("denied")),
    ):
        assert isinstance(proposed("windows-agent", case(fine)), Remedy)


@pytest.mark.parametrize(
    ("installer", "why"),
    [
        (replace(INSTALLER, source="http://files.example/agent.msi"), "neither an https URL"),
        (replace(INSTALLER, source="https://files.example/a%20b.msi"), "neither an https URL"),
        (replace(INSTALLER, source='https://files.example/a"&calc'), "neither an https URL"),
        (replace(INSTALLER, source="C:\\agent.msi"), "neither an https URL"),
        (replace(INSTALLER, source="https://ann:pw@files.example/agent.msi"), "holds a secret"),
        (replace(INSTALLER, source="https://s.blob.example/agent.msi?sv=1&sig=abc"), "holds a secret"),
        (replace(INSTALLER, sha256="ab"), "SHA-256"),
        (replace(INSTALLER, publisher="Contoso %PATH%"), "publisher"),
    ],
)
def test_an_installer_that_no_guest_can_be_given(installer: AgentInstaller, why: str) -> None:
    answer = proposed(
        "windows-agent", case(seen("win-agent-missing"), RepairOptions(windows_agent=installer))
    )
    assert isinstance(answer, Manual)
    assert why in answer.reason


@pytest.mark.parametrize(
    "source", ["\\\\files\\agent$\\a b.msi", "https://files.example:8443/x/agent.msi?version=2&arch=amd64"]
)
def test_a_source_that_a_guest_can_be_given(source: str) -> None:
    options = RepairOptions(windows_agent=replace(INSTALLER, source=source))
    assert work_of(proposed("windows-agent", case(seen("win-agent-missing"), options))).arguments[0] == source


# ---- the last way --------------------------------------------------------------------------------


def test_the_clean_way_has_to_be_asked_for() -> None:
    remediation = BY_ID["windows-agent-clean"]
    answer = remediation.propose(case(seen("win-service-stopped")))
    assert remediation.opt_in
    assert work_of(answer).arguments[-1] == "clean"
    assert isinstance(answer, Remedy)
    assert answer.actions[0].risk is Risk.HIGH


def test_the_clean_way_needs_an_agent() -> None:
    guest = seen("win-agent-missing")
    assert not isinstance(guest.agent, GuestAgent)
    assert isinstance(proposed("windows-agent-clean", case(guest)), Nothing)


def test_the_mildest_comes_first() -> None:
    order = [one.id for one in REMEDIATIONS]
    assert order.index("agent-restart") < order.index("windows-agent") < order.index("windows-agent-clean")

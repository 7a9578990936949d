"""Is the VM agent recent enough?"""

from auditor.facts import Facts, GuestAgent, Unseen
from auditor.model import Outcome, Plane, Platform
from auditor.plugin import Explanation, check, failed, passed, skipped, unknown, warned
from auditor.rules import Rules
from checks.agent_report import AgentReport, agent_report, needs_no_agent, own_version
from checks.asked import platform_of
from checks.evidence import clip
from checks.versions import parse_version

UPDATE = {
    Platform.WINDOWS: "Install the current agent MSI while no backup of the VM runs.",
    Platform.LINUX: "Upgrade the distribution's agent package and switch its auto-update on, while no "
    "backup of the VM runs.",
}
RELEASE = "Replace the source install by the distribution's agent package."


@check(
    "vm-agent-version",
    title="The VM agent is recent enough",
    planes=(Plane.INVENTORY, Plane.INSTANCE_VIEW, Plane.BACKUP, Plane.GUEST),
    explanation=Explanation(
        what="The agent's version is not below the floors of its own series: on Windows the floor of Azure "
        "Backup (fails) and that of Azure support (warns), on Linux the last version known not to handle "
        "extensions (fails) and the support floor of the goal-state agent (warns).",
        why="Below the first floor backups do not work; below the support floor Microsoft gives no help, and "
        "Azure Backup itself suggests an update.",
        evidence="The version in the instance view, on Linux that of the goal-state agent (the part that "
        "updates itself), and what the guest prints; the fresher decides. In a Windows guest WaAppAgent's "
        "version is compared, to which the floor of Azure Backup belongs; the registry's GuestAgentVersion "
        "stands beside it where they differ. Versions are compared number by number. Windows and Linux "
        "agents are two series: 2.2.53.1 is fine on Linux although it is less than 2.6.1198.718. What a "
        "distribution appends is ignored. 9.9.9.9 is a build from the develop branch, which hides its age. "
        "A version of Unknown is no version.",
        repair="Update the agent while no backup or restore of the machine is running.",
        sources=(
            "Microsoft Learn: Prepare to back up Azure VMs (2.6.1198.718, Product Version of WaAppAgent.exe)",
            "Microsoft support: Minimum version support for VM agents in Azure (2.7.41491.1010; 2.2.53.1)",
            "Microsoft support: Linux agents that break extensions (2.1.5, 2.1.6) or report none (2.2.19)",
            "Azure/WALinuxAgent: version.py",
        ),
    ),
)
def vm_agent_version(facts: Facts, rules: Rules) -> Outcome:
    """The agent's version against the floors of its platform."""
    if skip := needs_no_agent(facts):
        return skip
    report = agent_report(facts, rules)
    if report.guest_decides and report.agent is None:
        return skipped("no agent is installed, so it has no version", *report.evidence)
    if reason := _unheard(report):
        return unknown(reason, *report.evidence)
    platform = _platform(facts, report)
    if platform is Platform.UNKNOWN:
        return unknown("the operating system is not known, and each has floors of its own", *report.evidence)
    printed = _version(report)
    if printed is None:
        problem = report.agent.problem if isinstance(report.agent, GuestAgent) else None
        return unknown(clip(problem or "the agent in the guest prints no version"), *report.evidence)
    return _against_floors(clip(printed, 60), platform, report, rules)


def _against_floors(printed: str, platform: Platform, report: AgentReport, rules: Rules) -> Outcome:
    rows = report.evidence
    version = parse_version(printed)
    if version is None:
        return unknown(f"{printed!r} is not a version", *rows)
    if platform is Platform.LINUX and version == parse_version(rules.text("linux-develop-version")):
        return warned(f"agent {printed} is a develop build that hides its age", *rows, remediation=RELEASE)
    for rule, verdict in ((f"{platform}-agent-floor", failed), (f"{platform}-agent-support-floor", warned)):
        floor = rules.text(rule)
        if version < (parse_version(floor) or version):
            return verdict(f"agent {printed} is older than {floor}", *rows, remediation=UPDATE[platform])
    return passed(f"agent {printed}", *rows)


def _unheard(report: AgentReport) -> str | None:
    """Why there is no version of now to judge."""
    azure = report.azure
    if report.guest_decides:
        return None
    if isinstance(azure, Unseen):
        return report.nobody
    if azure.off or azure.version is not None:
        return azure.off
    return azure.settling or "no agent has told Azure its version"


def _version(report: AgentReport) -> str | None:
    """The version that counts: the fresher plane's, or the other's where that prints none.

    Azure hears the goal-state agent, so its fresh word comes before the daemon's version.
    """
    azure = None if isinstance(report.azure, Unseen) or report.azure.off else report.azure.version
    if (
        not report.guest_decides
        or isinstance(report.guest, Unseen)
        or not isinstance(report.agent, GuestAgent)
    ):
        return azure
    if report.guest.platform.lower() == Platform.WINDOWS:
        return own_version(report.guest, report.agent) or azure
    heard = azure if not isinstance(report.azure, Unseen) and report.azure.fresh else None
    return report.agent.goal_state_version or heard or report.agent.daemon_version or azure


def _platform(facts: Facts, report: AgentReport) -> Platform:
    return facts.machine.platform if isinstance(report.guest, Unseen) else platform_of(facts)

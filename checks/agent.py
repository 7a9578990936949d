"""Is the VM agent there, and does it report?"""

from auditor.facts import Facts, Guest, GuestAgent, Unseen, known
from auditor.model import Evidence, Outcome, Plane, Platform
from auditor.plugin import Explanation, check, failed, passed, skipped, unknown, warned
from auditor.rules import Rules
from checks.agent_report import AgentReport, Heartbeat, agent_report, may_run, needs_no_agent, own_version
from checks.asked import platform_of
from checks.evidence import clip, span

INSTALL = {
    Platform.WINDOWS: "Install the Windows VM agent from its MSI and wait for its first heartbeat.",
    Platform.LINUX: "Install the distribution's agent package (waagent, walinuxagent or WALinuxAgent) "
    "and start its service.",
    Platform.UNKNOWN: "Install the Azure VM agent of the machine's operating system and start it.",
}
BEFORE_THE_MOVE = {
    Platform.WINDOWS: "Install the Windows VM agent from its MSI; it begins to report once it is in Azure.",
    Platform.LINUX: "Install the distribution's agent package (agent-installable names it) and leave its "
    "service enabled; it may start in Azure only.",
    Platform.UNKNOWN: INSTALL[Platform.UNKNOWN],
}
RESTART = "Restart the agent's service in the guest; if it stays silent, check the wire server and reinstall."
REINSTALL = "Reinstall the agent's package over itself; do not purge it, its state is needed."
ENABLE = "Start the agent's service; unmask and enable it first if it is masked or disabled."
NOT_HEARD = skipped("only Azure hears heartbeats, and it does not know this machine; see agent-service")
PLANES = (Plane.INVENTORY, Plane.INSTANCE_VIEW, Plane.BACKUP, Plane.GUEST)


@check(
    "vm-agent-installed",
    title="The VM agent is installed",
    planes=PLANES,
    explanation=Explanation(
        what="A VM agent is present: it was found in the guest, or it has reported a version to Azure.",
        why="Azure Backup asks the agent to take application- or file-consistent snapshots. Without it such "
        "backups cannot start.",
        evidence="The guest's own package and binary, and the agent version in the VM's instance view; the "
        "fresher of the two decides. The flag provisionVMAgent is only a wish made at creation and counts "
        "for nothing. A VM that is off keeps no word on now, and a version called Unknown means that no "
        "agent has spoken yet, which is not proof that none is installed: both are unknown. On a machine "
        "outside Azure a missing agent warns only: it can come with the move.",
        repair="Install the agent: the MSI on Windows, the distribution's own package on Linux.",
        sources=(
            "Microsoft Learn: Azure Virtual Machine Agent overview (Windows, Linux)",
            "Microsoft Learn: Prepare to back up Azure VMs",
            "Azure Instance View of a VM: vmAgent",
        ),
    ),
)
def vm_agent_installed(facts: Facts, rules: Rules) -> Outcome:
    """Whether an agent is there, by the fresher of both planes."""
    if skip := needs_no_agent(facts):
        return skip
    report = agent_report(facts, rules)
    if report.guest_decides:
        return _installed_in_guest(facts, report)
    if isinstance(report.azure, Unseen):
        return unknown(report.nobody)
    return _installed_for_azure(facts, report, report.azure)


def _installed_in_guest(facts: Facts, report: AgentReport) -> Outcome:
    guest, agent, rows = known(report.guest), report.agent, report.evidence
    if not isinstance(agent, GuestAgent):
        return _not_installed(facts, guest, *rows)
    version = own_version(guest, agent)
    if version is None and agent.path is None:
        return failed("the agent's package is there, its program is not", *rows, remediation=REINSTALL)
    if version is None and agent.problem and not agent.timed_out:
        return warned("the agent is there and does not start", *rows, remediation=REINSTALL)
    return passed(f"agent {clip(version or 'of unknown version', 60)} is in the guest", *rows)


def _not_installed(facts: Facts, guest: Guest, *rows: Evidence) -> Outcome:
    """A failure in Azure; elsewhere the agent may come with the move."""
    if facts.machine.in_azure or guest.on_azure_host is True:
        return failed("no VM agent in the guest", *rows, remediation=INSTALL[platform_of(facts)])
    return warned(
        "not installed yet; install it before or right after the move to Azure",
        *rows,
        remediation=BEFORE_THE_MOVE[platform_of(facts)],
    )


def _installed_for_azure(facts: Facts, report: AgentReport, azure: Heartbeat) -> Outcome:
    rows = report.evidence
    if azure.off:
        return unknown(azure.off, *rows)
    if azure.version is not None:
        late = "" if azure.fresh else f", last heard {azure.when}"
        return passed(f"agent {azure.version} reports to Azure{late}", *rows)
    if azure.settling:
        return unknown(azure.settling, *rows)
    if azure.agent is None:
        return failed(
            "the VM runs and Azure has never heard of an agent in it",
            *rows,
            remediation=INSTALL[facts.machine.platform],
        )
    return unknown(
        "no agent has told Azure its version; only the guest can show whether it is missing or silent",
        *rows,
        remediation="Look into the guest; install the agent if it is not there.",
    )


@check(
    "vm-agent-ready",
    title="The VM agent is ready",
    planes=PLANES,
    explanation=Explanation(
        what="The agent told Azure a short while ago that it is ready.",
        why="A backup needs an agent that answers now. Azure goes on showing the last Ready of an agent that "
        "has died, so the word alone proves nothing.",
        evidence="The status code of the agent in the instance view (not its display text), the age of that "
        "status against the rule heartbeat-minutes, and whether the agent runs in the guest; the fresher of "
        "the two decides. A VM that is new, or was just started or changed, is given settle-minutes, and a "
        "Ready from before that is none. A VM that is stopped or deallocated is unknown: what Azure shows "
        "of it is old. A machine that Azure does not know is skipped: agent-service judges its service.",
        repair="Start or restart the agent's service; if it stays silent check that the guest reaches "
        "168.63.129.16, then reinstall it.",
        sources=(
            "Azure Instance View of a VM: vmAgent.statuses",
            "Microsoft Learn: Troubleshoot Azure Backup failure, issues with the agent or extension",
            "Recorded traffic: a stopped VM keeps an old Ready, a deallocated one has no vmAgent",
        ),
    ),
)
def vm_agent_ready(facts: Facts, rules: Rules) -> Outcome:
    """Whether the agent answers now."""
    if skip := needs_no_agent(facts):
        return skip
    if not facts.machine.in_azure:
        return NOT_HEARD
    report = agent_report(facts, rules)
    if isinstance(report.azure, Unseen):
        return _ready_in_guest(facts, report, report.azure)
    return _ready_for_azure(report, report.azure)


def _ready_for_azure(report: AgentReport, azure: Heartbeat) -> Outcome:
    rows = report.evidence
    if azure.off:
        return unknown(azure.off, *rows)
    if not (azure.ready and azure.fresh):
        return _not_ready_now(azure, *rows)
    if report.guest_decides and not may_run(report.agent):
        return failed(
            "Azure still shows Ready, but the agent does not run in the guest", *rows, remediation=ENABLE
        )
    return passed("Ready, with a fresh heartbeat", *rows)


def _not_ready_now(azure: Heartbeat, *rows: Evidence) -> Outcome:
    if azure.settling:
        return unknown(azure.settling, *rows)
    if azure.status is None:
        return failed("the VM runs and its agent sends Azure no status", *rows, remediation=RESTART)
    if not azure.ready:
        word = clip(azure.status.display or azure.status.code, 60)
        return failed(f"the agent is {word}", *rows, remediation=RESTART)
    if azure.age is None:
        return unknown("Azure says Ready without saying since when", *rows)
    if azure.age < -azure.limit:
        return unknown(f"the agent's status lies {span(abs(azure.age))} in the future", *rows)
    return failed(f"Ready is stale: last heard {azure.when}", *rows, remediation=RESTART)


def _ready_in_guest(facts: Facts, report: AgentReport, azure: Unseen) -> Outcome:
    """Azure was not seen: a guest can show that the agent cannot be ready, and never that it is heard."""
    rows = report.evidence
    if isinstance(report.agent, Unseen) or isinstance(report.guest, Unseen):
        return unknown(report.nobody)
    if report.agent is None:
        return failed("no VM agent in the guest", *rows, remediation=INSTALL[facts.machine.platform])
    if not may_run(report.agent):
        return failed("the agent does not run in the guest", *rows, remediation=ENABLE)
    return unknown(f"the service runs, but whether Azure hears it was not seen: {azure.reason}", *rows)

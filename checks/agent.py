"""Is the VM agent there, and does it report?"""

from auditor.facts import Facts, GuestAgent, Unseen
from auditor.model import Evidence, Outcome, Plane, Platform
from auditor.plugin import Explanation, check, failed, passed, skipped, unknown, warned
from auditor.rules import Rules
from checks.agent_report import AgentReport, Heartbeat, agent_report, needs_no_agent
from checks.evidence import clip, span

INSTALL = {
    Platform.WINDOWS: "Install the Windows VM agent from its MSI and wait for its first heartbeat.",
    Platform.LINUX: "Install the distribution's agent package (waagent, walinuxagent or WALinuxAgent) "
    "and start its service.",
    Platform.UNKNOWN: "Install the Azure VM agent of the machine's operating system and start it.",
}
RESTART = "Restart the agent's service in the guest; if it stays silent, check the wire server and reinstall."
REINSTALL = "Reinstall the agent's package over itself; do not purge it, its state is needed."
ENABLE = "Start the agent's service; unmask and enable it first if it is masked or disabled."
RUNNING = frozenset({"active", "reloading", "running"})
STARTS_AT_BOOT = frozenset(
    {"enabled", "enabled-runtime", "static", "alias", "indirect", "generated", "automatic", "auto"}
)
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
        "agent has spoken yet, which is not proof that none is installed: both are unknown.",
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
    agent, rows = report.agent, report.evidence
    if not isinstance(agent, GuestAgent):
        return failed("no VM agent in the guest", *rows, remediation=INSTALL[facts.machine.platform])
    version = agent.goal_state_version or agent.daemon_version
    if version is None and agent.path is None:
        return failed("the agent's package is there, its program is not", *rows, remediation=REINSTALL)
    if version is None and agent.problem:
        return warned("the agent is there and does not start", *rows, remediation=REINSTALL)
    return passed(f"agent {clip(version or 'of unknown version', 60)} is in the guest", *rows)


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
        what="The agent told Azure a short while ago that it is ready, or, outside Azure, its service runs "
        "and starts at boot.",
        why="A backup needs an agent that answers now. Azure goes on showing the last Ready of an agent that "
        "has died, so the word alone proves nothing.",
        evidence="The status code of the agent in the instance view (not its display text), the age of that "
        "status against the rule heartbeat-minutes, and the service's state in the guest; the fresher of the "
        "two decides. A VM that is new, or was just started or changed, is given settle-minutes, and a Ready "
        "from before that is none. A VM that is stopped or deallocated is unknown: what Azure shows of it is "
        "old.",
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
    report = agent_report(facts, rules)
    if isinstance(report.azure, Unseen):
        return _ready_in_guest(facts, report)
    return _ready_for_azure(report, report.azure)


def _ready_for_azure(report: AgentReport, azure: Heartbeat) -> Outcome:
    rows = report.evidence
    if azure.off:
        return unknown(azure.off, *rows)
    if not (azure.ready and azure.fresh):
        return _not_ready_now(azure, *rows)
    if report.guest_decides and not _may_run(report.agent):
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


def _ready_in_guest(facts: Facts, report: AgentReport) -> Outcome:
    rows = report.evidence
    if isinstance(report.agent, Unseen) or isinstance(report.guest, Unseen):
        return unknown(report.nobody)
    if report.agent is None:
        return failed("no VM agent in the guest", *rows, remediation=INSTALL[facts.machine.platform])
    if facts.machine.in_azure and _may_run(report.agent):
        return unknown(f"the service runs, but whether Azure hears it was not seen: {report.nobody}", *rows)
    return _service(report.agent, *rows, azure_host=report.guest.on_azure_host)


def _service(agent: GuestAgent, *rows: Evidence, azure_host: bool | Unseen | None) -> Outcome:
    if agent.active is None:
        return unknown("the state of the agent's service was not seen", *rows)
    starts = agent.enabled is None or agent.enabled.lower() in STARTS_AT_BOOT
    if _may_run(agent):
        if starts:
            return passed("the agent's service runs", *rows)
        return warned(f"the service runs but is {clip(str(agent.enabled), 40)}", *rows, remediation=ENABLE)
    if starts and azure_host is False:
        return skipped("the agent's service is enabled, and starts on an Azure host only", *rows)
    if starts and isinstance(azure_host, Unseen) and agent.active.lower() == "inactive":
        return unknown(f"the service is not running, and starts in Azure only: {azure_host.reason}", *rows)
    state = " and ".join(clip(word, 40) for word in (agent.active, agent.enabled) if word)
    return failed(f"the agent's service is {state}", *rows, remediation=ENABLE)


def _may_run(agent: GuestAgent | Unseen | None) -> bool:
    """Whether nothing that the guest shows speaks against a running service."""
    if isinstance(agent, GuestAgent):
        return agent.active is None or agent.active.lower() in RUNNING
    return isinstance(agent, Unseen)

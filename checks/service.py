"""Do the services of the agent run, and will they run after the next start?"""

from auditor.facts import Facts, Guest, GuestAgent, Service, Unseen, known
from auditor.model import Evidence, Outcome, Platform
from auditor.plugin import Explanation, check, failed, passed, skipped, unknown, warned
from auditor.rules import Rules
from checks.agent_report import REQUIRED_SERVICES, RUNNING
from checks.asked import GUEST_PLANES, NO_AGENT, aside, asked, platform_of
from checks.evidence import clip, in_guest

STARTS_AT_BOOT = frozenset(
    {"enabled", "enabled-runtime", "static", "alias", "indirect", "generated", "automatic", "delayed", "auto"}
)
ENABLE = "Start the agent's service; unmask and enable it first if it is masked or disabled."
START = "Set both services to start automatically and start them; if one hangs, restart the machine."
REPAIR = "Reinstall the agent's package over itself, which brings its service; do not purge it."
NO_UNIT = "not-found"
REINSTALL = "Reinstall the agent from its MSI; do not register the missing service by hand."


@check(
    "agent-service",
    title="The agent's service runs",
    planes=GUEST_PLANES,
    explanation=Explanation(
        what="On Windows the services RdAgent and WindowsAzureGuestAgent exist, run and start by themselves, "
        "and their programs are there; on Linux the agent's unit is active and enabled.",
        why="An installed agent whose service does not run hears no order to take a snapshot, and one that "
        "does not start at boot is gone after the next restart.",
        evidence="The state of the services in the guest. Delayed start counts as automatic. The telemetry "
        "service is not asked for: agents since 2.7.41491.971 have none. A service that is caught while "
        "stopping fails, because that is how a hanging agent looks. The Linux unit is the one that exists, "
        "whatever the distribution; masked, disabled and inactive are three things, and each is named. "
        "Debian's unit starts on Azure hosts only, so inactive and enabled elsewhere is normal and skipped.",
        repair="Start and enable the service; unmask it first where it is masked, reinstall where a part is "
        "missing.",
        sources=(
            "Microsoft support: Troubleshoot the Azure Windows VM agent (services, telemetry service)",
            "Microsoft support: Troubleshoot the Azure Linux agent (unit names)",
            "Azure/azure-support-scripts: VMAssist",
            "Debian package waagent 2.7.3.0-4.1: ConditionVirtualization=microsoft",
        ),
    ),
)
def agent_service(facts: Facts, _rules: Rules) -> Outcome:
    """Whether the agent's services run and start at boot."""
    if skip := aside(facts):
        return skip
    guest = asked(facts)
    agent = known(guest.agent)
    if agent is None:
        return NO_AGENT
    return _services(guest, agent) if platform_of(facts) is Platform.WINDOWS else _unit(guest, agent)


# ---- Windows -----------------------------------------------------------------------------------


def _services(guest: Guest, agent: GuestAgent) -> Outcome:
    by_name = {service.name.lower(): service for service in agent.services}
    found = {name: by_name.get(name.lower()) for name in REQUIRED_SERVICES}
    rows = tuple(in_guest(guest, f"service {name}", _said(service)) for name, service in found.items())
    lost = [fault for name, service in found.items() if (fault := _lost(name, service))]
    if lost:
        return failed(lost[0], *rows, remediation=REINSTALL)
    there = [service for service in found.values() if service]
    if halted := [fault for service in there if (fault := _halted(service))]:
        return failed("; ".join(halted), *rows, remediation=START)
    if silent := [service.name for service in there if service.state is None]:
        return unknown(f"the state of {' and '.join(silent)} was not seen", *rows)
    if frail := [fault for service in there if (fault := _frail(service))]:
        return warned("; ".join(frail), *rows, remediation=START)
    return passed("both services run", *rows)


def _lost(name: str, service: Service | None) -> str | None:
    if service is None:
        return f"the service {name} does not exist"
    return f"the program of {name} is missing" if service.present is False else None


def _halted(service: Service) -> str | None:
    state = clip(service.state or "running", 40).lower()
    if state == "stop-pending":
        return f"{service.name} hangs while stopping"
    if state in RUNNING or state == "start-pending":
        return None
    disabled = " and disabled" if service.start == "disabled" else ""
    return f"{service.name} is {state}{disabled}"


def _frail(service: Service) -> str | None:
    if service.state == "start-pending":
        return f"{service.name} is still starting"
    if service.start is not None and service.start.lower() not in STARTS_AT_BOOT:
        return f"{service.name} runs but its start is {clip(service.start, 40)}"
    return None


def _said(service: Service | None) -> str:
    if service is None:
        return "not found"
    words = (service.state or "state not seen", service.start or "start not seen", service.path or "no path")
    return ", ".join(words)


# ---- Linux -------------------------------------------------------------------------------------


def _unit(guest: Guest, agent: GuestAgent) -> Outcome:
    name = clip(agent.unit or "the agent's service", 60)
    row = in_guest(guest, "service", f"{name}: {agent.active or 'not seen'}, {agent.enabled or 'not seen'}")
    if agent.active is None:
        return unknown("the state of the agent's service was not seen", row)
    if agent.active.lower() == NO_UNIT:
        return failed("the agent has no service that would start it", row, remediation=REPAIR)
    starts = agent.enabled is None or agent.enabled.lower() in STARTS_AT_BOOT
    if agent.active.lower() not in RUNNING:
        return _idle(guest, agent, name, row, starts=starts)
    if not starts:
        return warned(f"{name} runs but is {clip(str(agent.enabled), 40)}", row, remediation=ENABLE)
    return passed(f"{name} runs", row)


def _idle(guest: Guest, agent: GuestAgent, name: str, row: Evidence, *, starts: bool) -> Outcome:
    host = guest.on_azure_host
    if starts and str(agent.active).lower() == "inactive":
        if host is False:
            return skipped("the agent's service is enabled, and starts on an Azure host only", row)
        if isinstance(host, Unseen):
            return unknown(f"the service is not running, and starts in Azure only: {host.reason}", row)
    state = " and ".join(clip(word, 40) for word in (agent.active, agent.enabled) if word)
    return failed(f"{name} is {state}", row, remediation=ENABLE)

"""A restart of the agent's service: the mildest step, and often enough."""

from auditor.facts import Guest, GuestAgent
from auditor.model import Platform
from auditor.plugin import Repair, remediation
from auditor.remedy import Action, Answer, Case, Manual, Nothing, Remedy
from remediations.linux_guest import agent_of, failing, linux_guest, no_room, sound, work
from remediations.windows_restart import restart as windows_restart

RUNS = frozenset({"active", "reloading", "activating"})
STARTS = frozenset({"enabled", "enabled-runtime", "static", "alias", "indirect", "generated"})
FIREWALL = Manual(
    "the guest does not reach 168.63.129.16, so Azure would not hear a restarted agent either",
    "Let root reach 168.63.129.16 on ports 80 and 32526: look at the guest's firewall, its routes and its "
    "network; wire-server and guest-firewall say what is in the way.",
)
FULL = Manual(
    "the file system of the agent's folder has no room, so a restarted agent would fail again",
    "Free some space (guest-disk-space says where), and plan again.",
)


@remediation(
    "agent-restart",
    title="Restart the VM agent",
    repairs=("agent-service", "vm-agent-ready"),
    explanation=Repair(
        what="Restarts the agent's service where its program is sound and it would start at boot, yet does "
        "not run, or runs while Azure hears nothing fresh from it.",
        why="An agent that hangs, or failed once at boot, often only needs a new start. Nothing is installed "
        "and no setting changes, so it is tried before anything else.",
        how="Linux: systemctl restart of the unit (its counter of failed starts is set back first), or "
        "service where there is no systemd; then it has to stay up. Windows: the agent's services in their "
        "order. Not while the snapshot extension works.",
        undo="There is nothing to take back.",
        never="It installs nothing, and on Linux unmasks and enables nothing: that is for the remediations "
        "after it. (On Windows both services are set to start by themselves.) It is not "
        "proposed where no restart can help: no way to 168.63.129.16, a full disk, a damaged program.",
        sources=(
            "Microsoft Learn: Troubleshoot Azure Backup failure, issues with the agent or extension",
            "Microsoft support: Troubleshoot the Azure Linux agent (restart the service)",
        ),
    ),
)
def agent_restart(case: Case) -> Answer:
    """A restart, where one may do."""
    if _platform(case) == Platform.WINDOWS:
        return windows_restart(case)
    guest = linux_guest(case)
    if isinstance(guest, Nothing):
        return guest
    agent = agent_of(guest)
    if agent is None:
        return Nothing("no agent was found that could be restarted")
    return _linux(case, guest, agent)


def _platform(case: Case) -> str:
    guest = case.facts.guest
    return guest.platform.lower() if isinstance(guest, Guest) else case.facts.machine.platform


def _linux(case: Case, guest: Guest, agent: GuestAgent) -> Answer:
    active, enabled = (agent.active or "").lower(), (agent.enabled or "enabled").lower()
    if agent.unit is None or not active or active == "not-found":
        return Nothing("the agent has no service that could be restarted")
    if enabled not in STARTS:
        return Nothing(f"{agent.unit} is {enabled}: started alone it would be gone after the next boot")
    if not sound(guest, agent):
        return Nothing("the agent's program is damaged, and would fail again")
    if no_room(case, guest):
        return FULL
    if active in RUNS and failing(case, "wire-server"):
        return FIREWALL
    return Remedy((_action(agent.unit, active),))


def _action(unit: str, active: str) -> Action:
    heard = f"{unit} runs, but Azure hears nothing fresh from it" if active in RUNS else f"{unit} is {active}"
    return Action(
        what=f"restart the service {unit}",
        why=f"{heard}; its program is sound and it starts at boot",
        act=work("agent_restart", arguments=(unit,)),
        expect=f"{unit} is active and stays so; Azure hears from the agent within minutes",
    )

"""The part of agent-restart that concerns Windows guests."""

from auditor.facts import GuestAgent
from auditor.remedy import Action, Answer, Case, Nothing, Remedy
from remediations.windows_guest import UNHEARD, agent_of, deaf, halted, lost, windows_guest, work

LIMIT = 480.0


def restart(case: Case) -> Answer:
    """What a restart of the agent's services can do for a Windows guest."""
    guest = windows_guest(case)
    if isinstance(guest, Nothing):
        return guest
    agent = agent_of(guest)
    if agent is None:
        return Nothing("no agent was found that could be restarted")
    if gone := lost(agent):
        return Nothing(f"{gone}: that takes its installer")
    return _action(case, agent)


def _action(case: Case, agent: GuestAgent) -> Answer:
    if idle := halted(agent):
        return Remedy((_start(idle),))
    if not case.bad("vm-agent-ready"):
        return Nothing("both services run, and start by themselves")
    return UNHEARD if deaf(case) else Remedy((_restart(),))


def _start(idle: str) -> Action:
    return Action(
        what="set RdAgent and WindowsAzureGuestAgent to start by themselves, and start them",
        why=f"{idle}; both programs are there",
        act=work("windows_restart", "start", limit=LIMIT),
        expect="both services run and start automatically",
    )


def _restart() -> Action:
    return Action(
        what="restart RdAgent and WindowsAzureGuestAgent",
        why="both services run, but Azure hears nothing fresh from the agent",
        act=work("windows_restart", "restart", limit=LIMIT),
        expect="both services run; Azure hears from the agent within minutes",
    )

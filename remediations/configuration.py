"""The Linux agent's configuration: single keys, and nothing else in the file."""

from collections.abc import Iterator

from auditor.facts import GuestAgent
from auditor.plugin import Repair, remediation
from auditor.remedy import Action, Answer, Case, Nothing, Remedy
from remediations.linux_guest import agent_of, linux_guest, work

EXTENSIONS = "Extensions.Enabled"
UPDATES = "AutoUpdate.Enabled"
NEWER_UPDATES = "AutoUpdate.UpdateToLatestVersion"
KNOWS_NEWER = (2, 10, 0, 8)


@remediation(
    "linux-agent-config",
    title="Set keys of the Linux agent's configuration",
    repairs=("extensions-enabled", "agent-auto-update"),
    explanation=Repair(
        what="Sets Extensions.Enabled=y, and switches the automatic update on, in /etc/waagent.conf; then "
        "restarts the agent if it runs.",
        why="An agent that is told to handle no extensions lets every backup fail while it looks healthy. "
        "One that does not update itself stays as old as its package.",
        how="Edits the values of these keys alone: comments, order, line ends, owner and rights stay. The "
        "new file takes the place of the old one in one moment. Which key switches the update depends on "
        "the agent: AutoUpdate.UpdateToLatestVersion since 2.10.0.8, and AutoUpdate.Enabled, which older "
        "agents know alone. Not while the snapshot extension works, nor on a read-only file system.",
        undo="The file as it was is kept with the step's receipt in the guest and is put back whole, unless "
        "somebody has changed it since.",
        never="It changes no other key, makes no file where there is none, and does not start an agent that "
        "does not run.",
        sources=(
            "Azure/WALinuxAgent: README (Extensions.Enabled, AutoUpdate.UpdateToLatestVersion)",
            "Microsoft Learn: Update the Azure Linux Agent",
            "Debian package waagent 2.7.3.0-4.1: AutoUpdate.Enabled=n",
        ),
    ),
)
def linux_agent_config(case: Case) -> Answer:
    """The keys that stand against the agent's work."""
    guest = linux_guest(case)
    if isinstance(guest, Nothing):
        return guest
    agent = agent_of(guest)
    if agent is None:
        return Nothing("no agent was found that could be configured")
    keys: list[str] = []
    if case.bad("extensions-enabled") and guest.extensions_enabled is False:
        keys.append(EXTENSIONS)
    if case.bad("agent-auto-update") and guest.auto_update is False:
        keys += _update_keys(agent)
    if not keys:
        return Nothing("the agent's own configuration forbids nothing")
    return Remedy((_action(tuple(keys)),))


def _update_keys(agent: GuestAgent) -> Iterator[str]:
    yield UPDATES
    if _version(agent.daemon_version) >= KNOWS_NEWER:
        yield NEWER_UPDATES


def _version(text: str | None) -> tuple[int, ...]:
    """The numbers of a version; none where it is no version, which then counts as old."""
    parts = (text or "").partition("-")[0].split(".")
    return tuple(map(int, parts)) if all(part.isascii() and part.isdigit() for part in parts) else ()


def _action(keys: tuple[str, ...]) -> Action:
    settings = tuple(f"{key}=y" for key in keys)
    reasons = {
        EXTENSIONS: "the agent is told to handle no extensions",
        UPDATES: "the agent is told not to update itself",
    }
    return Action(
        what=f"set {' and '.join(settings)} in /etc/waagent.conf, and restart the agent if it runs",
        why="; ".join(reasons[key] for key in keys if key in reasons),
        act=work("agent_config", arguments=settings),
        expect=f"/etc/waagent.conf says {' and '.join(settings)}, and all else in it is as it was",
        undo=work("agent_config", "agent_config_undo"),
    )

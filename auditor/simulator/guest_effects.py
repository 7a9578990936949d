"""What repairs do to simulated Linux guests: what package manager and systemd would, failures among them."""

from auditor.remedy import NOTHING_STATUS
from auditor.simulator.guest_states import GuestState
from auditor.simulator.guest_work import Effect, Outcome

UNIT = "walinuxagent.service"
KEYS = {
    "Extensions.Enabled": "extensions_enabled",
    "AutoUpdate.Enabled": "auto_update",
    "AutoUpdate.UpdateToLatestVersion": "auto_update",
}
_DISK_ROOM = 300_000_000
_YES = ("y", "yes", "true", "1")


def restarted(state: GuestState, _arguments: tuple[str, ...]) -> Outcome:
    """`systemctl restart`: fails for a unit that is masked or missing, and for an agent that cannot start."""
    agent = state.told("agent")
    if agent is None:
        return Outcome(state, 5, f"Failed to restart {UNIT}: Unit {UNIT} not found.")
    if agent["load"] == "masked":
        return Outcome(state, 1, f"Failed to restart {UNIT}: Unit {UNIT} is masked.")
    if not state.told("python")["imports_agent"]:
        failed = state.changed(agent={**agent, "active": "failed"})
        return Outcome(
            failed, 1, f"Job for {UNIT} failed because the control process exited with error code."
        )
    return Outcome(state.changed(agent={**agent, "active": "active"}))


def started_for_good(state: GuestState, arguments: tuple[str, ...]) -> Outcome:
    """The unit unmasked and enabled, then restarted."""
    agent = state.told("agent")
    if agent is None:
        return restarted(state, arguments)
    return restarted(state.changed(agent={**agent, "load": "loaded", "enabled": "enabled"}), arguments)


def installed(state: GuestState, arguments: tuple[str, ...]) -> Outcome:
    """The package installed or put in anew, its unit running: with room on the disk only."""
    if state.told("disk")["free"] < _DISK_ROOM:
        return Outcome(state, 100, "E: You don't have enough free space in /var/cache/apt/archives/.")
    if state.told("agent") is not None:
        return started_for_good(state.mended("python"), arguments)
    return Outcome(state.mended("agent", "python", "extensions_enabled", "auto_update"))


def configured(state: GuestState, arguments: tuple[str, ...]) -> Outcome:
    """The keys of the agent's configuration set as the arguments say: "KEY=VALUE" or a key and its value."""
    wanted = {KEYS[key]: value.lower() in _YES for key, value in _pairs(arguments) if key in KEYS}
    if all(state.told(fact) == value for fact, value in wanted.items()):
        return Outcome(state, NOTHING_STATUS, "the configuration is as it should be")
    return restarted(state.changed(**wanted), ())


def _pairs(arguments: tuple[str, ...]) -> list[tuple[str, str]]:
    words = [word for argument in arguments for word in argument.split("=", 1)]
    return list(zip(words[::2], words[1::2], strict=False))


EFFECTS: dict[str, Effect] = {
    "agent-restart": started_for_good,
    "linux-agent": installed,
    "agent-update": installed,
    "linux-agent-config": configured,
}
"""What the remediations of these ids do."""

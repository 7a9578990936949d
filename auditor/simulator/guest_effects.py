"""What repairs do to simulated Linux guests: what package manager and systemd would, failures among them."""

from collections.abc import Iterator

from auditor.remedy import NOTHING_STATUS, REFUSED_STATUS, Plan
from auditor.simulator.guest_states import GuestState
from auditor.simulator.guest_work import Effect, Outcome, Scene, digest

UNIT = "walinuxagent.service"
KEYS = {
    "Extensions.Enabled": "extensions_enabled",
    "AutoUpdate.Enabled": "auto_update",
    "AutoUpdate.UpdateToLatestVersion": "auto_update",
}
_DISK_ROOM = 300_000_000
_YES = ("y", "yes", "true", "1")


def restarted(scene: Scene) -> Outcome:
    """The service restarted: not where it is masked or missing, and in vain where the agent cannot start."""
    return _restarted(scene.state)


def installed(scene: Scene) -> Outcome:
    """The package installed or put in anew, its unit unmasked, enabled and started: with room on the disk."""
    state = scene.state
    if state.told("disk")["free"] < _DISK_ROOM:
        return Outcome(state, REFUSED_STATUS, "only 40 MB are free for /var/cache/apt")
    agent = state.told("agent")
    if agent is None:
        return Outcome(state.mended("agent", "python", "extensions_enabled", "auto_update"))
    unmasked = state.changed(agent={**agent, "load": "loaded", "enabled": "enabled"})
    return _restarted(unmasked.mended("python"))


def configured(scene: Scene) -> Outcome:
    """The keys of the agent's configuration set as the arguments, KEY=VALUE, say."""
    state = scene.state
    wanted = dict(_settings(scene.arguments))
    if all(state.told(fact) == value for fact, value in wanted.items()):
        return Outcome(state, NOTHING_STATUS, "the configuration is as it should be")
    return _reread(state.changed(**wanted))


def configured_back(scene: Scene) -> Outcome:
    """The keys as they were before a step set them."""
    if scene.kept is None:
        return Outcome(scene.state, NOTHING_STATUS, "no configuration was kept, so none was changed")
    return _reread(scene.state.changed(**{fact: scene.kept.told(fact) for fact in set(KEYS.values())}))


def _restarted(state: GuestState) -> Outcome:
    agent = state.told("agent")
    if agent is None:
        return Outcome(state, REFUSED_STATUS, f"the service {UNIT} is not there any more")
    if agent["load"] == "masked":
        return Outcome(state, REFUSED_STATUS, f"the service {UNIT} is masked")
    if not state.told("python")["imports_agent"]:
        failed = state.changed(agent={**agent, "active": "failed"})
        return Outcome(failed, 1, f"the service {UNIT} does not stay up")
    running = state.changed(agent={**agent, "active": "active"})
    return Outcome(running, 0, f"the service {UNIT} was restarted and runs")


def _reread(state: GuestState) -> Outcome:
    agent = state.told("agent")
    if agent is None or agent["active"] != "active":
        return Outcome(state, 0, "the agent does not run; it reads its configuration when it starts")
    return _restarted(state)


def _settings(arguments: tuple[str, ...]) -> Iterator[tuple[str, bool]]:
    for argument in arguments:
        key, _, value = argument.partition("=")
        if key in KEYS:
            yield KEYS[key], value.lower() in _YES


EFFECTS: dict[str, Effect] = {
    "agent-restart": restarted,
    "linux-agent": installed,
    "agent-update": installed,
    "linux-agent-config": configured,
}
"""What the remediations of these ids do."""
UNDOES: dict[str, Effect] = {"linux-agent-config": configured_back}
"""What takes them back."""


def known_by(plan: Plan) -> dict[str, Effect]:
    """What every work of a plan does to guests, by the hash of its text."""
    stages = [stage for machine in plan.machines for stage in machine.stages]
    works = [
        (effects.get(stage.remediation), work)
        for stage in stages
        for step in stage.steps
        for effects, work in ((EFFECTS, step.work), (UNDOES, step.undo))
    ]
    return {digest(work): effect for effect, work in works if effect is not None and work is not None}

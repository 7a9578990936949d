"""Is any extension of the machine broken or stuck?"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from enum import Enum

from auditor.facts import Facts, InstanceView, StatusCode, VmModel, known
from auditor.model import Evidence, Outcome, Plane
from auditor.plugin import Explanation, check, failed, passed, unknown, warned
from auditor.rules import Rules
from checks.agent_report import Heartbeat, heartbeat, last_operation, needs_no_agent, outside_azure
from checks.evidence import clip, listing, span

WELL = frozenset({"succeeded", "ready"})
MOVING = frozenset({"transitioning", "creating", "updating", "deleting", "migrating", "installing"})
REPAIR = "Read the extension's log in the guest, then repair, update or remove that extension."
WAIT = "Look again in twenty minutes; if it still is in transition, restart the agent's service."


class Phase(Enum):
    """Where an extension stands."""

    WELL = "well"
    MOVING = "moving"
    BROKEN = "broken"


@dataclass(frozen=True, slots=True)
class Sign:
    """One status of one extension or handler."""

    name: str
    source: str
    phase: Phase
    said: str
    at: datetime | None


@check(
    "extension-health",
    title="No extension has failed",
    planes=(Plane.INVENTORY, Plane.INSTANCE_VIEW, Plane.BACKUP),
    explanation=Explanation(
        what="Every extension and every extension handler of the machine is well, and none has been in "
        "transition for longer than transition-minutes.",
        why="One broken extension, whoever owns it, can put the whole VM into the state Failed, in which "
        "Azure Backup takes no snapshot and installs no extension of its own.",
        evidence="The status codes of both the handler and the extension, and the provisioning state of the "
        "extension resource. The code counts, not its level: a handler can be NotReady with level Info while "
        "its extension says succeeded. Where the agent is silent or the VM is off, a broken extension "
        "still is one, but nothing broken is no proof of health. The VM's own state counts too: Failed fails "
        "under every policy, and an operation on it that takes longer than transition-minutes warns.",
        repair="Repair, update or remove the extension that failed; its log is in the guest.",
        sources=(
            "Microsoft Learn: Azure VM extensions and features (states, the 20 minutes)",
            "Microsoft Learn: Troubleshoot Azure Backup failure (UserErrorVmProvisioningStateFailed)",
            "Recorded traffic: ProvisioningState/NotReady/21 with level Info",
        ),
    ),
)
def extension_health(facts: Facts, rules: Rules) -> Outcome:
    """Whether an extension or handler has failed, or hangs in transition."""
    if skip := outside_azure(facts):
        return skip
    if skip := needs_no_agent(facts):
        return _vm_failed(facts) or skip
    view = known(facts.instance)
    beat = heartbeat(facts, view, rules)
    old = beat.off is not None or (beat.outlived and beat.settling is not None)
    signs = [*_signs(view, old=old)]
    if broken := [sign for sign in signs if sign.phase is Phase.BROKEN]:
        names = listing(dict.fromkeys(sign.name for sign in broken), 2)
        return failed(f"{names} failed", *_rows(broken, view), remediation=REPAIR)
    if outcome := _vm_failed(facts):
        return outcome
    return (
        _in_transition(facts, view, signs, rules) or _vm_busy(facts, view, rules) or _well(view, signs, beat)
    )


def _signs(view: InstanceView, *, old: bool) -> Iterator[Sign]:
    """Every status; where the agent's words are old ones, only what Azure itself keeps."""
    for extension in view.extensions:
        name = clip(extension.name, 60)
        if extension.provisioning_state:
            state = extension.provisioning_state
            yield Sign(name, "extension resource", _phase(state.lower()), clip(state), None)
        for status in () if old else extension.statuses:
            yield _sign(name, "extension", status)
    for handler in () if old else view.handlers or ():
        if handler.status is not None:
            name = clip(handler.type.rpartition(".")[2] or handler.type, 60)
            yield _sign(name, "handler", handler.status)


def _sign(name: str, source: str, status: StatusCode) -> Sign:
    segments = _segments(status)
    phase = _phase(segments[1] if len(segments) > 1 else segments[0])
    if segments[0] != "provisioningstate":
        phase = Phase.BROKEN if "failed" in segments else Phase.WELL
    return Sign(name, source, phase, _said(status), status.at)


def _segments(status: StatusCode) -> list[str]:
    return [segment.lower() for segment in status.code.split("/")]


def _said(status: StatusCode) -> str:
    return clip(" ".join(filter(None, (status.code, status.display, status.message))))


def _phase(state: str) -> Phase:
    if state in WELL:
        return Phase.WELL
    return Phase.MOVING if state in MOVING else Phase.BROKEN


def _vm_failed(facts: Facts) -> Outcome | None:
    """A failure of the VM itself, which stops every kind of backup."""
    model, view = facts.model, facts.instance
    operation = view.operation if isinstance(view, InstanceView) else None
    rows = []
    if isinstance(model, VmModel) and (model.provisioning_state or "").lower() == "failed":
        rows.append(Evidence(Plane.INVENTORY, "provisioning state", model.observed_at, "Failed"))
    if operation and _segments(operation)[1:2] == ["failed"]:
        rows.append(Evidence(Plane.INSTANCE_VIEW, "provisioning state", operation.at, _said(operation)))
    if not rows:
        return None
    return failed(
        "the VM's provisioning has failed, and no extension says why",
        *rows,
        remediation="Look at the VM's activity log, repair the cause and reapply the VM.",
    )


def _vm_busy(facts: Facts, view: InstanceView, rules: Rules) -> Outcome | None:
    """A warning where Azure has worked on the VM for too long: meanwhile it takes no snapshot."""
    since, operation = last_operation(facts, view), view.operation
    if since is None or operation is None or since <= rules.minutes("transition-minutes"):
        return None
    state = "".join(_segments(operation)[1:2])
    if state not in MOVING:
        return None
    row = Evidence(Plane.INSTANCE_VIEW, "provisioning state", operation.at, _said(operation))
    return warned(
        f"the VM has been {state} for {span(since)}",
        row,
        remediation="Look at the VM's activity log; if nothing is under way, reapply the VM.",
    )


def _in_transition(facts: Facts, view: InstanceView, signs: list[Sign], rules: Rules) -> Outcome | None:
    """A failure for a transition that takes too long, a warning for one of unknown length."""
    moving = [sign for sign in signs if sign.phase is Phase.MOVING]
    limit = rules.minutes("transition-minutes")
    stuck = [sign for sign in moving if sign.at is not None and facts.now - sign.at > limit]
    if stuck:
        age = span(max(facts.now - sign.at for sign in stuck if sign.at))
        return failed(
            f"{stuck[0].name} has been in transition for {age}", *_rows(stuck, view), remediation=WAIT
        )
    undated = [sign for sign in moving if sign.at is None]
    if undated and undated[0].name not in {sign.name for sign in moving if sign.at}:
        return warned(
            f"{undated[0].name} is in transition, nobody says since when",
            *_rows(undated, view),
            remediation=WAIT,
        )
    return None


def _well(view: InstanceView, signs: list[Sign], beat: Heartbeat) -> Outcome:
    row = Evidence(
        Plane.INSTANCE_VIEW, "extensions", view.observed_at, f"{len(view.extensions)}, none of them failed"
    )
    if doubt := _doubt(beat):
        return unknown(f"nothing shown has failed, but {doubt}", row, *beat.evidence)
    names = {sign.name for sign in signs if sign.phase is Phase.MOVING}
    if names:
        return passed(f"{len(names)} in transition, none for long", row)
    return passed("no extension has failed", row)


def _doubt(beat: Heartbeat) -> str | None:
    """Why what Azure shows of the extensions is not the state of now."""
    if beat.off:
        return beat.off
    if beat.settling and not (beat.ready and beat.fresh):
        return beat.settling
    if not beat.ready:
        return "the agent, which reports on extensions, is silent"
    return None if beat.fresh else f"the agent last reported on them {beat.when}"


def _rows(signs: list[Sign], view: InstanceView) -> tuple[Evidence, ...]:
    return tuple(
        Evidence(Plane.INSTANCE_VIEW, f"{sign.source} {sign.name}", sign.at or view.observed_at, sign.said)
        for sign in signs[:4]
    )

"""What is known of the agent, by Azure and by the guest, and which of the two is the fresher word."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from auditor.facts import (
    Agent,
    Backup,
    Facts,
    Guest,
    GuestAgent,
    InstanceView,
    StatusCode,
    Unseen,
    VmModel,
    identity_mismatch,
)
from auditor.model import Evidence, Outcome, Plane, Platform
from auditor.plugin import skipped
from auditor.rules import Rules
from checks.evidence import clip, in_guest, powered, reported, span
from checks.items import protecting

NEVER = datetime.min.replace(tzinfo=UTC)
READY = "provisioningstate/succeeded"
SILENT = "unknown"
RUNNING = frozenset({"active", "reloading", "running"})
REQUIRED_SERVICES = ("RdAgent", "WindowsAzureGuestAgent")


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """What Azure last heard from the agent.

    `off` says why a machine that does not run has no word on now; `settling` says that a machine which is
    new, or was just started or changed, may still be silent; `age` is None where the status has no time;
    `outlived` tells that the status is older than the last operation on the machine.
    """

    view: InstanceView
    agent: Agent | None
    status: StatusCode | None
    off: str | None
    settling: str | None
    age: timedelta | None
    limit: timedelta
    outlived: bool

    @property
    def ready(self) -> bool:
        """Whether the last word was "Ready", by its code."""
        return self.status is not None and self.status.code.lower() == READY

    @property
    def fresh(self) -> bool:
        """Whether the last word is one on now: young, and later than the last start or change.

        Clocks may differ by the limit.
        """
        return self.age is not None and abs(self.age) <= self.limit and not self.outlived

    @property
    def version(self) -> str | None:
        """The version that the agent reported; None where it never reported one."""
        version = clip(self.agent.version or "", 60) if self.agent else ""
        return version if version and version.lower() != SILENT else None

    @property
    def evidence(self) -> tuple[Evidence, ...]:
        """The agent's status, and the power state where that matters."""
        row = reported(self.view, self.status)
        return (powered(self.view), row) if self.off else (row,)

    @property
    def when(self) -> str:
        """How long ago the agent reported."""
        if self.age is None:
            return "at an unknown time"
        return f"{span(abs(self.age))} {'in the future' if self.age < -self.limit else 'ago'}"


@dataclass(frozen=True, slots=True)
class AgentReport:
    """Both planes on the agent of one machine."""

    azure: Heartbeat | Unseen
    guest: Guest | Unseen
    agent: GuestAgent | Unseen | None

    @property
    def guest_decides(self) -> bool:
        """Whether the guest was seen, and later than Azure heard from it."""
        if isinstance(self.guest, Unseen) or isinstance(self.agent, Unseen):
            return False
        if isinstance(self.azure, Unseen) or self.azure.off or not self.azure.fresh:
            return True
        if self.azure.version is None:
            return True  # the time of such a status is that of the question, not of any word of the agent
        heard = self.azure.status.at if self.azure.status else None
        return heard is None or self.guest.observed_at >= heard

    @property
    def evidence(self) -> tuple[Evidence, ...]:
        """What each plane said, Azure first."""
        azure = () if isinstance(self.azure, Unseen) else self.azure.evidence
        if isinstance(self.guest, Unseen) or isinstance(self.agent, Unseen):
            return azure
        return (*azure, in_guest(self.guest, "agent", _guest_text(self.guest, self.agent)))

    @property
    def nobody(self) -> str:
        """Why neither plane could tell; only where Azure was not seen and the guest does not decide."""
        guest = self.guest if isinstance(self.guest, Unseen) else self.agent
        reasons = [self.azure.reason] if isinstance(self.azure, Unseen) and self.azure.expected else []
        if isinstance(guest, Unseen) and (guest.expected or not reasons):
            reasons.append(guest.reason)
        return "; ".join(reasons)


def agent_report(facts: Facts, rules: Rules) -> AgentReport:
    """Both planes on the agent; a guest that is not this machine is not asked."""
    azure = facts.instance if isinstance(facts.instance, Unseen) else heartbeat(facts, facts.instance, rules)
    guest = the_guest(facts)
    return AgentReport(azure, guest, guest if isinstance(guest, Unseen) else guest.agent)


def heartbeat(facts: Facts, view: InstanceView, rules: Rules) -> Heartbeat:
    """What Azure last heard from the agent, judged against the run's clock."""
    status = _newest(view.agent)
    age = facts.now - status.at if status and status.at else None
    beat = Heartbeat(
        view=view,
        agent=view.agent,
        status=status,
        off=None,
        settling=_settling(facts, view, age, rules),
        age=age,
        limit=rules.minutes("heartbeat-minutes"),
        outlived=_outlived(facts, view, age),
    )
    return replace(beat, off=_off(facts, view, status, heard=beat.ready and beat.fresh))


def the_guest(facts: Facts) -> Guest | Unseen:
    """The guest, unless its own id shows that another machine answered."""
    guest, model = facts.guest, facts.model
    if isinstance(guest, Unseen) or isinstance(model, Unseen):
        return guest
    return identity_mismatch(guest, model.vm_id) or guest


def needs_no_agent(facts: Facts) -> Outcome | None:
    """A skip where every active backup of the machine is crash-consistent only."""
    if not isinstance(facts.backup, Backup):
        return None
    policies = [item.policy for item in protecting(facts.backup)]
    if not policies or not all(policy is not None and policy.crash_consistent_only for policy in policies):
        return None
    names = ", ".join(sorted({policy.name for policy in policies if policy}))
    row = Evidence(Plane.BACKUP, "policy", facts.backup.observed_at, f"{names}: crash-consistent only")
    return skipped("its backup policy is crash-consistent only and needs neither agent nor extension", row)


def outside_azure(facts: Facts) -> Outcome | None:
    """A skip for a machine that Azure does not know."""
    if facts.machine.in_azure:
        return None
    row = Evidence(Plane.INVENTORY, "listed in", None, clip(facts.machine.source))
    return skipped("not an Azure machine", row)


def _newest(agent: Agent | None) -> StatusCode | None:
    if agent is None:
        return None
    own = [status for status in agent.statuses if status.code.lower().startswith("provisioningstate/")]
    return max(own, key=lambda status: status.at or NEVER, default=None)


def _off(facts: Facts, view: InstanceView, status: StatusCode | None, *, heard: bool) -> str | None:
    state = clip(view.power_state or SILENT, 40).lower()
    if state == "running" or (state == SILENT and heard):
        return None
    state = "in an unknown power state" if state == SILENT else state
    if status is None or status.at is None:
        return f"the VM is {state}, and Azure keeps no agent status of it"
    return f"the VM is {state}; its agent status is {span(facts.now - status.at)} old and says nothing of now"


def _settling(facts: Facts, view: InstanceView, age: timedelta | None, rules: Rules) -> str | None:
    limit = rules.minutes("settle-minutes")
    if isinstance(facts.model, VmModel) and facts.model.created_at is not None:
        new = facts.now - facts.model.created_at
        if new <= limit:
            return f"the VM was created {span(new)} ago and its agent may still be starting"
    since = last_operation(facts, view)
    if since is None:
        return None
    if since <= limit:
        return f"the VM was started or changed {span(since)} ago and its agent may still be starting"
    if _outlived(facts, view, age) and age is not None and age <= rules.minutes("heartbeat-minutes"):
        return f"the agent has not reported since the VM was started or changed {span(since)} ago"
    return None


def last_operation(facts: Facts, view: InstanceView) -> timedelta | None:
    """How long ago Azure began or ended its last operation on the VM; None where that was not seen."""
    return facts.now - view.operation.at if view.operation and view.operation.at else None


def _outlived(facts: Facts, view: InstanceView, age: timedelta | None) -> bool:
    since = last_operation(facts, view)
    return since is not None and age is not None and age > since


def may_run(agent: GuestAgent | Unseen | None) -> bool:
    """Whether nothing that the guest shows speaks against a running agent."""
    if not isinstance(agent, GuestAgent):
        return isinstance(agent, Unseen)
    needed = {name.lower() for name in REQUIRED_SERVICES}
    states = [service.state for service in agent.services if service.name.lower() in needed]
    return all(state is None or state.lower() in RUNNING for state in states or [agent.active])


def own_version(guest: Guest, agent: GuestAgent) -> str | None:
    """The version that counts in a guest; None where it shows none.

    On Windows that is WaAppAgent's, to which the floor of Azure Backup belongs; on Linux the goal-state
    agent's, which is the part that runs.
    """
    if guest.platform.lower() == Platform.WINDOWS:
        return agent.daemon_version or agent.goal_state_version
    return agent.goal_state_version or agent.daemon_version


def _guest_text(guest: Guest, agent: GuestAgent | Unseen | None) -> str:
    if agent is None or isinstance(agent, Unseen):
        return "not found"
    version = own_version(guest, agent)
    windows = guest.platform.lower() == Platform.WINDOWS
    other = agent.goal_state_version if windows else agent.daemon_version
    also = f" ({'GuestAgentVersion' if windows else 'daemon'} {other})" if other and other != version else ""
    return f"{version or agent.problem or 'no version'}{also}, service {agent.active or 'unknown'}"

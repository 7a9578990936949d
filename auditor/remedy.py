"""The vocabulary of repairs: what a remediation proposes, what a plan holds, how a machine ended. No I/O."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Self

from auditor.facts import Facts
from auditor.hosts import Shell
from auditor.model import Finding, Machine, Severity, Status, Verdict, verdict
from auditor.rules import Rules


class Risk(StrEnum):
    """How much a step can break: a restart, a change of a package, a change that outlives the agent."""

    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"


class Result(StrEnum):
    """How a machine ended, best first."""

    VERIFIED = "verified"
    NOT_CONFIRMED = "applied-not-confirmed"
    ROLLED_BACK = "rolled-back"
    FAILED = "failed"
    REFUSED = "refused"
    SKIPPED = "skipped"


REFUSED_STATUS = 10
"""Exit status of a guard or of work that found a closed gate in the guest, and changed nothing."""
NOTHING_STATUS = 11
"""Exit status of work that found nothing left to do."""
REBOOT_STATUS = 12
"""Exit status of work that is done but for a reboot of the guest."""


@dataclass(frozen=True, slots=True)
class Payload:
    """A file of this machine that a step sends into the guest; the guest checks its SHA-256 (hex)."""

    path: str
    sha256: str
    size: int


@dataclass(frozen=True, slots=True)
class Work:
    """A fixed program for the guest: runs once, detached from the connection, as root or SYSTEM.

    `arguments` reach `text` and `guard` as their own ("$1" in sh, %1 in cmd), never as part of the text.
    `guard` (sh only) runs before anything is written, and ends with `REFUSED_STATUS` and the reason on its
    output where a gate in the guest is closed; `text` may do so too, before it changes anything. `limit` is
    how long the work may take, in seconds: afterwards it is not waited for, and never killed. A `payload` is
    put into the guest first; the work finds its path in the environment as PAYLOAD.
    """

    shell: Shell
    text: str
    arguments: tuple[str, ...] = ()
    guard: str = ""
    limit: float = 600.0
    payload: Payload | None = None


@dataclass(frozen=True, slots=True)
class Request:
    """One write to Azure Resource Manager: `resource` is an id, `action` the last segment of a POST."""

    method: str
    resource: str
    action: str = ""
    body: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Action:
    """One thing to do: what, why, what is true afterwards, and how to take it back (None: it cannot be)."""

    what: str
    why: str
    act: Work | Request
    expect: str
    risk: Risk = Risk.LOW
    undo: Work | None = None
    reboot: bool = False


@dataclass(frozen=True, slots=True)
class Remedy:
    """The actions of one remediation, in order."""

    actions: tuple[Action, ...]


@dataclass(frozen=True, slots=True)
class Manual:
    """This tool must not or cannot repair it: why, and what a person does."""

    reason: str
    how: str


@dataclass(frozen=True, slots=True)
class Nothing:
    """This remediation has nothing to do on this machine: why."""

    reason: str


Answer = Remedy | Manual | Nothing


@dataclass(frozen=True, slots=True)
class AgentInstaller:
    """Where a Windows agent comes from: an https URL or a share that the guest reads, or a pushed file.

    `publisher` is the signer's common name that the guest demands.
    """

    source: str
    sha256: str
    payload: Payload | None = None
    publisher: str = "Microsoft Corporation"


@dataclass(frozen=True, slots=True)
class RepairOptions:
    """What a user allowed and provided; `allowed` are the remediations that need to be asked for."""

    allowed: frozenset[str] = frozenset()
    allow_reboot: bool = False
    windows_agent: AgentInstaller | None = None
    linux_package: Payload | None = None


@dataclass(frozen=True, slots=True)
class Case:
    """What a remediation decides on: the facts, one finding per check, the rules, the options."""

    facts: Facts
    findings: Mapping[str, Finding]
    rules: Rules
    options: RepairOptions

    def bad(self, *checks: str) -> tuple[Finding, ...]:
        """The findings of these checks that failed or warn."""
        found = (self.findings.get(check) for check in checks)
        return tuple(one for one in found if one and one.status in (Status.FAIL, Status.WARN))

    def holds(self, *checks: str) -> bool:
        """Whether all of these checks passed."""
        found = (self.findings.get(check) for check in checks)
        return all(one is not None and one.status is Status.PASS for one in found)


# ---- the plan ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Command:
    """What is sent, byte for byte: to the guest (`shell`, `text`, `data`), or to Azure (`text` alone)."""

    text: str
    shell: str = ""
    data: str = ""


@dataclass(frozen=True, slots=True)
class Step:
    """One action with its id; `channel` is "ssh", "winrm" or "azure", `commands` are what will be sent."""

    id: str
    what: str
    why: str
    channel: str
    expect: str
    risk: Risk
    reboot: bool
    commands: tuple[Command, ...]
    work: Work | None = None
    request: Request | None = None
    undo: Work | None = None
    undo_commands: tuple[Command, ...] = ()


@dataclass(frozen=True, slots=True)
class Stage:
    """What one remediation does, for which checks; skipped when these hold by then."""

    remediation: str
    repairs: tuple[str, ...]
    steps: tuple[Step, ...]


@dataclass(frozen=True, slots=True)
class Unrepaired:
    """Checks that this plan leaves as they are: why, and the manual way (empty: nothing is to be done)."""

    checks: tuple[str, ...]
    reason: str
    how: str = ""


@dataclass(frozen=True, slots=True)
class Standing:
    """How one check stood, and how much that weighs."""

    status: Status
    summary: str
    reason: str | None = None
    severity: Severity | None = None

    @classmethod
    def of(cls, finding: Finding) -> Self:
        """How the check of a finding stands."""
        return cls(finding.status, finding.summary, finding.reason, finding.severity)


@dataclass(frozen=True, slots=True)
class Identity:
    """Who a guest was when the plan was made: it has to be the same when it is touched."""

    vm_id: str | None = None
    firmware_id: str | None = None
    hostname: str | None = None


@dataclass(frozen=True, slots=True)
class MachinePlan:
    """What is to be done on one machine, in order, and what its plan rests on.

    `groups` are the availability set and the subnets that it shares with others.
    """

    machine: Machine
    verdict: Verdict
    before: Mapping[str, Standing]
    stages: tuple[Stage, ...] = ()
    unrepaired: tuple[Unrepaired, ...] = ()
    identity: Identity = field(default_factory=Identity)
    groups: tuple[str, ...] = ()
    rests_on: tuple[str, ...] = ()

    @property
    def steps(self) -> tuple[Step, ...]:
        """Every step, in order."""
        return tuple(step for stage in self.stages for step in stage.steps)


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything that a run may do, and nothing else; `digest` is the SHA-256 of all the rest.

    `reads` are the scripts that only look, sent before and after. `checks` are the checks that judged, by the
    rules called `rule_set`, whose content has the SHA-256 `rules_digest`.
    """

    id: str
    created_at: datetime
    version: str
    cloud: str
    rule_set: str
    checks: tuple[str, ...]
    machines: tuple[MachinePlan, ...]
    options: RepairOptions = field(default_factory=RepairOptions)
    reads: tuple[Command, ...] = ()
    rules_digest: str = ""
    digest: str = ""

    @property
    def touched(self) -> tuple[MachinePlan, ...]:
        """The machines that have something to do."""
        return tuple(machine for machine in self.machines if machine.stages)

    @property
    def steps(self) -> tuple[Step, ...]:
        """Every step of every machine."""
        return tuple(step for machine in self.machines for step in machine.steps)

    def risks(self) -> dict[Risk, int]:
        """Steps per risk, zeros included."""
        counts = dict.fromkeys(Risk, 0)
        for step in self.steps:
            counts[step.risk] += 1
        return counts


# ---- what became of it ---------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class StepResult:
    """What a step left behind; `state` is "done", "refused", "nothing", "failed", "running" or "unknown"."""

    state: str
    exit_status: int | None = None
    output: str = ""
    reboot: bool = False


@dataclass(frozen=True, slots=True)
class StepRecord:
    """A step of a run: when it was begun, and what came of it (None: not known)."""

    id: str
    begun_at: datetime
    ended_at: datetime | None = None
    result: StepResult | None = None


@dataclass(frozen=True, slots=True)
class MachineRecord:
    """A machine of a run; `result` is None while it is not settled."""

    machine: str
    result: Result | None = None
    reason: str = ""
    gates: tuple[str, ...] = ()
    steps: tuple[StepRecord, ...] = ()
    before: Mapping[str, Standing] = field(default_factory=dict)
    after: Mapping[str, Standing] = field(default_factory=dict)
    backup: str = ""

    @property
    def verdict(self) -> Verdict | None:
        """The machine's verdict now; None where it was not looked at again, or no check was weighed."""
        weighed = self.after and all(one.severity is not None for one in self.after.values())
        return verdict(self.after.values()) if weighed else None


@dataclass(frozen=True, slots=True)
class RepairRun:
    """One application of a plan."""

    id: str
    plan: Plan
    started_at: datetime
    finished_at: datetime | None = None
    machines: tuple[MachineRecord, ...] = ()

    def results(self) -> dict[Result, int]:
        """Machines per result, zeros included."""
        counts = dict.fromkeys(Result, 0)
        for record in self.machines:
            if record.result is not None:
                counts[record.result] += 1
        return counts

"""The vocabulary that crosses layers: machines, findings, verdicts, a run. No I/O, no SDK types."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Protocol


class Platform(StrEnum):
    """The operating system family of a machine."""

    WINDOWS = "windows"
    LINUX = "linux"
    UNKNOWN = "unknown"


class Plane(StrEnum):
    """Where a fact is read; a check names the planes it needs, and only those are collected."""

    INVENTORY = "inventory"
    INSTANCE_VIEW = "instance-view"
    BACKUP = "backup"
    JOBS = "jobs"
    GUEST = "guest"


class Status(StrEnum):
    """What one check found on one machine."""

    PASS = "pass"
    WARN = "warn"
    FAIL = "fail"
    SKIP = "skip"
    UNKNOWN = "unknown"


class Severity(StrEnum):
    """How much a failed check weighs; the rule set decides, so that users can change it."""

    BLOCKER = "blocker"
    DEGRADED = "degraded"
    INFO = "info"


class Verdict(StrEnum):
    """The judgement on one machine, best first."""

    READY = "ready"
    AT_RISK = "at-risk"
    UNKNOWN = "unknown"
    NOT_READY = "not-ready"


SSH, WINRM, RUN_COMMAND = "ssh", "winrm", "run-command"


class Judged(Protocol):
    """What a verdict counts: how a check stood, and how much that weighs."""

    @property
    def status(self) -> Status:
        """How it stood."""

    @property
    def severity(self) -> Severity | None:
        """How much it weighs."""


def verdict(findings: Iterable[Judged]) -> Verdict:
    """The verdict of a machine.

    A failed blocker outweighs an unjudged one, which outweighs a warning: with a blocker unseen,
    "at risk" would promise more than is known. A machine of which nothing at all could be judged is
    unknown whatever the severities, and never ready.
    """
    found = tuple(findings)
    votes = {_vote(finding) for finding in found}
    if {finding.status for finding in found} in ({Status.UNKNOWN}, {Status.UNKNOWN, Status.SKIP}):
        votes.add(Verdict.UNKNOWN)
    for candidate in (Verdict.NOT_READY, Verdict.UNKNOWN, Verdict.AT_RISK):
        if candidate in votes:
            return candidate
    return Verdict.READY


def _vote(finding: Judged) -> Verdict:
    match (finding.status, finding.severity):
        case (Status.FAIL, Severity.BLOCKER):
            return Verdict.NOT_READY
        case (Status.UNKNOWN, Severity.BLOCKER):
            return Verdict.UNKNOWN
        case (Status.FAIL | Status.WARN, Severity.BLOCKER | Severity.DEGRADED):
            return Verdict.AT_RISK
        case _:
            return Verdict.READY


@dataclass(frozen=True, slots=True)
class Connection:
    """How a guest is reached; files are paths, and secrets are references that `Secrets` resolves.

    `password`, `passphrase` (of `key`) and `sudo_password` are references such as "env:NAME", "file:PATH" or
    "prompt:NAME", never the secret. `jump` holds SSH jump hosts, the nearest first, each as
    [user@]host[:port]. `auth` is for WinRM ("ntlm", "kerberos", "certificate", "basic", None: ntlm), as are
    `plain_http` (allowed where the messages are encrypted), `certificate` (the client's, PEM, with `key`) and
    `ca` (PEM). `server_name` is the name that the guest's certificate or service principal carries, where it
    is not the address.
    """

    address: str
    port: int | None = None
    user: str | None = None
    key: str | None = None
    transport: str = SSH
    password: str | None = None
    passphrase: str | None = None
    sudo_password: str | None = None
    jump: tuple[str, ...] = ()
    auth: str | None = None
    plain_http: bool = False
    certificate: str | None = None
    ca: str | None = None
    server_name: str | None = None


@dataclass(frozen=True, slots=True)
class Machine:
    """One machine to audit.

    `id` is the lower-cased ARM resource id, or `host/<name>` for a machine from a hosts file.
    `subscription` and `resource_group` are empty outside Azure. `unreachable` says why its guest cannot be
    asked although somebody wanted it; `left_out` is for a guest that nobody wants asked.
    `subnets` are the ids of the Azure subnets that its interfaces are in, where these were read.
    """

    id: str
    name: str
    platform: Platform
    source: str
    location: str = ""
    subscription: str = ""
    resource_group: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)
    connection: Connection | None = None
    unreachable: str = ""
    left_out: bool = False
    subnets: tuple[str, ...] = ()

    @property
    def in_azure(self) -> bool:
        """Whether Azure Resource Manager knows this machine."""
        return self.id.startswith("/subscriptions/")


@dataclass(frozen=True, slots=True)
class Evidence:
    """One observation behind a finding: where it was read, when, and what stood there."""

    plane: Plane
    source: str
    observed_at: datetime | None
    value: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a check returns; made by `passed`, `warned`, `failed`, `skipped`, `unknown` in `plugin`."""

    status: Status
    summary: str
    reason: str | None = None
    evidence: tuple[Evidence, ...] = ()
    remediation: str | None = None


@dataclass(frozen=True, slots=True)
class Finding:
    """An outcome with the check that gave it and the severity that the rule set gives the check."""

    check: str
    title: str
    status: Status
    severity: Severity
    summary: str
    reason: str | None = None
    evidence: tuple[Evidence, ...] = ()
    remediation: str | None = None


@dataclass(frozen=True, slots=True)
class MachineResult:
    """A machine with its verdict and one finding per check."""

    machine: Machine
    power_state: str | None
    verdict: Verdict
    findings: tuple[Finding, ...]


@dataclass(frozen=True, slots=True)
class Limit:
    """Something that could not be read: which scope, which plane, why.

    `expected` is false for what no run can ever read (a classic VM): it is named, and the run is
    complete all the same.
    """

    scope: str
    plane: Plane
    reason: str
    expected: bool = True


@dataclass(frozen=True, slots=True)
class Lost:
    """A machine that was expected and has no findings."""

    id: str
    reason: str


@dataclass(frozen=True, slots=True)
class Coverage:
    """What the run saw of what it should have seen."""

    expected: int
    audited: int
    lost: tuple[Lost, ...] = ()
    limits: tuple[Limit, ...] = ()

    @property
    def complete(self) -> bool:
        """Whether nothing expected is missing."""
        missing = self.lost or any(limit.expected for limit in self.limits)
        return not missing and self.expected == self.audited


@dataclass(frozen=True, slots=True)
class AuditRun:
    """One audit, ready to be rendered.

    `summary` holds counts by verdict and by status, in the order of the enums.
    """

    id: str
    started_at: datetime
    finished_at: datetime
    cloud: str
    rule_set: str
    scope: Mapping[str, tuple[str, ...]]
    coverage: Coverage
    # asyncio.run writes out the result of its main task (twice) and throws it away: seconds and megabytes
    machines: tuple[MachineResult, ...] = field(repr=False)

    def verdicts(self) -> dict[Verdict, int]:
        """Machines per verdict, zeros included."""
        counts = dict.fromkeys(Verdict, 0)
        for result in self.machines:
            counts[result.verdict] += 1
        return counts

    def findings(self) -> dict[Status, int]:
        """Findings per status, zeros included."""
        counts = dict.fromkeys(Status, 0)
        for result in self.machines:
            for finding in result.findings:
                counts[finding.status] += 1
        return counts

"""From facts and findings to a plan: what is to be done on each machine, and what is not, and why. Pure."""

import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from ipaddress import ip_address, ip_network

from auditor import __version__
from auditor.facts import Facts, Unseen
from auditor.hosts import Script
from auditor.model import WINRM, Finding, Machine, MachineResult, Platform, Severity, Status, Verdict
from auditor.plugin import Remediation
from auditor.remedy import Command, MachinePlan, Plan, RepairOptions, Standing, Unrepaired
from auditor.repair.document import sealed
from auditor.repair.identity import Barred, azure_identity, identity, refusals
from auditor.repair.proposals import BAD, Ids, Proposals
from auditor.rules import Rules

Seen = tuple[Facts, MachineResult]
"""A machine as it was seen, and as it was judged."""


@dataclass(frozen=True, slots=True)
class Reported:
    """A machine with bad findings in an earlier report."""

    machine: Machine
    checks: frozenset[str]


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a plan is asked for: these checks (None: all), of an earlier report's machines (None: of all).

    `named` tells that the machines were asked for by name, so that each gets an answer.
    """

    checks: frozenset[str] | None = None
    reported: Mapping[str, Reported] | None = None
    named: bool = False

    def includes(self, machine: str, check: str) -> bool:
        """Whether this finding is to be repaired."""
        if self.checks is not None and check not in self.checks:
            return False
        return self.reported is None or check in self._reported(machine)

    def _reported(self, machine: str) -> frozenset[str]:
        found = (self.reported or {}).get(machine)
        return found.checks if found else frozenset()


@dataclass(frozen=True, slots=True)
class Planner:
    """Makes plans; `linux_reads` and `windows_reads` are the probes' scripts, which a plan shows too."""

    remediations: Sequence[Remediation]
    rules: Rules
    cloud: str
    checks: tuple[str, ...]
    options: RepairOptions = field(default_factory=RepairOptions)
    wanted: Wanted = field(default_factory=Wanted)
    linux_reads: tuple[Script, ...] = ()
    windows_reads: tuple[Script, ...] = ()

    def plan(self, seen: Sequence[Seen], now: datetime | None = None) -> Plan:
        """The plan for everything that was seen, sealed."""
        plan_id = str(uuid.uuid4())
        refused = refusals([facts for facts, _ in seen])
        ids = Ids(plan_id)
        machines = [
            self._machine(facts, result, refused.get(facts.machine.id), ids) for facts, result in seen
        ]
        machines += self._gone(seen)
        told = tuple(machine for machine in machines if machine.stages or machine.unrepaired)
        return sealed(
            Plan(
                id=plan_id,
                created_at=now or datetime.now(UTC),
                version=__version__,
                cloud=self.cloud,
                rule_set=self.rules.name,
                rules_digest=self.rules.digest,
                checks=self.checks,
                machines=told,
                options=self.options,
                reads=self._reads(told),
            )
        )

    def _machine(self, facts: Facts, result: MachineResult, refusal: Barred | None, ids: Ids) -> MachinePlan:
        machine = facts.machine
        bad = [one for one in result.findings if one.status in BAD and self._wants(machine, one)]
        plan = MachinePlan(
            machine=machine,
            verdict=result.verdict,
            before={one.check: Standing.of(one) for one in result.findings},
            identity=identity(facts),
            groups=_groups(facts),
        )
        others = (*self._changed(result), *self._unjudged(result), *self._fine(result, bad))
        if not bad:
            return replace(plan, unrepaired=others)
        if refusal is not None:
            left = Unrepaired(tuple(one.check for one in bad), refusal.reason, refusal.how)
            return replace(plan, unrepaired=(left, *others))
        proposals = Proposals(facts, result.findings, bad, self.rules, self.options, ids)
        stages, unrepaired = proposals.ask(self.remediations)
        mended = {check for stage in stages for check in stage.repairs}
        rests_on = tuple(dict.fromkeys(_evidence(one for one in bad if one.check in mended)))
        inside = any(step.work for stage in stages for step in stage.steps)
        return replace(
            plan,
            stages=stages,
            unrepaired=(*unrepaired, *others),
            identity=plan.identity if inside or not stages else azure_identity(facts),
            rests_on=rests_on,
        )

    def _wants(self, machine: Machine, finding: Finding) -> bool:
        return self.wanted.includes(machine.id, finding.check)

    def _changed(self, result: MachineResult) -> Iterator[Unrepaired]:
        """Bad findings of the earlier report that are bad no longer."""
        if self.wanted.reported is None:
            return
        for one in result.findings:
            if one.status not in BAD and self._wants(result.machine, one):
                why = f"{one.status}: {one.reason or one.summary}"
                yield Unrepaired((one.check,), f"the report's finding no longer stands; now {why}")

    def _unjudged(self, result: MachineResult) -> Iterator[Unrepaired]:
        """Checks that could not be judged, by reason: blockers, and those asked for; see also `_changed`."""
        if self.wanted.reported is not None:
            return
        reasons: dict[str, list[str]] = {}
        for one in result.findings:
            asked = self.wanted.named or self.wanted.checks is not None or one.severity is Severity.BLOCKER
            if one.status is Status.UNKNOWN and asked and self._wants(result.machine, one):
                reasons.setdefault(one.reason or one.summary, []).append(one.check)
        for reason, checks in reasons.items():
            how = "see that it can be read, and plan again: what is not known is not repaired"
            yield Unrepaired(tuple(checks), f"could not be judged: {reason}", how)

    def _fine(self, result: MachineResult, bad: Sequence[Finding]) -> Iterator[Unrepaired]:
        """Why there is nothing to do on a machine that was asked for by name."""
        judged = [one for one in result.findings if self._wants(result.machine, one)]
        if bad or not self.wanted.named or any(one.status is Status.UNKNOWN for one in judged):
            return
        holding = sum(one.status is Status.PASS for one in judged)
        if judged:
            aside = len(judged) - holding
            rest = f", and {aside} do not apply" if aside else ""
            yield Unrepaired((), f"nothing to do: {holding} of {len(judged)} checks hold{rest}")

    def _gone(self, seen: Sequence[Seen]) -> Iterator[MachinePlan]:
        """Machines of the earlier report that this run did not find."""
        present = {facts.machine.id for facts, _ in seen}
        for key, reported in (self.wanted.reported or {}).items():
            checks = tuple(sorted(check for check in reported.checks if self.wanted.includes(key, check)))
            if key not in present and checks:
                reason = "the report names this machine, and this run did not find it"
                how = "see that the same subscriptions and hosts files are asked, or that it still exists"
                yield _absent(reported.machine, Unrepaired(checks, reason, how))

    def _reads(self, machines: Iterable[MachinePlan]) -> tuple[Command, ...]:
        """The scripts that look, for each platform whose guests will be touched."""
        touched = [plan.machine for plan in machines if any(step.work for step in plan.steps)]
        windows = {_speaks_windows(machine) for machine in touched}
        scripts = (*(self.linux_reads if False in windows else ()),)
        scripts += self.windows_reads if True in windows else ()
        return tuple(Command(one.text, one.shell, one.data.decode()) for one in scripts)


def _absent(machine: Machine, why: Unrepaired) -> MachinePlan:
    return MachinePlan(machine, Verdict.UNKNOWN, {}, unrepaired=(why,))


def _speaks_windows(machine: Machine) -> bool:
    winrm = machine.connection is not None and machine.connection.transport == WINRM
    return winrm or machine.platform is Platform.WINDOWS


def _groups(facts: Facts) -> tuple[str, ...]:
    """What a machine shares with others: its availability set or scale set, and its subnets (or network)."""
    model = None if isinstance(facts.model, Unseen) else facts.model
    sets = (model.availability_set, model.scale_set) if model else ()
    # in one order for all: machines take their turns group after group
    networks: list[str | None] = [*sorted(facts.machine.subnets)]
    return tuple(group for group in (*sets, *(networks or [_network(facts.machine)])) if group)


def _network(machine: Machine) -> str | None:
    """The network that the guest's address lies in: /24, or /64 of IPv6; none for a name."""
    try:
        address = ip_address(machine.connection.address if machine.connection else "")
    except ValueError:
        return None
    return str(ip_network(f"{address}/{24 if address.version == 4 else 64}", strict=False))


def _evidence(findings: Iterable[Finding]) -> Iterator[str]:
    for finding in findings:
        for one in finding.evidence:
            at = f", {one.observed_at:%Y-%m-%d %H:%M:%S %Z}" if one.observed_at else ""
            yield f"{finding.check}: {one.value} ({one.source}{at})"

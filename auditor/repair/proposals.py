"""One machine's part of a plan: the remediations are asked in order, and their answers become stages."""

import json
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from auditor.errors import FactUnavailable
from auditor.facts import Facts
from auditor.model import Finding, Status
from auditor.plugin import Remediation
from auditor.remedy import (
    Action,
    Answer,
    Case,
    Command,
    Manual,
    Nothing,
    Remedy,
    RepairOptions,
    Request,
    Stage,
    Step,
    Unrepaired,
    Work,
)
from auditor.repair.identity import Barred, barred
from auditor.repair.work import command
from auditor.rules import Rules

logger = logging.getLogger(__name__)

BAD = (Status.FAIL, Status.WARN)
AZURE = "azure"


class Ids:
    """The ids of a plan's steps, in order: they tell the guest's receipts apart."""

    def __init__(self, plan: str) -> None:
        self._plan = plan.replace("-", "")[:12]
        self._count = 0

    def next(self) -> str:
        """An id that no other step has."""
        self._count += 1
        return f"{self._plan}-{self._count}"


@dataclass(slots=True)
class Proposals:
    """What the remediations propose for one machine; `bad` are the findings to repair, of all `findings`."""

    facts: Facts
    findings: Sequence[Finding]
    bad: Sequence[Finding]
    rules: Rules
    options: RepairOptions
    ids: Ids
    _stages: list[Stage] = field(default_factory=list)
    _left: list[Unrepaired] = field(default_factory=list)
    _remarks: dict[str, list[str]] = field(default_factory=dict)

    def ask(self, remediations: Sequence[Remediation]) -> tuple[tuple[Stage, ...], tuple[Unrepaired, ...]]:
        """The stages, and what no stage repairs."""
        for one in remediations:
            if checks := self._checks(one):
                self._take(one, checks, self._answer(one))
        return tuple(self._stages), tuple(self._unrepaired(remediations))

    def _checks(self, remediation: Remediation) -> tuple[str, ...]:
        return tuple(one.check for one in self.bad if one.check in remediation.repairs)

    def _answer(self, remediation: Remediation) -> Answer:
        case = Case(self.facts, {one.check: one for one in self.findings}, self.rules, self.options)
        try:
            answer: object = remediation.propose(case)
            if isinstance(answer, Remedy | Manual | Nothing):
                return answer
            raise TypeError(f"{remediation.id} answered {type(answer).__name__}")
        except FactUnavailable as error:
            return Nothing(str(error))
        except Exception as error:  # a stranger's remediation may raise anything; the others are asked
            logger.exception("remediation %s crashed on %s", remediation.id, self.facts.machine.id)
            return Nothing(f"it crashed: {type(error).__name__}")

    def _take(self, remediation: Remediation, checks: tuple[str, ...], answer: Answer) -> None:
        match answer:
            case Remedy(actions=actions) if actions:
                self._remedy(remediation, checks, actions)
            case Manual(reason=reason, how=how):
                self._left.append(Unrepaired(checks, reason, how))
            case Nothing(reason=reason):
                self._remark(remediation, checks, reason)
            case Remedy():
                self._remark(remediation, checks, "it proposes no action")

    def _remark(self, remediation: Remediation, checks: tuple[str, ...], reason: str) -> None:
        for check in checks:
            self._remarks.setdefault(check, []).append(f"{remediation.id}: {reason}")

    def _remedy(self, remediation: Remediation, checks: tuple[str, ...], actions: tuple[Action, ...]) -> None:
        inside = any(isinstance(action.act, Work) for action in actions)
        if remediation.opt_in and remediation.id not in self.options.allowed:
            reason = f"{remediation.id} may repair it, and has to be asked for"
            self._left.append(Unrepaired(checks, reason, f"plan with --allow {remediation.id}"))
        elif inside and (bar := self._barred()):
            self._left.append(Unrepaired(checks, bar.reason, bar.how))
        else:
            try:
                steps = tuple(self._step(action) for action in actions)
            except ValueError as error:
                self._remark(remediation, checks, str(error))
            else:
                self._stages.append(Stage(remediation.id, checks, steps))

    def _barred(self) -> Barred | None:
        return barred(self.facts)

    def _step(self, action: Action) -> Step:
        step = self.ids.next()
        act, connection = action.act, self.facts.machine.connection
        inside = isinstance(act, Work)
        return Step(
            id=step,
            what=action.what,
            why=action.why,
            channel=connection.transport if inside and connection else AZURE,
            expect=action.expect,
            risk=action.risk,
            reboot=action.reboot,
            commands=_guest(step, act) if isinstance(act, Work) else (azure_command(act),),
            work=act if isinstance(act, Work) else None,
            request=act if isinstance(act, Request) else None,
            undo=action.undo,
            undo_commands=_guest(undo_id(step), action.undo) if action.undo else (),
        )

    def _unrepaired(self, remediations: Sequence[Remediation]) -> Iterator[Unrepaired]:
        """What no stage repairs: as a remediation said, or else why none repairs it."""
        mended = {check for stage in self._stages for check in stage.repairs}
        told = set(mended)
        for one in dict.fromkeys(self._left):
            if checks := tuple(check for check in one.checks if check not in mended):
                told |= set(checks)
                yield Unrepaired(checks, one.reason, one.how)
        bar = self._barred()
        repairable = {check for one in remediations for check in one.repairs}
        for finding in self.bad:
            if finding.check not in told:
                yield self._nobody(finding, bar if finding.check in repairable else None)

    def _nobody(self, finding: Finding, bar: Barred | None) -> Unrepaired:
        """A finding that no remediation took up; `bar` may be why the guest could not tell them enough."""
        remarks = [*self._remarks.get(finding.check, ()), *([bar.reason] if bar else ())]
        advice = finding.remediation or ""
        how = f"{advice} Or {bar.how}." if bar and advice else bar.how if bar else advice
        return Unrepaired((finding.check,), "; ".join(remarks) or "no remediation repairs this check", how)


def undo_id(step: str) -> str:
    """The id under which a guest takes a step back: a receipt of its own."""
    return f"{step}-undo"


def azure_command(request: Request) -> Command:
    """A write to Azure as it stands in a plan: method, resource, body."""
    path = request.resource + (f"/{request.action}" if request.action else "")
    body = json.dumps(dict(request.body), sort_keys=True, ensure_ascii=False) if request.body else ""
    return Command(f"{request.method} {path} {body}".rstrip())


def _guest(step: str, work: Work) -> tuple[Command, ...]:
    """What a guest is sent; a file's bytes stand for themselves by their digest."""
    script, file = command(step, work), work.payload
    sent = Command(script.text, script.shell, script.data.decode())
    if file is None:
        return (sent,)
    return Command(f"FILE {file.path} ({file.size} bytes, SHA-256 {file.sha256})"), sent

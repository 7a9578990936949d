"""A plan and a run with every result in it, for pages and JSON to be made of."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from auditor.model import Connection, Machine, Platform, Severity, Status, Verdict
from auditor.remedy import (
    AgentInstaller,
    Command,
    Identity,
    MachinePlan,
    MachineRecord,
    Payload,
    Plan,
    RepairOptions,
    RepairRun,
    Result,
    Risk,
    Stage,
    Standing,
    Step,
    StepRecord,
    StepResult,
    Unrepaired,
)

NOW = datetime(2026, 11, 23, 4, 0, tzinfo=UTC)
CHECK = "agent-service"


def plan_of(words: Sequence[str]) -> Plan:
    """One machine per word, with the word in every field that can hold one."""
    machines = tuple(_machine(place, word) for place, word in enumerate(words))
    left = MachinePlan(
        Machine("host/alone", "alone", Platform.LINUX, "hosts"),
        Verdict.UNKNOWN,
        {},
        unrepaired=(Unrepaired(("wire-server",), words[0], words[0]), Unrepaired((), "nothing to do")),
    )
    options = RepairOptions(
        frozenset({words[0]}),
        True,
        AgentInstaller(words[0], "ab" * 32, publisher=words[0]),
        Payload(words[0], "cd" * 32, 12),
    )
    reads = (Command(words[0], "powershell", words[0]),)
    return Plan(
        "plan-1", NOW, "1", words[0], words[0], (CHECK,), (*machines, left), options, reads, digest="ef" * 32
    )


def _machine(place: int, word: str) -> MachinePlan:
    key = f"0123456789ab-{place}"
    step = Step(
        key,
        word,
        word,
        "ssh",
        word,
        tuple(Risk)[place % 3],
        place % 2 == 0,
        (Command(word, "sh", word),),
        undo_commands=(Command(word, "sh"),),
    )
    return MachinePlan(
        Machine(f"host/{word}", word, Platform.LINUX, "hosts", connection=Connection("10.0.0.1")),
        Verdict.NOT_READY,
        {
            CHECK: Standing(Status.FAIL, word, word, Severity.BLOCKER),
            word: Standing(Status.UNKNOWN, word, severity=Severity.DEGRADED),
        },
        (Stage(word, (CHECK, word), (step,)),),
        (Unrepaired((word,), word, word),),
        Identity(word, word, word),
        (word,),
        (word,),
    )


def run_of(words: Sequence[str], results: Sequence[Result | None] = (*Result, None)) -> RepairRun:
    """One machine per result, the words going round."""
    names = [f"{words[place % len(words)]}-{place}" for place in range(len(results))]
    plan = plan_of(names)
    records = tuple(
        _record(machine, result, words[place % len(words)])
        for place, (machine, result) in enumerate(zip(plan.machines, results, strict=False))
    )
    return RepairRun("run-1", plan, NOW, NOW + timedelta(minutes=4), records)


def _record(machine: MachinePlan, result: Result | None, word: str) -> MachineRecord:
    (step,) = machine.steps
    state = {Result.FAILED: "failed", Result.REFUSED: "refused"}.get(result or Result.SKIPPED, "done")
    told = StepResult(state, 0, word) if result else None
    steps = [StepRecord(step.id, NOW, NOW + timedelta(seconds=9) if result else None, told)]
    if result is Result.ROLLED_BACK:
        steps.append(StepRecord(f"{step.id}-undo", NOW, NOW, StepResult("done", 0, word)))
    after = (
        {**machine.before, CHECK: Standing(Status.PASS, word, severity=Severity.BLOCKER)}
        if state == "done" and result
        else {}
    )
    gates = (f"lock: open, {word}", f"power: closed, {word}")
    return MachineRecord(
        machine.machine.id, result, word, gates, tuple(steps), machine.before, after, backup=word
    )


def unfinished(run: RepairRun) -> RepairRun:
    """The same run, killed."""
    return replace(run, finished_at=None, machines=run.machines[:2])

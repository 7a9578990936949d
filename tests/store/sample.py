"""Plans and the many things that the tests of the store write down."""

from datetime import UTC, datetime
from pathlib import Path

from auditor.hosts import Shell
from auditor.model import Connection, Machine, Platform, Status, Verdict
from auditor.remedy import (
    Command,
    MachinePlan,
    Plan,
    Risk,
    Stage,
    Standing,
    Step,
    StepResult,
    Work,
)
from auditor.repair.document import sealed

ROOT = Path(__file__).resolve().parents[2]
BROKEN = {"agent-service": Standing(Status.FAIL, "the unit is masked", "walinuxagent.service")}
WELL = {"agent-service": Standing(Status.PASS, "active")}
DONE = StepResult("done", 0, "restarted")


def plan_of(id: str = "plan", machines: int = 2, script: str = "systemctl restart walinuxagent") -> Plan:
    """A sealed plan with one step for each machine; a password is a reference."""
    return sealed(
        Plan(
            id=id,
            created_at=datetime(2026, 3, 1, 12, 30, 0, 250_000, tzinfo=UTC),
            version="1",
            cloud="none",
            rule_set="rules",
            checks=("agent-service",),
            machines=tuple(_machine(f"vm-{number}", script) for number in range(machines)),
        )
    )


def _machine(name: str, script: str) -> MachinePlan:
    connection = Connection(f"{name}.example", user="ops", password="env:STORE_TEST_PASSWORD")
    step = Step(
        id=f"step-{name}",
        what="restart the agent",
        why="it is masked",
        channel="ssh",
        expect="the unit is active",
        risk=Risk.LOW,
        reboot=False,
        commands=(Command(script, "sh"),),
        work=Work(Shell.SH, script),
    )
    return MachinePlan(
        machine=Machine(f"host/{name}", name, Platform.LINUX, "hosts.yaml", connection=connection),
        verdict=Verdict.NOT_READY,
        before=BROKEN,
        stages=(Stage("agent-restart", ("agent-service",), (step,)),),
    )


def result_of(step: str) -> StepResult:
    """What became of a step, told by its name: long enough to take several pages of the file."""
    return StepResult("done", len(step), f"{step} " * 2000)

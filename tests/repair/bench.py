"""A small trade: remediations of a few words and machines of the estate, for plans to be made of."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from auditor.errors import FactUnavailable
from auditor.facts import Facts
from auditor.hosts import Script, Shell
from auditor.judge import judge
from auditor.model import SSH, Connection, Platform
from auditor.plugin import Remediation, Repair, remediation
from auditor.remedy import (
    Action,
    Answer,
    Case,
    Manual,
    Nothing,
    Payload,
    Plan,
    Remedy,
    RepairOptions,
    Request,
    Risk,
    Work,
)
from auditor.repair.planner import Planner, Wanted
from checks import CHECKS
from tests.checks.estate import BY_ID, GUEST, GUID, HOST, MACHINE, NOW, RULES, VM, guested, linux, modelled

PROSE = Repair("What.", "Why.", "How.", "Undo.", "Never.", ("a source",))
RESTART = Action(
    "restart the agent's service",
    "it is stopped",
    Work(Shell.SH, 'systemctl restart "$1"', ("walinuxagent",)),
    "the service runs",
    undo=Work(Shell.SH, 'systemctl stop "$1"', ("walinuxagent",)),
)
REINSTALL = Action(
    "install the package again",
    "its files are gone",
    Work(Shell.SH, "apt-get install --reinstall walinuxagent", guard="apt-get -s install walinuxagent"),
    "the package is whole",
    risk=Risk.MEDIUM,
    reboot=True,
)
ALLOW = Action(
    "allow extension operations",
    "the property forbids them",
    Request("PATCH", MACHINE.id, body={"properties": {"osProfile": {"allowExtensionOperations": True}}}),
    "extensions may be installed",
    risk=Risk.HIGH,
)
REAPPLY = Action("apply the VM's model again", "it failed", Request("POST", MACHINE.id, "reapply"), "it is")

PUSHED = Payload("/srv/agent.deb", "ab" * 32, 1234)
READS = (Script("echo probe"),)
WINDOWS_READS = (Script("ver", Shell.CMD), Script("$input", Shell.POWERSHELL, b"data of the probe"))


def make(id: str, *repairs: str, answer: Answer | Exception, opt_in: bool = False) -> Remediation:
    """A remediation that gives one answer, whatever the case."""

    def propose(_case: Case) -> Answer:
        if isinstance(answer, Exception):
            raise answer
        return answer

    return remediation(id, title=id, repairs=repairs, explanation=PROSE, opt_in=opt_in)(propose)


restart = make("agent-restart", "agent-service", answer=Remedy((RESTART,)))
reinstall = make("agent-reinstall", "agent-service", "vm-agent-installed", answer=Remedy((REINSTALL,)))
allow = make("vm-agent-property", "extensions-enabled", answer=Remedy((ALLOW,)))
reapply = make("vm-reapply", "vm-agent-ready", answer=Remedy((REAPPLY,)), opt_in=True)
manual = make("by-hand", "agent-service", answer=Manual("installed from source", "install the package"))
idle = make("idle", "agent-service", answer=Nothing("it runs"))
blind = make("blind", "agent-service", answer=FactUnavailable("nobody told"))
broken = make("broken", "agent-service", answer=RuntimeError("boom"))
EVERYTHING = (restart, reinstall, allow, reapply)

WAY_IN = Connection("10.1.2.3", user="azops", transport=SSH)
STOPPED: dict[str, Any] = {"agent_is": {"active": "inactive"}}


def host(name: str = "web1", hostname: str | None = None, **changes: Any) -> Facts:
    """A host with a stopped agent, reached by SSH."""
    facts = guested(HOST, **STOPPED)
    machine = replace(facts.machine, id=f"host/{name}", name=name, connection=WAY_IN)
    guest = replace(GUEST, **{"agent": facts.guest.agent, "hostname": hostname or name, **changes})  # type: ignore[union-attr]
    return replace(facts, machine=machine, guest=guest)


def vm(**changes: Any) -> Facts:
    """A Linux VM of Azure with a stopped agent, reached by SSH, that shows its id."""
    facts = guested(linux(VM), **STOPPED)
    machine = replace(facts.machine, connection=WAY_IN)
    guest = replace(GUEST, **{"agent": facts.guest.agent, "vm_id": GUID, "hostname": "vm1", **changes})  # type: ignore[union-attr]
    return replace(facts, machine=machine, guest=guest)


def planned(
    *facts: Facts,
    remediations: Sequence[Remediation] = EVERYTHING,
    wanted: Wanted | None = None,
    options: RepairOptions | None = None,
) -> Plan:
    """The plan for these machines."""
    planner = Planner(
        remediations=remediations,
        rules=RULES,
        cloud="public",
        checks=tuple(BY_ID),
        options=options or RepairOptions(),
        wanted=wanted or Wanted(),
        linux_reads=READS,
        windows_reads=WINDOWS_READS,
    )
    return planner.plan([(one, judge(one, CHECKS, RULES)) for one in facts], now=NOW)


__all__ = [
    "ALLOW", "EVERYTHING", "NOW", "PUSHED", "READS", "REAPPLY", "REINSTALL", "RESTART", "STOPPED", "WAY_IN",
    "WINDOWS_READS", "Platform", "allow", "blind", "broken", "host", "idle", "make", "manual", "modelled",
    "planned", "reapply", "reinstall", "restart", "vm",
]  # fmt: skip

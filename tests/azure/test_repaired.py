"""From the finding to the check that holds: repairs of a VM itself, on the wire of the simulated estate."""

import asyncio
from datetime import UTC, datetime
from typing import Any

import pytest

from auditor.azure.estate import Azure
from auditor.azure.patience import Patience
from auditor.facts import Facts
from auditor.inventory.scope import Scope
from auditor.judge import judge
from auditor.model import Finding, Status
from auditor.plugin import Remediation
from auditor.remedy import Case, Nothing, Remedy, RepairOptions, Request
from auditor.rules import load_rules
from auditor.simulator.changes import merged
from auditor.simulator.server import RunningServer, serve_estate
from auditor.simulator.vms import Vm
from checks import CHECKS
from remediations.azure_vm import vm_agent_property, vm_reapply
from remediations.backup_extension import CODE, backup_extension_reset
from tests.azure.conftest import OpenArm
from tests.azure.test_repairs import ESTATE, of

RULES = load_rules()


def forbid(server: RunningServer) -> Vm:
    machine = of("last-job-failed")
    server.allow_extensions(machine.id, False)
    return machine


def fail(_: RunningServer) -> Vm:
    return of("provisioning-failed")


def stick(server: RunningServer) -> Vm:
    """An extension that failed, and says that it hangs half deleted."""
    machine = of("snapshot-extension-failed")
    state = server.world.vms[machine.key]
    entries = [
        merged(entry, {"statuses": [{**entry["statuses"][0], "message": f"{CODE}: it hangs."}]})
        for entry in state.view["extensions"]
    ]
    with state.changing():
        state.view = {**state.view, "extensions": entries}
    return machine


async def seen(azure: Azure, machine: Vm) -> Case:
    """A machine as an audit of Azure alone sees it."""
    found = await azure.inventory(Scope(vms=(machine.id,)))
    (one,) = found.machines
    await azure.read_vaults([one], jobs=True)
    facts = Facts(
        one,
        datetime.now(UTC),
        found.models[one.id],
        await azure.instance_view(one),
        azure.backup(one),
        azure.jobs(one),
    )
    findings: dict[str, Finding] = {row.check: row for row in judge(facts, CHECKS, RULES).findings}
    return Case(facts, findings, RULES, RepairOptions())


@pytest.mark.parametrize(
    ("seed", "remediation", "check"),
    [
        (forbid, vm_agent_property, "extensions-enabled"),
        (fail, vm_reapply, "extension-health"),
        (stick, backup_extension_reset, "extension-health"),
    ],
)
def test_what_is_proposed_repairs_what_was_found_and_is_proposed_once(
    open_arm: OpenArm, monkeypatch: pytest.MonkeyPatch, seed: Any, remediation: Remediation, check: str
) -> None:
    monkeypatch.setenv("AZURE_TENANT_ID", ESTATE.tenant)
    monkeypatch.setenv("AZURE_CLIENT_ID", ESTATE.client_id)
    monkeypatch.setenv("AZURE_CLIENT_SECRET", ESTATE.client_secret)

    async def run() -> None:
        async with serve_estate(ESTATE) as server, open_arm(server.url, server.ca_pem) as arm:
            azure, machine = Azure(arm), seed(server)
            before = await seen(azure, machine)
            assert before.findings[check].status is Status.FAIL
            answer = remediation.propose(before)
            assert isinstance(answer, Remedy), answer
            for action in answer.actions:
                assert isinstance(action.act, Request)
                result = await azure.repairs(Patience(pause=0.02)).perform(action.act)
                assert result.state == "done", result
            # an agent has to speak after the last operation on its VM, and it speaks of whole seconds
            await asyncio.sleep(1.1)
            server.agent_reports(
                machine.id, "2.7.41491.1095" if machine.platform == "windows" else "2.12.0.4"
            )
            after = await seen(azure, machine)
            assert after.findings[check].status is Status.PASS, after.findings[check]
            assert isinstance(remediation.propose(after), Nothing)

    asyncio.run(run())

"""What is proposed for a VM in Azure, and that its requests are ones that are sent."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from auditor.azure import traffic
from auditor.facts import (
    Extension,
    Facts,
    GuestAgent,
    HealthDetail,
    InstanceView,
    Job,
    JobError,
    Jobs,
    StatusCode,
    Unseen,
)
from auditor.judge import judge
from auditor.model import Status
from auditor.plugin import Remediation
from auditor.remedy import Action, Answer, Case, Manual, Nothing, Remedy, RepairOptions, Request
from remediations import REMEDIATIONS
from remediations.azure_vm import vm_agent_property, vm_reapply
from remediations.backup_extension import CODE, backup_extension_reset
from tests.checks.estate import BACKUP, CHECKS, GUEST, ITEM, MODEL, NOW, RULES, VIEW, VM, VM_ID, agent, ago

OURS = (vm_agent_property, vm_reapply, backup_extension_reset)
GONE = Unseen("somebody took it away")
FORBIDDEN = replace(VM, model=replace(MODEL, allow_extension_operations=False))
NO_AGENT = replace(VIEW, agent=None)
SILENT = replace(VIEW, agent=agent("Unknown", code="ProvisioningState/Unavailable"))
FAILED = replace(VM, model=replace(MODEL, provisioning_state="Failed"))
OURS_THERE = Extension("VmSnapshot", "microsoft.azure.recoveryservices.vmsnapshot", "1.0", "Succeeded")
LISTED = replace(VIEW, extensions=(Extension("Other", "Microsoft.Compute.CustomScriptExtension"), OURS_THERE))


def case(facts: Facts) -> Case:
    findings = {finding.check: finding for finding in judge(facts, CHECKS, RULES).findings}
    return Case(facts, findings, RULES, RepairOptions(frozenset(one.id for one in OURS)))


def proposed(remediation: Remediation, facts: Facts) -> Answer:
    return remediation.propose(case(facts))


def action(answer: Answer) -> Action:
    assert isinstance(answer, Remedy), answer
    (only,) = answer.actions
    return only


def request(answer: Answer) -> Request:
    act = action(answer).act
    assert isinstance(act, Request)
    return act


# ---- vm-agent-property -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "facts",
    [
        FORBIDDEN,
        replace(FORBIDDEN, guest=GUEST),
        replace(FORBIDDEN, instance=NO_AGENT, guest=GUEST),
        replace(FORBIDDEN, instance=GONE, guest=GUEST),
    ],
)
def test_the_property_is_set_where_an_agent_is_there(facts: Facts) -> None:
    answer = proposed(vm_agent_property, facts)
    body = {"properties": {"osProfile": {"allowExtensionOperations": True}}}
    assert request(answer) == Request("PATCH", VM_ID, body=body)


@pytest.mark.parametrize(
    ("facts", "said"),
    [
        (VM, "does not forbid"),
        (replace(VM, model=replace(MODEL, allow_extension_operations=True)), "does not forbid"),
        (replace(VM, model=GONE), "somebody took it away"),
        (replace(FORBIDDEN, instance=NO_AGENT), "no agent is known"),
        (replace(FORBIDDEN, instance=SILENT), "no agent is known"),
        (replace(FORBIDDEN, instance=GONE), "no agent is known"),
        (replace(FORBIDDEN, guest=replace(GUEST, agent=None)), "no agent is known"),
    ],
)
def test_the_property_is_let_be_elsewhere(facts: Facts, said: str) -> None:
    answer = proposed(vm_agent_property, facts)
    assert isinstance(answer, Nothing)
    assert said in answer.reason


def test_the_property_is_the_cause_of_the_check_that_it_repairs() -> None:
    assert case(FORBIDDEN).findings["extensions-enabled"].status is Status.FAIL
    assert isinstance(GUEST.agent, GuestAgent)


# ---- vm-reapply ------------------------------------------------------------------------------------


def test_a_failed_vm_that_runs_is_reapplied() -> None:
    answer = proposed(vm_reapply, FAILED)
    assert request(answer) == Request("POST", VM_ID, "reapply")
    assert case(FAILED).findings["extension-health"].status is Status.FAIL


@pytest.mark.parametrize("power", ["stopped", "deallocated", "starting", None])
def test_a_failed_vm_that_does_not_run_is_left_to_a_person(power: str | None) -> None:
    answer = proposed(vm_reapply, replace(FAILED, instance=replace(VIEW, power_state=power)))
    assert isinstance(answer, Manual)
    assert (power or "unknown") in answer.reason


@pytest.mark.parametrize(
    "facts",
    [
        VM,
        replace(VM, model=GONE),
        replace(FAILED, instance=GONE),
        replace(VM, model=replace(MODEL, provisioning_state="Updating")),
    ],
)
def test_nothing_is_reapplied_elsewhere(facts: Facts) -> None:
    assert isinstance(proposed(vm_reapply, facts), Nothing)


# ---- backup-extension-reset ------------------------------------------------------------------------


def job(message: str, title: str | None = None, *, status: str = "Failed") -> Jobs:
    error = JobError(400999, title, message)
    return Jobs((), Job("/jobs/1", "Backup", status, ago(hours=9), ago(hours=8), (error,)), NOW)


def health(title: str, **more: Any) -> Facts:
    item = replace(ITEM, health=(HealthDetail(400999, title, "It hangs."),), **more)
    return replace(VM, instance=LISTED, backup=replace(BACKUP, items=(item,)))


def in_status(code: str, message: str = "") -> Facts:
    broken = replace(OURS_THERE, statuses=(StatusCode(code, message=message),))
    return replace(VM, instance=replace(VIEW, extensions=(broken,)))


STUCK: Mapping[str, Facts] = {
    "the last job's title": replace(VM, instance=LISTED, jobs=job("It hangs.", CODE)),
    "the last job's text": replace(VM, instance=LISTED, jobs=job(f"Error {CODE.lower()}: it hangs.")),
    "the item's health": health(CODE),
    "the extension's message": in_status("ProvisioningState/failed/5", f"{CODE}: it hangs"),
    "the extension's code": in_status(f"ProvisioningState/failed/{CODE}"),
}


@pytest.mark.parametrize("where", STUCK)
def test_the_extension_is_removed_for_its_own_error(where: str) -> None:
    answer = proposed(backup_extension_reset, STUCK[where])
    assert request(answer) == Request("DELETE", f"{VM_ID}/extensions/VmSnapshot")


@pytest.mark.parametrize(
    "facts",
    [
        VM,
        replace(VM, instance=LISTED),
        replace(VM, instance=LISTED, jobs=job("It is silent.", "UserErrorGuestAgentStatusUnavailable")),
        replace(VM, instance=LISTED, jobs=job(f"Not{CODE}", "x")),
        replace(VM, instance=LISTED, jobs=job(CODE, status="Completed")),
        health("UserErrorGuestAgentStatusUnavailable"),
        health(CODE, deferred_delete=True),
        in_status("ProvisioningState/failed/16", "The VSS writers are in a bad state."),
        in_status("ProvisioningState/deleting"),
        replace(VM, instance=LISTED, jobs=GONE, backup=GONE),
    ],
)
def test_the_extension_is_let_be_for_every_other_error(facts: Facts) -> None:
    assert isinstance(proposed(backup_extension_reset, facts), Nothing)


def test_the_extension_is_let_be_while_the_agent_is_silent() -> None:
    facts = replace(STUCK["the last job's title"], instance=replace(SILENT, extensions=LISTED.extensions))
    answer = proposed(backup_extension_reset, facts)
    assert isinstance(answer, Nothing)
    assert "agent is not known to be ready" in answer.reason


def test_an_extension_that_azure_does_not_list_is_left_to_a_person() -> None:
    answer = proposed(backup_extension_reset, replace(VM, jobs=job("It hangs.", CODE)))
    assert isinstance(answer, Manual)
    assert "az vm extension" in answer.how


# ---- all -------------------------------------------------------------------------------------------


def test_they_come_last_in_their_order_and_only_the_property_is_not_opt_in() -> None:
    assert REMEDIATIONS[-3:] == OURS
    assert [one.opt_in for one in OURS] == [False, True, True]


@pytest.mark.parametrize(
    ("remediation", "facts", "right"),
    [
        (vm_agent_property, FORBIDDEN, "Microsoft.Compute/virtualMachines/write"),
        (vm_reapply, FAILED, "Microsoft.Compute/virtualMachines/reapply/action"),
        (
            backup_extension_reset,
            STUCK["the item's health"],
            "Microsoft.Compute/virtualMachines/extensions/delete",
        ),
    ],
)
def test_what_is_proposed_is_a_write_that_is_sent(remediation: Remediation, facts: Facts, right: str) -> None:
    wanted = request(proposed(remediation, facts))
    assert traffic.write(wanted.method, wanted.resource, wanted.action).permission == right


@pytest.mark.parametrize("remediation", OURS)
def test_whatever_was_not_seen_is_no_reason_to_write(remediation: Remediation) -> None:
    blind = Facts(VM.machine, NOW, GONE, GONE, GONE, GONE, GONE)
    assert isinstance(proposed(remediation, blind), Nothing)
    assert isinstance(VM.instance, InstanceView)

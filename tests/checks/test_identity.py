"""guest-identity."""

from dataclasses import replace

import pytest

from auditor.facts import AZURE_NOT_ASKED, Facts, Unseen
from auditor.judge import judge
from auditor.model import RUN_COMMAND, Status, Verdict
from checks import CHECKS
from tests.checks.estate import (
    ASIDE,
    GUID,
    HOST,
    MODEL,
    RULES,
    VM,
    agentless,
    finding,
    guested,
    modelled,
    said,
)

PASS, WARN, FAIL, SKIP, UNKNOWN = Status.PASS, Status.WARN, Status.FAIL, Status.SKIP, Status.UNKNOWN
OTHER = "0b0b0b0b-0000-0000-0000-000000000002"
SWAPPED = "0a0a0a0a-0000-0000-0000-000000000001"
MIXED = "01020304-0506-0708-090a-0b0c0d0e0f10"
MIXED_SWAPPED = "04030201-0605-0807-090a-0b0c0d0e0f10"
NIL = "00000000-0000-0000-0000-000000000000"
SILENT = Unseen("169.254.169.254 gave no answer")


@pytest.mark.parametrize(
    ("facts", "status", "text"),
    [
        (guested(vm_id=GUID), PASS, "shows the id"),
        (guested(vm_id=GUID.lower()), PASS, "shows the id"),
        (guested(vm_id=SILENT, firmware_id=SWAPPED), PASS, "shows the id"),
        (guested(modelled(vm_id=MIXED), vm_id=SILENT, firmware_id=MIXED), PASS, "shows the id"),
        (guested(modelled(vm_id=MIXED), vm_id=SILENT, firmware_id=MIXED_SWAPPED), PASS, "shows the id"),
        (guested(vm_id=OTHER), FAIL, f"it is {OTHER}, not {GUID}"),
        (guested(vm_id=SILENT, firmware_id=OTHER), FAIL, f"it is {OTHER}"),
        (guested(modelled(vm_id=MIXED), vm_id=MIXED_SWAPPED[:-1] + "1"), FAIL, "another machine"),
        # what an agent wrote down may stem from a copied disk; the board does not
        (guested(vm_id=OTHER, firmware_id=GUID), PASS, "shows the id"),
        # nothing was shown
        (guested(vm_id=SILENT), UNKNOWN, "169.254.169.254 gave no answer"),
        (guested(vm_id=None), UNKNOWN, "showed no id of its own"),
        (guested(vm_id=SILENT, firmware_id=Unseen("not root")), UNKNOWN, "no answer; not root"),
        (guested(vm_id=NIL, firmware_id=NIL), UNKNOWN, "showed no id"),
        (guested(vm_id=NIL.replace("0", "f"), firmware_id=GUID), PASS, "shows the id"),
        (guested(vm_id=NIL, firmware_id=OTHER), FAIL, f"it is {OTHER}"),
        (guested(vm_id=None, firmware_id="To be filled by O.E.M."), UNKNOWN, "showed no id"),
        (guested(vm_id=None, transport=RUN_COMMAND), PASS, "Azure itself led the way"),
        (guested(vm_id=OTHER, transport=RUN_COMMAND), FAIL, "another machine"),
        # nothing to compare with
        (guested(modelled(vm_id=None), vm_id=OTHER), SKIP, "Azure gives no id"),
        (guested(replace(VM, model=AZURE_NOT_ASKED), vm_id=OTHER), SKIP, "Azure was not asked"),
        (guested(HOST, vm_id=OTHER), SKIP, "not an Azure machine"),
        (VM, SKIP, "no guest connection"),
        (replace(VM, guest=Unseen("the host key changed")), UNKNOWN, "the host key changed"),
        # it matters however the VM is backed up
        (guested(agentless(), vm_id=OTHER), FAIL, "another machine"),
    ],
)
def test_guest_identity(facts: Facts, status: Status, text: str) -> None:
    got, words = said("guest-identity", facts)
    assert (got, text in words) == (status, True), words


def test_both_ids_stand_in_the_evidence() -> None:
    found = finding("guest-identity", guested(vm_id=OTHER))
    assert [(row.plane, row.value, row.observed_at) for row in found.evidence] == [
        ("inventory", GUID, MODEL.observed_at),
        ("guest", OTHER, None),
    ]
    assert "address" in str(found.remediation)


def test_nothing_of_another_machine_counts_and_the_verdict_is_loud() -> None:
    facts = guested(agent_is=None, vm_id=OTHER, extensions_enabled=False, wire_server=())
    result = judge(facts, CHECKS, RULES)
    assert [one.check for one in result.findings if one.status is FAIL] == ["guest-identity"]
    assert result.verdict is Verdict.NOT_READY
    alone = judge(replace(facts, guest=ASIDE), CHECKS, RULES)
    assert alone.verdict is not Verdict.NOT_READY

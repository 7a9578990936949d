"""backup-extension and extension-health."""

from dataclasses import replace
from typing import Any

import pytest

from auditor.facts import Extension, Facts, Handler, LogTail, StatusCode, Unseen
from auditor.model import Status
from tests.checks.estate import (
    HOST,
    NOW,
    VM,
    agent,
    agentless,
    ago,
    backed,
    finding,
    guested,
    item,
    items,
    modelled,
    operated,
    status,
    viewed,
)

PASS, WARN, FAIL, SKIP, UNKNOWN = Status.PASS, Status.WARN, Status.FAIL, Status.SKIP, Status.UNKNOWN
VMSNAPSHOT = "Microsoft.Azure.RecoveryServices.VMSnapshot"
FORBIDDEN = Unseen("403: may not read instanceView")
FAILING: dict[str, Any] = {"last_backup_status": "Failed", "last_recovery_point": None}
FIRST: dict[str, Any] = {"protection_state": "IRPending", "last_backup_status": None, "last_backup_at": None}


def with_handlers(*types: str, facts: Facts = VM) -> Facts:
    return viewed(facts, handlers=tuple(Handler(type_, "1.0.91.0", status()) for type_ in types))


def with_extension(type_: str | None, facts: Facts = VM, **more: Any) -> Facts:
    return viewed(facts, extensions=(Extension("any name", type_, "1.0.91.0", **more),))


@pytest.mark.parametrize(
    ("facts", "status", "text"),
    [
        (VM, PASS, "last backup Completed"),
        (items({"last_backup_status": "CompletedWithWarnings"}), PASS, "last backup"),
        # matched by publisher and type, either publisher, any case, any name
        (with_handlers(VMSNAPSHOT, facts=items(FAILING)), PASS, "VMSnapshot 1.0.91.0"),
        (with_handlers(VMSNAPSHOT + "Linux", facts=items(FAILING)), PASS, "VMSnapshotLinux"),
        (with_handlers("microsoft.recoveryservices.vmsnapshot", facts=items(FAILING)), PASS, "vmsnapshot"),
        (with_extension(VMSNAPSHOT.upper(), items(FAILING)), PASS, "VMSNAPSHOT"),
        (with_extension("Acme.RecoveryServices.VMSnapshot", items(FAILING)), UNKNOWN, "managed disks"),
        (with_extension(None, items(FAILING)), UNKNOWN, "managed disks"),
        (guested(items(FAILING)), PASS, "1.0.9220.0"),
        # managed disks: absence in ARM proves nothing
        (items(FAILING), UNKNOWN, "managed disks"),
        (modelled(items(FAILING), managed_disks=None), UNKNOWN, "managed disks"),
        (modelled(items(FAILING), managed_disks=False), FAIL, "Azure lists no backup extension"),
        (modelled(viewed(items(FAILING), handlers=None), managed_disks=False), UNKNOWN, "managed disks"),
        # a second plane agrees
        (guested(items(FAILING), snapshot_extension=()), FAIL, "no trace of it in the guest"),
        (guested(items(FAILING), snapshot_extension=Unseen("not readable")), UNKNOWN, "managed"),
        (guested(items(FAILING), snapshot_extension=(), vm_id="other"), UNKNOWN, "managed"),
        # not yet
        (items(FIRST), SKIP, "the first backup has not run"),
        (items({**FIRST, "last_backup_status": "IRPending"}), SKIP, "the first backup has not run"),
        (items({**FIRST, "last_backup_status": "Failed"}), UNKNOWN, "managed disks"),
        (backed(items=()), SKIP, "not backed up"),
        (items({"protection_state": "ProtectionStopped"}), SKIP, "no longer backed up"),
        (items({**FIRST, "protection_state": "ProtectionStopped"}), SKIP, "not yet"),
        (backed(items=(), gaps=("vault b: 403",)), UNKNOWN, "vault b: 403"),
        (replace(VM, backup=Unseen("no vault could be read")), UNKNOWN, "no vault could be read"),
        (replace(with_handlers(VMSNAPSHOT), backup=Unseen("no vault could be read")), PASS, "VMSnapshot"),
        # what else is not seen
        (replace(items(FAILING), instance=FORBIDDEN), UNKNOWN, "403"),
        (replace(VM, instance=FORBIDDEN), PASS, "last backup"),
        (viewed(power_state="deallocated", agent=None, handlers=None), PASS, "last backup"),
        # whether extensions are welcome is judged by extensions-enabled
        (modelled(items(FIRST), allow_extension_operations=False), SKIP, "not yet"),
        (guested(items(FIRST), extensions_enabled=False, snapshot_extension=()), SKIP, "not yet"),
        (agentless(items(FAILING)), SKIP, "crash-consistent"),
        (HOST, SKIP, "not an Azure machine"),
    ],
)
def test_backup_extension(facts: Facts, status: Status, text: str) -> None:
    found = finding("backup-extension", facts)
    words = found.reason or found.summary
    assert (found.status, text in words) == (status, True), words


def test_several_sources_stand_together_in_the_evidence() -> None:
    found = finding("backup-extension", with_handlers(VMSNAPSHOT))
    assert [row.source for row in found.evidence] == ["handler", "vault home"]


def test_the_log_of_a_missing_extension_is_shown_without_signed_addresses() -> None:
    lines = ("earlier", "freeze failed", "PUT https://x.blob.core.windows.net/a?sv=1&sig=s3cret said 403")
    log = LogTail("/var/log/azure/extension.log", lines, ago(hours=2))
    facts = guested(items(FAILING), snapshot_extension=(), snapshot_log=log)
    rows = [row for row in finding("backup-extension", facts).evidence if row.plane == "guest"]
    assert [(row.observed_at, row.value) for row in rows] == [
        (ago(hours=2), "freeze failed"),
        (ago(hours=2), "PUT https://x.blob.core.windows.net/a?… said 403"),
    ]


def handler(code: str, **more: Any) -> Facts:
    return viewed(handlers=(Handler("Microsoft.Azure.Monitor.AzureMonitorAgent", "1", status(code, **more)),))


def extension(code: str | None = None, *, state: str | None = None, **more: Any) -> Facts:
    statuses = (status(code, **more),) if code else ()
    return viewed(extensions=(Extension("script", "A.CustomScript", "2.1", state, statuses),))


MOVING = "ProvisioningState/transitioning"
OFF: dict[str, Any] = {"power_state": "deallocated", "agent": None, "handlers": None}


@pytest.mark.parametrize(
    ("facts", "status", "text"),
    [
        (VM, PASS, "no extension has failed"),
        (extension("ProvisioningState/succeeded", state="Succeeded"), PASS, "no extension"),
        (extension("ProvisioningState/succeeded/enable", state="Succeeded"), PASS, "no extension"),
        (extension("ProvisioningState/failed/1", state="Failed"), FAIL, "script failed"),
        (extension("provisioningstate/FAILED"), FAIL, "script failed"),
        (extension(state="Failed"), FAIL, "script failed"),
        (extension(state="Canceled"), FAIL, "script failed"),
        (extension("ProvisioningState/succeeded", state="Failed"), FAIL, "script failed"),
        (extension("ComponentStatus/StdOut/succeeded"), PASS, "no extension"),
        (extension("ComponentStatus/StdOut/failed/2"), FAIL, "script failed"),
        # the level says Info, the code does not
        (handler("ProvisioningState/NotReady/21", level="Info"), FAIL, "AzureMonitorAgent failed"),
        (handler("ProvisioningState/Unresponsive"), FAIL, "AzureMonitorAgent failed"),
        (handler("ProvisioningState/succeeded", level="Error"), PASS, "no extension"),
        # transitions
        (extension(MOVING, at=ago(minutes=19)), PASS, "none for long"),
        (extension(MOVING, at=ago(minutes=21)), FAIL, "in transition for 21 min"),
        (handler(MOVING, at=ago(hours=5)), FAIL, "AzureMonitorAgent has been in transition for 5 h"),
        (extension(MOVING, at=None), WARN, "nobody says since when"),
        (extension(state="Updating"), WARN, "nobody says since when"),
        (extension(MOVING, state="Updating", at=ago(minutes=3)), PASS, "none for long"),
        # an extension whose last success is old may have begun to update just now
        (extension("ProvisioningState/succeeded", state="Updating", at=ago(days=90)), WARN, "nobody says"),
        (viewed(extensions=(Extension("fresh", None, None, None, (status(MOVING),)),)), PASS, "none"),
        # the VM itself
        (modelled(provisioning_state="Failed"), FAIL, "no extension says why"),
        (modelled(provisioning_state="Updating"), PASS, "no extension"),
        (modelled(extension(state="Failed"), provisioning_state="Failed"), FAIL, "script failed"),
        (agentless(modelled(provisioning_state="Failed")), FAIL, "provisioning has failed"),
        (operated(code="failed/OSProvisioningTimedOut", hours=3), FAIL, "provisioning has failed"),
        (operated(code="updating", minutes=15), PASS, "no extension"),
        (operated(code="updating", minutes=25), WARN, "the VM has been updating for 25 min"),
        (operated(code="updating"), PASS, "no extension"),
        # what the agent said before a start is no word on now, neither good nor bad
        (operated(minutes=0.5), UNKNOWN, "started or changed 30 s ago"),
        (operated(handler("ProvisioningState/NotReady"), minutes=0.5), UNKNOWN, "changed 30 s ago"),
        (operated(handler("ProvisioningState/NotReady"), minutes=3), FAIL, "AzureMonitorAgent failed"),
        (operated(extension(state="Failed"), minutes=0.5), FAIL, "script failed"),
        # silence is no health, and a failure stays one
        (viewed(agent=agent(at=ago(hours=3))), UNKNOWN, "last reported on them 3 h ago"),
        (viewed(agent=agent("Unknown", code="ProvisioningState/Unavailable"), handlers=None), UNKNOWN, "sil"),
        (modelled(viewed(agent=None, handlers=None), created_at=ago(minutes=1)), UNKNOWN, "created 1 min"),
        (viewed(**OFF), UNKNOWN, "deallocated"),
        (replace(VM, instance=FORBIDDEN), UNKNOWN, "403"),
        (agentless(extension(state="Failed")), SKIP, "crash-consistent"),
        (HOST, SKIP, "not an Azure machine"),
    ],
)
def test_extension_health(facts: Facts, status: Status, text: str) -> None:
    found = finding("extension-health", facts)
    words = found.reason or found.summary
    assert (found.status, text in words) == (status, True), words


def test_a_failure_counts_although_the_agent_is_silent() -> None:
    broken = Extension("script", "A.CustomScript", "2.1", "Failed", ())
    facts = viewed(agent=agent(at=ago(hours=3)), extensions=(broken,))
    assert finding("extension-health", facts).status is FAIL


@pytest.mark.parametrize(("state", "status"), [("Failed", FAIL), ("Succeeded", UNKNOWN)])
def test_of_a_machine_that_is_off_only_the_resource_counts(state: str, status: Status) -> None:
    old = StatusCode("ProvisioningState/failed/1", at=ago(days=2))
    facts = viewed(**OFF, extensions=(Extension("script", "A.CustomScript", "2.1", state, (old,)),))
    assert finding("extension-health", facts).status is status


def test_handler_and_extension_are_both_shown() -> None:
    facts = viewed(
        handlers=(Handler("A.CustomScript", "2.1", status("ProvisioningState/NotReady/21", message="why")),),
        extensions=(Extension("CustomScript", "A.CustomScript", "2.1", "Failed", ()),),
    )
    found = finding("extension-health", facts)
    assert found.summary == "CustomScript failed"
    assert {row.source for row in found.evidence} == {
        "extension resource CustomScript",
        "handler CustomScript",
    }
    assert any("NotReady/21" in row.value and "why" in row.value for row in found.evidence)
    assert all(row.observed_at in {NOW, ago(minutes=1)} for row in found.evidence)


def test_many_failures_are_counted_not_listed() -> None:
    many = tuple(Extension(f"e{number}", None, None, "Failed", ()) for number in range(12))
    found = finding("extension-health", viewed(extensions=many))
    assert found.summary == "e0, e1 and 10 more failed"
    assert len(found.evidence) == 4


def test_an_item_without_any_backup_is_a_first_one() -> None:
    facts = backed(items=(item(last_backup_status="", last_backup_at=None),))
    assert finding("backup-extension", facts).status is SKIP

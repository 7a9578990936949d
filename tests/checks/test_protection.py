"""vault-in-region and backup-protection."""

from dataclasses import replace
from typing import Any

import pytest

from auditor.facts import OUTSIDE_AZURE, Backup, Facts, Unseen
from auditor.model import Status
from tests.checks.estate import HOST, NOW, SUBSCRIPTION, VAULT, VM, agentless, backed, finding, item, items

PASS, WARN, FAIL, SKIP, UNKNOWN = Status.PASS, Status.WARN, Status.FAIL, Status.SKIP, Status.UNKNOWN
OTHER = replace(VAULT, id="/subscriptions/t/vaults/other", name="other")
FOREIGN = replace(OTHER, subscription="22222222-2222-2222-2222-222222222222")
FAR = replace(OTHER, location="northeurope")
STOPPED: dict[str, Any] = {"protection_state": "ProtectionStopped", "policy": None}
BROKEN: dict[str, Any] = {"protection_state": "ProtectionError"}
FIRST: dict[str, Any] = {"protection_state": "IRPending"}
NEVER: dict[str, Any] = {"last_backup_status": "Failed", "last_recovery_point": None}
DELETED: dict[str, Any] = {**STOPPED, "deferred_delete": True}
BLIND = replace(VM, backup=Unseen("no vault could be read: 403"))
BACKUP_THERE = Backup((), (VAULT,), (), NOW)
GAPS = ("subscription b: 403", "vault c: 500", "vault d: 500", "vault e: 500")


def moving(backup: Backup | Unseen, to: str = "West Europe") -> Facts:
    return replace(HOST, backup=backup, target=to)


def located(facts: Facts, location: str) -> Facts:
    return replace(facts, machine=replace(facts.machine, location=location))


@pytest.mark.parametrize(
    ("facts", "status", "text"),
    [
        (VM, PASS, "its vault is in westeurope"),
        (located(VM, "West Europe"), PASS, "its vault is in westeurope"),
        (items({"vault": replace(VAULT, location="West Europe")}), PASS, "westeurope"),
        (items({"vault": FAR}), FAIL, "its vault is in northeurope, the VM in westeurope"),
        (items({"vault": FAR}, {}), FAIL, "northeurope"),
        (items({"vault": replace(VAULT, location="")}), UNKNOWN, "the region of its vault"),
        (agentless(), PASS, "westeurope"),
        (located(VM, ""), UNKNOWN, "region of the VM"),
        (BLIND, UNKNOWN, "403"),
        (HOST, SKIP, "not an Azure machine"),
        # unprotected: is there one to choose?
        (backed(items=()), PASS, "could take it"),
        (backed(items=(), regional_vaults=(replace(VAULT, location="West Europe"),)), PASS, "could take it"),
        (backed(items=(), regional_vaults=(FAR,)), FAIL, "no Recovery Services vault in westeurope"),
        (backed(items=(), regional_vaults=()), FAIL, "no Recovery Services vault in westeurope"),
        (backed(items=(), regional_vaults=(), gaps=GAPS), UNKNOWN, "subscription b: 403"),
        (backed(items=(), gaps=GAPS), PASS, "could take it"),
        (backed(items=(item(**DELETED, vault=FAR),)), PASS, "could take it"),
        (backed(items=(item(**STOPPED, vault=FAR),), regional_vaults=()), FAIL, "no Recovery Services vault"),
        # outside Azure: is there one where the machine is to go?
        (moving(BACKUP_THERE), PASS, "a vault in westeurope could take it"),
        (moving(BACKUP_THERE, to="North Europe"), FAIL, "in northeurope; create one"),
        (moving(replace(BACKUP_THERE, regional_vaults=(), gaps=GAPS)), UNKNOWN, "subscription b: 403"),
        (moving(Unseen("no vault could be read: 403")), UNKNOWN, "403"),
        (moving(OUTSIDE_AZURE), SKIP, "Azure was not asked for vaults in westeurope"),
        (moving(BACKUP_THERE, to=""), SKIP, "no region to move it to was named (--target-region)"),
    ],
)
def test_vault_in_region(facts: Facts, status: Status, text: str) -> None:
    found = finding("vault-in-region", facts)
    words = found.reason or found.summary
    assert (found.status, text in words) == (status, True), words


@pytest.mark.parametrize(
    ("facts", "status", "text"),
    [
        (VM, PASS, "protected in home"),
        (items({"protection_state": "PROTECTED"}), PASS, "protected in home"),
        (items({"protection_state": "IRPending"}), WARN, "the first backup has not run"),
        (items({"protection_state": "IRPending", **NEVER}), WARN, "the first backup failed"),
        (items({"protection_state": "ProtectionError"}), FAIL, "in error"),
        (items(STOPPED), FAIL, "ProtectionStopped in home"),
        (items({"protection_state": "ProtectionPaused"}), FAIL, "ProtectionPaused"),
        (items({"protection_state": "BackupsSuspended"}), FAIL, "BackupsSuspended"),
        (items({"protection_state": "NotProtected"}), FAIL, "NotProtected"),
        (items({"protection_state": "Invalid"}), UNKNOWN, "gives no state of its protection (Invalid)"),
        (items(STOPPED, {"protection_state": "Hibernating", "vault": OTHER}), UNKNOWN, "Hibernating"),
        # an item that is there and never made a recovery point
        (items(NEVER), WARN, "shows no recovery point"),
        (items({"last_recovery_point": None}), PASS, "protected in home"),
        (items({"protection_state": "Hibernating"}), UNKNOWN, "Hibernating"),
        # more than one
        (items({}, {"vault": OTHER}), WARN, "protected 2 times: home, other"),
        (items({}, {"vault": OTHER, **STOPPED}), PASS, "protected in home"),
        (items({}, {"vault": OTHER, **DELETED}), PASS, "protected in home"),
        (items({"protection_state": "IRPending"}, {"vault": OTHER, **STOPPED}), WARN, "in home"),
        (items(BROKEN, {**BROKEN, "vault": OTHER}), FAIL, "home, other is in error"),
        (items(BROKEN, {**FIRST, "vault": OTHER}), WARN, "the first backup has not run"),
        (items({}, {**BROKEN, "vault": OTHER}), WARN, "protected 2 times"),
        # vaults of other subscriptions are named
        (items({"vault": FOREIGN}), PASS, "other of subscription 22222222"),
        (items({"vault": replace(OTHER, subscription=SUBSCRIPTION.upper())}), PASS, "protected in other"),
        # no item: a failure only where everything was read
        (backed(items=()), FAIL, "not protected"),
        (items(DELETED), FAIL, "soft-deleted in home"),
        (backed(items=(), gaps=GAPS), UNKNOWN, "subscription b: 403, vault c: 500, vault d: 500 and 1 more"),
        (backed(items=(item(**DELETED),), gaps=GAPS), UNKNOWN, "subscription b"),
        (backed(items=(item(**STOPPED),), gaps=GAPS), UNKNOWN, "only stopped protection was found"),
        (backed(gaps=GAPS), PASS, "protected in home"),
        (BLIND, UNKNOWN, "403"),
        (HOST, SKIP, "not an Azure machine"),
        (agentless(), PASS, "protected in home"),
    ],
)
def test_backup_protection(facts: Facts, status: Status, text: str) -> None:
    found = finding("backup-protection", facts)
    words = found.reason or found.summary
    assert (found.status, text in words) == (status, True), words


def test_a_soft_deleted_twin_is_in_the_evidence() -> None:
    found = finding("backup-protection", items({}, {"vault": OTHER, **DELETED}))
    assert [row.source for row in found.evidence] == ["vault home", "vault other"]
    assert found.evidence[1].value.startswith("soft-deleted, ProtectionStopped")


def test_the_evidence_names_state_vault_and_recovery_point() -> None:
    (row,) = finding("backup-protection", VM).evidence
    assert (row.plane, row.source, row.observed_at) == ("backup", "vault home", NOW)
    assert row.value == "Protected, last recovery point 2026-11-22 03:00"


@pytest.mark.parametrize(
    ("facts", "step"),
    [
        (backed(items=()), "Enable backup"),
        (items(STOPPED), "Resume"),
        (items(DELETED), "Undelete"),
        (backed(items=(), gaps=GAPS), "Backup Reader"),
    ],
)
def test_each_lack_of_protection_has_its_next_step(facts: Facts, step: str) -> None:
    assert step in str(finding("backup-protection", facts).remediation)

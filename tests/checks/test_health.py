"""backup-health: Azure's health details, job errors, and old recovery points."""

from dataclasses import replace
from typing import Any

import pytest

from auditor.facts import Facts, HealthDetail, Job, JobError, Jobs, Unseen
from auditor.model import Status
from tests.checks.estate import HOST, NOW, POLICY, VAULT, VM, ago, backed, finding, item, items

PASS, WARN, FAIL, SKIP, UNKNOWN = Status.PASS, Status.WARN, Status.FAIL, Status.SKIP, Status.UNKNOWN
GREEN = HealthDetail(400239, "IaasVmHealthGreenDefault", "Backup pre-check status is OK.")
SUCCESS = HealthDetail(0, "Success", "")
OLD_AGENT = HealthDetail(380016, "UserErrorGuestAgentVersionUnsupported", "Not the latest agent.")
SILENT = HealthDetail(400196, "UserErrorGuestAgentStatusUnavailable", "No communication.")
NO_NETWORK = HealthDetail(400206, "ExtensionSnapshotFailedNoNetwork", "No network.")
FAILED_RESTORE = HealthDetail(400367, "", "")
STRANGE = HealthDetail(499999, "UserErrorOfTomorrow", "Something new.", ("Do\r\n   this.\r\n ",))
WEEKLY = replace(POLICY, schedule="Weekly Sunday 02:00 UTC")
HOURLY = replace(POLICY, schedule="Hourly, every 4 h")


def health(status: str | None, *details: HealthDetail, **more: Any) -> Facts:
    return items({"health_status": status, "health": details, **more})


def job(status: str = "Failed", *errors: JobError, operation: str = "Backup", facts: Facts = VM) -> Facts:
    last = Job("/jobs/1", operation, status, ago(hours=3), ago(hours=2), errors)
    return replace(facts, jobs=Jobs((), last, NOW))


PENDING = items({"protection_state": "IRPending", "last_backup_status": None, "last_recovery_point": None})


@pytest.mark.parametrize(
    ("facts", "status", "text"),
    [
        (VM, PASS, "no complaint"),
        (health("Passed", GREEN), PASS, "no complaint"),
        (health("passed", GREEN, SUCCESS), PASS, "no complaint"),
        (health("Healthy", SUCCESS), PASS, "no complaint"),
        (health("ActionSuggested", OLD_AGENT), WARN, "380016 UserErrorGuestAgentVersionUnsupported"),
        (health("ActionSuggested", SILENT), WARN, "400196 UserErrorGuestAgentStatusUnavailable"),
        (health("ActionRequired", NO_NETWORK), FAIL, "400206 ExtensionSnapshotFailedNoNetwork"),
        (health("actionrequired", NO_NETWORK), FAIL, "400206"),
        (health("ActionRequired", GREEN), FAIL, "ActionRequired, without details"),
        (health("ActionSuggested"), WARN, "ActionSuggested, without details"),
        (health("Passed", OLD_AGENT), WARN, "380016"),
        (health(None, OLD_AGENT), WARN, "380016"),
        # recorded: the indicator of a failed restore next to a green pre-check
        (health("Passed", GREEN, FAILED_RESTORE), PASS, "no complaint"),
        (health("ActionRequired", STRANGE), FAIL, "499999 UserErrorOfTomorrow"),
        (health("Invalid"), UNKNOWN, "no health"),
        (health(None), UNKNOWN, "no health"),
        (health(None, GREEN), PASS, "no complaint"),
        # next to a pending first backup health means nothing
        (PENDING, SKIP, "the first backup has not run"),
        (health("ActionRequired", NO_NETWORK, protection_state="IRPending"), SKIP, "first backup"),
        (job("Failed", JobError(400196, None, ""), facts=PENDING), WARN, "400196"),
        # the last backup
        (job("Completed"), PASS, "no complaint"),
        (job("Cancelled"), PASS, "no complaint"),
        (job("Failed", JobError(400206, None, "")), WARN, "the last backup failed: 400206 ExtensionSnapsh"),
        (job("Failed", JobError(None, "UserErrorFsFreezeFailed", "")), WARN, "UserErrorFsFreezeFailed"),
        (job("Failed"), WARN, "an unnamed error"),
        (job("Failed", operation="Restore"), PASS, "no complaint"),
        (job("Failed", operation="ConfigureBackup"), PASS, "no complaint"),
        (job("CompletedWithWarnings"), WARN, "completed with warnings"),
        (items({"last_backup_status": "Failed"}), WARN, "the last backup failed"),
        (items({"last_backup_status": "CompletedWithWarnings"}), WARN, "completed with warnings"),
        (job("Completed", facts=items({"last_backup_status": "Failed"})), PASS, "no complaint"),
        # the worst complaint leads
        (
            job("Failed", JobError(400196, None, ""), facts=health("ActionSuggested", SILENT)),
            WARN,
            "Azure complains: 400196",
        ),
        (
            job("Failed", JobError(400206, None, ""), facts=health("ActionRequired", NO_NETWORK)),
            FAIL,
            "Azure complains: 400206",
        ),
        # backups that stopped while the item stays
        (items({"last_recovery_point": ago(hours=47)}), PASS, "no complaint"),
        (items({"last_recovery_point": ago(hours=49)}), WARN, "the newest recovery point is 2 d old"),
        (items({"last_recovery_point": ago(days=40), "policy": HOURLY}), WARN, "40 d old"),
        (items({"last_recovery_point": ago(days=13), "policy": WEEKLY}), PASS, "no complaint"),
        (items({"last_recovery_point": ago(days=15), "policy": WEEKLY}), WARN, "15 d old"),
        (items({"last_recovery_point": ago(days=13), "policy": None}), PASS, "no complaint"),
        (items({"last_recovery_point": None}), PASS, "no complaint"),
        (items({"last_recovery_point": None, "last_backup_at": ago(days=40)}), WARN, "40 d old"),
        # what does not apply, what was not seen
        (backed(items=()), SKIP, "no vault protects it"),
        (items({"protection_state": "ProtectionStopped"}), SKIP, "no vault protects it"),
        (backed(items=(), gaps=("vault b: 403",)), UNKNOWN, "vault b: 403"),
        (replace(VM, backup=Unseen("no vault could be read")), UNKNOWN, "no vault could be read"),
        (replace(VM, jobs=Unseen("403 on jobs")), PASS, "no complaint"),
        (HOST, SKIP, "not an Azure machine"),
    ],
)
def test_backup_health(facts: Facts, status: Status, text: str) -> None:
    found = finding("backup-health", facts)
    words = found.reason or found.summary
    assert (found.status, text in words) == (status, True), words


def test_a_code_leads_to_its_cause_and_next_step() -> None:
    found = finding("backup-health", health("ActionRequired", NO_NETWORK))
    (row,) = found.evidence
    assert row.value.startswith(
        "ActionRequired: 400206 ExtensionSnapshotFailedNoNetwork, the snapshot failed"
    )
    assert "168.63.129.16" in str(found.remediation)


def test_an_unknown_code_leads_to_the_words_of_azure() -> None:
    found = finding("backup-health", health("ActionRequired", STRANGE))
    assert found.remediation == "Do this."
    assert "Something new." in found.evidence[0].value


def test_the_true_cause_behind_a_wrapper_is_found_in_its_text() -> None:
    wrapped = JobError(400349, "UserErrorCrpReportedUserError", "Cause: ExtensionSnapshotFailedCOM (0x8)")
    found = finding("backup-health", job("Failed", wrapped))
    assert found.summary == "the last backup failed: 400349 ExtensionSnapshotFailedCOM"
    assert "MSDTC" in str(found.remediation)


def test_jobs_that_could_not_be_read_are_said_so() -> None:
    found = finding("backup-health", replace(VM, jobs=Unseen("403 on jobs")))
    assert [row.value for row in found.evidence if row.plane == "jobs"] == ["not seen: 403 on jobs"]


def test_a_complaint_that_comes_twice_is_made_once() -> None:
    twin = replace(SILENT, recommendations=("the same, from a health indicator",))
    found = finding("backup-health", health("ActionSuggested", SILENT, GREEN, twin))
    assert len(found.evidence) == 1


def test_the_worst_of_two_items_leads() -> None:
    bad = item(health_status="ActionRequired", health=(NO_NETWORK,))
    suggested = item(health_status="ActionSuggested", health=(OLD_AGENT,))
    found = finding("backup-health", backed(items=(suggested, bad)))
    assert (found.status, len(found.evidence)) == (FAIL, 2)


@pytest.mark.parametrize(("state", "status"), [("Failed", WARN), ("Completed", PASS)])
def test_the_last_job_of_one_vault_does_not_hide_a_failure_in_another(state: str, status: Status) -> None:
    other = item(vault=replace(VAULT, id="/subscriptions/s/vaults/other"), last_backup_status=state)
    good = Job(f"{VAULT.id}/backupjobs/1", "Backup", "Completed", ago(hours=3), ago(hours=2))
    facts = replace(backed(items=(item(last_backup_status="Failed"), other)), jobs=Jobs((), good, NOW))
    assert finding("backup-health", facts).status is status

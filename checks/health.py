"""What Azure Backup itself complains about: its health details, and why the last backup failed."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from auditor.facts import Backup, Facts, HealthDetail, Job, JobError, Jobs, ProtectedItem, Unseen, known
from auditor.model import Evidence, Outcome, Plane, Status
from auditor.plugin import Explanation, check, failed, passed, skipped, unknown, warned
from auditor.rules import Rules
from auditor.rules.catalogue import explain
from checks.agent_report import outside_azure
from checks.evidence import clip, listing, protected, span, unseen
from checks.items import pending, protecting, succeeded

LEVELS: Mapping[str, Status] = {
    "passed": Status.PASS,
    "healthy": Status.PASS,
    "actionsuggested": Status.WARN,
    "actionrequired": Status.FAIL,
}
OFTEN = ("hour", "daily")
READ_IT = "Open the item in its vault and follow what it says there."
READ_JOB = "Open the failed job in the vault and follow its details."
COPY = "Open the job: the snapshot is there, its copy to the vault is not; back up again."
SCHEDULE = "Look at the policy and the jobs of the VM in its vault, and back up now."


@dataclass(frozen=True, slots=True)
class Complaint:
    """One thing that is wrong, how badly, and what to do about it."""

    status: Status
    summary: str
    evidence: Evidence
    remediation: str


@check(
    "backup-health",
    title="Azure Backup has no complaint",
    planes=(Plane.BACKUP, Plane.JOBS),
    explanation=Explanation(
        what="Azure's own health of the protected machine is good, its last backup did not fail, and its "
        "newest recovery point is not older than twice the interval of its policy.",
        why="Azure Backup checks the machine before each scheduled backup and says why a backup failed. A "
        "machine can be protected and have had no good backup for weeks.",
        evidence="The health details of the item by their number (400239 and 0 mean well), the level "
        "(ActionSuggested warns, ActionRequired fails), errors of the last backup job by number or by the "
        "name in their text, looked up in the error catalogue, and the date of the newest recovery point. "
        "Before the first backup Azure's health means nothing and is not read.",
        repair="Each known error carries its next step; for others follow Azure's recommendation.",
        sources=(
            "Azure Backup REST API: protected items (healthDetails), jobs (errorDetails)",
            "Microsoft Learn: Backup Pre-Check",
            "Microsoft Learn: Troubleshoot backup errors on Azure VMs",
            "auditor/rules/error-codes.toml",
        ),
    ),
)
def backup_health(facts: Facts, rules: Rules) -> Outcome:
    """Azure's complaints about the machine's backups, the worst first."""
    if skip := outside_azure(facts):
        return skip
    backup = known(facts.backup)
    items = protecting(backup)
    if not items and backup.gaps:
        return unknown(f"no protection was found, and not read: {listing(backup.gaps)}")
    if not items:
        row = Evidence(Plane.BACKUP, "protected items", backup.observed_at, "none that is active")
        return skipped("no vault protects it, so Azure says nothing of its health", row)
    complaints = sorted(_complaints(facts, backup, rules), key=_weight)
    if complaints:
        return _worst(complaints)
    return _no_complaint(facts, backup, items)


def _no_complaint(facts: Facts, backup: Backup, items: tuple[ProtectedItem, ...]) -> Outcome:
    rows = [protected(item, backup.observed_at, _health_text(item)) for item in items[:1]]
    if isinstance(facts.jobs, Unseen):
        rows += [unseen(Plane.JOBS, "jobs", facts.jobs)] if facts.jobs.expected else []
    elif facts.jobs.last is not None:
        rows.append(_job_row(facts.jobs.last, clip(facts.jobs.last.status)))
    if all(pending(item) for item in items):
        return skipped("the first backup has not run, and until then Azure's health means nothing", *rows)
    if not any(_level(item) or item.health for item in items if not pending(item)):
        return unknown("Azure gives no health of it", *rows)
    return passed("Azure Backup has no complaint", *rows)


def _worst(complaints: list[Complaint]) -> Outcome:
    worst = complaints[0]
    outcome = failed if worst.status is Status.FAIL else warned
    rows = (complaint.evidence for complaint in complaints[:4])
    return outcome(worst.summary, *rows, remediation=worst.remediation)


def _weight(complaint: Complaint) -> bool:
    return complaint.status is not Status.FAIL


def _complaints(facts: Facts, backup: Backup, rules: Rules) -> Iterator[Complaint]:
    items = protecting(backup)
    for item in items:
        if not pending(item):
            yield from _health(item, backup, rules)
    yield from _last_backup(facts, backup, items)
    for item in items:
        yield from _age(item, facts, backup, rules)


def _health(item: ProtectedItem, backup: Backup, rules: Rules) -> Iterator[Complaint]:
    healthy = rules.texts("healthy-codes")
    level = _level(item)
    green = any(str(detail.code) in healthy for detail in item.health)
    if level is Status.PASS and green:
        return  # whatever else stands there is the indicator of a restore
    details = {
        (detail.code, detail.title): detail for detail in item.health if str(detail.code) not in healthy
    }
    status = level if level in {Status.WARN, Status.FAIL} else Status.WARN if details else Status.PASS
    for detail in details.values():
        yield _detail(item, detail, status, backup)
    if not details and status is not Status.PASS:
        row = protected(item, backup.observed_at, _health_text(item))
        yield Complaint(status, f"Azure says {item.health_status}, without details", row, READ_IT)


def _detail(item: ProtectedItem, detail: HealthDetail, status: Status, backup: Backup) -> Complaint:
    name, meaning, step = _explained(detail.code, detail.title, detail.message, detail.recommendations)
    row = protected(item, backup.observed_at, f"{item.health_status}: {name}, {meaning}")
    return Complaint(status, f"Azure complains: {name}", row, step or READ_IT)


def _level(item: ProtectedItem) -> Status | None:
    return LEVELS.get((item.health_status or "").strip().lower())


def _health_text(item: ProtectedItem) -> str:
    codes = ", ".join(str(detail.code) for detail in item.health)
    last = f", last backup {item.last_backup_status}" if item.last_backup_status else ""
    return f"{item.health_status or 'no health'}{f' ({codes})' if codes else ''}{last}"


def _last_backup(facts: Facts, backup: Backup, items: tuple[ProtectedItem, ...]) -> Iterator[Complaint]:
    """What is wrong with the last backup: by its job where that was seen, else by the item."""
    job = facts.jobs.last if isinstance(facts.jobs, Jobs) else None
    if job is not None and job.operation.lower() == "backup":
        yield from _job(job)
        if len(items) == 1:
            return
        # the last job is the last of all vaults: it says nothing of the item in another one
        items = tuple(item for item in items if not job.id.startswith(f"{item.vault.id}/"))
    for item in items:
        status = (item.last_backup_status or "").strip().lower()
        row = protected(item, backup.observed_at, _health_text(item))
        if status == "failed":
            yield Complaint(Status.WARN, "the last backup failed", row, READ_JOB)
        elif status == "completedwithwarnings":
            yield Complaint(Status.WARN, "the last backup completed with warnings", row, COPY)


def _job(job: Job) -> Iterator[Complaint]:
    status = job.status.strip().lower()
    if status == "completedwithwarnings":
        row = _job_row(job, clip(job.status))
        yield Complaint(Status.WARN, "the last backup completed with warnings", row, COPY)
    if status != "failed":
        return
    for error in job.errors or (JobError(None, None, "no error was given"),):
        name, meaning, step = _explained(error.code, error.title, error.message, error.recommendations)
        row = _job_row(job, f"{name}, {meaning}")
        yield Complaint(Status.WARN, f"the last backup failed: {name}", row, step or READ_JOB)


def _job_row(job: Job, value: str) -> Evidence:
    return Evidence(Plane.JOBS, f"{clip(job.operation, 40)} job", job.ended_at or job.started_at, clip(value))


def _explained(
    code: int | None, title: str | None, message: str, recommendations: tuple[str, ...]
) -> tuple[str, str, str | None]:
    """Name, meaning and next step: ours where the error is known, else Azure's words."""
    number = "" if code is None else str(code)
    if error := explain(code, title, message):
        return f"{number} {error.symbol}".strip(), error.meaning, error.next_step
    name = clip(f"{number} {title or ''}", 80) or "an unnamed error"
    return name, clip(message, 120), clip(recommendations[0]) if recommendations else None


def _age(item: ProtectedItem, facts: Facts, backup: Backup, rules: Rules) -> Iterator[Complaint]:
    point = item.last_recovery_point or (item.last_backup_at if succeeded(item) else None)
    if point is None:
        return
    schedule = (item.policy.schedule if item.policy else None) or ""
    often = any(word in schedule.lower() for word in OFTEN)
    limit = rules.hours("recovery-point-hours-daily" if often else "recovery-point-hours-weekly")
    age = facts.now - point
    if age > limit:
        row = protected(item, backup.observed_at, f"newest recovery point {point:%Y-%m-%d}")
        yield Complaint(Status.WARN, f"the newest recovery point is {span(age)} old", row, SCHEDULE)

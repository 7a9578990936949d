"""Backup jobs as Azure writes them: wire JSON to `Job`, and the two of a VM that matter."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from auditor.azure import wire
from auditor.azure.backup import container_of
from auditor.facts import Job, JobError

WINDOW = timedelta(days=14)
_RUNNING = frozenset({"inprogress", "cancelling"})
_ENDED = frozenset({"completed", "completedwithwarnings", "failed", "cancelled"})
_LONG_AGO = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class JobInVault:
    """A job with the name of the container that it works on (empty where the job names none)."""

    job: Job
    container: str


def window(now: datetime, back: timedelta = WINDOW) -> str:
    """The filter for the last 14 days, or so long; Recovery Services wants its times in this form, in UTC."""
    return f"startTime eq '{_stamp(now - back)}' and endTime eq '{_stamp(now + timedelta(hours=1))}'"


def parse_job(entry: Any) -> JobInVault:
    """A job of a list or of a GET; raises `WireError` where its shape is wrong."""
    body = wire.mapping(entry, "the job")
    properties = wire.mapping(body.get("properties"), "properties")
    job = Job(
        id=wire.identifier(body.get("id"), "the job's id"),
        operation=wire.text(properties.get("operation")) or "Invalid",
        status=wire.text(properties.get("status")) or "Invalid",
        started_at=wire.moment(properties.get("startTime")),
        ended_at=wire.moment(properties.get("endTime")),
        errors=tuple(_errors(properties)),
    )
    return JobInVault(job, container_of(properties.get("containerName")))


def running(jobs: Iterable[Job]) -> tuple[Job, ...]:
    """The jobs in flight; a status that nobody knows counts as one until it has an end."""
    return tuple(job for job in jobs if is_running(job))


def is_running(job: Job) -> bool:
    """Whether the job is still at work."""
    status = job.status.lower()
    return status in _RUNNING or (status not in _ENDED and job.ended_at is None)


def last_ended(jobs: Iterable[Job]) -> Job | None:
    """The backup that ended last; where none did, the last job of any kind."""
    ended = [job for job in jobs if not is_running(job)]
    backups = [job for job in ended if job.operation.lower() == "backup"]
    return max(backups or ended, key=lambda job: job.ended_at or job.started_at or _LONG_AGO, default=None)


def lacks_reason(job: Job | None) -> bool:
    """Whether a job went wrong without saying why, as lists may leave it out."""
    return job is not None and job.status.lower() in ("failed", "completedwithwarnings") and not job.errors


def _errors(properties: Mapping[str, Any]) -> Iterator[JobError]:
    for entry in wire.sequence(properties.get("errorDetails"), "errorDetails"):
        detail = wire.mapping(entry, "an error detail")
        yield JobError(
            code=wire.number(detail.get("errorCode")),
            title=wire.text(detail.get("errorTitle")),
            message=wire.text(detail.get("errorString")) or "",
            recommendations=wire.texts(detail.get("recommendations"), "recommendations"),
        )
    extended = wire.mapping(properties.get("extendedInfo"), "extendedInfo")
    if message := wire.text(extended.get("dynamicErrorMessage")):
        yield JobError(None, None, message)


def _stamp(moment: datetime) -> str:
    """English twelve-hour clock, whatever the locale of this machine."""
    hour = (moment.hour - 1) % 12 + 1
    half = "AM" if moment.hour < 12 else "PM"
    return f"{moment:%Y-%m-%d} {hour:02}:{moment:%M:%S} {half}"

"""A backup on demand: begun once, followed until its job has ended, and its recovery point looked at."""

import asyncio
import logging
import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from auditor.azure import traffic, wire
from auditor.azure.backup import container_of
from auditor.azure.client import Arm
from auditor.azure.job_watch import JobWatch
from auditor.azure.jobs import is_running, lacks_reason, parse_job
from auditor.azure.listing import read_list
from auditor.azure.operations import follow, refused
from auditor.azure.patience import Patience
from auditor.azure.sweep import Sweep, Sweeper, same_vm, scheduled
from auditor.errors import AuthenticationError, NotFound, PermissionMissing, SourceError
from auditor.facts import Job, JobError, ProtectedItem, Unseen, Vault
from auditor.model import Machine
from auditor.repair.seams import BackupProof
from auditor.text import one_line

logger = logging.getLogger(__name__)

KEPT = timedelta(days=30)
"""How long the recovery point of an on-demand backup is kept."""

_SKEW = timedelta(minutes=2)
_JOB_ID = re.compile(r"[A-Za-z0-9-]{1,80}").fullmatch
_LONG_AGO = datetime.min.replace(tzinfo=UTC)


class OnDemand:
    """Backs up VMs now."""

    def __init__(self, arm: Arm, sweeper: Sweeper, patience: Patience) -> None:
        self._arm = arm
        self._sweeper = sweeper
        self._patience = patience
        self._watch = JobWatch(arm, patience.backup_pause)

    async def back_up(self, machine: Machine, since: datetime | None) -> BackupProof | Unseen:
        """Start a backup, or find the one begun since then; raises `SourceError` for an end not seen."""
        sweep = await self._sweeper.fresh()
        if sweep.gap is not None:
            return Unseen(f"no backup was started, as one may be running: {sweep.gap}")
        item = _item(sweep, machine)
        if item is None:
            return Unseen("the VM is not backed up: no vault holds it under protection")
        begun = since or datetime.now(UTC)
        job: str | Unseen | None = await self._begun(machine, item, since) if since else None
        if job is None:
            job = await self._start_alone(item, sweep.running(machine))
        if isinstance(job, Unseen):
            return job
        return await self._proof(item, await self._followed(item.vault, job, begun))

    async def _start_alone(self, item: ProtectedItem, running: Sequence[Job]) -> str | Unseen:
        if running:
            return Unseen(f"no backup was started: {running[0].operation} {running[0].id} is running")
        return await self._start(item)

    async def _begun(self, machine: Machine, item: ProtectedItem, since: datetime) -> str | None:
        """The id of the newest backup of the VM that began since then."""
        listing = await self._watch.look(item.vault, since)
        if listing.problems:
            raise listing.problems[0]
        container = container_of(None, item.id)
        found = [
            entry.job
            for entry in listing.entries
            if (entry.container == container or same_vm(entry.container, machine))
            and entry.job.operation.lower() == "backup"
            and (entry.job.started_at or _LONG_AGO) >= since - _SKEW
        ]
        newest = max(found, key=lambda job: job.started_at or _LONG_AGO, default=None)
        return newest.id if newest else None

    async def _start(self, item: ProtectedItem) -> str | Unseen:
        subscription = item.vault.subscription
        until = datetime.now(UTC) + KEPT
        body = {
            "properties": {
                "objectType": "IaasVMBackupRequest",
                "recoveryPointExpiryTimeInUTC": until.strftime("%Y-%m-%dT%H:%M:%SZ"),
            }
        }
        call = traffic.start_backup(item.id, subscription)
        logger.info("starting a backup of %s", item.vm_id)
        answer = await self._arm.send("POST", call, body)
        if refused(answer):
            return Unseen(f"Azure did not start the backup ({call.permission}): {answer.error}")
        if answer.status >= 300:
            raise SourceError(f"Azure answered {answer.error}, and may have started the backup or not")
        ended = await follow(
            self._arm,
            answer,
            lambda link: traffic.backup_operation(link, subscription),
            limit=self._patience.change,
            pause=self._patience.pause,
        )
        if not ended.well:
            return Unseen(f"Azure did not start the backup: {ended.said}")
        return f"{item.vault.id}/backupjobs/{_job_id(ended.body)}"

    async def _followed(self, vault: Vault, job_id: str, begun: datetime) -> Job:
        """The job once it has ended; what passes by itself (a throttle, a lost connection) is waited out."""
        said = "it was still running"
        try:
            async with asyncio.timeout(self._patience.backup):
                while True:
                    try:
                        job = await self._seen(vault, job_id, begun)
                        if not is_running(job):
                            return job
                        said = "it was still running"
                    except (AuthenticationError, PermissionMissing, NotFound, wire.WireError):
                        raise
                    except SourceError as error:
                        said = str(error)
        except TimeoutError:
            raise SourceError(
                f"the end of the backup was not seen within {self._patience.backup:g} s ({said}); "
                f"its job is {job_id}"
            ) from None

    async def _seen(self, vault: Vault, job_id: str, begun: datetime) -> Job:
        """The job as the vault's list has it; by itself where that lacks it, or why it went wrong."""
        listing = await self._watch.look(vault, begun)
        job = next((entry.job for entry in listing.entries if entry.job.id == job_id.lower()), None)
        if job is None and listing.failure is not None:
            raise listing.failure
        if job is not None and (is_running(job) or not lacks_reason(job)):
            return job
        return parse_job(await self._arm.get(traffic.job(job_id, vault.subscription))).job

    async def _proof(self, item: ProtectedItem, job: Job) -> BackupProof:
        if job.status.lower() != "completed":
            return BackupProof(job.status, None, next(map(_why, job.errors), "Azure gives no reason"))
        call = traffic.recovery_points(item.id, item.vault.subscription)
        listing = await read_list(self._arm, call, _point)
        begun = job.started_at - _SKEW if job.started_at else _LONG_AGO
        newest = max((point for point in listing.entries if point[0] >= begun), default=None)
        if newest is None:
            why = f": {listing.problems[0]}" if listing.problems else ""
            return BackupProof(job.status, None, f"its recovery point was not seen{why}")
        return BackupProof(job.status, newest[1], f"recovery point of {newest[0]:%Y-%m-%d %H:%M:%S} UTC")


def _item(sweep: Sweep, machine: Machine) -> ProtectedItem | None:
    """The item by which the VM is backed up, the one that was last."""
    items = [item for item in sweep.items_of(machine) if scheduled(item)]
    return max(items, key=lambda item: item.last_backup_at or _LONG_AGO, default=None)


def _why(error: JobError) -> str:
    """Why a job failed, on one line."""
    return one_line(" ".join(filter(None, (str(error.code or ""), error.title, error.message))), 400)


def _job_id(body: Any) -> str:
    properties = wire.mapping(wire.mapping(body, "the operation").get("properties"), "properties")
    found = wire.required(properties.get("jobId"), "the id of the backup's job")
    if not _JOB_ID(found):
        raise wire.WireError(f"{found[:80]!r} is no id of a job")
    return found


def _point(entry: Any) -> tuple[datetime, str]:
    """The time and the consistency of a recovery point."""
    properties = wire.mapping(wire.mapping(entry, "the recovery point").get("properties"), "properties")
    moment = wire.moment(properties.get("recoveryPointTime"))
    if moment is None:
        raise wire.WireError("a recovery point has no time")
    return moment, wire.text(properties.get("recoveryPointType")) or "unknown"

"""Backup jobs as Microsoft.RecoveryServices describes them."""

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import Any
from uuid import UUID

from auditor.simulator.health import HEALTH
from auditor.simulator.scenarios import HOUR
from auditor.simulator.wire import NEVER, duration, instant


@dataclass(frozen=True, slots=True)
class Job:
    """A backup job; `age` is in seconds before now, unless `started` (seconds since the epoch) is given.

    `takes` is how long it runs, None for one that is still running.
    """

    id: str
    container: str
    friendly_name: str
    operation: str
    status: str
    age: float
    takes: float | None
    error: int = 0
    started: float | None = None
    policy: str = "DefaultPolicy"

    def start(self, now: float) -> float:
        """When it started, in seconds since the epoch."""
        return now - self.age if self.started is None else self.started

    def status_at(self, now: float) -> str:
        """The status at `now`: a job that was started here completes when its time is over."""
        running = self.started is not None and now < self.started + (self.takes or 0)
        return "InProgress" if running else self.status


def make_jobs(rng: Random, item: dict[str, Any], error: int, running: bool) -> tuple[Job, ...]:
    """The jobs of one item: the one that enabled it, or its last backup, and perhaps one in flight."""
    properties = item["properties"]

    def job(operation: str, status: str, age: float, takes: float | None, code: int = 0) -> Job:
        return Job(
            id=str(UUID(int=rng.getrandbits(128), version=4)),
            container=properties["containerName"],
            friendly_name=properties["friendlyName"],
            operation=operation,
            status=status,
            age=age,
            takes=takes,
            error=code,
        )

    if properties["lastBackupStatus"] == "":
        return (job("ConfigureBackup", "Completed", rng.randint(600, HOUR), 31.01),)
    status = properties["lastBackupStatus"]
    last = job("Backup", status, rng.randint(3 * HOUR, 21 * HOUR), rng.randint(900, 2 * HOUR), error)
    return (job("Backup", "InProgress", rng.randint(60, 900), None), last) if running else (last,)


def job_document(vault_identity: str, job: Job, now: float, detail: bool) -> dict[str, Any]:
    """A job as the list sends it, or with its tasks when `detail` is asked for."""
    start = job.start(now)
    status = job.status_at(now)
    running = status == "InProgress"
    takes = now - start if running else job.takes or 0.0
    properties: dict[str, Any] = {"jobType": "AzureIaaSVMJob"}
    if job.operation == "Backup":
        properties["actionsInfo"] = ["Cancellable"]
    properties |= {
        "containerName": job.container,
        "duration": duration(takes),
        "virtualMachineVersion": "Compute",
        "entityFriendlyName": job.friendly_name,
        "backupManagementType": "AzureIaasVM",
        "operation": job.operation,
        "status": status,
        "startTime": instant(start),
        "activityId": job.id[::-1],
    }
    if not running:
        properties["endTime"] = instant(start + takes)
    if job.error:
        properties["errorDetails"] = [_error(job.error)]
    if detail:
        properties["extendedInfo"] = _tasks(job, start, takes, status)
    return {
        "id": f"{vault_identity}/backupJobs/{job.id}",
        "name": job.id,
        "type": "Microsoft.RecoveryServices/vaults/backupJobs",
        "properties": properties,
    }


def _error(code: int) -> dict[str, Any]:
    title, message, recommendations = HEALTH[code]
    return {
        "errorCode": code,
        "errorTitle": title,
        "errorString": message,
        "recommendations": list(recommendations),
    }


def _tasks(job: Job, start: float, takes: float, status: str) -> dict[str, Any]:
    bag = {"VM Name": job.friendly_name, "Policy Name": job.policy}
    if job.operation != "Backup":
        return {"tasksList": [], "propertyBag": bag}
    running = status == "InProgress"
    names: Sequence[str] = ("Take Snapshot", "Transfer data to vault")
    half = takes / 2
    tasks = [
        {
            "taskId": name,
            "startTime": instant(start + index * half),
            "endTime": NEVER if running else instant(start + (index + 1) * half),
            "duration": duration(half),
            "status": status,
            "taskType": "Normal",
        }
        for index, name in enumerate(names)
    ]
    return {"tasksList": tasks, "propertyBag": bag, "internalPropertyBag": {"IsInstantRpJob": "True"}}

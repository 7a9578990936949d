"""Azure as repairs need it: a VM and its backups read this moment, and changes followed to their end."""

import logging
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from auditor.azure import traffic, wire
from auditor.azure.client import Arm
from auditor.azure.instance import parse_instance_view
from auditor.azure.on_demand import OnDemand
from auditor.azure.operations import follow, refused
from auditor.azure.patience import Patience
from auditor.azure.sweep import Sweeper
from auditor.azure.vm import parse_vm
from auditor.errors import NotFound, SourceError, Throttled
from auditor.facts import Unseen
from auditor.model import Machine
from auditor.remedy import Request, StepResult
from auditor.repair.seams import BackupProof, BackupsNow, VmNow

logger = logging.getLogger(__name__)

_MOVING = frozenset({"creating", "updating", "deleting", "migrating"})


class Repairs:
    """Implements `auditor.repair.seams.AzureRepairs` over one signed-in connection."""

    def __init__(self, arm: Arm, patience: Patience = Patience()) -> None:  # noqa: B008 - frozen
        self._arm = arm.hurried(patience.max_wait)
        self._patience = patience
        self._sweeper = Sweeper(self._arm)
        self._on_demand = OnDemand(self._arm, self._sweeper, patience)

    async def now(self, machine: Machine) -> VmNow | Unseen:
        """One VM, read this moment."""
        call = traffic.virtual_machine(machine.id, machine.subscription, machine.location, instance_view=True)
        try:
            body = await self._arm.get(call)
            moment = datetime.now(UTC)
            seen, model = parse_vm(body, moment)
            if seen.id != machine.id:
                return Unseen(f"Azure answered with another VM: {seen.id}")
            return VmNow(replace(machine, tags=seen.tags), model, parse_instance_view(body, moment))
        except NotFound as error:
            return Unseen(f"the VM is gone: {error}")
        except SourceError as error:
            return Unseen(str(error))

    async def backups(self, machine: Machine) -> BackupsNow | Unseen:
        """Its jobs in all vaults, every page, read this moment; `Unseen` when one vault could not be read."""
        try:
            sweep = await self._sweeper.fresh()
            if sweep.gap is not None:
                return Unseen(sweep.gap)
            return BackupsNow(sweep.running(machine), sweep.due_at(machine), sweep.read_at)
        except SourceError as error:
            return Unseen(str(error))

    async def perform(self, request: Request) -> StepResult:
        """Send one write and follow it to its end; raises `SourceError` when that is not known."""
        try:
            call = traffic.write(request.method, request.resource, request.action)
        except ValueError as error:
            return StepResult("refused", output=str(error))
        logger.info("%s %s %s", request.method, request.resource, request.action)
        try:
            answer = await self._arm.send(request.method, call, request.body or None)
        except Throttled as error:
            return StepResult("refused", output=f"nothing was sent: {error}")
        if refused(answer):
            if request.method == "DELETE" and answer.status == 404:
                return StepResult("nothing", output="it is not there")
            return StepResult("failed", output=f"{call.permission}: {answer.error}")
        if answer.status >= 300:
            raise SourceError(f"Azure answered {answer.error}, and may have done it or not")
        subscription = request.resource.split("/")[2].lower()
        ended = await follow(
            self._arm,
            answer,
            lambda link: traffic.operation(link, subscription),
            limit=self._patience.change,
            pause=self._patience.pause,
        )
        return StepResult("done" if ended.well else "failed", output=ended.said)

    async def performed(self, request: Request, since: datetime) -> bool | Unseen:
        """Whether Azure already is as a request wants it, or did it since then."""
        try:
            body = await self._arm.get(traffic.changed(request.resource))
        except NotFound as error:
            return True if request.method == "DELETE" else Unseen(str(error))
        except (SourceError, ValueError) as error:
            return Unseen(str(error))
        try:
            return _performed(request, body, since)
        except SourceError as error:
            return Unseen(str(error))

    async def back_up(self, machine: Machine, since: datetime | None = None) -> BackupProof | Unseen:
        """Start an on-demand backup and follow it to its end; one begun `since` then is followed instead."""
        try:
            return await self._on_demand.back_up(machine, since)
        except SourceError as error:
            return Unseen(str(error))


def _performed(request: Request, body: Any, since: datetime) -> bool | Unseen:
    properties = wire.mapping(wire.mapping(body, "the resource").get("properties"), "properties")
    state = wire.required(properties.get("provisioningState"), "the provisioning state")
    if state.lower() in _MOVING:
        return Unseen(f"Azure is still at work on it ({state})")
    if request.method == "DELETE":
        return False
    if request.method == "PATCH":
        return _holds(body, request.body)
    operation = parse_instance_view(body, datetime.now(UTC)).operation
    if operation is None or operation.at is None:
        return Unseen("Azure does not say when it last worked on the VM")
    return state.lower() == "succeeded" and operation.at > since


def _holds(present: Any, wanted: Any) -> bool:
    """Whether everything that is wanted is there as it is wanted."""
    if isinstance(wanted, Mapping):
        return isinstance(present, Mapping) and all(
            name in present and _holds(present[name], value) for name, value in wanted.items()
        )
    return bool(present == wanted)

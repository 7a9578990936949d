"""One step sent to where it works, until it is known what became of it."""

import asyncio
import logging
import time
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Protocol

from auditor.errors import HostError, PlanError, SourceError
from auditor.facts import Unseen
from auditor.hosts import CommandResult, Script, Shell
from auditor.model import Machine
from auditor.remedy import Command, Step, StepResult, Work
from auditor.repair.seams import AzureRepairs
from auditor.repair.work import PATIENCE, answer, check_file, push

logger = logging.getLogger(__name__)

PAUSE = 2.0
MARGIN = 30.0
"""Seconds that a guest has for everything around the wait for the work."""
USUAL = PATIENCE + MARGIN
LOST = 120.0
"""Seconds without a word of a guest after which a step's end is not known."""


class Messenger(Protocol):
    """Sends scripts to guests."""

    async def send(self, machine: Machine, script: Script, limit: float) -> CommandResult:
        """Run one script in a guest within `limit` seconds; raises `HostError` with the reason."""


@dataclass(frozen=True, slots=True)
class Sender:
    """Sends steps; `lost` is how long a guest may be silent, in seconds."""

    guests: Messenger
    azure: AzureRepairs | None
    lost: float = LOST
    pause: float = PAUSE

    async def do(self, machine: Machine, step: Step, begun: datetime | None) -> StepResult:
        """Do a step, begun at this time already (None: not yet); "unknown" where its end is not known."""
        if step.work is not None:
            return await self.work(machine, step.id, step.work, step.commands, begun=begun is not None)
        return await self._request(step, begun)

    async def work(
        self, machine: Machine, step: str, work: Work, commands: tuple[Command, ...], *, begun: bool = False
    ) -> StepResult:
        """Send the plan's own command until the guest says that the work has ended.

        `begun` where it may have been sent before.
        """
        script = next(_script(command) for command in commands if command.shell)
        start = heard = time.monotonic()
        pushed, wait = work.payload is None, _first_wait(work)
        while True:
            sent = time.monotonic()
            try:
                if not pushed:
                    if bar := await self._push(machine, step, work, begun=begun):
                        return bar
                    pushed = True
                    sent = time.monotonic()
                said = answer(await self.guests.send(machine, script, wait))
            except HostError as error:
                logger.info("%s: step %s: %s", machine.id, step, error)
                if wait > USUAL and time.monotonic() - sent >= USUAL:
                    # the guard's time was no silence; from now on an answer comes as soon as ever
                    heard, wait = time.monotonic(), USUAL
                if time.monotonic() - heard > self.lost:
                    return StepResult("unknown", None, str(error))
                await asyncio.sleep(self.pause)
                continue
            heard, wait = time.monotonic(), USUAL
            if said.state != "running" or heard - start > work.limit:
                return _definite(said)

    async def _push(self, machine: Machine, step: str, work: Work, *, begun: bool) -> StepResult | None:
        """Send a file; what the step is refused for, or None. Raises `HostError` where it does not arrive.

        Without the file nothing is begun; what was begun before, the guest can tell of all the same.
        """
        try:
            check_file(work)
            for script in push(step, work):
                said = answer(await self.guests.send(machine, script, USUAL))
                if said.state in ("nothing", "refused"):
                    return said if said.state == "refused" else None
                if said.state != "done":
                    raise HostError(f"the file could not be sent: {said.output}")
        except PlanError as error:
            return None if begun else StepResult("refused", None, str(error))
        return None

    async def _request(self, step: Step, begun: datetime | None) -> StepResult:
        if self.azure is None or step.request is None:
            return StepResult("failed", None, "Azure was not asked in this run")
        try:
            if begun is not None:
                done = await self.azure.performed(step.request, begun)
                if isinstance(done, Unseen):
                    return StepResult("unknown", None, done.reason)
                if done:
                    return StepResult("done", None, "Azure is as the step wants it")
            return await self.azure.perform(step.request)
        except SourceError as error:
            return StepResult("unknown", None, str(error))


def _first_wait(work: Work) -> float:
    """Seconds for the first command: a guard runs in it, before the work, and has as long as that."""
    return max(USUAL, work.limit) if work.guard else USUAL


def _definite(said: StepResult) -> StepResult:
    """What a guest said; work that its guest interrupted has ended, though not well."""
    return replace(said, state="failed") if said.state == "unknown" else said


def _script(command: Command) -> Script:
    return Script(command.text, Shell(command.shell), command.data.encode())

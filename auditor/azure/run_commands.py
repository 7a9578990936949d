"""Azure's Run Command: a way into a guest that no port leads to, as long as its agent answers.

On a VM whose agent does not answer the operation hangs for up to 90 minutes, and only one runs at a time;
so it is sent to ready agents alone, once, and followed for a bounded time.
"""

import asyncio
import logging
import time
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from auditor.azure import traffic, wire
from auditor.azure.client import Arm
from auditor.errors import HostError, SourceError
from auditor.facts import Guest, InstanceView, Unseen
from auditor.hosts import Shell
from auditor.model import RUN_COMMAND, Machine
from auditor.probe import Probe
from auditor.probe.bundle import bundle, unbundle
from auditor.text import one_line

logger = logging.getLogger(__name__)

READY = "provisioningstate/succeeded"
FRESH = timedelta(minutes=15)
_AT_ONCE = 16
_PAUSE = 2.0


class RunCommands:
    """Asks guests through Azure; `timeout` (seconds) is how long one operation is followed."""

    def __init__(self, arm: Arm, timeout: float = 300.0, pause: float = _PAUSE) -> None:
        self._arm = arm
        self._timeout = timeout
        self._pause = pause
        self._slots = asyncio.Semaphore(_AT_ONCE)

    async def probe(self, machine: Machine, probe: Probe, view: InstanceView | Unseen) -> Guest | Unseen:
        """Ask one guest; a guest whose agent is not known to answer now is not asked."""
        if reason := _closed(view, datetime.now(UTC)):
            return Unseen(f"not asked through Run Command: {reason}")
        async with self._slots:
            try:
                output = await self._run(machine, probe)
                answers = unbundle(output, probe.scripts)
                return probe.read(answers, datetime.now(UTC), RUN_COMMAND)
            except SourceError as error:
                return Unseen(f"Run Command: {error}")

    async def _run(self, machine: Machine, probe: Probe) -> str:
        shell = probe.scripts[0].shell is Shell.SH
        body = {
            "commandId": "RunShellScript" if shell else "RunPowerShellScript",
            "script": bundle(probe.scripts).splitlines(),
        }
        call = traffic.run_command(machine.id, machine.subscription, machine.location)
        logger.info("sending Run Command to %s", machine.id)
        link = await self._arm.post(call, body)
        return _message(await self._followed(machine, link))

    async def _followed(self, machine: Machine, link: str) -> Any:
        end = time.monotonic() + self._timeout
        pause = self._pause
        while time.monotonic() + pause < end:
            await asyncio.sleep(pause)
            found = wire.mapping(await self._arm.get(_operation(link, machine)), "the operation")
            if str(found.get("status", "Succeeded")).lower() not in ("inprogress", "running", "accepted"):
                return found
            pause = min(pause * 1.5, 10.0)
        raise HostError(f"it did not end within {self._timeout:g} s, and may still run in the guest")


def _operation(link: str, machine: Machine) -> traffic.Call:
    return traffic.operation(link, machine.subscription)


def _closed(view: InstanceView | Unseen, now: datetime) -> str | None:
    """Why no command may be sent, or None."""
    if isinstance(view, Unseen):
        return f"it rests on the agent, which was not seen ({view.reason})"
    if view.power_state != "running":
        return f"the VM is {view.power_state or 'in an unknown power state'}"
    newest = max(
        (status for status in (view.agent.statuses if view.agent else ()) if status.at),
        key=lambda status: status.at or now,
        default=None,
    )
    if newest is None or newest.code.lower() != READY:
        return "the agent is not ready, and the command would hang"
    age = now - (newest.at or now)
    return f"the agent was last heard {age} ago" if age > FRESH else None


def _message(found: Mapping[str, Any]) -> str:
    """Standard output of the script, out of the text in which Azure wraps it."""
    if str(found.get("status", "Succeeded")).lower() != "succeeded":
        error = wire.mapping(found.get("error"), "the error")
        said = one_line(wire.text(error.get("message")) or "no reason given")
        raise HostError(f"it {one_line(str(found.get('status')))}: {said}")
    output = wire.mapping(wire.mapping(found.get("properties"), "properties").get("output"), "the output")
    entries = wire.sequence(output.get("value"), "the output's values")
    texts = [wire.text(wire.mapping(entry, "a value").get("message")) or "" for entry in entries]
    return "\n".join(texts)

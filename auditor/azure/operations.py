"""Following what Azure does after it has accepted a request, to its end."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from auditor.azure import wire
from auditor.azure.client import Answer, Arm
from auditor.azure.traffic import Call
from auditor.errors import SourceError
from auditor.text import one_line

_ENDED = frozenset({"succeeded", "failed", "canceled", "cancelled"})
_LONGEST_PAUSE = 30.0


@dataclass(frozen=True, slots=True)
class Ended:
    """How an operation ended: well, or with Azure's code and message; `body` is its last document."""

    well: bool
    said: str = ""
    body: Any = None


async def follow(
    arm: Arm, begun: Answer, call_of: Callable[[str], Call], *, limit: float, pause: float
) -> Ended:
    """Ask until the operation has ended; raises `SourceError` when `limit` seconds did not show it."""
    link = begun.operation or begun.location
    if link is None:
        return _at_once(begun)
    end, wait = time.monotonic() + limit, begun.wait
    while True:
        rest = end - time.monotonic()
        if rest <= 0:
            raise SourceError(f"the operation did not end within {limit:g} s, and may still run")
        await asyncio.sleep(min(max(wait or 0.0, pause), _LONGEST_PAUSE, rest))
        answer = await arm.send("GET", call_of(link))
        if (ended := _ended(answer, by_status=begun.operation is None)) is not None:
            return ended
        wait = answer.wait


def refused(answer: Answer) -> bool:
    """Whether Azure certainly did not do what it was asked."""
    return 400 <= answer.status < 500 and answer.status != 408


def _at_once(answer: Answer) -> Ended:
    """Nothing is to be followed: the resource says whether it is as it was wanted."""
    state = (_state_of(answer.body) or "succeeded").lower()
    if answer.status == 202 or state not in _ENDED:
        raise SourceError(f"Azure is at work ({answer.error}) and does not say where to follow it")
    return Ended(state == "succeeded", f"the provisioning state is {state}", answer.body)


def _ended(answer: Answer, *, by_status: bool) -> Ended | None:
    if answer.status == 202:
        return None
    if answer.status >= 400:
        if by_status and refused(answer) and answer.status not in (401, 403, 404, 429):
            return Ended(False, answer.error)
        raise SourceError(f"the operation could not be followed: {answer.error}")
    status = None if by_status else wire.text(wire.mapping(answer.body, "the operation").get("status"))
    if status is not None and status.lower() not in _ENDED:
        return None
    if status is None and not by_status and answer.status != 204:
        raise wire.WireError("the operation has no status")
    well = status is None or status.lower() == "succeeded"
    return Ended(well, "" if well else _failure(answer.body, status), answer.body)


def _failure(body: Any, status: str | None) -> str:
    error = wire.mapping(wire.mapping(body, "the operation").get("error"), "the error")
    code, message = wire.text(error.get("code")), wire.text(error.get("message"))
    return one_line(": ".join(filter(None, (code, message))) or f"the operation ended as {status}")


def _state_of(body: Any) -> str | None:
    properties = body.get("properties") if isinstance(body, dict) else None
    return wire.text(properties.get("provisioningState")) if isinstance(properties, dict) else None

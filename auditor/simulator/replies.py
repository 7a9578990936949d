"""Requests and answers between the router and the handlers, and Azure's error bodies."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from auditor.simulator.wire import Document


@dataclass(frozen=True, slots=True)
class Call:
    """One request: `parts` are the path's variables in lower case, `spelled` as the client wrote them."""

    method: str
    path: str
    parts: Mapping[str, str]
    spelled: Mapping[str, str]
    query: Mapping[str, str]
    body: Mapping[str, Any]
    now: float
    base: str


@dataclass(slots=True)
class Reply:
    """One answer."""

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)


class ArmError(Exception):
    """An answer other than success: Azure's code and message."""

    def __init__(
        self, status: int, code: str, message: str, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(message)
        self.reply = Reply(
            status, orjson.dumps({"error": {"code": code, "message": message}}), dict(headers or {})
        )


def answer(content: object, status: int = 200, headers: Mapping[str, str] | None = None) -> Reply:
    """JSON; relative times in it are filled in."""
    return Reply(status, Document(content).render(), dict(headers or {}))


def not_found(kind: str, name: str, group: str) -> ArmError:
    """404 for a resource; `kind` is namespace and type."""
    return ArmError(
        404,
        "ResourceNotFound",
        f"The Resource '{kind}/{name}' under resource group '{group}' was not found. "
        "For more details please go to https://aka.ms/ARMResourceNotFoundFix",
        {"x-ms-failure-cause": "gateway"},
    )


def group_not_found(group: str) -> ArmError:
    """404 for a resource group."""
    return ArmError(
        404,
        "ResourceGroupNotFound",
        f"Resource group '{group}' could not be found.",
        {"x-ms-failure-cause": "gateway"},
    )


def subscription_not_found(subscription: str) -> ArmError:
    """404 for a subscription that does not exist or is not visible."""
    return ArmError(404, "SubscriptionNotFound", f"The subscription '{subscription}' could not be found.")


def forbidden(client: str, action: str, scope: str) -> ArmError:
    """403 that names the client, the action and the scope."""
    return ArmError(
        403,
        "AuthorizationFailed",
        f"The client '{client}' with object id '{client}' does not have authorization to perform action "
        f"'{action}' over scope '{scope}' or the scope is invalid. If access was recently granted, "
        "please refresh your credentials.",
    )


_USUAL = {
    400: ("BadRequest", "The request is not valid."),
    401: ("InvalidAuthenticationToken", "The access token is invalid."),
    403: ("AuthorizationFailed", "The client does not have authorization to perform this action."),
    404: ("ResourceNotFound", "The resource was not found."),
    409: ("Conflict", "Another operation on this resource is in progress."),
    429: ("TooManyRequests", "The request was throttled."),
    500: ("InternalServerError", "Encountered internal server error."),
    503: ("ServerBusy", "The server is currently unable to receive requests. Please retry your request."),
}


def usual_error(status: int) -> Reply:
    """The error body that goes with a status."""
    code, message = _USUAL.get(status, ("Error", "The request failed."))
    return ArmError(status, code, message).reply


_PATTERN = (5, 12, 3, 20)
_SHORT = 40
_LARGEST = 500


def page_starts(total: int) -> list[int]:
    """Where pages begin: the first holds one entry, the second none, the others differ in size."""
    if total < 2:
        return [0]
    # the recorded pages of long lists held 610 and 180 entries
    scale = 1 if total <= _SHORT else 50
    starts, at, turn = [0, 1], 1, 0
    while at < total:
        starts.append(at)
        at += min(_PATTERN[turn % len(_PATTERN)] * scale, _LARGEST)
        turn += 1
    return starts


def paged(call: Call, entries: Sequence[bytes], parameter: str = "$skiptoken") -> Reply:
    """One page of a list, with the link to the next while there is one."""
    starts = page_starts(len(entries))
    try:
        number = int(call.query.get(parameter.lower(), "page0").removeprefix("page"))
        start = starts[number]
    except (ValueError, IndexError):
        raise ArmError(400, "InvalidSkipToken", "The skip token is not valid.") from None
    end = starts[number + 1] if number + 1 < len(starts) else len(entries)
    body = b'{"value":[' + b",".join(entries[start:end]) + b"]"
    if number + 1 < len(starts):
        body += b',"nextLink":' + orjson.dumps(_next_link(call, parameter, number + 1))
    return Reply(body=body + b"}")


def _next_link(call: Call, parameter: str, number: int) -> str:
    kept = "&".join(
        f"{key}={_quoted(value)}" for key, value in call.query.items() if key != parameter.lower()
    )
    return f"{call.base}{call.path}?{kept}&{parameter.replace('$', '%24')}=page{number}"


def _quoted(value: str) -> str:
    return (
        value.replace("%", "%25")
        .replace("&", "%26")
        .replace("+", "%2B")
        .replace(" ", "%20")
        .replace("#", "%23")
    )

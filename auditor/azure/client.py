"""The SDK clients with a lean pipeline, and the two ways of reading that all hot paths use."""

from collections import Counter
from collections.abc import AsyncIterator, Mapping
from copy import copy
from dataclasses import dataclass
from typing import Any, Self, cast
from urllib.parse import urljoin, urlsplit

import aiohttp
import orjson
from azure.core.credentials_async import AsyncTokenCredential
from azure.core.rest import AsyncHttpResponse, HttpRequest
from azure.mgmt.compute.aio import ComputeManagementClient
from azure.mgmt.core.policies import AsyncARMChallengeAuthenticationPolicy
from azure.mgmt.recoveryservicesbackup.aio import RecoveryServicesBackupClient

from auditor.azure import wire
from auditor.azure.cloud import Cloud
from auditor.azure.identity import Identity
from auditor.azure.network import proxy_for
from auditor.azure.policies import GatePolicy, RenewPolicy
from auditor.azure.retry_after import hint_of
from auditor.azure.throttle import Gate, LaneKey
from auditor.azure.traffic import Call
from auditor.azure.transport import LeanTransport
from auditor.errors import AuthenticationError, NotFound, PermissionMissing, SourceError, Throttled

READ_TIMEOUT = 60.0
_READS = 3
_PAGES = 10_000
# a resource provider that a subscription never registered: nothing of its kind can exist there
_NOTHING_THERE = frozenset({"missingsubscriptionregistration", "subscriptionnotregistered"})


@dataclass(frozen=True, slots=True)
class Answer:
    """What Azure said to one request, whatever its status.

    `operation`, or else `location`, is where to follow it, `wait` is when to ask again (seconds); `error` is
    the status with Azure's code and message.
    """

    status: int
    body: Any
    operation: str | None
    location: str | None
    wait: float | None
    error: str


class Arm:
    """The SDK's own clients over one session, identity and gate."""

    def __init__(
        self,
        cloud: Cloud,
        session: aiohttp.ClientSession,
        identity: Identity,
        gate: Gate,
        *,
        read_timeout: float = READ_TIMEOUT,
    ) -> None:
        self._base = cloud.resource_manager
        self._proxy = proxy_for(cloud.resource_manager)
        self._options: dict[str, Any] = {}
        self._gate = gate
        self._used: Counter[LaneKey] = Counter()
        credential = cast("AsyncTokenCredential", identity)

        def options() -> dict[str, Any]:
            return {
                "base_url": cloud.resource_manager,
                "credential_scopes": [cloud.scope],
                "transport": LeanTransport(session, read_timeout),
                "policies": [
                    GatePolicy(gate),
                    RenewPolicy(identity),
                    AsyncARMChallengeAuthenticationPolicy(credential, cloud.scope),
                ],
            }

        # no typed operation runs over these, so the subscription that the clients ask for is not used
        self.compute = ComputeManagementClient(credential, "", **options())
        self.backup = RecoveryServicesBackupClient(credential, "", **options())

    def hurried(self, max_wait: float) -> Self:
        """The same clients, for requests that wait out a throttle for so many seconds at most."""
        hurried = copy(self)
        hurried._options = {"max_wait": max_wait}
        return hurried

    def counted(self) -> tuple[Self, Counter[LaneKey]]:
        """The same clients, and how many requests have been made through them, by lane."""
        counted = copy(self)
        counted._used = Counter()
        return counted, counted._used

    async def room(self, wanted: Mapping[LaneKey, int]) -> None:
        """Wait until there is room for so many requests; raises `Throttled` where that takes too long."""
        await self._gate.room(wanted, self._options.get("max_wait", self._gate.max_wait))

    async def get(self, call: Call, **options: Any) -> Any:
        """The JSON of one GET; raises a `SourceError` that says what was missing."""
        return await self._json(call, self._base + call.url, options)

    async def post(self, call: Call, body: Mapping[str, Any]) -> str:
        """Start an operation, once; returns the address to follow it by. Raises `SourceError`."""
        request = HttpRequest("POST", self._base + call.url, json=dict(body))
        response = await self.compute.send_request(request, lanes=call.lanes, proxy=self._proxy, lean=True)
        if response.status_code not in (200, 202):
            _nothing(response, call)
        headers = response.headers
        link = headers.get("Azure-AsyncOperation") or headers.get("Location")
        return self._relative(link)

    async def send(self, method: str, call: Call, body: Mapping[str, Any] | None = None) -> Answer:
        """One request, once where it changes something; raises `SourceError` where no answer came."""
        request = HttpRequest(method, self._base + call.url, json=None if body is None else dict(body))
        client = self.backup if call.recovery_services else self.compute
        response = await client.send_request(
            request, lanes=call.lanes, proxy=self._proxy, lean=True, **self._options
        )
        return self._answer(response)

    async def pages(self, call: Call) -> AsyncIterator[list[Any]]:
        """The items of a list, page by page, until no nextLink is left; raises `SourceError`."""
        url: str | None = self._base + call.url
        seen: set[str] = set()
        while url is not None:
            if url in seen or len(seen) >= _PAGES:
                raise wire.WireError("the list does not end: its nextLink comes round again")
            seen.add(url)
            body = await self._json(call, url, {})
            items = body.get("value") if isinstance(body, dict) else None
            if not isinstance(items, list):
                raise wire.WireError("the answer is not a list")
            yield items
            url = self._next(body.get("nextLink"))

    async def close(self) -> None:
        """Close the clients; session and identity belong to the caller."""
        await self.compute.close()
        await self.backup.close()

    async def _json(self, call: Call, url: str, options: dict[str, Any]) -> Any:
        send = (self.backup if call.recovery_services else self.compute).send_request
        for _ in range(_READS):
            self._used.update(call.lanes)
            response = await send(
                HttpRequest("GET", url),
                lanes=call.lanes,
                proxy=self._proxy,
                lean=True,
                **{**self._options, **options},
            )
            if response.status_code != 200:
                return _nothing(response, call)
            try:
                return wire.document(response.content)
            except orjson.JSONDecodeError as error:
                broken = error
        raise wire.WireError(
            f"the answer is not JSON ({broken}; {len(response.content)} bytes, {_READS} tries)"
        )

    def _answer(self, response: AsyncHttpResponse) -> Answer:
        headers = response.headers
        operation = self._next(headers.get("Azure-AsyncOperation"))
        location = None if operation else self._next(headers.get("Location"))
        try:
            body = wire.document(response.content) if response.content else None
        except orjson.JSONDecodeError:
            body = None
        return Answer(
            status=response.status_code,
            body=body,
            operation=operation and operation.removeprefix(self._base),
            location=location and location.removeprefix(self._base),
            wait=hint_of(headers),
            error=_said(response.status_code, *_error(response.content)),
        )

    def _relative(self, link: Any) -> str:
        found = self._next(link)
        if found is None:
            raise wire.WireError("Azure does not say where to follow the operation")
        return found.removeprefix(self._base)

    def _next(self, link: Any) -> str | None:
        if link is None or link == "":
            return None
        if not isinstance(link, str):
            raise wire.WireError("nextLink is not a text")
        try:
            absolute = urljoin(self._base + "/", link)
            same = _origin(absolute) == _origin(self._base)
        except ValueError:
            same = False
        if not same:
            raise wire.WireError(f"nextLink leads away from Azure Resource Manager: {link[:200]!r}")
        return absolute


def _origin(url: str) -> tuple[str, str | None, int]:
    found = urlsplit(url)
    return found.scheme, found.hostname, found.port or 443


def _nothing(response: AsyncHttpResponse, call: Call) -> Any:
    """The answer where there is nothing to list; raises what the status stands for elsewhere."""
    code, message = _error(response.content)
    if code.lower() in _NOTHING_THERE:
        return {"value": []}
    status = response.status_code
    said = _said(status, code, message)
    match status:
        case 401:
            raise AuthenticationError(f"Azure refused the sign-in ({said})")
        case 403:
            raise PermissionMissing(f"the identity may not do {call.permission} ({said})")
        case 404:
            raise NotFound(f"not found ({said})")
        case 429:
            raise Throttled(f"throttled ({said})")
        case _:
            raise SourceError(f"Azure answered {said}")


def _said(status: int, code: str, message: str) -> str:
    return f"{status} {code}".strip() + (f": {message}" if message else "")


def _error(body: bytes) -> tuple[str, str]:
    try:
        found = wire.document(body)
    except orjson.JSONDecodeError:
        return "", ""
    error = found.get("error", found) if isinstance(found, dict) else None
    if not isinstance(error, dict):
        return "", ""
    code, message = error.get("code"), error.get("message")
    return (
        code[:100] if isinstance(code, str) else "",
        " ".join(message.split())[:300] if isinstance(message, str) else "",
    )

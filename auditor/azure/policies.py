"""Our own steps in the SDK's pipeline: the gate with its retries, and the renewal of a refused token."""

from collections.abc import Sequence

import aiohttp
from azure.core.exceptions import (
    AzureError,
    ClientAuthenticationError,
    ServiceRequestTimeoutError,
    ServiceResponseTimeoutError,
)
from azure.core.pipeline import PipelineRequest, PipelineResponse
from azure.core.pipeline.policies import AsyncHTTPPolicy
from azure.core.rest import AsyncHttpResponse, HttpRequest

from auditor.azure.identity import Identity
from auditor.azure.retry_after import hint_of
from auditor.azure.throttle import Gate, Lane
from auditor.errors import AuthenticationError, SourceError

TRIES = 4
_BACKOFF = (0.5, 2.0, 5.0)
_PASSING = frozenset({408, 500, 502, 503, 504})

Request = PipelineRequest[HttpRequest]
Response = PipelineResponse[HttpRequest, AsyncHttpResponse]


class GatePolicy(AsyncHTTPPolicy[HttpRequest, AsyncHttpResponse]):
    """Waits at the gate before each attempt; tries again after a 429, a server error, a lost connection.

    Takes the option `lanes` and, optionally, `max_wait` (seconds).
    """

    def __init__(self, gate: Gate) -> None:
        super().__init__()
        self._gate = gate

    async def send(self, request: Request) -> Response:
        """Send until there is an answer; raises `SourceError` when there is none."""
        options = request.context.options
        lanes = options.pop("lanes", ())
        deadline = self._gate.clock() + options.pop("max_wait", self._gate.max_wait)
        failures = refusals = 0
        while True:
            places = await self._gate.enter(lanes, deadline)
            answer = await self._attempt(request, places)
            if isinstance(answer, OSError):
                failures += 2 if isinstance(answer, TimeoutError) else 1
                await self._recover(request, answer, failures, deadline)
                continue
            response = answer.http_response
            if response.status_code == 429:
                self._gate.refused(places, response.headers, response.text(), refusals)
                refusals += 1
                continue
            self._gate.leave(places, response.headers)
            if response.status_code not in _PASSING or failures >= TRIES - 1 or not _repeatable(request):
                return answer
            failures += 1
            if not await self._pause(failures, deadline, hint_of(response.headers)):
                return answer

    async def _attempt(self, request: Request, places: Sequence[Lane]) -> Response | OSError:
        """One try: the answer, or the lost connection as an `OSError`; the places are kept for an answer."""
        try:
            return await self.next.send(request)
        except BaseException as error:
            self._gate.leave(places)
            match error:
                case ClientAuthenticationError():
                    raise AuthenticationError(str(error)) from error
                case ServiceResponseTimeoutError() | ServiceRequestTimeoutError() | TimeoutError():
                    return TimeoutError(str(error) or "no answer in time")
                case AzureError() | aiohttp.ClientError() | OSError():
                    return ConnectionError(" ".join(str(error).split()) or type(error).__name__)
            raise

    async def _recover(self, request: Request, error: OSError, failures: int, deadline: float) -> None:
        if "CERTIFICATE_VERIFY_FAILED" in str(error):
            raise SourceError(f"ARM's TLS certificate is not trusted; pass --ca-bundle ({error})") from error
        given_up = failures >= TRIES or not _repeatable(request)
        if given_up or not await self._pause(failures, deadline, None):
            raise SourceError(f"no answer from Azure: {error}") from error

    async def _pause(self, failures: int, deadline: float, hint: float | None) -> bool:
        """Wait before the next try; False, without waiting, where the run would wait too long."""
        seconds = hint if hint is not None else _BACKOFF[min(failures, len(_BACKOFF)) - 1]
        if self._gate.clock() + seconds > deadline:
            return False
        await self._gate.sleep(seconds)
        return True


class RenewPolicy(AsyncHTTPPolicy[HttpRequest, AsyncHttpResponse]):
    """A 401 in mid-run: sign in anew, once, and go on."""

    def __init__(self, identity: Identity) -> None:
        super().__init__()
        self._identity = identity

    async def send(self, request: Request) -> Response:
        """Send; after a 401 send once more with a new token."""
        answer = await self.next.send(request)
        if answer.http_response.status_code != 401:
            return answer
        if not await self._identity.renew(request.http_request.headers.get("Authorization")):
            return answer
        return await self.next.send(request)


def _repeatable(request: Request) -> bool:
    return request.http_request.method in ("GET", "HEAD")

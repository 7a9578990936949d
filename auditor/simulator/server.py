"""The simulator on the wire: TLS, signing in, quotas, faults, and one handler call per request."""

import asyncio
import ssl
import tempfile
import threading
import time
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from types import TracebackType
from urllib.parse import parse_qsl

import orjson
import trustme
from aiohttp import web

from auditor.simulator import keyvault
from auditor.simulator.changes import Changes
from auditor.simulator.compute import Compute
from auditor.simulator.estate import Estate
from auditor.simulator.faults import Fault, Faults
from auditor.simulator.identity import Tokens, discovery, metadata
from auditor.simulator.network import Network
from auditor.simulator.permissions import Permissions
from auditor.simulator.protection import Protection
from auditor.simulator.recovery import Recovery
from auditor.simulator.replies import ArmError, Call, Reply, answer, forbidden, usual_error
from auditor.simulator.routes import Route, Router
from auditor.simulator.steering import Steering
from auditor.simulator.subscriptions import Subscriptions
from auditor.simulator.throttle import Quotas, Refusal, Stats
from auditor.simulator.world import Options, World

_JSON = "application/json; charset=utf-8"


class RunningServer(Steering):
    """A server that accepts connections; `stats` and `faults` may be read and changed while it runs."""

    def __init__(self, estate: Estate, options: Options, faults: Faults) -> None:
        self.estate = estate
        self.options = options
        self.faults = faults
        self.stats = Stats()
        self.url = ""
        self.ca_pem = Path()
        self.world = World(estate, options)
        self.tokens = Tokens(estate, options.token_seconds)
        self._quotas = Quotas(options.enforce_quotas)
        self._router = Router()
        Subscriptions(self.world).register(self._router)
        Compute(self.world).register(self._router)
        Recovery(self.world).register(self._router)
        Protection(self.world).register(self._router)
        Network(self.world).register(self._router)
        Changes(self.world).register(self._router)
        Permissions(options.grants).register(self._router)

    def expire_tokens(self) -> None:
        """Make every token invalid that was given out so far."""
        self.tokens.expire()

    async def respond(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer one request."""
        fault = self.faults.take(request.method, request.raw_path)
        if self.options.latency_ms:
            await asyncio.sleep(self.options.latency_ms / 1000)
        if fault is not None and fault.delay_s:
            await asyncio.sleep(fault.delay_s)
        if fault is not None and fault.hang:
            await asyncio.sleep(3600)
        body = await request.read()
        reply = self._reply(request, body, fault)
        if fault is not None and fault.drop_connection:
            if request.transport is not None:
                request.transport.abort()
            return web.Response()
        return web.Response(
            body=reply.body, status=reply.status, headers={"Content-Type": _JSON, **reply.headers}
        )

    def _reply(self, request: web.BaseRequest, body: bytes, fault: Fault | None) -> Reply:
        path = request.path
        now = self.options.clock()
        if path == "/metadata/endpoints":
            self.stats.requests["metadata"] += 1
            version = request.query.get("api-version", "")
            proper = answer(metadata(self.url, self.estate.tenant, version))
        elif path.lower().endswith("/.well-known/openid-configuration"):
            self.stats.requests["openid"] += 1
            proper = discovery(self.url, path.split("/")[1])
        elif path.startswith(keyvault.PREFIX):
            self.stats.requests["keyvault"] += 1
            refused = self.tokens.check(request.headers.get("Authorization"), self.url, now)
            secrets = self.options.secrets
            proper = keyvault.secret(path, self.url, self.estate.tenant, secrets, refused)
        elif path.endswith("/oauth2/v2.0/token") and request.method == "POST":
            self.stats.requests["token"] += 1
            proper = self.tokens.grant(path.split("/")[1].lower(), _form(body), now)
        else:
            return self._arm(request, body, fault, now)
        return _spoiled(proper, request, fault, self.url)

    def _arm(self, request: web.BaseRequest, body: bytes, fault: Fault | None, now: float) -> Reply:
        found = self._router.find(request.method, request.path)
        self.stats.requests[found[0].kind if found else "unknown"] += 1
        if fault is not None and fault.status is not None:
            return _spoiled(usual_error(fault.status), request, fault, self.url)
        refused = self.tokens.check(request.headers.get("Authorization"), self.url, now)
        if refused is not None:
            return refused
        if found is None:
            return _no_route(request)
        route, parts, spelled = found
        if fault is not None and fault.deny:
            return forbidden(self.estate.client_id, route.action, request.path).reply
        query = {key.lower(): value for key, value in request.query.items()}
        if "api-version" not in query:
            message = "The api-version query parameter (?api-version=) is required for all requests."
            return ArmError(400, "MissingApiVersionParameter", message).reply
        call = Call(request.method, request.path, parts, spelled, query, _json(body), now, self.url)
        return _spoiled(self._handled(route, call), request, fault, self.url)

    def _handled(self, route: Route, call: Call) -> Reply:
        parts = call.parts
        place = f"{parts.get('sub', '')}/{self.world.region(parts)}"
        resource = f"{parts.get('sub')}/{parts.get('group')}/{parts.get('vm', parts.get('operation'))}"
        charged = self._quotas.charge(route.meter, place, resource, time.monotonic())
        if isinstance(charged, Refusal):
            self.stats.throttled[route.kind] += 1
            return _throttled(route, charged)
        try:
            if route.action:
                self.world.demand(route.action, call.path)
            reply = route.handle(call)
        except ArmError as error:
            reply = error.reply
        reply.headers = {**charged, **reply.headers}
        return reply


def _form(body: bytes) -> dict[str, str]:
    return dict(parse_qsl(body.decode("utf-8", "replace")))


def _json(body: bytes) -> dict[str, object]:
    try:
        content = orjson.loads(body) if body else {}
    except orjson.JSONDecodeError:
        content = {}
    return content if isinstance(content, dict) else {}


def _no_route(request: web.BaseRequest) -> Reply:
    message = f"No registered resource provider found for {request.method} {request.path}."
    return ArmError(404, "InvalidResourceType", message).reply


def _throttled(route: Route, refusal: Refusal) -> Reply:
    wait = refusal.wait
    if route.meter.per_action is not None:
        message = (
            f"Number of requests for action '{route.action}' exceeded the limit of "
            f"'{refusal.policy.size}' for time interval '01:00:00'. Please try again after '{wait}' seconds."
        )
        error = ArmError(429, "ResourceRequestsThrottled", message, {"x-ms-failure-cause": "gateway"})
    else:
        message = f"The server rejected the request: too many requests for {refusal.policy.name}."
        error = ArmError(429, "TooManyRequests", message)
    error.reply.headers["Retry-After"] = str(wait)
    return error.reply


def _spoiled(reply: Reply, request: web.BaseRequest, fault: Fault | None, base: str) -> Reply:
    if fault is None:
        return reply
    if fault.status is not None:
        given = usual_error(fault.status)
        given.body = given.body if fault.body is None else fault.body
        given.headers.update(fault.headers)
        return given
    if fault.truncate_json:
        reply.body = reply.body[: len(reply.body) // 2]
    if fault.next_link_loop and reply.status == 200:
        content = orjson.loads(reply.body)
        content["nextLink"] = f"{base}{request.raw_path}"
        reply.body = orjson.dumps(content)
    return reply


def _tls(folder: Path) -> ssl.SSLContext:
    authority = trustme.CA(organization_name="Simulated estate")
    authority.cert_pem.write_to_path(str(folder / "ca.pem"))
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1", "localhost").configure_cert(context)
    return context


@asynccontextmanager
async def serve_estate(
    estate: Estate,
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    options: Options = Options(),  # noqa: B008 - frozen
    faults: Iterable[Fault] = (),
) -> AsyncIterator[RunningServer]:
    """Serve an estate over TLS until the block ends; `port` 0 takes a free one."""
    server = RunningServer(estate, options, Faults(faults))
    with tempfile.TemporaryDirectory(prefix="auditor-simulator-") as folder:
        listener = web.Server(server.respond, access_log=None)
        runner = web.ServerRunner(listener, shutdown_timeout=0.5)
        context = _tls(Path(folder))
        await runner.setup()
        try:
            site = web.TCPSite(runner, host, port, ssl_context=context, backlog=1024)
            await site.start()
            server.url = f"https://{host}:{runner.addresses[0][1]}"
            server.ca_pem = Path(folder) / "ca.pem"
            yield server
        finally:
            await _hang_up(listener)
            await runner.cleanup()


async def _hang_up(listener: web.Server) -> None:
    for connection in listener.connections:
        if connection.transport is not None:
            connection.transport.abort()
    await asyncio.sleep(0.01)


class EstateServer:
    """`serve_estate` in a thread of its own, for callers that are not asynchronous."""

    def __init__(
        self,
        estate: Estate,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        options: Options = Options(),  # noqa: B008 - frozen
        faults: Iterable[Fault] = (),
    ) -> None:
        self._serving = serve_estate(estate, host=host, port=port, options=options, faults=faults)
        self._started = threading.Event()
        self._server: RunningServer | None = None
        self._error: BaseException | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None
        self._thread = threading.Thread(target=self._main, name="simulated-estate", daemon=True)

    def __enter__(self) -> RunningServer:
        self._thread.start()
        self._started.wait()
        if self._server is None:
            raise OSError(f"the simulated estate could not be served: {self._error}") from self._error
        return self._server

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._loop is not None and self._stop is not None:
            self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()

    def _main(self) -> None:
        try:
            asyncio.run(self._run())
        except BaseException as error:  # reported by __enter__, in the thread that waits
            self._error = error
        finally:
            self._started.set()

    async def _run(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        async with self._serving as server:
            self._server = server
            self._started.set()
            await self._stop.wait()

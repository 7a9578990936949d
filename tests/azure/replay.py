"""An ARM endpoint over TLS that answers with recorded exchanges, and with nothing else."""

import ssl
from collections import defaultdict
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import orjson
from aiohttp import web

SUBSCRIPTION = "00000000-0000-0000-0000-000000000000"
COMPUTE = "/providers/microsoft.compute/virtualmachines"
METADATA = {
    "resourceManager": "{url}",
    "authentication": {"loginEndpoint": "{url}/", "audiences": ["{url}"]},
}
NOT_FOUND = {"error": {"code": "ResourceNotFound", "message": "not recorded"}}

Exchange = dict[str, Any]


def exchanges(folder: Path, *names: str) -> list[Exchange]:
    """The exchanges of the recordings, in the order in which they were made."""
    paths = [folder / f"{name}.json" for name in names] or sorted(folder.glob("*.json"))
    return [exchange for path in paths for exchange in orjson.loads(path.read_bytes())]


def path_of(exchange: Exchange) -> str:
    """The path of an exchange as the server looks it up."""
    return unquote(urlsplit(exchange["path"]).path).lower()


def entries(exchange: Exchange) -> list[dict[str, Any]]:
    """The entries of a recorded list."""
    body = exchange["response_body"]
    value = body.get("value") if isinstance(body, dict) else None
    return value if isinstance(value, list) else []


@dataclass
class Answer:
    """What is sent for a path."""

    body: Any
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)


class Replay:
    """Answers by path; of several for one path, one after the other, and the last from then on."""

    def __init__(
        self, recorded: Iterable[Exchange] = (), *, metadata: Any = METADATA, metadata_status: int = 200
    ) -> None:
        self.url = ""
        self._metadata = Answer(metadata, metadata_status)
        self.asked: list[str] = []
        self._answers: dict[str, list[Answer]] = defaultdict(list)
        for exchange in recorded:
            if exchange["method"] == "GET":
                headers = {
                    name: value if isinstance(value, str) else value[0]
                    for name, value in exchange["response_headers"].items()
                }
                self.add(path_of(exchange), exchange["response_body"], exchange["status"], headers)

    def add(self, path: str, body: Any, status: int = 200, headers: dict[str, str] | None = None) -> None:
        """One more answer for a path; `{url}` in texts becomes this server's address."""
        self._answers[path.lower()].append(Answer(body, status, headers or {}))

    def answer(self, path: str) -> Answer:
        """The next answer for a path; a list that was not recorded is not found."""
        waiting = self._answers.get(path)
        if not waiting:
            return Answer(NOT_FOUND, 404)
        return waiting.pop(0) if len(waiting) > 1 else waiting[0]

    async def respond(self, request: web.BaseRequest) -> web.Response:
        """Answer one request."""
        path = unquote(request.path).lower()
        self.asked.append(f"{request.method} {path}")
        if path.endswith("/oauth2/v2.0/token"):
            token = {"access_token": "recorded", "expires_in": 3600, "token_type": "Bearer"}
            return web.json_response(token)
        found = self._metadata if path == "/metadata/endpoints" else self.answer(path)
        body = orjson.dumps(found.body).replace(b"{url}", self.url.encode())
        return web.Response(
            body=body, status=found.status, headers=found.headers, content_type="application/json"
        )


@asynccontextmanager
async def serving(replay: Replay, context: ssl.SSLContext) -> AsyncIterator[Replay]:
    """Serve on a free port of loopback until the block ends."""
    runner = web.ServerRunner(web.Server(replay.respond), shutdown_timeout=0.5)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
        replay.url = f"https://127.0.0.1:{runner.addresses[0][1]}"
        yield replay
    finally:
        await runner.cleanup()

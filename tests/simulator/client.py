"""A bare client of the simulator, for what the SDK would hide."""

import ssl
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from email.message import Message
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlencode
from urllib.request import Request, urlopen

import orjson

from auditor.simulator.estate import Estate
from auditor.simulator.server import RunningServer
from auditor.simulator.vms import Vm


@dataclass(frozen=True)
class Answer:
    """A raw answer; `headers` are read case-insensitively."""

    status: int
    headers: Message
    raw: bytes

    @property
    def json(self) -> Any:
        return orjson.loads(self.raw)

    @property
    def code(self) -> str:
        return str(self.json["error"]["code"])


@dataclass
class Clock:
    """A clock for the simulator that stands until it is moved."""

    now: float = field(default_factory=time.time)

    def __call__(self) -> float:
        return self.now


@dataclass
class Client:
    """A bare HTTPS client with a token: what it does not send, nobody sends."""

    server: RunningServer
    token: str = ""
    context: ssl.SSLContext = field(init=False)

    def __post_init__(self) -> None:
        self.context = ssl.create_default_context(cafile=str(self.server.ca_pem))
        self.token = self.token or self.sign_in()

    def sign_in(self, **changes: str) -> str:
        return str(self.grant(**changes).json["access_token"])

    def grant(self, tenant: str | None = None, **changes: str) -> Answer:
        estate = self.server.estate
        form = {
            "grant_type": "client_credentials",
            "client_id": estate.client_id,
            "client_secret": estate.client_secret,
            "scope": f"{self.server.url}/.default",
            **changes,
        }
        path = f"/{tenant or estate.tenant}/oauth2/v2.0/token"
        return self.send("POST", path, urlencode(form).encode(), headers={"Authorization": ""})

    def get(self, path: str, **headers: str) -> Answer:
        return self.send("GET", path, headers=headers)

    def send(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        timeout: float = 10,
    ) -> Answer:
        url = path if path.startswith("https://") else self.server.url + path
        every = {"Authorization": f"Bearer {self.token}", **(headers or {})}
        request = Request(url, data=body, method=method, headers={k: v for k, v in every.items() if v})
        try:
            with urlopen(request, context=self.context, timeout=timeout) as response:
                return Answer(response.status, response.headers, response.read())
        except HTTPError as error:
            with error:
                return Answer(error.code, error.headers, error.read())

    def pages(self, path: str) -> Iterator[list[dict[str, Any]]]:
        link: str | None = path
        while link:
            answer = self.get(link)
            assert answer.status == 200, answer.raw
            yield answer.json["value"]
            link = answer.json.get("nextLink")

    def all(self, path: str) -> list[dict[str, Any]]:
        return [entry for page in self.pages(path) for entry in page]


def of(estate: Estate, scenario: str) -> Vm:
    """The first machine with a scenario."""
    return next(vm for vm in estate.vms if vm.scenario.name == scenario)

import time
from collections.abc import Callable
from http.client import HTTPException

import orjson
import pytest

from auditor.simulator.faults import Fault, Faults
from auditor.simulator.server import RunningServer
from tests.simulator.client import Client

SUBSCRIPTIONS = "/subscriptions?api-version=2022-12-01"
Serve = Callable[..., RunningServer]


@pytest.fixture(scope="module")
def quiet(shared: RunningServer, client: Client) -> Client:
    return client


@pytest.fixture
def faults(shared: RunningServer) -> Faults:
    shared.faults.clear()
    return shared.faults


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 429, 500, 503])
def test_a_status_comes_with_its_usual_body(quiet: Client, faults: Faults, status: int) -> None:
    faults.add(Fault("/subscriptions", status=status))
    answer = quiet.get(SUBSCRIPTIONS)
    assert answer.status == status
    assert answer.code


@pytest.mark.parametrize(
    ("headers", "body", "wait"),
    [
        ({"Retry-After": "7"}, None, "7"),
        ({}, None, None),
        ({}, b'{"error":{"code":"TooManyRequests","message":"Please try again after 3 seconds."}}', None),
    ],
)
def test_throttling_with_and_without_a_hint(
    quiet: Client, faults: Faults, headers: dict[str, str], body: bytes | None, wait: str | None
) -> None:
    faults.add(Fault("/subscriptions", status=429, headers=headers, body=body))
    answer = quiet.get(SUBSCRIPTIONS)
    assert (answer.status, answer.headers["Retry-After"]) == (429, wait)
    assert body is None or answer.raw == body


def test_a_denied_subscription_names_client_action_and_scope(quiet: Client, faults: Faults) -> None:
    estate = quiet.server.estate
    refused, open_ = estate.subscriptions[0].id, estate.subscriptions[1].id
    path = "/subscriptions/{}/providers/Microsoft.Compute/virtualMachines?api-version=1"
    faults.add(Fault(f"/subscriptions/{refused}/", method=None, deny=True))
    answer = quiet.get(path.format(refused))
    assert (answer.status, answer.code) == (403, "AuthorizationFailed")
    message = answer.json["error"]["message"]
    assert estate.client_id in message
    assert "'Microsoft.Compute/virtualMachines/read'" in message
    assert f"/subscriptions/{refused}/" in message
    assert quiet.get(path.format(open_)).status == 200


def test_truncated_json(quiet: Client, faults: Faults) -> None:
    faults.add(Fault("/subscriptions", truncate_json=True))
    answer = quiet.get(SUBSCRIPTIONS)
    assert answer.status == 200
    with pytest.raises(orjson.JSONDecodeError):
        orjson.loads(answer.raw)


def test_a_next_link_that_leads_back(quiet: Client, faults: Faults) -> None:
    faults.add(Fault("/subscriptions", next_link_loop=True))
    link = quiet.get(SUBSCRIPTIONS).json["nextLink"]
    assert quiet.get(link).json["nextLink"] == link


def test_a_dropped_connection(quiet: Client, faults: Faults) -> None:
    faults.add(Fault("/subscriptions", drop_connection=True, times=1))
    with pytest.raises((OSError, HTTPException)):
        quiet.get(SUBSCRIPTIONS)
    assert quiet.get(SUBSCRIPTIONS).status == 200


def test_a_delay(quiet: Client, faults: Faults) -> None:
    faults.add(Fault("/subscriptions", delay_s=0.3))
    start = time.monotonic()
    assert quiet.get(SUBSCRIPTIONS).status == 200
    assert time.monotonic() - start >= 0.3


def test_a_hang_does_not_keep_the_server_from_ending(serve: Serve) -> None:
    server = serve(faults=[Fault("/subscriptions", hang=True)])
    client = Client(server)
    start = time.monotonic()
    with pytest.raises(OSError, match="timed out"):
        client.send("GET", SUBSCRIPTIONS, timeout=0.3)
    assert time.monotonic() - start < 5


def test_faults_begin_and_end_when_told(quiet: Client, faults: Faults) -> None:
    fault = Fault("/SUBSCRIPTIONS", status=500, after=1, times=2)
    faults.add(fault)
    assert [quiet.get(SUBSCRIPTIONS).status for _ in range(4)] == [200, 500, 500, 200]
    assert fault.hits == 2


def test_a_fault_hits_its_method_only(quiet: Client, faults: Faults) -> None:
    faults.add(Fault("/oauth2/", method="GET", status=503))
    assert quiet.grant().status == 200
    faults.add(Fault("/oauth2/", method="POST", status=503))
    assert quiet.grant().status == 503

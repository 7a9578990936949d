from collections.abc import Callable

import pytest
from azure.core.exceptions import ClientAuthenticationError
from azure.identity import ClientSecretCredential

from auditor.simulator.server import RunningServer
from auditor.simulator.world import Options
from tests.simulator.client import Client, Clock

SUBSCRIPTIONS = "/subscriptions?api-version=2022-12-01"


@pytest.mark.parametrize(
    ("changes", "status", "error", "code"),
    [
        ({"client_secret": "wrong"}, 401, "invalid_client", 7000215),
        ({"client_id": "someone"}, 400, "unauthorized_client", 700016),
        ({"grant_type": "password"}, 400, "unsupported_grant_type", 70003),
        ({"tenant": "another"}, 400, "invalid_request", 90002),
    ],
)
def test_sign_in_is_refused_as_entra_id_does(
    client: Client, changes: dict[str, str], status: int, error: str, code: int
) -> None:
    answer = client.grant(**changes)
    assert (answer.status, answer.json["error"], answer.json["error_codes"]) == (status, error, [code])
    assert answer.json["error_description"].startswith(f"AADSTS{code}: ")


def test_the_real_credential_reports_a_wrong_secret(shared: RunningServer) -> None:
    credential = ClientSecretCredential(
        shared.estate.tenant,
        shared.estate.client_id,
        "wrong",
        authority=shared.url,
        disable_instance_discovery=True,
        connection_verify=str(shared.ca_pem),
    )
    with credential, pytest.raises(ClientAuthenticationError, match="AADSTS7000215"):
        credential.get_token(f"{shared.url}/.default")


@pytest.mark.parametrize(
    ("header", "code"),
    [
        ("", "AuthenticationFailed"),
        ("Basic abc", "AuthenticationFailed"),
        ("Bearer made-up", "InvalidAuthenticationToken"),
    ],
)
def test_no_answer_without_a_token(client: Client, header: str, code: str) -> None:
    answer = client.get(SUBSCRIPTIONS, Authorization=header)
    assert (answer.status, answer.code) == (401, code)
    assert answer.headers["WWW-Authenticate"].startswith("Bearer authorization_uri=")


def test_tokens_end_when_their_time_is_over(serve: Callable[..., RunningServer]) -> None:
    clock = Clock()
    client = Client(serve(options=Options(token_seconds=0.4, clock=clock)))
    assert client.get(SUBSCRIPTIONS).status == 200
    clock.now += 0.5
    answer = client.get(SUBSCRIPTIONS)
    assert (answer.status, answer.code) == (401, "ExpiredAuthenticationToken")


def test_tokens_can_be_ended_at_once(serve: Callable[..., RunningServer]) -> None:
    server = serve()
    client = Client(server)
    server.expire_tokens()
    assert client.get(SUBSCRIPTIONS).code == "ExpiredAuthenticationToken"
    assert Client(server).get(SUBSCRIPTIONS).status == 200

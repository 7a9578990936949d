"""Reaching a cloud: names and endpoints, CAs, proxies, and the chain of credentials."""

import asyncio
import os
import socket
import ssl
import stat
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from azure.core import AzureClouds
from azure.core.credentials import AccessTokenInfo
from azure.core.exceptions import ClientAuthenticationError
from azure.identity import AzureAuthorityHosts
from azure.mgmt.core.tools import get_arm_endpoints

from auditor.azure.cloud import CLOUDS, find_cloud
from auditor.azure.estate import open_azure
from auditor.azure.identity import Identity, sign_in
from auditor.azure.network import open_session, proxy_for, tls_context
from auditor.errors import AuthenticationError, SettingsError
from auditor.inventory.scope import Scope
from tests.azure.replay import Replay, serving

GOOD = {"resourceManager": "{url}", "authentication": {"loginEndpoint": "{url}/", "audiences": ["{url}/"]}}


async def found_cloud(metadata: Any, context: ssl.SSLContext, ca_pem: Path | None, status: int = 200) -> Any:
    endpoint = Replay(metadata=metadata, metadata_status=status)
    async with serving(endpoint, context), open_session(tls_context(ca_pem)) as session:
        return endpoint.url, await find_cloud(endpoint.url + "/", session)


# ---- clouds -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "sdk", "authority"),
    [
        ("public", AzureClouds.AZURE_PUBLIC_CLOUD, AzureAuthorityHosts.AZURE_PUBLIC_CLOUD),
        ("usgovernment", AzureClouds.AZURE_US_GOVERNMENT, AzureAuthorityHosts.AZURE_GOVERNMENT),
        ("china", AzureClouds.AZURE_CHINA_CLOUD, AzureAuthorityHosts.AZURE_CHINA),
    ],
)
def test_the_named_clouds_are_those_of_the_sdk(name: str, sdk: AzureClouds, authority: str) -> None:
    endpoints = get_arm_endpoints(sdk)
    cloud = CLOUDS[name]
    assert cloud.resource_manager + "/" == endpoints["resource_manager"]
    assert [cloud.scope] == endpoints["credential_scopes"]
    assert cloud.authority == f"https://{authority}"


@pytest.mark.parametrize(
    "metadata",
    [
        GOOD,
        [
            {"name": "other", "resourceManager": "https://other", "authentication": GOOD["authentication"]},
            GOOD,
        ],
    ],
    ids=["one object", "a list"],
)
def test_an_endpoint_tells_authority_and_audience(
    metadata: Any, server_tls: ssl.SSLContext, ca_pem: Path
) -> None:
    url, cloud = asyncio.run(found_cloud(metadata, server_tls, ca_pem))
    assert (cloud.resource_manager, cloud.authority) == (url, url)
    assert cloud.scope == f"{url}//.default"
    assert cloud.name == url


@pytest.mark.parametrize(
    ("metadata", "status", "message"),
    [
        ({}, 200, "names no login"),
        ([], 200, "names no login"),
        ("text", 200, "names no login"),
        ({"authentication": {"loginEndpoint": "http://plain", "audiences": ["x"]}}, 200, "names no login"),
        ({"authentication": {"loginEndpoint": "https://x", "audiences": []}}, 200, "names no login"),
        ({"authentication": [1]}, 200, "names no login"),
        ({}, 404, r"does not answer .* like an ARM endpoint \(HTTP 404\)"),
    ],
)  # fmt: skip
def test_metadata_that_is_none_is_a_settings_error(
    metadata: Any, status: int, message: str, server_tls: ssl.SSLContext, ca_pem: Path
) -> None:
    with pytest.raises(SettingsError, match=message):
        asyncio.run(found_cloud(metadata, server_tls, ca_pem, status))


@pytest.mark.parametrize(
    "wanted",
    ["azure", "", "http://127.0.0.1", "https://", "https://u@h/", "https://h:99999", "https://h/?x", "https://[x"],
)  # fmt: skip
def test_a_word_that_is_no_cloud_names_the_choices(wanted: str) -> None:
    async def ask() -> None:
        async with open_azure(wanted):
            pass

    with pytest.raises(SettingsError, match="choose public, usgovernment, china, or the https://"):
        asyncio.run(ask())


def test_an_untrusted_endpoint_says_to_pass_the_ca(server_tls: ssl.SSLContext) -> None:
    with pytest.raises(SettingsError, match=r"not trusted.*pass --ca-bundle"):
        asyncio.run(found_cloud(GOOD, server_tls, None))


def test_an_endpoint_that_nobody_serves_is_a_settings_error() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]

        async def ask() -> None:
            async with open_azure(f"https://127.0.0.1:{port}"):
                pass

        with pytest.raises(SettingsError, match="cannot be reached"):
            asyncio.run(ask())


# ---- CAs and proxies ----------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["option", "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE"])
def test_a_private_ca_works_for_login_and_arm_alike(
    how: str, server_tls: ssl.SSLContext, ca_pem: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if how != "option":
        monkeypatch.setenv(how, str(ca_pem))

    async def run() -> Any:
        replay = Replay()
        replay.add("/subscriptions", {"value": []})
        async with (
            serving(replay, server_tls),
            open_azure(replay.url, ca_bundle=ca_pem if how == "option" else None) as azure,
        ):
            return await azure.inventory(Scope()), replay.asked

    inventory, asked = asyncio.run(run())
    assert [limit.reason for limit in inventory.limits] == [
        "no subscription is visible to this identity; give it Reader"
    ]
    assert asked == ["GET /metadata/endpoints", "POST /tenant/oauth2/v2.0/token", "GET /subscriptions"]


@pytest.mark.parametrize("content", [None, "not a certificate"])
def test_a_ca_bundle_that_cannot_be_read_is_a_settings_error(content: str | None, tmp_path: Path) -> None:
    path = tmp_path / "ca.pem"
    if content is not None:
        path.write_text(content)
    for chosen, environment, origin in (
        (path, {}, "--ca-bundle"),
        (None, {"REQUESTS_CA_BUNDLE": str(path)}, "REQUESTS_CA_BUNDLE"),
        (None, {"SSL_CERT_FILE": str(path)}, "SSL_CERT_FILE"),
    ):
        with pytest.raises(SettingsError, match=origin):
            tls_context(chosen, environment)


@pytest.mark.parametrize(
    ("variables", "proxy"),
    [
        ({}, None),
        ({"HTTPS_PROXY": "http://proxy:3128"}, "http://proxy:3128"),
        ({"https_proxy": "proxy:3128"}, "http://proxy:3128"),
        ({"ALL_PROXY": "http://all:1"}, "http://all:1"),
        ({"HTTPS_PROXY": "http://proxy:3128", "NO_PROXY": "arm.example"}, None),
        ({"HTTPS_PROXY": "http://proxy:3128", "NO_PROXY": ".other"}, "http://proxy:3128"),
    ],
)
def test_the_proxy_of_the_environment(
    variables: dict[str, str], proxy: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert proxy_for("https://arm.example:8443/x") == proxy


def test_a_proxy_that_cannot_be_used_is_a_settings_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "socks5://proxy:1080")
    with pytest.raises(SettingsError, match="socks5"):
        proxy_for("https://arm.example")


@asynccontextmanager
async def connect_proxy() -> AsyncIterator[tuple[str, list[str]]]:
    """An HTTP proxy that only tunnels, and writes down where to."""
    tunnels: list[str] = []

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
        except (ConnectionError, asyncio.CancelledError):
            pass
        finally:
            writer.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        target = head.split()[1]
        tunnels.append(target)
        host, _, port = target.partition(":")
        there_reader, there_writer = await asyncio.open_connection(host, int(port))
        writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        await asyncio.gather(pump(reader, there_writer), pump(there_reader, writer))

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", tunnels
    finally:
        server.close()


def test_login_and_arm_go_through_the_proxy(
    server_tls: ssl.SSLContext, ca_pem: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def run() -> Any:
        replay = Replay()
        replay.add("/subscriptions", {"value": []})
        async with serving(replay, server_tls), connect_proxy() as (proxy, tunnels):
            monkeypatch.setenv("HTTPS_PROXY", proxy)
            async with open_azure(replay.url, ca_bundle=ca_pem) as azure:
                await azure.inventory(Scope())
            return replay.asked, tunnels, replay.url

    asked, tunnels, url = asyncio.run(run())
    assert len(asked) == 3
    assert set(tunnels) == {url.removeprefix("https://")}


# ---- credentials --------------------------------------------------------------------------------


def signed_in(cloud_url: str, ca_pem: Path, question: Callable[[Identity], Any]) -> Any:
    async def run() -> Any:
        async with open_session(tls_context(ca_pem)) as session:
            cloud = await find_cloud(cloud_url, session)
            async with sign_in(cloud, session) as identity:
                return await question(identity)

    return run()


@pytest.mark.skipif(sys.platform == "win32", reason="the stand-in for az is a shell script")
def test_an_az_login_session_is_used_on_a_custom_cloud(
    server_tls: ssl.SSLContext, ca_pem: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    az = tmp_path / "az"
    token = '{"accessToken": "of-az", "expires_on": 4102444800, "tokenType": "Bearer"}'
    az.write_text(f"#!/bin/sh\necho \"$@\" >> {tmp_path}/asked\necho '{token}'\n")
    az.chmod(az.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    for name in ("AZURE_TENANT_ID", "AZURE_CLIENT_ID", "AZURE_CLIENT_SECRET"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AZURE_TOKEN_CREDENTIALS", "dev")

    async def run() -> Any:
        replay = Replay()
        replay.add("/subscriptions", {"value": []})
        async with serving(replay, server_tls), open_azure(replay.url, ca_bundle=ca_pem) as azure:
            await azure.inventory(Scope())
            await azure.inventory(Scope())
            return replay.url

    url = asyncio.run(run())
    asked = (tmp_path / "asked").read_text().splitlines()
    assert len(asked) == 1
    assert f"--resource {url}" in asked[0]


def test_workload_identity_signs_in_at_the_clouds_authority(
    server_tls: ssl.SSLContext, ca_pem: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "token").write_text("assertion")
    monkeypatch.setenv("AZURE_FEDERATED_TOKEN_FILE", str(tmp_path / "token"))
    monkeypatch.delenv("AZURE_CLIENT_SECRET")
    monkeypatch.setenv("AZURE_AUTHORITY_HOST", "https://login.invalid")

    async def run() -> Any:
        replay = Replay()
        async with serving(replay, server_tls):
            token = await signed_in(
                replay.url, ca_pem, lambda identity: identity.get_token_info("s/.default")
            )
            return token.token, replay.asked

    token, asked = asyncio.run(run())
    assert token == "recorded"
    assert asked[-1] == "POST /tenant/oauth2/v2.0/token"


def test_nobody_signed_in_names_the_links_that_were_tried(
    server_tls: ssl.SSLContext, ca_pem: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AZURE_TENANT_ID", "AZURE_CLIENT_ID", "AZURE_CLIENT_SECRET"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AZURE_TOKEN_CREDENTIALS", "dev")
    monkeypatch.setenv("PATH", str(tmp_path))

    async def run() -> Any:
        replay = Replay()
        async with serving(replay, server_tls), open_azure(replay.url, ca_bundle=ca_pem) as azure:
            await azure.inventory(Scope())

    with pytest.raises(AuthenticationError, match=r"nobody is signed in.*az login \(Azure CLI not found"):
        asyncio.run(run())


def test_variables_that_cannot_be_used_are_a_settings_error(
    server_tls: ssl.SSLContext, ca_pem: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AZURE_TENANT_ID", "not/a/tenant?")

    async def run() -> Any:
        replay = Replay()
        async with serving(replay, server_tls), open_azure(replay.url, ca_bundle=ca_pem):
            pass

    with pytest.raises(SettingsError, match="AZURE_ variables"):
        asyncio.run(run())


class Chain:
    """A chain that gives numbered tokens, or fails."""

    made = 0

    def __init__(self, *, lifetime: float = 3600, fails: bool = False) -> None:
        type(self).made += 1
        self.lifetime, self.fails, self.asked = lifetime, fails, 0

    async def get_token_info(self, *scopes: str, options: Any = None) -> AccessTokenInfo:
        self.asked += 1
        if self.fails:
            raise ClientAuthenticationError("no")
        return AccessTokenInfo(f"token-{Chain.made}-{self.asked}", int(1000 + self.lifetime))

    async def close(self) -> None:
        pass


def test_a_refused_token_is_renewed_once_and_not_again_at_once() -> None:
    now = [1000.0]
    Chain.made = 0

    async def run() -> None:
        identity = Identity(Chain, clock := lambda: now[0], clock)  # type: ignore[arg-type]
        first = (await identity.get_token_info("s")).token
        assert (await identity.get_token_info("s")).token == first
        assert await identity.renew(f"Bearer {first}")
        second = (await identity.get_token_info("s")).token
        assert second != first
        assert await identity.renew(f"Bearer {first}"), "another request was refused with the old token"
        assert not await identity.renew(f"Bearer {second}")
        assert Chain.made == 2
        now[0] += 60
        assert await identity.renew(f"Bearer {second}")
        assert Chain.made == 3

    asyncio.run(run())


@pytest.mark.parametrize("step", [0, -3600])
def test_a_failed_sign_in_is_remembered_for_a_while_whatever_the_clock_does(step: float) -> None:
    day, elapsed = [5000.0], [7.0]

    async def run() -> None:
        chain = Chain(fails=True)
        identity = Identity(lambda: chain, lambda: day[0], lambda: elapsed[0])  # type: ignore[arg-type,return-value]
        for _ in range(50):
            with pytest.raises(AuthenticationError):
                await identity.get_token_info("s")
        assert chain.asked == 1
        day[0] += 31 + step
        elapsed[0] += 31
        with pytest.raises(AuthenticationError):
            await identity.get_token_info("s")
        assert chain.asked == 2

    asyncio.run(run())


def test_a_token_near_its_end_is_replaced_without_asking_each_time() -> None:
    now = [1000.0]

    async def run() -> None:
        chain = Chain(lifetime=120)
        identity = Identity(lambda: chain, clock := lambda: now[0], clock)  # type: ignore[arg-type,return-value]
        for _ in range(10):
            await identity.get_token_info("s")
        assert chain.asked == 1
        now[0] += 119
        await identity.get_token_info("s")
        assert chain.asked == 2

    asyncio.run(run())

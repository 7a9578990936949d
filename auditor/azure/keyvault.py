"""Secrets out of Azure Key Vault, read before a run starts; needs the extra `keyvault`."""

import asyncio
import re
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import cast
from urllib.parse import urlsplit

from azure.core.credentials_async import AsyncTokenCredential
from azure.core.exceptions import AzureError, HttpResponseError
from azure.core.pipeline.transport import AioHttpTransport

from auditor.azure.cloud import find_cloud
from auditor.azure.identity import sign_in
from auditor.azure.network import open_session, proxy_for, tls_context
from auditor.errors import SecretError, SourceError
from auditor.text import one_line

SUFFIXES = {
    "public": "vault.azure.net",
    "usgovernment": "vault.usgovcloudapi.net",
    "china": "vault.azure.cn",
}
DEADLINE = 60.0
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9-]{1,22}[A-Za-z0-9]").fullmatch
_SECRET = re.compile(r"[A-Za-z0-9-]{1,127}").fullmatch


def key_vault(cloud: str, ca_bundle: Path | None) -> Callable[[str], str]:
    """What fetches a secret by "VAULT/NAME", the vault by its name or its https address."""

    def fetch(name: str) -> str:
        vault, _, secret = name.rpartition("/")
        url = _address(vault, cloud)
        if not _SECRET(secret):
            raise SecretError(f"keyvault:{name} names no secret; write keyvault:VAULT/SECRET")
        # secrets are asked for from plain code, which may stand inside a running event loop
        with ThreadPoolExecutor(1) as pool:
            return pool.submit(asyncio.run, _within(_read(url, secret, cloud, ca_bundle), url)).result()

    return fetch


def _address(vault: str, cloud: str) -> str:
    if vault.startswith("https://") and urlsplit(vault).hostname:
        return vault
    suffix = SUFFIXES.get(cloud)
    if suffix is None or not _NAME(vault):
        raise SecretError(
            f"{vault!r} is no name of a key vault; for a cloud of your own write its https address"
        )
    return f"https://{vault}.{suffix}"


async def _within(work: Awaitable[str], url: str) -> str:
    try:
        async with asyncio.timeout(DEADLINE):
            return await work
    except TimeoutError:
        raise SecretError(f"the key vault {url} did not answer within {DEADLINE:g} s") from None


async def _read(url: str, secret: str, cloud: str, ca_bundle: Path | None) -> str:
    try:
        from azure.keyvault.secrets.aio import SecretClient  # noqa: PLC0415 - an extra
    except ImportError:
        raise SecretError("reading a key vault needs: pip install 'fleet-auditor[keyvault]'") from None
    async with open_session(tls_context(ca_bundle), 1) as session:
        found = await find_cloud(cloud, session)
        async with sign_in(found, session) as identity:
            credential = cast("AsyncTokenCredential", identity)
            transport = AioHttpTransport(session=session, session_owner=False)
            proxy = proxy_for(url)
            async with SecretClient(
                url,
                credential,
                transport=transport,
                # an address of one's own is not below Azure's domain; the user has named it
                verify_challenge_resource=found.name in SUFFIXES,
                proxies={"https": proxy} if proxy else {},
                retry_total=2,
            ) as client:
                return await _value(client, url, secret)


async def _value(client: object, url: str, secret: str) -> str:
    try:
        value = (await client.get_secret(secret)).value  # type: ignore[attr-defined]
    except HttpResponseError as error:
        code = error.error.code if error.error else error.reason
        raise SecretError(f"the key vault {url} did not give {secret}: {error.status_code} {code}") from None
    except (AzureError, SourceError, OSError) as error:
        raise SecretError(f"the key vault {url} cannot be asked: {one_line(str(error))}") from None
    if not value:
        raise SecretError(f"the secret {secret} of {url} is empty")
    return str(value)

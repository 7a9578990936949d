"""Who we are: azure-identity's default chain, held behind one token that is renewed when ARM refuses it."""

import asyncio
import logging
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any

import aiohttp
from azure.core.credentials import AccessToken, AccessTokenInfo, TokenRequestOptions
from azure.core.exceptions import AzureError
from azure.core.pipeline.transport import AioHttpTransport
from azure.identity.aio import DefaultAzureCredential, WorkloadIdentityCredential

from auditor.azure.cloud import Cloud
from auditor.azure.network import proxy_for
from auditor.errors import AuthenticationError, SettingsError

logger = logging.getLogger(__name__)

SIGN_IN_DEADLINE = 90.0
_FRESH = 300
_PATIENCE = 30.0

_LINKS = {
    "EnvironmentCredential": "environment variables",
    "WorkloadIdentityCredential": "workload identity",
    "ManagedIdentityCredential": "managed identity",
    "AzureCliCredential": "az login",
    "AzurePowerShellCredential": "Connect-AzAccount",
    "AzureDeveloperCliCredential": "azd auth login",
}


class Identity:
    """An SDK credential over a chain made by `make_chain`.

    It asks the chain once per token, remembers a failure for half a minute so that thousands of calls
    do not sign in again each, and on `renew` starts a new chain, because a chain keeps a refused token.
    `clock` tells the time of day, `elapsed` measures how long ago something was.
    """

    def __init__(
        self,
        make_chain: Callable[[], DefaultAzureCredential],
        clock: Callable[[], float] = time.time,
        elapsed: Callable[[], float] = time.monotonic,
    ) -> None:
        self._make_chain = make_chain
        self._chain = make_chain()
        self._clock, self._elapsed = clock, elapsed
        self._lock = asyncio.Lock()
        self._token: AccessTokenInfo | None = None
        self._asked_at = self._renewed_at = float("-inf")
        self._failure: AuthenticationError | None = None

    async def get_token_info(
        self, *scopes: str, options: TokenRequestOptions | None = None
    ) -> AccessTokenInfo:
        """A token for ARM; raises `AuthenticationError` saying which links were tried."""
        if options and options.get("claims"):
            return await self._ask(scopes, options)
        async with self._lock:
            if self._token is None or not self._good(self._token):
                self._token = await self._ask(scopes, options)
            return self._token

    async def get_token(self, *scopes: str, **_: Any) -> AccessToken:
        """The same, as older SDK policies ask for it."""
        info = await self.get_token_info(*scopes)
        return AccessToken(info.token, info.expires_on)

    async def renew(self, refused: str | None) -> bool:
        """Forget a token that ARM refused (the Authorization header); whether trying again makes sense."""
        async with self._lock:
            if self._token is None or refused != f"Bearer {self._token.token}":
                return True
            if self._elapsed() - self._renewed_at < _PATIENCE:
                return False
            self._renewed_at = self._elapsed()
            self._token = None
            self._asked_at = float("-inf")
            await self._chain.close()
            self._chain = self._make_chain()
            return True

    async def close(self) -> None:
        """Close the chain."""
        await self._chain.close()

    async def __aenter__(self) -> "Identity":
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None = None,
        exc_value: BaseException | None = None,
        traceback: TracebackType | None = None,
    ) -> None:
        await self.close()

    def _good(self, token: AccessTokenInfo) -> bool:
        left = token.expires_on - self._clock()
        return left > _FRESH or (left > 5 and self._elapsed() - self._asked_at < _PATIENCE)

    async def _ask(self, scopes: tuple[str, ...], options: TokenRequestOptions | None) -> AccessTokenInfo:
        if self._failure is not None and self._elapsed() - self._asked_at < _PATIENCE:
            raise self._failure
        self._asked_at, self._failure = self._elapsed(), None
        try:
            async with asyncio.timeout(SIGN_IN_DEADLINE):
                return await self._chain.get_token_info(*scopes, options=options or {})
        except TimeoutError as error:
            self._failure = AuthenticationError(f"signing in took longer than {SIGN_IN_DEADLINE:.0f} s")
            raise self._failure from error
        except (AzureError, OSError, ValueError) as error:
            logger.info("sign-in failed: %s", error)
            self._failure = AuthenticationError(_reason(str(error)))
            raise self._failure from error


def sign_in(cloud: Cloud, session: aiohttp.ClientSession) -> Identity:
    """The default chain for a cloud over a session; raises `SettingsError` for unusable variables."""
    # its page-long warning comes back as one line in our own error
    logging.getLogger("azure.identity.aio._credentials.chained").setLevel(logging.ERROR)
    proxy = proxy_for(cloud.authority)
    # only https goes through the proxy: the metadata service is plain http on a link-local address
    options: dict[str, Any] = {
        "proxies": {"https": proxy} if proxy else {},
        "retry_total": 3,
        "retry_status": 3,
        "disable_instance_discovery": True,
    }

    def make_chain() -> DefaultAzureCredential:
        transport = AioHttpTransport(
            session=session, session_owner=False, connection_timeout=10, read_timeout=20
        )
        chain = DefaultAzureCredential(
            authority=cloud.authority,
            transport=transport,
            exclude_shared_token_cache_credential=True,
            exclude_visual_studio_code_credential=True,
            **options,
        )
        chain.credentials = tuple(
            WorkloadIdentityCredential(authority=cloud.authority, transport=transport, **options)
            if isinstance(link, WorkloadIdentityCredential)
            else link
            for link in chain.credentials
        )
        return chain

    try:
        return Identity(make_chain)
    except ValueError as error:
        raise SettingsError(f"the AZURE_ variables cannot be used to sign in: {error}") from error


def _reason(message: str) -> str:
    """One readable line out of the chain's page of text."""
    attempts = message.partition("Attempted credentials:")[2].partition("\nTo mitigate this issue")[0]
    tried = [_attempt(line) for line in attempts.split("\n\t") if line.strip()]
    if not tried:
        return f"Azure sign-in failed: {_short(message)}"
    text = f"nobody is signed in to Azure: set AZURE_ variables or run az login. Tried {'; '.join(tried)}"
    if "CERTIFICATE_VERIFY_FAILED" in message:
        text += ". The login endpoint's TLS certificate is not trusted: pass --ca-bundle"
    return text


def _attempt(line: str) -> str:
    name, _, text = line.partition(":")
    text = text.strip().removeprefix(f"{name.strip()} authentication unavailable. ")
    return f"{_LINKS.get(name.strip(), name.strip())} ({_short(text)})"


def _short(text: str) -> str:
    """The first sentence or two, without the advice, addresses and ids that follow."""
    first = " ".join(text.strip().partition("\n")[0].split())
    for noise in (" See the", " Please visit", " Visit https://", " To mitigate", " Trace ID:"):
        first = first.partition(noise)[0]
    return first.rstrip(". ")[:200] or "unavailable"

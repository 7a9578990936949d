"""Which Azure: where ARM answers, who signs people in, and for whom a token must be."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import orjson

from auditor.azure.network import proxy_for
from auditor.errors import SettingsError

METADATA = "/metadata/endpoints?api-version=2022-09-01"
_TIMEOUT = aiohttp.ClientTimeout(total=30)


@dataclass(frozen=True, slots=True)
class Cloud:
    """An Azure cloud: ARM's address, the login authority, and the audience of ARM's tokens."""

    name: str
    resource_manager: str
    authority: str
    audience: str

    @property
    def scope(self) -> str:
        """The OAuth scope of a token for ARM; a slash at the audience's end is part of the audience."""
        return f"{self.audience}/.default"


# as azure.mgmt.core.tools.get_arm_endpoints and azure.identity.AzureAuthorityHosts have them
CLOUDS = {
    "public": Cloud(
        "public",
        "https://management.azure.com",
        "https://login.microsoftonline.com",
        "https://management.azure.com",
    ),
    "usgovernment": Cloud(
        "usgovernment",
        "https://management.usgovcloudapi.net",
        "https://login.microsoftonline.us",
        "https://management.core.usgovcloudapi.net",
    ),
    "china": Cloud(
        "china",
        "https://management.chinacloudapi.cn",
        "https://login.chinacloudapi.cn",
        "https://management.chinacloudapi.cn",
    ),
}


async def find_cloud(wanted: str, session: aiohttp.ClientSession) -> Cloud:
    """The cloud of a name, or of an ARM endpoint that is asked for its metadata.

    Raises `SettingsError`, with the way out, for anything else.
    """
    if known := CLOUDS.get(wanted.strip().lower()):
        return known
    endpoint = _endpoint(wanted)
    return _described(endpoint, await _metadata(endpoint, session))


def _endpoint(wanted: str) -> str:
    choices = f"{', '.join(CLOUDS)}, or the https:// address of an ARM endpoint"
    try:
        parts = urlsplit(wanted.strip())
        usable = parts.scheme == "https" and parts.hostname and (parts.port is None or parts.port > 0)
    except ValueError:
        usable = False
    if not usable or parts.username or parts.query or parts.fragment:
        raise SettingsError(f"--cloud {wanted!r} is not a cloud; choose {choices}")
    return f"https://{parts.netloc}{parts.path}".rstrip("/")


async def _metadata(endpoint: str, session: aiohttp.ClientSession) -> Any:
    where = f"--cloud {endpoint}"
    try:
        async with session.get(
            endpoint + METADATA,
            proxy=proxy_for(endpoint),
            timeout=_TIMEOUT,
        ) as response:
            status, body = response.status, await response.read()
    except (aiohttp.ClientConnectorCertificateError, aiohttp.ClientConnectorSSLError) as error:
        raise SettingsError(
            f"{where}: its TLS certificate is not trusted ({error.strerror or error}); "
            "pass --ca-bundle with the CA that signed it"
        ) from error
    except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
        why = str(error) or "no answer in 30 s"
        raise SettingsError(
            f"{where} cannot be reached ({why}); check the address and HTTPS_PROXY"
        ) from error
    try:
        if status == 200:
            return orjson.loads(body)
    except orjson.JSONDecodeError:
        pass
    raise SettingsError(f"{where} does not answer {METADATA} like an ARM endpoint (HTTP {status})")


def _described(endpoint: str, metadata: Any) -> Cloud:
    entries = metadata if isinstance(metadata, list) else [metadata]
    described = [entry for entry in entries if isinstance(entry, Mapping)]
    # the public endpoint lists every cloud; its own entry names this address
    described.sort(key=lambda entry: _host(entry.get("resourceManager")) != _host(endpoint))
    for entry in described:
        authority, audience = _sign_in(entry.get("authentication"))
        if authority and audience:
            name = entry.get("name")
            return Cloud(name if isinstance(name, str) else endpoint, endpoint, authority, audience)
    raise SettingsError(
        f"--cloud {endpoint}: its metadata names no loginEndpoint (https) and no audience; "
        "is it the address of Azure Resource Manager?"
    )


def _sign_in(authentication: Any) -> tuple[str, str]:
    if not isinstance(authentication, Mapping):
        return "", ""
    login, audiences = authentication.get("loginEndpoint"), authentication.get("audiences")
    if not isinstance(login, str) or not login.lower().startswith("https://"):
        return "", ""
    if not isinstance(audiences, list) or not audiences or not isinstance(audiences[0], str):
        return "", ""
    return login.rstrip("/"), audiences[0]


def _host(address: Any) -> str:
    try:
        return urlsplit(address).netloc.lower() if isinstance(address, str) else ""
    except ValueError:
        return ""

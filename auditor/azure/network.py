"""The one way out: a TLS context, a bounded pool of connections and the proxy, for login and ARM alike."""

import os
import ssl
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import aiohttp
import certifi

from auditor import __version__
from auditor.errors import SettingsError

CONNECTIONS = 64
_KEEP_ALIVE = 60.0


def tls_context(ca_bundle: Path | None, environment: Mapping[str, str] | None = None) -> ssl.SSLContext:
    """The system's CAs, and those of `ca_bundle`, else of REQUESTS_CA_BUNDLE, else of SSL_CERT_FILE.

    Raises `SettingsError` for a bundle that cannot be read.
    """
    context = _system_context()
    origin, path = _chosen_bundle(ca_bundle, os.environ if environment is None else environment)
    if path is None:
        return context
    try:
        if path.is_dir():
            context.load_verify_locations(capath=path)
        else:
            context.load_verify_locations(cafile=path)
    except (OSError, ssl.SSLError) as error:
        raise SettingsError(f"{origin} {path}: not a readable file of CA certificates ({error})") from error
    return context


def open_session(context: ssl.SSLContext, connections: int = CONNECTIONS) -> aiohttp.ClientSession:
    """A session over at most so many connections; the caller closes it.

    The environment is not trusted per request: aiohttp would look for a netrc file each time.
    """
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=connections, ssl=context, keepalive_timeout=_KEEP_ALIVE),
        headers={"User-Agent": f"fleet-auditor/{__version__}"},
        cookie_jar=aiohttp.DummyCookieJar(),
        trust_env=False,
    )


def proxy_for(url: str) -> str | None:
    """The HTTP proxy that the environment (or the system) wants for an https address, if any.

    Raises `SettingsError` for a kind of proxy that cannot be used.
    """
    parts = urlsplit(url)
    proxies = getproxies()
    proxy = proxies.get("https") or proxies.get("all")
    if not proxy or not parts.hostname or proxy_bypass(parts.netloc.rpartition("@")[2]):
        return None
    proxy = proxy if "://" in proxy else f"http://{proxy}"
    scheme = urlsplit(proxy).scheme
    if scheme not in ("http", "https"):
        raise SettingsError(f"HTTPS_PROXY is a {scheme} proxy; only http and https proxies can be used")
    return proxy


def _system_context() -> ssl.SSLContext:
    context = ssl.create_default_context()
    places = ssl.get_default_verify_paths()
    if not context.cert_store_stats()["x509_ca"] and not (places.cafile or places.capath):
        context.load_verify_locations(cafile=certifi.where())
    return context


def _chosen_bundle(explicit: Path | None, environment: Mapping[str, str]) -> tuple[str, Path | None]:
    if explicit is not None:
        return "--ca-bundle", explicit
    for variable in ("REQUESTS_CA_BUNDLE", "SSL_CERT_FILE"):
        if named := environment.get(variable):
            return variable, Path(named)
    return "", None

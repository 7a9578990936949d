"""Signing in: cloud metadata, OpenID discovery, tokens that expire, and the errors of a wrong secret."""

import base64
import secrets
from collections.abc import Mapping
from typing import Any

import orjson

from auditor.simulator.estate import Estate
from auditor.simulator.replies import Reply, answer

AUDIENCE_NOTE = "https://management.core.windows.net/"


def metadata(base: str, tenant: str, version: str) -> Any:
    """The cloud as `az cloud register` reads it: one object, or a list before api-version 2022-09-01."""
    host = base.removeprefix("https://")
    cloud = {
        "name": "SimulatedCloud",
        "portal": base,
        "authentication": {
            "loginEndpoint": base,
            "audiences": [base, AUDIENCE_NOTE],
            "tenant": tenant,
            "identityProvider": "AAD",
        },
        "resourceManager": base,
        "media": base,
        "graph": base,
        "graphAudience": base,
        "gallery": base,
        "batch": base,
        "sqlManagement": base,
        "vmImageAliasDoc": f"{base}/vm-image-aliases",
        "microsoftGraphResourceId": f"{base}/",
        "activeDirectoryDataLake": base,
        "appInsightsResourceId": base,
        "logAnalyticsResourceId": base,
        "suffixes": {
            "storage": f"storage.{host}",
            "keyVaultDns": f"vault.{host}",
            "sqlServerHostname": f"sql.{host}",
            "acrLoginServer": f"acr.{host}",
            "azureDataLakeStoreFileSystem": f"adls.{host}",
            "azureDataLakeAnalyticsCatalogAndJob": f"adla.{host}",
            "mysqlServerEndpoint": f"mysql.{host}",
            "postgresqlServerEndpoint": f"postgres.{host}",
            "mariadbServerEndpoint": f"mariadb.{host}",
            "synapseAnalytics": f"synapse.{host}",
        },
    }
    return cloud if version >= "2022-09-01" else [cloud]


def discovery(base: str, tenant: str) -> Reply:
    """The OpenID configuration of a tenant."""
    return answer(
        {
            "issuer": f"{base}/{tenant}/v2.0",
            "authorization_endpoint": f"{base}/{tenant}/oauth2/v2.0/authorize",
            "token_endpoint": f"{base}/{tenant}/oauth2/v2.0/token",
            "device_authorization_endpoint": f"{base}/{tenant}/oauth2/v2.0/devicecode",
            "jwks_uri": f"{base}/{tenant}/discovery/v2.0/keys",
            "response_types_supported": ["code", "id_token"],
            "subject_types_supported": ["pairwise"],
            "id_token_signing_alg_values_supported": ["RS256"],
            "tenant_region_scope": None,
        }
    )


class Tokens:
    """The tokens that were given out, and until when each is good (seconds since the epoch)."""

    def __init__(self, estate: Estate, lifetime: float) -> None:
        self._estate = estate
        self._lifetime = lifetime
        self._valid_until: dict[str, float] = {}

    def grant(self, tenant: str, form: Mapping[str, str], now: float) -> Reply:
        """A token for the service principal, or the error that Microsoft Entra ID gives."""
        estate = self._estate
        client = form.get("client_id", "")
        if tenant != estate.tenant.lower():
            return _refused(400, "invalid_request", 90002, f"Tenant '{tenant}' not found.")
        if form.get("grant_type") != "client_credentials":
            return _refused(400, "unsupported_grant_type", 70003, "The grant type is not supported.")
        if client.lower() != estate.client_id.lower():
            message = f"Application with identifier '{client}' was not found in the directory."
            return _refused(400, "unauthorized_client", 700016, message)
        if not secrets.compare_digest(form.get("client_secret", "").encode(), estate.client_secret.encode()):
            message = f"Invalid client secret provided for app '{client}'."
            return _refused(401, "invalid_client", 7000215, message)
        seconds = int(self._lifetime)
        token = self._token(now)
        self._valid_until[token] = now + self._lifetime
        return answer(
            {"token_type": "Bearer", "expires_in": seconds, "ext_expires_in": seconds, "access_token": token}
        )

    def expire(self) -> None:
        """Make every token that was given out so far invalid."""
        self._valid_until = dict.fromkeys(self._valid_until, 0.0)

    def check(self, header: str | None, base: str, now: float) -> Reply | None:
        """The 401 that a request deserves, or None for one with a good token."""
        if not header or not header.lower().startswith("bearer "):
            return self._unauthorized(
                base, "AuthenticationFailed", "Authentication failed. The 'Authorization' header is missing."
            )
        until = self._valid_until.get(header[7:])
        if until is None:
            return self._unauthorized(base, "InvalidAuthenticationToken", "The access token is invalid.")
        if now >= until:
            message = "The access token has expired. Please get a new token and try again."
            return self._unauthorized(base, "ExpiredAuthenticationToken", message)
        return None

    def _unauthorized(self, base: str, code: str, message: str) -> Reply:
        challenge = (
            f'Bearer authorization_uri="{base}/{self._estate.tenant}", error="invalid_token", '
            f'error_description="{message}"'
        )
        body = {"error": {"code": code, "message": message}}
        return answer(body, 401, {"WWW-Authenticate": challenge})

    def _token(self, now: float) -> str:
        claims = {
            "appid": self._estate.client_id,
            "oid": self._estate.client_id,
            "tid": self._estate.tenant,
            "iat": int(now),
            "exp": int(now + self._lifetime),
            "jti": secrets.token_hex(8),
        }
        parts = ({"alg": "none", "typ": "JWT"}, claims)
        encoded = [base64.urlsafe_b64encode(orjson.dumps(part)).rstrip(b"=").decode() for part in parts]
        return ".".join((*encoded, "simulated"))


def _refused(status: int, error: str, code: int, message: str) -> Reply:
    trace = "00000000-0000-0000-0000-000000000000"
    return answer(
        {
            "error": error,
            "error_description": f"AADSTS{code}: {message} Trace ID: {trace} Correlation ID: {trace}",
            "error_codes": [code],
            "timestamp": "2026-01-01 00:00:00Z",
            "trace_id": trace,
            "correlation_id": trace,
        },
        status,
    )

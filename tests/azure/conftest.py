"""Ways to reach ARM in tests: the real client over TLS, with waiting that takes no time."""

import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import pytest
import trustme

from auditor.azure.client import Arm
from auditor.azure.cloud import find_cloud
from auditor.azure.identity import sign_in
from auditor.azure.network import open_session, tls_context
from auditor.azure.throttle import Gate
from tests.azure.waiting import Waiting

OpenArm = Callable[..., AbstractAsyncContextManager[Arm]]


@pytest.fixture(autouse=True)
def _signed_in(monkeypatch: pytest.MonkeyPatch) -> None:
    """A service principal by environment, and none of the tester's own proxies, CAs or identities."""
    for name in (
        "AZURE_AUTHORITY_HOST",
        "AZURE_TOKEN_CREDENTIALS",
        "AZURE_CLIENT_CERTIFICATE_PATH",
        "AZURE_FEDERATED_TOKEN_FILE",
        "REQUESTS_CA_BUNDLE",
        "SSL_CERT_FILE",
        "HTTPS_PROXY",
        "https_proxy",
        "ALL_PROXY",
        "all_proxy",
        "NO_PROXY",
        "no_proxy",
    ):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AZURE_TENANT_ID", "tenant")
    monkeypatch.setenv("AZURE_CLIENT_ID", "client")
    monkeypatch.setenv("AZURE_CLIENT_SECRET", "not-a-real-secret")


@pytest.fixture(scope="session")
def authority() -> trustme.CA:
    """A private CA."""
    return trustme.CA()


@pytest.fixture(scope="session")
def server_tls(authority: trustme.CA) -> ssl.SSLContext:
    """A server's context for 127.0.0.1, signed by the private CA."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1", "localhost").configure_cert(context)
    return context


@pytest.fixture
def ca_pem(authority: trustme.CA, tmp_path: Path) -> Path:
    """The private CA as a file."""
    path = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(path))
    return path


@pytest.fixture
def open_arm() -> OpenArm:
    """Open the real client on an endpoint; by default waiting takes no time."""

    @asynccontextmanager
    async def opened(
        url: str, ca_pem: Path, gate: Gate | None = None, *, read_timeout: float = 20.0
    ) -> AsyncIterator[Arm]:
        waiting = Waiting()
        gate = gate or Gate(clock=waiting.clock, sleep=waiting.sleep)
        async with open_session(tls_context(ca_pem)) as session:
            cloud = await find_cloud(url, session)
            async with sign_in(cloud, session) as identity:
                arm = Arm(cloud, session, identity, gate, read_timeout=read_timeout)
                yield arm
                await arm.close()

    return opened

"""Kerberos to a Windows guest (protocol tier): a real KDC, its tickets, sealed messages."""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from auditor.model import WINRM, Connection
from auditor.simulator.wsman import Schemes, Tls, WinRmServer
from tests.hosts.windows import Windows, ask, cmd, nothing_left, reason
from tests.kerberos.conftest import kdc, realm
from tests.kerberos.realm import HOST, USER, Realm

__all__ = ["kdc", "realm"]

pytestmark = pytest.mark.kerberos


@pytest.fixture(autouse=True)
def nothing_left_behind(realm: Realm) -> Iterator[None]:
    """No thread and no descriptor outlives a test."""
    with nothing_left():
        yield


@pytest.fixture
def guest(realm: Realm) -> Iterator[WinRmServer]:
    """A guest that takes Kerberos over plain HTTP, and nothing else."""
    schemes = Schemes(basic=False, negotiate=False, kerberos=True)
    with WinRmServer(Windows(), accounts={}, tls=None, schemes=schemes) as running:
        yield running


def by_ticket(server: WinRmServer) -> Connection:
    """How the ticket's user signs in."""
    return Connection(
        server.address,
        server.port,
        transport=WINRM,
        auth="kerberos",
        plain_http=server.certificates is None,
        ca=str(server.ca_file) if server.certificates else None,
        server_name=HOST,
    )


@pytest.mark.parametrize("user", [USER, None])
def test_a_ticket_signs_in_and_seals_every_message(guest: WinRmServer, user: str | None) -> None:
    said = ask(replace(by_ticket(guest), user=user), cmd("whoami"))
    assert said.stdout.decode() == USER
    messages = [seen for seen in guest.requests if seen.operation]
    assert len(messages) == 4
    assert all(seen.sealed and seen.answer_sealed for seen in messages)
    assert guest.open_shells == 0


def test_a_ticket_over_https(realm: Realm) -> None:
    names = Tls({"127.0.0.1": HOST})
    with WinRmServer(Windows(), accounts={}, schemes=Schemes(kerberos=True), tls=names) as server:
        assert ask(by_ticket(server), cmd("whoami")).stdout.decode() == USER


def test_no_ticket(guest: WinRmServer, realm: Realm) -> None:
    realm.sign_out()
    why = reason(by_ticket(guest), 0)
    assert f"no Kerberos sign-in to 127.0.0.1:{guest.port} as HTTP/{HOST}" in why
    assert "kinit gets a ticket" in why


@pytest.mark.parametrize("name", ["unknown.sim.test", None])
def test_a_service_that_the_realm_does_not_know(guest: WinRmServer, name: str | None) -> None:
    why = reason(replace(by_ticket(guest), server_name=name), 0)
    assert f"as HTTP/{name or '127.0.0.1'}: " in why
    assert "`server_name` is the name that the service is registered by" in why


def test_a_guest_without_that_key(guest: WinRmServer) -> None:
    why = reason(replace(by_ticket(guest), server_name="keyless.sim.test"), 0)
    assert "refused the Kerberos ticket of the present user" in why

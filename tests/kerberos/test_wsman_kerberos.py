"""Protocol tier, Kerberos: pywinrm with a real KDC's tickets against the WS-Man server."""

import time
from collections.abc import Iterator

import pytest
from winrm.exceptions import InvalidCredentialsError, WinRMTransportError
from winrm.protocol import Protocol

from auditor.simulator.wsman import Schemes, WinRmServer
from tests.kerberos.realm import HOST, USER, Realm
from tests.simulator.wsman_guest import Guest, protocol, run

pytestmark = pytest.mark.kerberos


@pytest.fixture
def http(realm: Realm) -> Iterator[WinRmServer]:
    """A guest that takes Kerberos over plain HTTP, and nothing else."""
    schemes = Schemes(basic=False, negotiate=False, kerberos=True)
    with WinRmServer(Guest(), accounts={}, tls=None, schemes=schemes) as server:
        yield server


def failed_exchange(client: Protocol) -> str:
    """What pywinrm says of an exchange that fails; its error needs the kerberos extra to be imported."""
    from winrm.vendor.requests_kerberos.exceptions import KerberosExchangeError

    with pytest.raises(KerberosExchangeError) as raised:
        client.open_shell()
    return str(raised.value)


def kerberos(server: WinRmServer, host: str = HOST, **options: object) -> Protocol:
    """A client that asks the KDC for a ticket to this host, wherever the server is."""
    return protocol(server, "kerberos", password=None, kerberos_hostname_override=host, **options)


@pytest.mark.parametrize("encryption", ["auto", "always"])
def test_every_message_is_sealed(http: WinRmServer, encryption: str) -> None:
    client = kerberos(http, username=USER, message_encryption=encryption)
    for index in range(4):
        assert run(client, f"say {index}") == (f"{index}\r\n".encode(), b"", 0)
    messages = [seen for seen in http.requests if seen.operation]
    assert len(messages) == 20
    assert all(seen.sealed and seen.answer_sealed for seen in messages)
    assert {(seen.user, seen.scheme) for seen in messages} == {(USER, "kerberos")}


def test_four_megabytes_sealed(http: WinRmServer) -> None:
    out, _, code = run(kerberos(http, username=USER), "big 4000000")
    assert (out == b"o" * 4_000_000, code) == (True, 0)


def test_kerberos_over_https(realm: Realm) -> None:
    with WinRmServer(Guest(), accounts={}, schemes=Schemes(kerberos=True)) as server:
        assert run(kerberos(server, username=USER), "say x") == (b"x\r\n", b"", 0)
        assert server.requests[-1].scheme == "kerberos"


def test_unsealed_is_no_way_in(http: WinRmServer) -> None:
    with pytest.raises(WinRMTransportError, match="500"):
        kerberos(http, username=USER, message_encryption="never").open_shell()


def test_a_host_that_the_realm_does_not_know(http: WinRmServer) -> None:
    client = kerberos(http, "unknown.sim.test", username=USER)
    assert "not found in Kerberos database" in failed_exchange(client)


def test_a_host_whose_key_the_server_lacks(http: WinRmServer) -> None:
    with pytest.raises(InvalidCredentialsError):
        kerberos(http, "keyless.sim.test", username=USER).open_shell()


def test_no_ticket(http: WinRmServer, realm: Realm) -> None:
    realm.sign_out()
    assert "No credentials were supplied" in failed_exchange(kerberos(http, username=USER))


def test_an_expired_ticket(http: WinRmServer, realm: Realm) -> None:
    realm.sign_in("1s")
    time.sleep(3)
    assert "expired" in failed_exchange(kerberos(http, username=USER))


def test_another_principal_than_the_ticket_s(http: WinRmServer) -> None:
    client = kerberos(http, username="somebody@SIM.TEST")
    assert "Can't find client principal" in failed_exchange(client)


def test_a_host_without_kerberos(realm: Realm) -> None:
    with WinRmServer(Guest(), accounts={}, tls=None) as server, pytest.raises(InvalidCredentialsError):
        kerberos(server, username=USER).open_shell()

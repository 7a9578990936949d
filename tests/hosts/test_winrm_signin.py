"""Signing in to Windows guests (protocol tier): who may, who may not, why, and what never gets out."""

import base64
import contextlib
import json
import logging
import socket
import subprocess
import sys
import traceback
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from auditor.credentials import Secrets
from auditor.errors import HostError
from auditor.hosts.options import GuestOptions
from auditor.hosts.winrm import WinRmHost
from auditor.model import WINRM, Connection
from auditor.simulator.wsman import Fault, Kind, Schemes, WinRmServer
from tests.hosts.windows import (
    ADMIN,
    PASSWORD,
    QUICK,
    Windows,
    ask,
    cmd,
    connection_to,
    nothing_left,
    opened,
    raw_guest,
    reason,
)


@pytest.fixture(autouse=True)
def nothing_left_behind() -> Iterator[None]:
    """No thread and no descriptor outlives a test."""
    with nothing_left():
        yield


@pytest.fixture
def server() -> Iterator[WinRmServer]:
    """A guest over HTTPS."""
    with WinRmServer(Windows(), accounts={ADMIN: PASSWORD}) as running:
        yield running


@pytest.fixture
def plain() -> Iterator[WinRmServer]:
    """A guest over plain HTTP."""
    with WinRmServer(Windows(), accounts={ADMIN: PASSWORD}, tls=None) as running:
        yield running


@pytest.mark.parametrize("auth", ["ntlm", "basic"])
def test_a_wrong_password(server: WinRmServer, auth: str) -> None:
    why = reason(connection_to(server, auth=auth, password="env:WRONG"), 0)
    assert f"127.0.0.1:{server.port} refused to sign in {ADMIN} by {auth}: wrong user or password" in why
    assert ("local accounts" in why) is (auth == "basic")


@pytest.mark.parametrize("auth", ["ntlm", "basic"])
def test_passwords_in_any_script(auth: str) -> None:
    password = "пароль-€-密码"
    secrets = Secrets(environment={"P": password})
    with WinRmServer(Windows(), accounts={ADMIN: password}) as server:
        host = WinRmHost(connection_to(server, auth=auth, password="env:P"), QUICK, secrets)
        with contextlib.closing(host):
            assert host.run(cmd("whoami"), 5).stdout == ADMIN.encode()


def test_a_wrong_password_over_plain_http(plain: WinRmServer) -> None:
    assert "refused to sign in" in reason(connection_to(plain, password="env:WRONG"), 0)


def test_a_guest_that_rejects_everybody(server: WinRmServer) -> None:
    server.faults.add(Fault(Kind.REJECT))
    assert "refused to sign in" in reason(connection_to(server), 0)


@pytest.mark.parametrize(
    ("schemes", "auth", "said"),
    [
        (Schemes(basic=False), "basic", "takes no sign-in by basic, only by Negotiate; set `auth` to ntlm"),
        (Schemes(negotiate=False), "ntlm", "takes no sign-in by ntlm, only by Basic; set `auth` to basic"),
    ],
)
def test_a_way_to_sign_in_that_is_not_offered(schemes: Schemes, auth: str, said: str) -> None:
    with WinRmServer(Windows(), accounts={ADMIN: PASSWORD}, schemes=schemes) as server:
        assert said in reason(connection_to(server, auth=auth), 0)


NAMED = Connection("127.0.0.1", 1, "x", password="env:PASSWORD", transport=WINRM)


@pytest.mark.parametrize(
    ("connection", "said"),
    [
        (replace(NAMED, user=None), "no user is named for the WinRM sign-in by ntlm; set `user`"),
        (replace(NAMED, password=None), "no password is named .*; set `password: env:NAME`"),
        (replace(NAMED, password="env:UNSET"), "the environment variable UNSET is not set"),
        (replace(NAMED, password="env:EMPTY"), "the environment variable EMPTY is not set"),
        (replace(NAMED, password="written out"), "a secret is given by reference"),
        (replace(NAMED, auth="credssp"), "'credssp' is not known; `auth` is one of ntlm, kerberos"),
        (replace(NAMED, auth="basic", plain_http=True), "sign-in by basic wants HTTPS"),
        (replace(NAMED, auth="certificate", plain_http=True), "sign-in by certificate wants HTTPS"),
        (replace(NAMED, auth="kerberos", user="SIM\\x"), r"user@REALM, not 'SIM\\\\x'"),
        (replace(NAMED, address="host/wsman?"), "'host/wsman\\?' is no host name"),
        (replace(NAMED, address="user@host"), "is no host name"),
        (replace(NAMED, address="host:99"), "is no host name"),
        (replace(NAMED, address=""), "is no host name"),
    ],
)
def test_a_connection_that_cannot_work_is_refused_before_anything_is_sent(
    connection: Connection, said: str
) -> None:
    with pytest.raises(HostError, match=said):
        ask(connection)


def test_an_ipv6_address() -> None:
    heard: list[bytes] = []

    def serve(connection: socket.socket) -> None:
        heard.append(connection.recv(100_000))
        connection.sendall(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")

    with raw_guest(serve, "::1") as port:
        assert "no WS-Man service" in reason(replace(NAMED, address="::1", port=port, plain_http=True), 0)
    assert f"Host: [::1]:{port}".encode() in heard[0]


def test_sealed_messages_answered_in_the_clear_are_not_believed(plain: WinRmServer) -> None:
    plain.faults.add(Fault(Kind.MALFORMED, "Create"))
    assert "answered HTTP 200 without the encryption agreed on" in reason(connection_to(plain), 0)


# ---- the environment --------------------------------------------------------------------------------

ASK = """
import json, sys
from auditor.credentials import Secrets
from auditor.hosts import Script, Shell
from auditor.hosts.options import GuestOptions
from auditor.hosts.winrm import WinRmHost
from auditor.model import Connection
host = WinRmHost(Connection(**json.loads(sys.argv[1])), GuestOptions(deadline=20), Secrets())
try:
    print(host.run(Script("echo through", Shell.CMD), 10).stdout.decode())
finally:
    host.close()
"""


@pytest.mark.parametrize("auth", ["ntlm", "certificate"])
def test_proxies_authorities_and_passwords_of_the_environment_are_not_for_guests(
    server: WinRmServer, tmp_path: Path, auth: str
) -> None:
    files = server.client_certificate(ADMIN)
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login somebody password else\n")
    netrc.chmod(0o600)
    dead = "http://127.0.0.1:9"
    names = ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy", "ALL_PROXY", "all_proxy")
    environment = {
        **dict.fromkeys(names, dead),
        "NETRC": str(netrc),
        "REQUESTS_CA_BUNDLE": "/nowhere",
        "CURL_CA_BUNDLE": "/nowhere",
        "PASSWORD": PASSWORD,
    }
    settings = {"certificate": str(files.certificate), "key": str(files.key)} if auth == "certificate" else {}
    settings |= {"address": "127.0.0.1", "user": ADMIN, "password": "env:PASSWORD", "auth": auth}
    connection = {**settings, "port": server.port, "ca": str(server.ca_file)}
    done = subprocess.run(
        [sys.executable, "-c", ASK, json.dumps(connection)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout.strip()) == (0, "through"), done.stderr


WITHOUT_KERBEROS = f"import sys; sys.modules['kerberos'] = sys.modules['winkerberos'] = None\n{ASK}"


def test_kerberos_that_is_not_installed_is_named() -> None:
    connection = json.dumps({"address": "127.0.0.1", "port": 1, "auth": "kerberos", "plain_http": True})
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_KERBEROS, connection],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert "HostError: Kerberos is not installed with the auditor: pip install 'fleet-auditor[kerberos]'" in (
        done.stderr
    )


def test_pywinrm_is_not_imported_where_no_windows_guest_is_asked() -> None:
    code = "import sys, auditor.guests, auditor.cli; print({'winrm', 'requests_ntlm'} & set(sys.modules))"
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "set()"


# ---- the canary -------------------------------------------------------------------------------------


class Everything(logging.Handler):
    """Keeps every record of every logger, tracebacks included."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.said: list[str] = []
        self.setFormatter(logging.Formatter("%(name)s %(message)s %(args)s"))

    def emit(self, record: logging.LogRecord) -> None:
        """Keep it."""
        self.said.append(self.format(record))


@pytest.fixture
def everything() -> Iterator[Everything]:
    """Every logger at DEBUG, whatever the program would have set."""
    handler, root = Everything(), logging.getLogger()
    names = ["", *(name for name in root.manager.loggerDict if not name.startswith("winrm.vendor"))]
    before = {name: logging.getLogger(name).level for name in names}
    for name in names:
        logging.getLogger(name).setLevel(logging.DEBUG)
    root.addHandler(handler)
    yield handler
    root.removeHandler(handler)
    for name, level in before.items():
        logging.getLogger(name).setLevel(level)


@pytest.mark.parametrize("auth", ["ntlm", "basic"])
@pytest.mark.parametrize(
    "kind", [None, Kind.REJECT, Kind.DROP, Kind.MALFORMED, Kind.SERVER_ERROR, Kind.UNTRUSTED]
)
def test_a_password_gets_out_nowhere(
    server: WinRmServer, everything: Everything, auth: str, kind: Kind | None
) -> None:
    if kind is not None:
        server.faults.add(Fault(kind))
    texts: list[str] = []
    with opened(connection_to(server, auth=auth)) as host:
        try:
            texts.append(repr(host.run(cmd("echo hello"), 5)))
        except HostError as error:
            texts += traceback.format_exception(error)
        texts += [repr(thing) for thing in (host, host._account, host._link, host._shell)]
    told = "\n".join([*texts, *everything.said])
    assert "urllib3" in told or kind is Kind.UNTRUSTED
    assert PASSWORD not in told
    for encoding in ("utf-8", "latin-1"):
        assert base64.b64encode(f"{ADMIN}:{PASSWORD}".encode(encoding)).decode() not in told


def test_a_guest_that_says_the_password_back_is_not_quoted() -> None:
    reference = Connection("127.0.0.1", 1, "x", password="env:P", transport=WINRM)
    secrets = Secrets(environment={"P": PASSWORD})
    host = WinRmHost(reference, GuestOptions(connect_timeout=1), secrets)
    with pytest.raises(HostError, match="refused"):
        host.run(cmd("echo hello"), 1)
    host.close()
    assert PASSWORD not in host._why(ValueError(f"Basic {PASSWORD}"))

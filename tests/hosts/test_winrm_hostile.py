"""Servers that are no WinRM, or an enemy's: nothing is believed, followed, unpacked or waited for."""

import socket
import ssl
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import trustme

from auditor.model import WINRM, Connection
from tests.hosts.windows import QUICK, nothing_left, raw_guest, reason

SHORT = replace(QUICK, connect_timeout=1, auth_timeout=1)


@pytest.fixture(autouse=True)
def nothing_left_behind() -> Iterator[None]:
    """No thread and no descriptor outlives a test."""
    with nothing_left():
        yield


def plain(port: int) -> Connection:
    """A guest at a raw port."""
    return Connection("127.0.0.1", port, "x", password="env:PASSWORD", transport=WINRM, plain_http=True)


def answer(head: str, body: bytes = b"") -> bytes:
    """An HTTP answer."""
    return f"HTTP/1.1 {head}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


def saying(*answers: bytes) -> Callable[[socket.socket], None]:
    """A server that takes one request for each answer."""

    def serve(connection: socket.socket) -> None:
        for said in answers:
            if connection.recv(1_000_000):
                connection.sendall(said)
        while connection.recv(1_000_000):
            pass

    return serve


@pytest.mark.parametrize(
    ("said", "why"),
    [
        (b"SSH-2.0-OpenSSH_9.2\r\n", "does not speak HTTP; WinRM listens on port 5986"),
        (answer("302 Found\r\nLocation: http://evil.invalid/"), "redirects to 'http://evil.invalid/'"),
        (answer("404 Not Found"), "there is no WS-Man service"),
        (answer("503 Busy", b"abc"), "the WinRM service is busy or stopped"),
        (answer("200 OK\r\nContent-Encoding: gzip", b"123"), "packs its answers"),
        (answer("401 No"), "refused to sign in x by ntlm"),
        (answer("401 No\r\nWWW-Authenticate: NTLM"), "refused to sign in x by ntlm"),
        (answer("401 No\r\nWWW-Authenticate: Kerberos, Basic realm=x"), "set `auth` to kerberos or basic"),
        (answer("200 OK", b"x" * 5_000_000), "sent more than 4194304 bytes in one answer"),
        (answer("200 OK\r\nX: " + "x" * 70_000), "got more than 65536 bytes"),
        (b"", "stalled while signing in: no answer within 1 s"),
    ],
)
def test_a_server_that_is_no_winrm(said: bytes, why: str) -> None:
    with raw_guest(saying(said, said)) as port:
        assert why in reason(plain(port), 1, SHORT)


def test_an_answer_that_trickles_ends_with_the_deadline() -> None:
    def serve(connection: socket.socket) -> None:
        connection.recv(100_000)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 99999\r\n\r\n")
        while True:
            connection.sendall(b"x")
            time.sleep(0.1)

    with raw_guest(serve) as port:
        hurried = replace(QUICK, auth_timeout=5, deadline=2)
        assert reason(plain(port), 2, hurried) == "the deadline of 2 s passed while signing in"


BOMB = (
    b'<!DOCTYPE x [<!ENTITY a0 "aaaaaaaaaaaaaaaa">'
    + b"".join(b'<!ENTITY a%d "%s">' % (level, b"&a%d;" % (level - 1) * 10) for level in range(1, 20))
    + b"]><x Name='ShellId'>&a19;</x>"
)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (BOMB, "document type"),
        (
            b'<?xml version="1.0" encoding="utf-16"?>'.decode().encode("utf-16")
            + BOMB.decode().encode("utf-16-le"),
            "document type",
        ),
        (b"<a>" * 100_000, "no element found"),
        (b"<a Name='ShellId'>" + b"x" * 300 + b"</a>", "names no shell"),
        (b"<a/>", "names no shell"),
        (b"", "no element found"),
        (b"\xff\xfe\x00", "ParseError"),
    ],
)
def test_xml_from_a_trusted_guest_that_turned(tmp_path: Path, body: bytes, said: str) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)

    def serve(connection: socket.socket) -> None:
        with context.wrap_socket(connection, server_side=True) as secured:
            saying(answer("200 OK", body))(secured)

    with raw_guest(serve) as port:
        connection = replace(plain(port), plain_http=False, auth="basic", ca=str(tmp_path / "ca.pem"))
        why = reason(connection, 1, SHORT)
    assert "answered what is no WS-Man while signing in" in why
    assert said in why
    assert len(why) < 400

"""As much HTTP/1.1 as WinRM's clients speak: POST with a length, kept-alive connections."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import BinaryIO

_HEAD = 128 * 1024  # Kerberos tickets travel in a header
_DRAINED = 16 * 1024 * 1024
SOAP = "application/soap+xml;charset=UTF-8"


class BadRequest(Exception):
    """Not a request that this server can go on after."""


@dataclass(frozen=True, slots=True)
class Request:
    """One request; header names are in lower case, `body` is None when it was longer than allowed."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes | None

    @property
    def keep_alive(self) -> bool:
        """Whether the client wants to go on."""
        return self.headers.get("connection", "").lower() != "close"


def read_request(stream: BinaryIO, largest: int) -> Request | None:
    """The next request, None at the end of the connection; raises `BadRequest`."""
    line = stream.readline(_HEAD)
    if not line:
        return None
    try:
        method, path, version = line.decode("latin-1").split()
    except ValueError:
        raise BadRequest("no request line") from None
    if not version.startswith("HTTP/1."):
        raise BadRequest("no HTTP")
    headers = _headers(stream)
    length = headers.get("content-length", "0")
    if "transfer-encoding" in headers or not length.isascii() or not length.isdigit() or len(length) > 12:
        raise BadRequest("a length is needed")
    return Request(method, path, headers, _body(stream, int(length), largest))


def _headers(stream: BinaryIO) -> dict[str, str]:
    headers: dict[str, str] = {}
    left = _HEAD
    while True:
        line = stream.readline(left)
        left -= len(line)
        if not line.endswith(b"\n") or left <= 0:
            raise BadRequest("headers that do not end")
        text = line.decode("latin-1").strip()
        if not text:
            return headers
        name, _, value = text.partition(":")
        headers[name.strip().lower()] = value.strip()


def _body(stream: BinaryIO, length: int, largest: int) -> bytes | None:
    if length > _DRAINED:
        raise BadRequest("a body of absurd length")
    if length > largest:
        _drain(stream, length)
        return None
    body = stream.read(length)
    if len(body) < length:
        raise BadRequest("a body that breaks off")
    return body


def _drain(stream: BinaryIO, length: int) -> None:
    while length > 0:
        piece = stream.read(min(length, 65536))
        if not piece:
            raise BadRequest("a body that breaks off")
        length -= len(piece)


def response(
    status: int, body: bytes = b"", content_type: str = "", headers: Iterable[tuple[str, str]] = ()
) -> bytes:
    """An answer in one piece."""
    lines = [f"HTTP/1.1 {status} {HTTPStatus(status).phrase}", "Server: Microsoft-HTTPAPI/2.0"]
    lines += [f"{name}: {value}" for name, value in headers]
    if content_type:
        lines.append(f"Content-Type: {content_type}")
    lines.append(f"Content-Length: {len(body)}\r\n\r\n")
    return "\r\n".join(lines).encode("latin-1") + body

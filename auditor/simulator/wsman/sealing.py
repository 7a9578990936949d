"""Messages sealed by the security context that signed the connection in (MS-WSMV 2.2.9.1)."""

import re
import struct

import spnego
from spnego.exceptions import SpnegoError

_PROTOCOL = "application/HTTP-SPNEGO-session-encrypted"
CONTENT_TYPE = f'multipart/encrypted;protocol="{_PROTOCOL}";boundary="Encrypted Boundary"'
_BOUNDARY = b"--Encrypted Boundary"
_OCTETS = b"Content-Type: application/octet-stream\r\n"
_LENGTH = re.compile(rb"OriginalContent:[^\r\n]*;Length=([0-9]{1,9})")


class Unsealable(Exception):
    """A message that is not what it says, or not sealed by whom it should be."""


def is_sealed(content_type: str) -> bool:
    """Whether a body is sealed, by its content type."""
    return content_type.lower().startswith("multipart/encrypted")


def opened(body: bytes, context: spnego.ContextProxy) -> bytes:
    """The message inside; raises `Unsealable`."""
    head, octets, rest = body.partition(_OCTETS)
    length = _LENGTH.search(head)
    payload = rest.removesuffix(b"\r\n").removesuffix(_BOUNDARY + b"--")
    if length is None or not octets or len(payload) < 4:
        raise Unsealable("the parts of the message are not there")
    (header_size,) = struct.unpack("<i", payload[:4])
    if not 0 < header_size <= len(payload) - 4:
        raise Unsealable("the signature has no sensible length")
    try:
        message = context.unwrap_winrm(payload[4 : 4 + header_size], payload[4 + header_size :])
    except (SpnegoError, ValueError) as error:
        raise Unsealable(str(error)) from None
    if len(message) != int(length[1]):
        raise Unsealable("the message has another length than it says")
    return message


def sealed(message: bytes, context: spnego.ContextProxy) -> bytes:
    """A message as a body of `CONTENT_TYPE`."""
    result = context.wrap_winrm(message)
    original = (
        f"\tContent-Type: {_PROTOCOL}\r\n"
        f"\tOriginalContent: type=application/soap+xml;charset=UTF-8;"
        f"Length={len(message) + result.padding_length}\r\n"
    )
    parts = (
        _BOUNDARY,
        b"\r\n",
        original.encode(),
        _BOUNDARY,
        b"\r\n\t",
        _OCTETS,
        struct.pack("<i", len(result.header)),
        result.header,
        result.data,
        _BOUNDARY,
        b"--\r\n",
    )
    return b"".join(parts)

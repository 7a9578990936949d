"""Bytes on the wire: documents whose times are relative, and are filled in when they are sent."""

import re
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import orjson

Json = Mapping[str, Any]

_MARK = re.compile(rb"@ago([+Z])(-?\d+)@")
SENTINEL = "2001-01-01T00:00:00Z"
NEVER = "0001-01-01T00:00:00"


def ago(seconds: float) -> str:
    """A time `seconds` before the document is sent, as Microsoft.Compute writes it."""
    return f"@ago+{int(seconds)}@"


def ago_z(seconds: float) -> str:
    """A time `seconds` before the document is sent, as Microsoft.RecoveryServices writes it."""
    return f"@agoZ{int(seconds)}@"


def instant(epoch: float) -> str:
    """A fixed time (seconds since the epoch), as Microsoft.RecoveryServices writes it."""
    return datetime.fromtimestamp(epoch, UTC).strftime("%Y-%m-%dT%H:%M:%S.%f") + "1Z"


def duration(seconds: float) -> str:
    """An ISO 8601 duration with the seven decimals that Azure sends."""
    minutes, rest = divmod(max(seconds, 0.0), 60)
    return f"PT{int(minutes)}M{rest:.7f}S" if minutes else f"PT{rest:.7f}S"


class Document:
    """Encoded JSON that is cut at its relative times; rendering joins a few byte strings."""

    __slots__ = ("_pieces",)

    def __init__(self, content: object) -> None:
        self._pieces = _MARK.split(orjson.dumps(content))

    def render(self, now: float | None = None) -> bytes:
        """The document as it stands at `now` (seconds since the epoch; default: the clock)."""
        pieces = self._pieces
        if len(pieces) == 1:
            return pieces[0]
        moment = time.time() if now is None else now
        out = [pieces[0]]
        for index in range(1, len(pieces), 3):
            out += (_stamp(moment, pieces[index], int(pieces[index + 1])), pieces[index + 2])
        return b"".join(out)


def _stamp(now: float, style: bytes, seconds: int) -> bytes:
    moment = datetime.fromtimestamp(now - seconds, UTC)
    if style == b"+":
        return moment.strftime("%Y-%m-%dT%H:%M:%S+00:00").encode()
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%f1Z").encode()


def vm_id(subscription: str, group: str, name: str) -> str:
    """The resource id of a VM."""
    return _resource(subscription, group, "Microsoft.Compute/virtualMachines", name)


def vault_id(subscription: str, group: str, name: str) -> str:
    """The resource id of a Recovery Services vault."""
    return _resource(subscription, group, "Microsoft.RecoveryServices/vaults", name)


def _resource(subscription: str, group: str, kind: str, name: str) -> str:
    return f"/subscriptions/{subscription}/resourceGroups/{group}/providers/{kind}/{name}"

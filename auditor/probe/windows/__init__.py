"""The Windows probe: a few fixed scripts, and how their answers become facts."""

import json
import re
from collections.abc import Iterable

from auditor.errors import RuleSetError
from auditor.hosts import Script
from auditor.probe.answer import Probe
from auditor.probe.windows.read import read
from auditor.probe.windows.scripts import Piece, pieces
from auditor.rules import Endpoint

__all__ = ["Piece", "pieces", "windows_probe"]

_HOST = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_.:-]{0,252})")


def windows_probe(endpoints: Iterable[Endpoint]) -> Probe:
    """The Windows probe; the endpoints are data for one script. Raises `RuleSetError` for an unusable one."""
    asked = json.dumps({"endpoints": [_place(endpoint) for endpoint in endpoints]}).encode("ascii")
    return Probe(tuple(_script(piece, asked) for piece in pieces()), read)


def _script(piece: Piece, asked: bytes) -> Script:
    return Script(piece.text, piece.shell, asked if piece.name == "endpoints" else b"")


def _place(endpoint: Endpoint) -> dict[str, object]:
    if not _HOST.fullmatch(endpoint.host) or not 0 < endpoint.port < 65536:
        raise RuleSetError(f"the endpoint {endpoint.host!r}:{endpoint.port} is no host name and port")
    target = (
        f"[{endpoint.host}]:{endpoint.port}" if ":" in endpoint.host else f"{endpoint.host}:{endpoint.port}"
    )
    return {"target": target, "host": endpoint.host, "port": endpoint.port, "tls": endpoint.tls}

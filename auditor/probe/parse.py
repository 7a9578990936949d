"""A guest's answer to a `Guest`: any bytes in, facts or a `HostError` with the reason out."""

import json
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, TypeVar

from auditor.errors import HostError
from auditor.facts import Attempt, Disk, Guest, GuestAgent, Python, Unseen
from auditor.text import one_line

BEGIN, END = b"AUDITOR-PROBE-BEGIN ", b" AUDITOR-PROBE-END"
SCHEMA = 1
ITEMS = 64
STAGES = ("ok", "dns", "tcp", "tls", "http")

T = TypeVar("T")
Document = Mapping[str, Any]

_SECRET = re.compile(r"^([A-Za-z0-9+.-]*://)?.*@", re.DOTALL)


class _Malformed(ValueError):
    """A value that is not of the kind that stands here."""


def parse(output: bytes, *, observed_at: datetime, transport: str) -> Guest:
    """The facts in a probe's output, whatever stands around them; raises `HostError` with the reason.

    A single value that makes no sense becomes `Unseen`; the others are kept.
    """
    document = _document(output)
    if document.get("schema") != SCHEMA:
        raise HostError(
            f"the guest answered in an unknown form: schema {one_line(repr(document.get('schema')))}"
        )
    privileged = document.get("privileged") is True
    os = _mapping(document.get("os"))
    return Guest(
        platform=_text(document.get("platform")) or "unknown",
        observed_at=observed_at,
        transport=transport,
        privileged=privileged,
        os_name=_text(os.get("name")),
        os_version=_text(os.get("version")),
        kernel=_text(document.get("kernel")),
        hostname=_text(document.get("hostname")),
        architecture=_text(document.get("architecture")),
        agent=_fact(document, "agent", _agent),
        extensions_enabled=_fact(document, "extensions_enabled", _flag),
        auto_update=_fact(document, "auto_update", _flag),
        snapshot_extension=_many(document, "snapshot_extension", _word),
        wire_server=_wire_server(document, privileged),
        imds=_required(document, "imds", _attempt),
        vm_id=_fact(document, "vm_id", _word),
        on_azure_host=_fact(document, "on_azure_host", _flag),
        endpoints=_many(document, "endpoints", _attempt),
        disk=_fact(document, "disk", _disk),
        python=_fact(document, "python", _python),
        proxies=_many(document, "proxies", _proxy),
        clock=_clock(document.get("clock")),
    )


def _document(output: bytes) -> Document:
    _, begin, rest = output.rpartition(BEGIN)
    body, end, _ = rest.partition(END)
    if not begin or not end:
        said = one_line(output) or "nothing"
        raise HostError(f"the guest did not answer the probe; it said: {said}")
    try:
        document = json.loads(body.decode("utf-8", "replace"))
    except (ValueError, RecursionError) as error:
        raise HostError(f"the guest's answer is not JSON: {one_line(str(error))}") from error
    if not isinstance(document, dict):
        raise HostError("the guest's answer is not a JSON object")
    return document


# ---- one fact: a value, None or Unseen ---------------------------------------------------------


def _fact(document: Document, key: str, read: Callable[[Any], T]) -> T | Unseen | None:
    if key in document and document[key] is None:
        return None
    return _required(document, key, read)


def _required(document: Document, key: str, read: Callable[[Any], T]) -> T | Unseen:
    if key not in document:
        return Unseen("the probe did not report it")
    value = document[key]
    if _is_unseen(value):
        return Unseen(one_line(str(value["unseen"])) or "no reason given")
    try:
        return read(value)
    except _Malformed:
        return Unseen(f"the probe reported something unusable: {one_line(repr(value), 80)}")


def _many(document: Document, key: str, read: Callable[[Any], T]) -> tuple[T, ...] | Unseen:
    def items(value: Any) -> tuple[T, ...]:
        if not isinstance(value, list):
            raise _Malformed
        return tuple(read(item) for item in value[:ITEMS])

    value = document.get(key)
    hidden = [item for item in value if _is_unseen(item)] if isinstance(value, list) else []
    return _required({key: hidden[0]} if hidden else document, key, items)


def _is_unseen(value: Any) -> bool:
    return isinstance(value, dict) and "unseen" in value


def _wire_server(document: Document, privileged: bool) -> tuple[Attempt, ...] | Unseen:
    attempts = _many(document, "wire_server", _attempt)
    if privileged or isinstance(attempts, Unseen) or all(attempt.ok for attempt in attempts):
        return attempts
    failed = next(attempt for attempt in attempts if not attempt.ok)
    return Unseen(
        f"not tried as root, and the agent's firewall rule may let only root through "
        f"({failed.target}: {failed.stage}, {failed.detail})"
    )


# ---- readers: a JSON value to a fact, or _Malformed ----------------------------------------------


def _agent(value: Any) -> GuestAgent:
    if not isinstance(value, dict):
        raise _Malformed
    names = (
        "path", "daemon_version", "goal_state_version", "package", "package_version",
        "unit", "active", "enabled", "problem",
    )  # fmt: skip
    texts: dict[str, Any] = {name: _text(value.get(name)) for name in names}
    return GuestAgent(**texts)


def _python(value: Any) -> Python:
    return Python(path="", version=_word(value))


def _attempt(value: Any) -> Attempt:
    if not isinstance(value, dict) or value.get("stage") not in STAGES:
        raise _Malformed
    spent = value.get("ms")
    return Attempt(
        target=_word(value.get("target")),
        stage=value["stage"],
        detail=_text(value.get("detail")) or "",
        milliseconds=spent if _is_count(spent) else None,
    )


def _disk(value: Any) -> Disk:
    if not isinstance(value, dict) or not _is_count(value.get("free")) or not _is_count(value.get("total")):
        raise _Malformed
    return Disk(_word(value.get("path")), value["free"], value["total"], value.get("noexec") is True)


def _proxy(value: Any) -> tuple[str, str]:
    if not isinstance(value, list) or len(value) != 2:
        raise _Malformed
    return _word(value[0]), _SECRET.sub(r"\1***@", _text(value[1]) or "")


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise _Malformed
    return value


def _word(value: Any) -> str:
    text = _text(value)
    if text is None:
        raise _Malformed
    return text


def _clock(value: Any) -> datetime | None:
    try:
        return datetime.fromtimestamp(value, UTC) if _is_count(value) else None
    except (ValueError, OverflowError, OSError):
        return None


def _text(value: Any) -> str | None:
    return (one_line(value, 400) or None) if isinstance(value, str) else None


def _mapping(value: Any) -> Document:
    return value if isinstance(value, dict) else {}


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**63

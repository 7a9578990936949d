"""Small readers from JSON to facts: each takes any value and gives a fact, or says that it is none."""

import json
import re
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, TypeVar

from auditor.errors import HostError
from auditor.facts import Attempt, Disk, Unseen
from auditor.text import one_line

ITEMS = 64
DEPTH = 32
STAGES = ("ok", "dns", "tcp", "tls", "http")

T = TypeVar("T")
Document = Mapping[str, Any]

_SECRET = re.compile(r"^([A-Za-z0-9+.-]*://)?.*@", re.DOTALL)
_QUERY = re.compile(r"(?:\?|%3[fF]|(?<=[sS][iI][gG]=))[^\s\"'<>]*")
_QUOTED_LOGIN, _LOGIN = re.compile(r"((?:^|\s)'|://)(?:(?!://).)*@", re.DOTALL), re.compile(r"[^\s'/]*@")
_MOUNT_LOGIN = re.compile(r"(^|#|//)[^/:@#]*:(?!/).*@", re.DOTALL)


class Malformed(ValueError):
    """A value that is not of the kind that stands here."""


def json_object(body: bytes) -> Document:
    """The JSON object in `body`; raises `HostError` with the reason."""
    try:
        document = json.loads(body.decode("utf-8", "replace"))
    except (ValueError, RecursionError) as error:
        raise HostError(f"the guest's answer is not JSON: {one_line(str(error))}") from error
    if not isinstance(document, dict):
        raise HostError("the guest's answer is not a JSON object")
    if _is_deep(document):
        raise HostError(f"the guest's answer is nested more than {DEPTH} deep")
    return document


def _is_deep(document: Any) -> bool:
    """Whether it is nested so deep that whoever walks through it may overrun the stack."""
    level = [document]
    for _ in range(DEPTH):
        level = [item for value in level for item in _inside(value)]
    return bool(level)


def _inside(value: Any) -> Iterable[Any]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()


# ---- one fact: a value, None or Unseen ---------------------------------------------------------


def fact(document: Document, key: str, read: Callable[[Any], T]) -> T | Unseen | None:
    """The fact under `key`; null means known to be absent."""
    if key in document and document[key] is None:
        return None
    return required(document, key, read)


def required(document: Document, key: str, read: Callable[[Any], T]) -> T | Unseen:
    """The fact under `key`, where null is no answer; what makes no sense becomes `Unseen`."""
    if key not in document:
        return Unseen("the probe did not report it")
    value = document[key]
    if is_unseen(value):
        return Unseen(one_line(str(value["unseen"])) or "no reason given")
    try:
        return read(value)
    except Malformed:
        return Unseen(f"the probe reported something unusable: {one_line(repr(value), 80)}")


def many(document: Document, key: str, read: Callable[[Any], T]) -> tuple[T, ...] | Unseen:
    """The list under `key`, at most `ITEMS` of it; one unseen item hides the whole."""
    value = document.get(key)
    hidden = [item for item in value if is_unseen(item)] if isinstance(value, list) else []
    return required({key: hidden[0]} if hidden else document, key, lambda found: items(found, read))


def items(value: Any, read: Callable[[Any], T]) -> tuple[T, ...]:
    """The items of a list, at most `ITEMS`."""
    if not isinstance(value, list):
        raise Malformed
    return tuple(read(item) for item in value[:ITEMS])


def is_unseen(value: Any) -> bool:
    """Whether the value is a reason why there is none."""
    return isinstance(value, dict) and "unseen" in value


# ---- a JSON value to a fact, or Malformed --------------------------------------------------------


def attempt(value: Any) -> Attempt:
    """A connection attempt: {"target", "stage", "ms", "detail"}."""
    if not isinstance(value, dict) or value.get("stage") not in STAGES:
        raise Malformed
    spent = value.get("ms")
    return Attempt(
        target=word(value.get("target")),
        stage=value["stage"],
        detail=text(_without_login(value.get("detail"))) or "",
        milliseconds=spent if is_count(spent) else None,
    )


def _without_login(detail: Any) -> str:
    """What was said of an attempt; programs repeat a proxy that they do not understand, password and all."""
    return _LOGIN.sub("***@", _QUOTED_LOGIN.sub(r"\1***@", detail)) if isinstance(detail, str) else ""


def without_login(value: Any) -> Any:
    """What file systems are mounted from: `//user:password@server/share`, `ftp://…` without the login."""
    if isinstance(value, list):
        return [without_login(item) for item in value]
    return _MOUNT_LOGIN.sub(r"\1***@", value) if isinstance(value, str) else value


def disk(value: Any) -> Disk:
    """A file system: {"path", "free", "total", "noexec"}, sizes in bytes."""
    if not isinstance(value, dict) or not is_count(value.get("free")) or not is_count(value.get("total")):
        raise Malformed
    return Disk(word(value.get("path")), value["free"], value["total"], value.get("noexec") is True)


def proxy(value: Any) -> tuple[str, str]:
    """Where a proxy is set and what it is, without the user and password that may have slipped through."""
    if not isinstance(value, list) or len(value) != 2:
        raise Malformed
    return word(value[0]), _SECRET.sub(r"\1***@", text(value[1]) or "")


def pair(value: Any) -> tuple[str, str]:
    """A key and its value, which may be empty."""
    if not isinstance(value, list) or len(value) != 2:
        raise Malformed
    return word(value[0]), text(value[1]) or ""


def log_line(value: Any) -> str:
    """A line of a log without the queries of its URLs, which may hold signatures."""
    return one_line(_QUERY.sub("?***", value), 300) if isinstance(value, str) else word(value)


def flag(value: Any) -> bool:
    """True or false, and nothing that is only alike."""
    if not isinstance(value, bool):
        raise Malformed
    return value


def word(value: Any) -> str:
    """A text that is not empty, on one line and clipped."""
    found = text(value)
    if found is None:
        raise Malformed
    return found


def text(value: Any) -> str | None:
    """A text on one line and clipped, None for an empty one and for anything else."""
    return (one_line(value, 400) or None) if isinstance(value, str) else None


def object_of(value: Any) -> Document:
    """The object; anything else is none."""
    if not isinstance(value, dict):
        raise Malformed
    return value


def mapping(value: Any) -> Document:
    """The object, or an empty one for anything else."""
    return value if isinstance(value, dict) else {}


def instant(value: Any) -> datetime | None:
    """A time from seconds since 1970, with or without a fraction; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 2**40:
        return None
    try:
        return datetime.fromtimestamp(value, UTC)
    except (ValueError, OverflowError, OSError):
        return None


def is_count(value: Any) -> bool:
    """Whether the value is a whole number of a size that machines have."""
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**63

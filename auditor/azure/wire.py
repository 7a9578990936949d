"""Reading JSON off the wire: tolerant of what is missing or drifted, clear about what cannot be."""

import json
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import orjson

from auditor.errors import SourceError
from auditor.text import well_formed

_SENTINEL = datetime(2001, 1, 1, tzinfo=UTC)
_RESOURCE_ID = re.compile(
    r"/subscriptions/(?P<subscription>[^/]+)/resourcegroups/(?P<group>[^/]+)"
    r"/providers/(?P<type>[^/]+/[^/]+)/(?P<name>[^/]+)",
    re.IGNORECASE,
)


class WireError(SourceError):
    """The service sent something whose shape is not what it documents."""


def document(body: bytes) -> Any:
    """An answer's JSON; a lone surrogate becomes U+FFFD. Raises `orjson.JSONDecodeError`."""
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        # one name with half a character in it must not cost the list that it stands in
        if b"\\ud" not in body.lower():
            raise
        return _mended(body)


def _mended(body: bytes) -> Any:
    try:
        return orjson.loads(well_formed(json.dumps(json.loads(body), ensure_ascii=False)))
    except (ValueError, RecursionError) as error:
        raise orjson.JSONDecodeError(str(error), "", 0) from error


def mapping(value: Any, what: str) -> Mapping[str, Any]:
    """An object; an absent one is empty. Raises `WireError` for anything else."""
    if value is None:
        return {}
    if isinstance(value, dict):
        return value
    raise WireError(f"{what} is {_kind(value)}, not an object")


def sequence(value: Any, what: str) -> Sequence[Any]:
    """A list; an absent one is empty. Raises `WireError` for anything else."""
    if value is None:
        return ()
    if isinstance(value, list):
        return value
    raise WireError(f"{what} is {_kind(value)}, not a list")


def text(value: Any) -> str | None:
    """A text that is not empty; numbers and booleans as they would be written; None for the rest."""
    if isinstance(value, str):
        return value or None
    if isinstance(value, bool):
        return str(value).lower()
    return str(value) if isinstance(value, (int, float)) else None


def required(value: Any, what: str) -> str:
    """A text that must be there; raises `WireError` where it is not."""
    found = text(value)
    if found is None:
        raise WireError(f"{what} is missing")
    return found


def flag(value: Any) -> bool | None:
    """A boolean, also where it was sent as a text."""
    if isinstance(value, bool):
        return value
    return {"true": True, "false": False}.get(value.strip().lower()) if isinstance(value, str) else None


def number(value: Any) -> int | None:
    """A whole number, also where it was sent as a text."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return value
    if isinstance(value, str) and re.fullmatch(r"\s*-?[0-9]{1,18}\s*", value):
        return int(value)
    return None


def moment(value: Any) -> datetime | None:
    """A time in UTC; None for what is absent, unreadable, or Azure's way of writing "never"."""
    if not isinstance(value, str):
        return None
    try:
        read = datetime.fromisoformat(value)
        read = read.replace(tzinfo=UTC) if read.tzinfo is None else read.astimezone(UTC)
    except (ValueError, OverflowError):
        return None
    return None if read.year == 1 or read == _SENTINEL else read


def texts(value: Any, what: str) -> tuple[str, ...]:
    """The texts of a list, trimmed, without the empty ones."""
    found = (text(item) for item in sequence(value, what))
    return tuple(item.strip() for item in found if item and item.strip())


def identifier(value: Any, what: str) -> str:
    """An ARM id, lower-cased whole; raises `WireError` where there is none."""
    found = required(value, what).strip().rstrip("/").lower()
    if not found.startswith("/subscriptions/"):
        raise WireError(f"{what} is {found[:200]!r}, not a resource id")
    return found


def parts(resource_id: str) -> tuple[str, str, str, str]:
    """Subscription, resource group, type and name of a top-level resource, as its id has them.

    Raises `WireError` for an id of another kind.
    """
    found = _RESOURCE_ID.fullmatch(resource_id)
    if found is None:
        raise WireError(f"{resource_id[:200]!r} is not the id of a resource")
    return found["subscription"], found["group"], found["type"], found["name"]


def _kind(value: Any) -> str:
    kinds = {str: "a text", bool: "a boolean", int: "a number", float: "a number", list: "a list"}
    return kinds.get(type(value), "an object")

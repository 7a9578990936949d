"""What every HTML page of ours shares: templates that escape, one style, a policy, bytes in chunks."""

import base64
import hashlib
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from functools import cache

from jinja2 import Environment, PackageLoader, StrictUndefined

from auditor.text import visible

CHUNK = 64 * 1024


@cache
def environment() -> Environment:
    """The templates: everything is escaped, and a name that is not there is an error."""
    found = Environment(loader=PackageLoader("reports"), autoescape=True, undefined=StrictUndefined)
    found.filters["visible"] = visible
    found.filters["moment"] = moment
    found.filters["number"] = lambda count: f"{count:,}"
    return found


def moment(at: datetime) -> str:
    """A time in UTC, to the second."""
    return at.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def source(text: str) -> str:
    """How a content security policy names a script or style that stands in the page."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def duration(seconds: float) -> str:
    """A span of time as people say it."""
    seconds = max(0.0, seconds)
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"


def chunks(pieces: Iterable[str]) -> Iterator[bytes]:
    """The pieces of a page as bytes, many at a time."""
    waiting: list[str] = []
    size = 0
    for piece in pieces:
        waiting.append(piece)
        size += len(piece)
        if size >= CHUNK:
            yield "".join(waiting).encode()
            waiting, size = [], 0
    yield "".join(waiting).encode()

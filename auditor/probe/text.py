"""Words from a machine, made fit to stand in a reason."""

from auditor.text import shorten

LIMIT = 200


def printable(text: str | bytes, limit: int = LIMIT) -> str:
    """`text` on one line, without control or direction characters, at most `limit` characters."""
    raw = text[: 4 * limit]
    plain = raw.decode("utf-8", "replace") if isinstance(raw, bytes) else raw
    line = " ".join("".join(char if char.isprintable() else " " for char in plain).split())
    return shorten(line, limit)

"""What a setting may hold: each function turns a raw value into a checked one, or says what it must be."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

Parse = Callable[[Any], Any]


MOST = 10_000
LONGEST = 1_000_000.0


def text(value: Any) -> str:
    """A text on one line that is not empty."""
    if not _filled(value).isprintable():
        raise ValueError("must be a text without control characters")
    return str(value)


def _filled(value: Any) -> str:
    if not isinstance(value, str) or not value.strip():
        raise ValueError("must be a text that is not empty")
    return value


def path(value: Any) -> Path:
    """A path; ~ becomes the home folder."""
    if "\0" in _filled(value):
        raise ValueError("must be a path, and holds a NUL character")
    return expanded(value)


def expanded(path: str) -> Path:
    """A path with ~ replaced; raises `ValueError` where there is no such home."""
    try:
        return Path(path).expanduser()
    except RuntimeError as error:  # ~name of nobody, or a user without a home
        raise ValueError("must be a path whose ~ names a home folder") from error


def _number(value: Any) -> float:
    """The value as a finite number, 0 where it is none."""
    try:
        number = 0.0 if isinstance(value, bool) else float(value)
    except (TypeError, ValueError):
        return 0.0
    return number if math.isfinite(number) else 0.0


def count(value: Any) -> int:
    """A whole number from 1 to `MOST`: each may cost a thread."""
    number = _number(value)
    if not 1 <= number <= MOST or number != int(number):
        raise ValueError(f"must be a whole number from 1 to {MOST}")
    return int(number)


def seconds(value: Any) -> float:
    """A number of seconds above 0, and no more than every system's clocks and locks can wait."""
    number = _number(value)
    if not 0 < number <= LONGEST:
        raise ValueError(f"must be a number of seconds above 0, and at most {LONGEST:.0f}")
    return number


def flag(value: Any) -> bool:
    """True or false, in the usual words."""
    words = {"1": True, "true": True, "yes": True, "on": True}
    words |= {"0": False, "false": False, "no": False, "off": False}
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value.strip().lower() in words:
        return words[value.strip().lower()]
    raise ValueError("must be true or false")


def choice(*words: str) -> Parse:
    """One of a few words."""

    def parse(value: Any) -> str:
        if value not in words:
            raise ValueError(f"must be one of {', '.join(words)}")
        return str(value)

    return parse


def tag(value: Any) -> tuple[str, str]:
    """A key and its value."""
    key, equals, content = text(value).partition("=")
    if not equals or not key.strip():
        raise ValueError("must be key=value")
    return key.strip(), content

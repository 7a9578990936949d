"""What a setting may hold: each function turns a raw value into a checked one, or says what it must be."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

Parse = Callable[[Any], Any]


def text(value: Any) -> str:
    """A text that is not empty."""
    if not isinstance(value, str) or not value.strip():
        raise ValueError("must be a text that is not empty")
    return value


def path(value: Any) -> Path:
    """A path; ~ becomes the home folder."""
    if "\0" in text(value):
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
    """A whole number above 0."""
    number = _number(value)
    if number < 1 or number != int(number):
        raise ValueError("must be a whole number of 1 or more")
    return int(number)


def seconds(value: Any) -> float:
    """A finite number of seconds above 0."""
    number = _number(value)
    if number <= 0:
        raise ValueError("must be a number of seconds above 0")
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

"""Host patterns: web[01:10].example, db-[a:f], [2001:db8::1]:2222."""

import re
import string
from collections.abc import Iterator
from itertools import product

from auditor.inventory.ansible.groups import MOST_HOSTS

_BRACKETED = re.compile(r"\[(.+)\]:([0-9]+)")
_WITH_PORT = re.compile(r"((?:[^:\[\]]|\[[^\]]*\])*):([0-9]+)")
_RANGE = re.compile(r"\[([^\[\]]*:[^\[\]]*)\]")


def expand(pattern: str) -> tuple[list[str], int | None]:
    """The host names of a pattern, and the port it ends with; raises `ValueError` saying what is wrong."""
    name, port = _split(pattern)
    if not name or (name.endswith(":") and port is None and name.count(":") == 1):
        raise ValueError("a host pattern must not end in ':'")
    pieces = _RANGE.split(name)
    if any(mark in piece for piece in pieces[::2] for mark in "[]"):
        raise ValueError("a host range is written [begin:end] or [begin:end:step]")
    choices = [[piece] if place % 2 == 0 else _members(piece) for place, piece in enumerate(pieces)]
    count = 1
    for choice in choices:
        count *= len(choice)
    if count > MOST_HOSTS:
        raise ValueError(f"the host range has more than {MOST_HOSTS} members")
    return ["".join(parts) for parts in product(*choices)], port


def _split(pattern: str) -> tuple[str, int | None]:
    match = _BRACKETED.fullmatch(pattern) or _WITH_PORT.fullmatch(pattern)
    if match is None:
        return pattern, None
    if not 0 < int(match[2][:6]) < 65536:
        raise ValueError("the port of a host pattern is a number from 1 to 65535")
    return match[1], int(match[2])


def _members(bounds: str) -> list[str]:
    begin, end, *steps = bounds.split(":")
    if not end or len(steps) > 1:
        raise ValueError("a host range is written [begin:end] or [begin:end:step]")
    step = _number(steps[0]) if steps else 1
    if step < 1:
        raise ValueError("the step of a host range is a number above 0")
    if len(begin) == len(end) == 1 and begin in string.ascii_letters and end in string.ascii_letters:
        first, last = string.ascii_letters.index(begin), string.ascii_letters.index(end)
        members = list(string.ascii_letters[first : last + 1 : step])
    else:
        members = list(_numbers(begin or "0", end, step))
    if not members:
        raise ValueError("a host range must begin before it ends")
    return members


def _numbers(begin: str, end: str, step: int) -> Iterator[str]:
    padded = begin.startswith("0") and len(begin) > 1
    if padded and len(begin) != len(end):
        raise ValueError("the two ends of a host range with leading zeros must be of one length")
    numbers = range(_number(begin), _number(end) + 1, step)
    if len(numbers) > MOST_HOSTS:
        raise ValueError(f"the host range has more than {MOST_HOSTS} members")
    return (str(number).zfill(len(begin)) if padded else str(number) for number in numbers)


def _number(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 18):
        raise ValueError("a host range goes from number to number, or from letter to letter")
    return int(text)

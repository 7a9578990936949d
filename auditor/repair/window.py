"""Maintenance windows: "22:00-04:00", "sat,sun 00:00-24:00", in UTC."""

import re
from dataclasses import dataclass
from datetime import datetime

from auditor.errors import SettingsError

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_SHAPE = re.compile(r"(?:(?P<days>[a-z]{3}(?:[,-][a-z]{3})*)\s+)?(\d\d):(\d\d)-(\d\d):(\d\d)")


@dataclass(frozen=True, slots=True)
class Window:
    """Minutes of the day in UTC, `end` not included; one that ends before it begins goes past midnight.

    `days` are those on which it begins, 0 is Monday.
    """

    days: frozenset[int]
    begin: int
    end: int

    def holds(self, now: datetime) -> bool:
        """Whether this moment (UTC) is in the window."""
        minute, day = now.hour * 60 + now.minute, now.weekday()
        if self.begin < self.end:
            return day in self.days and self.begin <= minute < self.end
        return (day in self.days and minute >= self.begin) or (
            (day - 1) % 7 in self.days and minute < self.end
        )

    def __str__(self) -> str:
        days = "" if len(self.days) == 7 else ",".join(DAYS[day] for day in sorted(self.days)) + " "
        return f"{days}{_clock(self.begin)}-{_clock(self.end)} UTC"


def parse_window(text: str) -> Window:
    """The window in a text; raises `SettingsError` naming the text and the shape."""
    found = _SHAPE.fullmatch(text.strip().lower())
    if found is None:
        raise _wrong(text)
    first, second, third, fourth = (int(found[group]) for group in (2, 3, 4, 5))
    begin, end = first * 60 + second, third * 60 + fourth
    if second > 59 or fourth > 59 or begin >= 1440 or end > 1440 or begin == end:
        raise _wrong(text)
    return Window(_days(found["days"], text), begin, end)


def _days(text: str | None, whole: str) -> frozenset[int]:
    if text is None:
        return frozenset(range(7))
    days: set[int] = set()
    for part in text.split(","):
        first, _, last = part.partition("-")
        if first not in DAYS or (last and last not in DAYS):
            raise _wrong(whole)
        begin, end = DAYS.index(first), DAYS.index(last or first)
        days |= {day % 7 for day in range(begin, end + 1 if end >= begin else end + 8)}
    return frozenset(days)


def _wrong(text: str) -> SettingsError:
    return SettingsError(
        f"{text!r} is no maintenance window; write it as 22:00-04:00 or sat,sun 00:00-24:00 (UTC)"
    )


def _clock(minute: int) -> str:
    return f"{minute // 60:02}:{minute % 60:02}"

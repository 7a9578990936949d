"""Maintenance windows."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auditor.errors import SettingsError
from auditor.repair.window import parse_window

MONDAY = datetime(2026, 11, 23, tzinfo=UTC)


def at(days: int, hours: int, minutes: int = 0) -> datetime:
    return MONDAY + timedelta(days=days, hours=hours, minutes=minutes)


@pytest.mark.parametrize(
    ("text", "moment", "holds"),
    [
        ("22:00-04:00", at(0, 22), True),
        ("22:00-04:00", at(0, 3, 59), True),
        ("22:00-04:00", at(0, 4), False),
        ("22:00-04:00", at(0, 21, 59), False),
        ("01:30-02:00", at(2, 1, 45), True),
        ("sat,sun 00:00-24:00", at(5, 13), True),
        ("sat,sun 00:00-24:00", at(0, 0), False),
        # a night belongs to the day on which it begins
        ("sat 22:00-04:00", at(6, 3), True),
        ("sat 22:00-04:00", at(5, 3), False),
        ("fri-mon 10:00-11:00", at(0, 10, 30), True),
        ("fri-mon 10:00-11:00", at(1, 10, 30), False),
        ("MON 10:00-11:00", at(0, 10, 30), True),
    ],
)
def test_a_moment_is_in_the_window_or_not(text: str, moment: datetime, holds: bool) -> None:
    assert parse_window(text).holds(moment) is holds


@pytest.mark.parametrize(
    "text", ["", "22-04", "22:00", "25:00-26:00", "10:60-11:00", "10:00-10:00", "noday 10:00-11:00", "mon"]
)
def test_what_is_no_window_is_named(text: str) -> None:
    with pytest.raises(SettingsError, match="is no maintenance window; write it as 22:00-04:00"):
        parse_window(text)


@given(
    st.sets(st.sampled_from(("mon", "tue", "wed", "thu", "fri", "sat", "sun")), min_size=1),
    st.integers(0, 1439),
    st.integers(0, 1439),
)
def test_a_window_is_read_as_it_is_shown(days: set[str], begin: int, end: int) -> None:
    if begin == end:
        return
    text = f"{','.join(sorted(days))} {begin // 60:02}:{begin % 60:02}-{end // 60:02}:{end % 60:02}"
    window = parse_window(text)
    assert parse_window(str(window).removesuffix(" UTC")) == window
    minutes = sum(window.holds(MONDAY + timedelta(minutes=minute)) for minute in range(7 * 1440))
    assert minutes == len(days) * ((end - begin) % 1440)

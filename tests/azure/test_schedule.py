"""When a policy runs next: for every zone and schedule, also where clocks are put forward or back."""

from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from auditor.azure.schedule import Schedule, parse_schedule
from auditor.azure.wire import WireError
from auditor.rules.zones import time_zone, windows_zones

DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
ID = "/subscriptions/s/resourceGroups/g/providers/Microsoft.RecoveryServices/vaults/v/backupPolicies/p"
HOUR = timedelta(hours=1)


def policy(plan: dict[str, Any], zone: str | None = "UTC") -> dict[str, Any]:
    properties = {"backupManagementType": "AzureIaasVM", "schedulePolicy": plan, "timeZone": zone}
    return {"id": ID, "name": "p", "properties": properties}


def daily(*times: str, **more: Any) -> dict[str, Any]:
    stamps = [f"2024-04-28T{time}:00Z" for time in times]
    return {
        "schedulePolicyType": "SimpleSchedulePolicy",
        "scheduleRunFrequency": "Daily",
        "scheduleRunTimes": stamps,
        **more,
    }


def weekly(days: list[str], *times: str) -> dict[str, Any]:
    return daily(*times, scheduleRunFrequency="Weekly", scheduleRunDays=days)


def hourly(interval: int, start: str, lasts: int) -> dict[str, Any]:
    return {
        "schedulePolicyType": "SimpleSchedulePolicyV2",
        "scheduleRunFrequency": "Hourly",
        "hourlySchedule": {
            "interval": interval,
            "scheduleWindowStartTime": f"2024-04-28T{start}:00Z",
            "scheduleWindowDuration": lasts,
        },
    }


def nested(frequency: str, part: dict[str, Any]) -> dict[str, Any]:
    return {
        "schedulePolicyType": "SimpleSchedulePolicyV2",
        "scheduleRunFrequency": frequency,
        f"{frequency.lower()}Schedule": part,
    }


def next_run(plan: dict[str, Any], now: str, zone: str | None = "UTC") -> str:
    schedule = parse_schedule(policy(plan, zone))[1]
    return schedule.next_run(datetime.fromisoformat(now).replace(tzinfo=UTC)).strftime("%a %d %H:%M")


# 2026-11-23 is a Monday; Germany is an hour ahead of UTC then, California eight behind
@pytest.mark.parametrize(
    ("plan", "zone", "now", "wanted"),
    [
        (daily("16:30"), "UTC", "2026-11-23 04:00", "Mon 23 16:30"),
        (daily("16:30"), "UTC", "2026-11-23 16:30", "Mon 23 16:30"),
        (daily("16:30"), "UTC", "2026-11-23 16:31", "Tue 24 16:30"),
        (daily("16:30"), None, "2026-11-23 16:31", "Tue 24 16:30"),
        (daily("04:00", "16:30"), "UTC", "2026-11-23 05:00", "Mon 23 16:30"),
        (daily("23:30"), "Pacific Standard Time", "2026-11-23 04:00", "Mon 23 07:30"),
        (daily("00:30"), "W. Europe Standard Time", "2026-11-23 22:00", "Mon 23 23:30"),
        (daily("00:30"), "w. europe standard time", "2026-11-23 22:00", "Mon 23 23:30"),
        (weekly(["Sunday", "Wednesday"], "02:00"), "UTC", "2026-11-23 04:00", "Wed 25 02:00"),
        (weekly(["Monday"], "02:00"), "UTC", "2026-11-23 04:00", "Mon 30 02:00"),
        (hourly(4, "08:00", 12), "UTC", "2026-11-23 09:00", "Mon 23 12:00"),
        (hourly(4, "08:00", 12), "UTC", "2026-11-23 19:59", "Mon 23 20:00"),
        (hourly(4, "08:00", 12), "UTC", "2026-11-23 20:01", "Tue 24 08:00"),
        (hourly(6, "20:00", 24), "UTC", "2026-11-23 03:00", "Mon 23 08:00"),
        (hourly(24, "20:00", 24), "UTC", "2026-11-23 03:00", "Mon 23 20:00"),
        (
            nested("Daily", {"scheduleRunTimes": ["2024-04-28T01:00:00Z"]}),
            "UTC",
            "2026-11-23 04:00",
            "Tue 24 01:00",
        ),
        (
            nested("Weekly", {"scheduleRunTimes": ["2024-04-28T01:00:00Z"], "scheduleRunDays": ["Saturday"]}),
            "UTC",
            "2026-11-23 04:00",
            "Sat 28 01:00",
        ),
        # 2026-03-29, 02:00 to 03:00 does not exist in Germany; the earlier of its two readings counts
        (daily("02:30"), "W. Europe Standard Time", "2026-03-28 12:00", "Sun 29 00:30"),
        (daily("02:30"), "W. Europe Standard Time", "2026-03-29 00:31", "Sun 29 01:30"),
        # 2026-10-25, 02:00 to 03:00 comes twice
        (daily("02:30"), "W. Europe Standard Time", "2026-10-25 00:00", "Sun 25 00:30"),
        (daily("02:30"), "W. Europe Standard Time", "2026-10-25 00:31", "Sun 25 01:30"),
    ],
)
def test_the_next_run(plan: dict[str, Any], zone: str | None, now: str, wanted: str) -> None:
    assert next_run(plan, now, zone) == wanted


@pytest.mark.parametrize(
    ("now", "last"),
    [("2026-11-23 17:00", "2026-11-23 16:30"), ("2026-11-23 16:29", "2026-11-22 16:30")],
)
def test_the_last_run(now: str, last: str) -> None:
    schedule = parse_schedule(policy(daily("16:30")))[1]
    moment = datetime.fromisoformat(now).replace(tzinfo=UTC)
    assert schedule.last_run(moment) == datetime.fromisoformat(last).replace(tzinfo=UTC)


def test_a_weekly_policy_had_no_run_within_the_last_day() -> None:
    schedule = parse_schedule(policy(weekly(["Friday"], "16:30")))[1]
    assert schedule.last_run(datetime(2026, 11, 23, 12, tzinfo=UTC)) is None


@pytest.mark.parametrize(
    "plan",
    [
        {},
        daily(),
        daily("25:00"),
        daily("16:30", scheduleRunFrequency="Monthly"),
        daily("16:30", scheduleRunFrequency=None),
        daily("16:30", schedulePolicyType="LogSchedulePolicy"),
        daily(scheduleRunTimes=[7]),
        daily(scheduleRunTimes=["2024-04-28T16:30:00+02:00"]),
        daily(scheduleRunTimes="16:30"),
        weekly([], "16:30"),
        weekly(["Caturday"], "16:30"),
        hourly(0, "08:00", 12),
        hourly(-4, "08:00", 12),
        hourly(4, "08:00", 10**9),
        hourly(4, "soon", 12),
        nested("Daily", {}),
        {"scheduleRunFrequency": "Hourly"},
    ],
)
def test_a_schedule_that_is_not_understood_is_none(plan: dict[str, Any]) -> None:
    with pytest.raises(WireError):
        parse_schedule(policy(plan))


def test_a_zone_that_nobody_knows_is_named() -> None:
    with pytest.raises(WireError, match="Middle Earth Standard Time"):
        parse_schedule(policy(daily("16:30"), "Middle Earth Standard Time"))


def test_every_windows_zone_is_a_zone_here() -> None:
    assert [name for name in windows_zones() if time_zone(name) is None] == []
    assert len(windows_zones()) > 130


TIMES = st.integers(0, 47).map(lambda half: timedelta(minutes=30 * half))
SCHEDULES = st.builds(
    Schedule,
    times=st.lists(TIMES, min_size=1, max_size=4).map(tuple),
    days=st.frozensets(st.integers(0, 6), min_size=1),
    zone=st.sampled_from(sorted(set(windows_zones().values()))).map(ZoneInfo),
)
MOMENTS = st.datetimes(datetime(2020, 1, 1), datetime(2036, 1, 1)).map(lambda at: at.replace(tzinfo=UTC))
BERLIN = Schedule((timedelta(hours=2, minutes=30),), frozenset({6}), ZoneInfo("Europe/Berlin"))


@given(SCHEDULES, MOMENTS)
@example(BERLIN, datetime(2026, 3, 29, 0, 45, tzinfo=UTC))
@example(BERLIN, datetime(2026, 10, 18, 0, 31, tzinfo=UTC))
def test_the_next_run_is_within_a_week_at_a_time_of_the_schedule(schedule: Schedule, now: datetime) -> None:
    run = schedule.next_run(now)
    assert now <= run <= now + timedelta(days=7) + HOUR
    local = run.astimezone(schedule.zone)
    shifts = (timedelta(0), *_shifts(schedule, run))
    clocks = [local.replace(tzinfo=None) + shift for shift in shifts]
    assert any(
        clock.weekday() in schedule.days
        and clock - clock.replace(hour=0, minute=0, second=0) in schedule.times
        for clock in clocks
    )


@given(SCHEDULES, MOMENTS)
def test_no_run_lies_between_now_and_the_next(schedule: Schedule, now: datetime) -> None:
    """Whenever the clock of the zone shows a time of the schedule, there is a run."""
    run = schedule.next_run(now)
    moment = now.replace(minute=now.minute // 30 * 30, second=0, microsecond=0) + HOUR / 2
    while moment < run:
        local = moment.astimezone(schedule.zone)
        midnight = local.replace(hour=0, minute=0, second=0, tzinfo=None)
        at = local.replace(tzinfo=None) - midnight
        assert not (local.weekday() in schedule.days and at in schedule.times)
        moment += HOUR / 2


def _shifts(schedule: Schedule, run: datetime) -> list[timedelta]:
    """By how much the zone's clock was put forward or back around a run."""
    around = [
        (run + step).astimezone(schedule.zone).utcoffset() or timedelta(0) for step in (-24 * HOUR, 24 * HOUR)
    ]
    return [around[0] - around[1], around[1] - around[0]]

"""When a backup policy runs next, from the policy's document."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta, tzinfo
from typing import Any

from auditor.azure import wire
from auditor.rules.zones import time_zone

GRACE = timedelta(hours=2)
"""A scheduled backup may begin so long after its time (Microsoft Learn: FAQ on backing up Azure VMs)."""

_DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_EVERY_DAY = frozenset(range(7))
_SCHEDULES = ("simpleschedulepolicy", "simpleschedulepolicyv2")


@dataclass(frozen=True, slots=True)
class Schedule:
    """The times of day at which a policy runs, on which weekdays (Monday is 0), by the clock of a zone.

    A time is counted from midnight of its day, and may lie beyond the next one.
    """

    times: tuple[timedelta, ...]
    days: frozenset[int]
    zone: tzinfo

    def next_run(self, now: datetime) -> datetime:
        """The first run at this moment or after it (UTC)."""
        return min(run for run in self._around(now) if run >= now)

    def last_run(self, now: datetime) -> datetime | None:
        """The last run before this moment, if one was within the last day."""
        return max((run for run in self._around(now, 1) if now - timedelta(days=1) < run < now), default=None)

    def _around(self, now: datetime, ahead: int = 8) -> Iterator[datetime]:
        """The runs of the days around now.

        A clock that is put forward or back makes two moments of one time; both count.
        """
        today = now.astimezone(self.zone).date()
        for offset in range(-2, ahead + 1):
            day = today + timedelta(days=offset)
            for at in self.times if day.weekday() in self.days else ():
                local = datetime.combine(day, time()) + at
                for fold in (0, 1):
                    yield local.replace(tzinfo=self.zone, fold=fold).astimezone(UTC)


def parse_schedule(entry: Any) -> tuple[str, Schedule]:
    """A policy's id and its schedule; raises `WireError` for one that is not understood."""
    body = wire.mapping(entry, "the policy")
    properties = wire.mapping(body.get("properties"), "properties")
    plan = wire.mapping(properties.get("schedulePolicy"), "schedulePolicy")
    kind = wire.text(plan.get("schedulePolicyType")) or "SimpleSchedulePolicy"
    if kind.lower() not in _SCHEDULES:
        raise wire.WireError(f"a schedule of the kind {kind[:60]!r} is not known")
    times, days = _runs(plan)
    return wire.identifier(body.get("id"), "the policy's id"), Schedule(times, days, _zone(properties))


def _runs(plan: Mapping[str, Any]) -> tuple[tuple[timedelta, ...], frozenset[int]]:
    frequency = (wire.text(plan.get("scheduleRunFrequency")) or "").lower()
    match frequency:
        case "hourly":
            return _hours(wire.mapping(plan.get("hourlySchedule"), "hourlySchedule")), _EVERY_DAY
        case "daily":
            part = wire.mapping(plan.get("dailySchedule"), "dailySchedule") or plan
            return _times(part), _EVERY_DAY
        case "weekly":
            part = wire.mapping(plan.get("weeklySchedule"), "weeklySchedule") or plan
            return _times(part), _weekdays(part)
        case _:
            raise wire.WireError(f"a schedule that runs {frequency[:60]!r} is not known")


def _hours(part: Mapping[str, Any]) -> tuple[timedelta, ...]:
    interval = wire.number(part.get("interval")) or 0
    lasts = wire.number(part.get("scheduleWindowDuration")) or 0
    if not (1 <= interval <= 24 and 0 <= lasts <= 24):
        raise wire.WireError("the hours of the schedule are not understood")
    first = _time(part.get("scheduleWindowStartTime"))
    return tuple(first + timedelta(hours=hours) for hours in range(0, lasts + 1, interval))


def _times(part: Mapping[str, Any]) -> tuple[timedelta, ...]:
    found = tuple(map(_time, wire.sequence(part.get("scheduleRunTimes"), "scheduleRunTimes")))
    if not found:
        raise wire.WireError("the schedule names no time")
    return found


def _weekdays(part: Mapping[str, Any]) -> frozenset[int]:
    names = [day.lower() for day in wire.texts(part.get("scheduleRunDays"), "scheduleRunDays")]
    if not names or any(name not in _DAYS for name in names):
        raise wire.WireError("the days of the schedule are not understood")
    return frozenset(map(_DAYS.index, names))


def _time(value: Any) -> timedelta:
    """The time of day; the date is of no meaning, and neither is the Z behind it: the policy has a zone."""
    try:
        written = datetime.fromisoformat(wire.required(value, "a time of the schedule"))
    except ValueError as error:
        raise wire.WireError(f"a time of the schedule is {str(value)[:60]!r}") from error
    if written.utcoffset():
        raise wire.WireError(f"a time of the schedule has an offset of its own: {str(value)[:60]!r}")
    return timedelta(hours=written.hour, minutes=written.minute, seconds=written.second)


def _zone(properties: Mapping[str, Any]) -> tzinfo:
    name = wire.text(properties.get("timeZone")) or "UTC"
    zone = time_zone(name)
    if zone is None:
        raise wire.WireError(f"the time zone {name[:80]!r} is not known")
    return zone

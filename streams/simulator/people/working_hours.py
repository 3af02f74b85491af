"""Shifts of a manager in order, and the load of each hour and weekday."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from streams.calendars import LocalTime, is_working_day, local_time, weekday
from streams.settings.settings import Calendar, Manager, Settings, Shift

HOURS: Final = (
    0.25, 0.25, 0.25, 0.25, 0.25, 0.3, 0.4, 0.6,
    0.75, 0.95, 1.15, 1.25, 0.95, 0.7, 0.95, 1.1,
    1.05, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.25,
)  # fmt: skip
"""The load of each local hour, 1 being average."""
WEEKDAYS: Final = (1.05, 1.1, 1.05, 0.95, 0.85, 0.7, 0.6)
"""The load of each weekday, Monday first."""

_OFFICE_HOURS: Final = (Shift(days=("mon", "tue", "wed", "thu", "fri"), start="09:00", end="17:00"),)
_NAMES: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


def pace(local: LocalTime, at_ms: int) -> float:
    """Return the load of the local hour of `at_ms`, 1 being average."""
    day, hour = local.day_hour(at_ms)
    return HOURS[hour] * WEEKDAYS[weekday(day)]


def shifts_from(settings: Settings, manager: Manager, from_ms: int, until_ms: int) -> Iterator[tuple[int, int]]:
    """Yield start and end of the manager's shifts that end after `from_ms` and begin before `until_ms`, in order.

    A manager without shifts keeps office hours.
    """
    local = local_time(manager.timezone)
    calendar: Calendar = settings.calendar_of(manager)
    day = local.day(from_ms) - 1  # a night shift of yesterday may still go on
    while local.day_bounds(day)[0] < until_ms:
        if is_working_day(calendar, day):
            name = _NAMES[weekday(day)]
            spans = [
                (local.instant(day, shift.start_minutes), local.instant(day, shift.end_minutes))
                for shift in manager.shifts or _OFFICE_HOURS
                if name in shift.days
            ]
            for start_ms, end_ms in sorted(spans):
                if end_ms > from_ms and start_ms < until_ms and start_ms < end_ms:
                    yield start_ms, end_ms
        day += 1


def whole_days(local: LocalTime, from_ms: int, until_ms: int) -> Iterator[tuple[int, int]]:
    """Yield every local day that touches `[from_ms, until_ms)` as one shift."""
    day = local.day(from_ms)
    while (bounds := local.day_bounds(day))[0] < until_ms:
        if bounds[0] < bounds[1]:
            yield bounds
        day += 1

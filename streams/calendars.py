"""Local days, hours, shifts and holidays of a manager.

Moments are integer milliseconds since epoch, UTC. A day is a local calendar date as days since 1970-01-01. All
intervals are half-open. A wall-clock time that is skipped when the clocks change stands for the moment of the change.
One that is repeated stands for its first occurrence.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING, Final
from zoneinfo import ZoneInfo

from streams.settings.fields import WEEKDAYS
from streams.units import DAY_MS

if TYPE_CHECKING:
    from streams.settings.settings import Calendar, Manager, Settings, Shift

SLOT_MS: Final = 900_000
"""Offsets are multiples of 15 minutes, so a slot has one local day and hour, except at rare changes."""
MAX_SLOTS: Final = 16_384
"""The number of slots that are cached per zone: 170 days, about 3 MB."""
EPOCH_DAY: Final = date(1970, 1, 1).toordinal()
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class LocalTime:
    """The local day and hour of moments in one zone. Moments near each other take one dictionary lookup."""

    def __init__(self, zone: str) -> None:
        """Raise `zoneinfo.ZoneInfoNotFoundError` for an unknown zone."""
        self.zone = zone
        self._zone = ZoneInfo(zone)
        self._slots = _Slots(self._zone)
        self._starts: dict[int, int] = {}

    def day_hour(self, at_ms: int) -> tuple[int, int]:
        """Return the local day and the hour 0-23 that the local clock shows at `at_ms`."""
        found = self._slots[at_ms // SLOT_MS]
        return found if found is not None else _look(self._zone, at_ms)

    def day(self, at_ms: int) -> int:
        """Return the local day of `at_ms`."""
        return self.day_hour(at_ms)[0]

    def minute(self, at_ms: int) -> int:
        """Return the minutes since midnight, 0-1439, that the local clock shows at `at_ms`."""
        local = datetime.fromtimestamp(at_ms // 1000, self._zone)
        return local.hour * 60 + local.minute

    def day_bounds(self, day: int) -> tuple[int, int]:
        """Return when a local day begins and ends: 23, 24 or 25 hours apart, or 0 for a day that the zone skipped."""
        return self._start(day), self._start(day + 1)

    def instant(self, day: int, minute: int) -> int:
        """Return the first moment at which the local clock shows `minute` minutes past midnight of `day`, or later.

        `minute` may exceed 1440; it then counts on the wall clock of the days after.
        """
        more, minute = divmod(minute, 24 * 60)
        wall = datetime.fromordinal(EPOCH_DAY + day + more) + timedelta(minutes=minute)
        return _first_instant(self._zone, wall)

    def _start(self, day: int) -> int:
        start = self._starts.get(day)
        if start is None:
            if len(self._starts) >= MAX_SLOTS:
                self._starts.clear()
            start = self._starts[day] = self.instant(day, 0)
        return start


class _Slots(dict[int, tuple[int, int] | None]):
    """Local day and hour by slot, filled on demand; None for a slot within which they change."""

    __slots__ = ("_zone",)

    def __init__(self, zone: ZoneInfo) -> None:
        super().__init__()
        self._zone = zone

    def __missing__(self, slot: int) -> tuple[int, int] | None:
        first = _look(self._zone, slot * SLOT_MS)
        last = _look(self._zone, (slot + 1) * SLOT_MS - 1)
        if len(self) >= MAX_SLOTS:
            self.clear()
        self[slot] = found = first if first == last else None
        return found


def weekday(day: int) -> int:
    """Return the weekday of a local day, 0 for Monday to 6 for Sunday."""
    return (day + 3) % 7  # 1970-01-01 was a Thursday


@lru_cache(maxsize=1024)
def local_time(zone: str) -> LocalTime:
    """Return the shared LocalTime of a zone."""
    return LocalTime(zone)


def manager_time(settings: Settings, manager: str) -> LocalTime:
    """Return the local time of a manager by id, whether or not the roster names the manager."""
    return local_time(settings.manager(manager).timezone)


def is_working_day(calendar: Calendar, day: int) -> bool:
    """Return whether a local day is no holiday, or a working day in spite of one. Weekdays do not matter."""
    on = date.fromordinal(EPOCH_DAY + day)
    if on in calendar.working_days:
        return True
    if on in calendar.extra_holidays:
        return False
    return calendar.country is None or on not in _holidays(calendar.country, calendar.subdivision, on.year)


def shift_bounds(settings: Settings, manager: Manager, at_ms: int) -> tuple[int, int] | None:
    """Return the begin and the end of the shift that covers `at_ms`, or None outside all shifts."""
    if not manager.shifts:
        return None
    today = local_time(manager.timezone).day(at_ms)
    calendar = settings.calendar_of(manager)
    for day in (today, today - 1):
        for start_ms, end_ms in _shifts_of_day(calendar, manager.timezone, manager.shifts, day):
            if start_ms <= at_ms < end_ms:
                return start_ms, end_ms
    return None


@lru_cache(maxsize=16_384)
def _shifts_of_day(calendar: Calendar, zone: str, shifts: tuple[Shift, ...], day: int) -> tuple[tuple[int, int], ...]:
    """Return the bounds of the shifts that begin on a local day."""
    if not is_working_day(calendar, day):
        return ()
    name = WEEKDAYS[weekday(day)]
    local = local_time(zone)
    return tuple(
        (local.instant(day, shift.start_minutes), local.instant(day, shift.end_minutes))
        for shift in shifts
        if name in shift.days
    )


@lru_cache(maxsize=1024)
def _holidays(country: str, subdivision: str | None, year: int) -> frozenset[date]:
    import holidays  # noqa: PLC0415  slow to import, and most runs need it only once a country is set

    return frozenset(holidays.country_holidays(country, subdiv=subdivision, years=year))


def _look(zone: ZoneInfo, at_ms: int) -> tuple[int, int]:
    """Return the local day and hour of a moment by the zone's own rules."""
    local = datetime.fromtimestamp(at_ms // 1000, zone)
    return local.toordinal() - EPOCH_DAY, local.hour


def _first_instant(zone: ZoneInfo, wall: datetime) -> int:
    """Return the first moment at which the clock of the zone shows `wall` or later."""
    at_ms = (wall.replace(tzinfo=zone, fold=0).astimezone(UTC) - _EPOCH) // timedelta(milliseconds=1)
    if _wall(zone, at_ms) >= wall > _wall(zone, at_ms - 1000):
        return at_ms
    # The clock skipped `wall`, and did not do so at the very time that `wall` names: find the change.
    early, late = at_ms - DAY_MS, at_ms + DAY_MS
    while late - early > 1:
        middle = (early + late) // 2
        early, late = (early, middle) if _wall(zone, middle) >= wall else (middle, late)
    return late


def _wall(zone: ZoneInfo, at_ms: int) -> datetime:
    return datetime.fromtimestamp(at_ms // 1000, zone).replace(tzinfo=None, fold=0)

"""The baseline of a manager: the expectation for this hour and this day from the last eight weeks, and the weekdays.

The manager's day rows are its only input: they count finished legs and talk by hour of the local day. The expectation
of an hour of a weekday is the mean over the last eight such weekdays before today on which the manager was *present*,
that is, finished a leg at any hour. A day of absence does not lower it.

    one hour     17:20 │ ░░░░░░░░░ 18:20          40 minutes at the mean of hour 17 and 20 minutes at that of hour 18
    today      00:00 ░░░░░░░░░░░░░ 18:20          the means of the hours that are over, and a third of that of hour 18

Hours are weighted by the time spent in them. So in the night in which the clocks change, a skipped hour expects
nothing, and a repeated hour twice its mean. Intervals are half-open; `now` is the first moment outside.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from functools import lru_cache
from itertools import accumulate, pairwise
from math import sqrt
from typing import Final, NamedTuple, TypeAlias

from msgspec import Struct

from streams.calendars import SLOT_MS, LocalTime, weekday
from streams.tables.manager.counts import HOUR_CALLS, HOUR_TALK_MS, INBOUND, OUTBOUND, TALK_MS, unpack_counts
from streams.tables.manager.row import ManagerRow
from streams.units import HOUR_MS

WEEKS: Final = 8
PATTERN_DAYS: Final = 7 * WEEKS
LEAST_DAYS: Final = 2
"""The number of present days from which on there are z-scores."""
_TALK_FLOOR: Final = 60.0**2
"""Variance added to that of talk, in s²: so that a difference of a minute in an hour is no deviation."""

HourMeans: TypeAlias = tuple[float, float, float, float]
"""Mean calls in an hour of the day, their variance, mean seconds of talk, their variance."""
_NO_HOUR: Final[HourMeans] = (0.0, 0.0, 0.0, 0.0)
HourChanges: TypeAlias = tuple[tuple[int, ...], tuple[int, ...]]
"""Moments in order, and the hour that the local clock shows from each moment on."""


class Expectation(Struct, frozen=True, gc=False):
    """The figures that are expected at a moment from a manager's own history.

    `calls_1h` and `talk_seconds_1h` belong to the 60 minutes before it, `calls_today` to the local day so far. A
    z-score is the number of standard deviations by which the last hour lies above the expectation. `days` is the number
    of present days of today's weekday that it is based on, 0-8. With 0 days all figures are None, with one day the
    z-scores are.
    """

    calls_1h: float | None = None
    calls_today: float | None = None
    talk_seconds_1h: float | None = None
    calls_zscore: float | None = None
    talk_zscore: float | None = None
    days: int = 0


class Weekday(NamedTuple):
    """A weekday in the last 56 complete local days: days present, the calls finished on them, and their talk time."""

    days: int = 0
    calls: int = 0
    talk_ms: int = 0


class Baseline(Struct, frozen=True, gc=False):
    """A manager's baseline on the local day `day`.

    `days` is the number of present days of that weekday, and `before` the means of the last hour of the day before.
    `begins` are the moments at which the local clock shows another hour, `hours` the means of the hour that begins
    there, `calls_before` the calls expected from midnight until then. `weekdays` begins on Monday.
    """

    day: int
    days: int
    before: HourMeans
    begins: tuple[int, ...]
    hours: tuple[HourMeans, ...]
    calls_before: tuple[float, ...]
    weekdays: tuple[Weekday, ...]


def expectation(base: Baseline, now_ms: int, last_hour: Sequence[int]) -> Expectation:
    """Return the expectation at `now_ms`, on the baseline's day; `last_hour` is the sum of the last hour's minutes.

    The z-score of calls is (calls - expected) / √(variance + expected): the variance among the days, and, so that a
    rhythm of one call an hour has room to vary, that of a Poisson process (1 where nothing is expected). That of talk
    is (seconds - expected) / √(variance + 60²).
    """
    if not base.days:
        return Expectation()
    begins, hours = base.begins, base.hours
    place = bisect_right(begins, now_ms) - 1
    today = base.calls_before[place] + (now_ms - begins[place]) / HOUR_MS * hours[place][0]
    since = now_ms - HOUR_MS
    until = now_ms
    calls = calls_var = talk = talk_var = 0.0
    while until > since:
        begin = max(begins[place], since) if place >= 0 else since
        share = (until - begin) / HOUR_MS
        hour = hours[place] if place >= 0 else base.before
        calls += share * hour[0]
        calls_var += share * hour[1]
        talk += share * hour[2]
        talk_var += share * hour[3]
        until = begin
        place -= 1
    calls_z = talk_z = None
    if base.days >= LEAST_DAYS:
        calls_z = (last_hour[INBOUND] + last_hour[OUTBOUND] - calls) / sqrt(calls_var + (calls or 1.0))
        talk_z = (last_hour[TALK_MS] / 1000 - talk) / sqrt(talk_var + _TALK_FLOOR)
    return Expectation(calls, today, talk, calls_z, talk_z, base.days)


def baseline(row: ManagerRow, today: int) -> Baseline:
    """Return the manager's baseline on the local day `today`. It depends only on the days before it."""
    present: dict[int, Sequence[int]] = {}
    weekdays = [Weekday()] * 7
    for day in range(today - PATTERN_DAYS, today):
        counts = _counts(row, day)
        if counts and (calls := counts[INBOUND] + counts[OUTBOUND]):
            present[day] = counts
            name = weekday(day)
            days, all_calls, talk_ms = weekdays[name]
            weekdays[name] = Weekday(days + 1, all_calls + calls, talk_ms + counts[TALK_MS])
    begins, hours_shown = hour_changes(row.local, today)
    eve, last = row.local.day_hour(begins[0] - 1)
    same = [present[day] for day in range(today - PATTERN_DAYS, today, 7) if day in present]
    means = _means(same, range(24))
    hours = tuple(means[hour] for hour in hours_shown)
    lengths = ((until - begin) / HOUR_MS for begin, until in pairwise(begins))
    return Baseline(
        day=today,
        days=len(same),
        before=_means([present[day] for day in range(eve, today - PATTERN_DAYS - 1, -7) if day in present], (last,))[0],
        begins=begins,
        hours=hours,
        calls_before=tuple(
            accumulate((length * hour[0] for length, hour in zip(lengths, hours, strict=False)), initial=0.0)
        ),
        weekdays=tuple(weekdays),
    )


def _counts(row: ManagerRow, day: int) -> Sequence[int]:
    counts = row.days.get(day)
    if counts is None:
        packed = row.cold.get(day)
        return () if packed is None else unpack_counts(packed)
    return counts


def _means(days: Sequence[Sequence[int]], hours: Iterable[int]) -> list[HourMeans]:
    """Return the mean and the sample variance of calls and of seconds of talk for `hours`; of one day it is 0."""
    n = len(days)
    if not n:
        return [_NO_HOUR for _ in hours]
    means = []
    for hour in hours:
        calls, calls_var = _moments([day[HOUR_CALLS + hour] for day in days], n)
        talk, talk_var = _moments([day[HOUR_TALK_MS + hour] for day in days], n)
        means.append((calls, calls_var, talk / 1e3, talk_var / 1e6))
    return means


def _moments(values: list[int], n: int) -> tuple[float, float]:
    total = sum(values)
    if not total:
        return 0.0, 0.0
    # In whole numbers, so that the variance of a constant rhythm is 0 and no variance is negative.
    spread = n * sum([value * value for value in values]) - total * total
    return total / n, spread / (n * (n - 1)) if n > 1 else 0.0


@lru_cache(maxsize=1024)
def hour_changes(local: LocalTime, day: int) -> HourChanges:
    """Return the moments of a local day at which the local clock shows another hour, its first moment included."""
    begin, end = local.day_bounds(day)
    begins: list[int] = []
    hours: list[int] = []
    at = begin
    while at < end or not begins:
        hour = local.day_hour(at)[1]
        if not hours or hours[-1] != hour:
            begins.append(at)
            hours.append(hour)
        at = (at // SLOT_MS + 1) * SLOT_MS
    return tuple(begins), tuple(hours)

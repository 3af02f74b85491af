"""What a manager's own last eight weeks let expect of this hour and this day, and how the weekdays differ.

Everything comes from the manager's day rows, which count finished legs and talk by hour of the local day. For a weekday
and an hour, the expectation is the mean over the last eight such weekdays before today on which the manager was
*present*, that is, finished a leg at any hour. A day away does not lower it.

    one hour     17:20 │ ░░░░░░░░░ 18:20          40 minutes at the mean of hour 17 and 20 minutes at that of hour 18
    today      00:00 ░░░░░░░░░░░░░ 18:20          the means of the hours that are over, and a third of that of hour 18

Hours are weighted by the time that was spent in them. So on the night of a change of the clocks an hour that is skipped
expects nothing, and one that is repeated twice its mean. Intervals are half-open; `now` is the first moment outside.
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
"""Present days from which on a deviation can be told."""
_TALK_FLOOR: Final = 60.0**2
"""Variance added to that of talk, in s²: a minute more or less in an hour is no deviation."""

Hour: TypeAlias = tuple[float, float, float, float]
"""Calls in an hour of the day, their variance, seconds of talk, their variance."""
_NO_HOUR: Final[Hour] = (0.0, 0.0, 0.0, 0.0)
Clock: TypeAlias = tuple[tuple[int, ...], tuple[int, ...]]
"""Moments in order, and the hour that the local clock shows from each one on."""


class Expectation(Struct, frozen=True, gc=False):
    """What a manager's own history lets expect of a moment.

    `calls_1h` and `talk_seconds_1h` belong to the 60 minutes before it, `calls_today` to the local day so far. A
    z-score is how many standard deviations the last hour lies above the expectation. `days` is how many present days of
    today's weekday stand behind it, 0-8. Without any, everything is None; with one, the z-scores are.
    """

    calls_1h: float | None = None
    calls_today: float | None = None
    talk_seconds_1h: float | None = None
    calls_zscore: float | None = None
    talk_zscore: float | None = None
    days: int = 0


class Weekday(NamedTuple):
    """What a weekday came to in the last 56 complete local days: days present, calls finished on them, their talk."""

    days: int = 0
    calls: int = 0
    talk_ms: int = 0


class Norms(Struct, frozen=True, gc=False):
    """What holds for a manager all of a local day long.

    `days` are the present days of that weekday, `hours` what each hour of the clock expects, `before` what the last
    hour of the day before does. `begins` are the moments at which the clock comes to another hour, `shown` is what each
    hour from there on expects, `passed` how many calls up to there. `weekdays` begins on Monday.
    """

    day: int
    days: int
    before: Hour
    begins: tuple[int, ...]
    shown: tuple[Hour, ...]
    passed: tuple[float, ...]
    weekdays: tuple[Weekday, ...]


def expectation(row: ManagerRow, now_ms: int, last_hour: Sequence[int]) -> Expectation:
    """Return what the manager's history lets expect at `now_ms`; `last_hour` is what the minutes of the last hour hold.

    The z-score of calls is (calls - expected) / √(variance + expected): the variance among the days, and, so that a
    rhythm of one call an hour has room to vary, that of a Poisson process (1 where nothing is expected). That of talk
    is (seconds - expected) / √(variance + 60²).
    """
    known = norms(row, row.local.day(now_ms))
    if not known.days:
        return Expectation()
    begins, shown = known.begins, known.shown
    place = bisect_right(begins, now_ms) - 1
    today = known.passed[place] + (now_ms - begins[place]) / HOUR_MS * shown[place][0]
    since = now_ms - HOUR_MS
    until = now_ms
    calls = calls_var = talk = talk_var = 0.0
    while until > since:
        begin = max(begins[place], since) if place >= 0 else since
        share = (until - begin) / HOUR_MS
        hour = shown[place] if place >= 0 else known.before
        calls += share * hour[0]
        calls_var += share * hour[1]
        talk += share * hour[2]
        talk_var += share * hour[3]
        until = begin
        place -= 1
    calls_z = talk_z = None
    if known.days >= LEAST_DAYS:
        calls_z = (last_hour[INBOUND] + last_hour[OUTBOUND] - calls) / sqrt(calls_var + (calls or 1.0))
        talk_z = (last_hour[TALK_MS] / 1000 - talk) / sqrt(talk_var + _TALK_FLOOR)
    return Expectation(calls, today, talk, calls_z, talk_z, known.days)


def norms(row: ManagerRow, today: int) -> Norms:
    """Return what holds for the manager on the local day `today`.

    The row keeps it, and drops it when a day that is over changes. As the fold notices that by `row.sums_day`, only
    what is asked for after the sums of the same day were made (`view`) is kept.
    """
    known: Norms | None = row.norms
    if known is None or known.day != today:
        known = _norms(row, today)
        if row.sums_day == today:
            row.norms = known
    return known


def _norms(row: ManagerRow, today: int) -> Norms:
    present: dict[int, Sequence[int]] = {}
    weekdays = [Weekday()] * 7
    for day in range(today - PATTERN_DAYS, today):
        counts = _counts(row, day)
        if counts and (calls := counts[INBOUND] + counts[OUTBOUND]):
            present[day] = counts
            name = weekday(day)
            days, all_calls, talk_ms = weekdays[name]
            weekdays[name] = Weekday(days + 1, all_calls + calls, talk_ms + counts[TALK_MS])
    begins, hours = clock(row.local, today)
    eve, last = row.local.day_hour(begins[0] - 1)
    same = [present[day] for day in range(today - PATTERN_DAYS, today, 7) if day in present]
    means = _means(same, range(24))
    shown = tuple(means[hour] for hour in hours)
    lengths = ((until - begin) / HOUR_MS for begin, until in pairwise(begins))
    return Norms(
        day=today,
        days=len(same),
        before=_means([present[day] for day in range(eve, today - PATTERN_DAYS - 1, -7) if day in present], (last,))[0],
        begins=begins,
        shown=shown,
        passed=tuple(accumulate((length * hour[0] for length, hour in zip(lengths, shown, strict=False)), initial=0.0)),
        weekdays=tuple(weekdays),
    )


def _counts(row: ManagerRow, day: int) -> Sequence[int]:
    counts = row.days.get(day)
    if counts is None:
        packed = row.cold.get(day)
        return () if packed is None else unpack_counts(packed)
    return counts


def _means(days: Sequence[Sequence[int]], hours: Iterable[int]) -> list[Hour]:
    """Return mean and sample variance of calls and of seconds of talk for `hours`; the variance of one day is 0."""
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
    # In whole numbers, so that a constant rhythm has a variance of 0 and no other one is negative.
    spread = n * sum([value * value for value in values]) - total * total
    return total / n, spread / (n * (n - 1)) if n > 1 else 0.0


@lru_cache(maxsize=1024)
def clock(local: LocalTime, day: int) -> Clock:
    """Return when the local clock comes to another hour on a local day, from its first moment on, and to which."""
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

"""Expectations: case by case, against a definition minute by minute, and invariants."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from math import sqrt
from statistics import mean, variance
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from streams.calendars import local_time
from streams.contract.events import CallsEvent
from streams.tables.manager import baseline as module
from streams.tables.manager.baseline import Expectation, Weekday, baseline, expectation, hour_changes
from streams.tables.manager.counts import (
    HOUR_CALLS,
    HOUR_TALK_MS,
    INBOUND,
    OUTBOUND,
    TALK_MS,
    Counter,
    pack_counts,
    unpack_counts,
)
from streams.tables.manager.row import ManagerRow
from streams.tables.manager.view import ManagerCache
from streams.windows import HOUR as LAST_HOUR
from tests.streams.timeline import DAY, HOUR, MINUTE, NINE, THRESHOLDS, ended, folded, new_row, seen

WIDTH = Counter(THRESHOLDS).width
EPOCH = date(1970, 1, 1)
MONDAY = (date(2026, 10, 26) - EPOCH).days  # that of NINE
SILENCE = [0] * 8
NOTHING = Expectation()
Hours = Mapping[int, tuple[int, int]]
"""Calls and milliseconds of talk by hour of the day."""


def row_of(days: Mapping[int, Hours], zone: str = "Europe/Moscow", *, cold: bool = True) -> ManagerRow:
    """A row with these day rows, packed as after some days, or as on the day itself."""
    row = ManagerRow("anna", local_time(zone))
    for day, hours in days.items():
        counts = [0] * WIDTH
        for hour, (calls, talk_ms) in hours.items():
            counts[OUTBOUND if hour % 2 else INBOUND] += calls
            counts[HOUR_CALLS + hour] = calls
            counts[HOUR_TALK_MS + hour] = talk_ms
            counts[TALK_MS] += talk_ms
        if cold:
            row.cold[day] = pack_counts(counts, 1)
        else:
            row.days[day] = counts
    return row


def expectation_at(row: ManagerRow, now: int, last_hour: Sequence[int]) -> Expectation:
    return expectation(baseline(row, row.local.day(now)), now, last_hour)


def hour_with(calls: int, talk_ms: int) -> list[int]:
    bucket = [0] * 8
    bucket[INBOUND], bucket[OUTBOUND], bucket[TALK_MS] = calls // 2, calls - calls // 2, talk_ms
    return bucket


def weekly(hours: Hours, weeks: int = 8) -> dict[int, Hours]:
    return {MONDAY - 7 * week: hours for week in range(1, weeks + 1)}


# ---- case by case; NINE is Monday, 09:00


def test_without_history_nothing_is_expected() -> None:
    assert expectation_at(row_of({}), NINE, SILENCE) == NOTHING
    assert baseline(row_of({}), MONDAY).weekdays == (Weekday(),) * 7


@pytest.mark.parametrize(
    ("minutes", "of_the_hour", "of_today"),
    [
        # 09:00  10:00  11:00        12 calls at nine, 30 at ten, none at another time
        (-60, 0, 0),
        (0, 0, 0),  # nine begins: nothing of it has passed
        (1, 12 / 60, 12 / 60),
        (20, 4, 4),
        (60, 12, 12),
        (80, 12 * 40 / 60 + 30 * 20 / 60, 12 + 10),
        (120, 30, 42),
        (150, 15, 42),
        (181, 0, 42),
        (14 * 60 + 59, 0, 42),
    ],
)
def test_an_hour_is_expected_in_the_measure_in_which_it_has_passed(
    minutes: int, of_the_hour: float, of_today: float
) -> None:
    row = row_of(weekly({9: (12, 600_000), 10: (30, 1_500_000)}))
    found = expectation_at(row, NINE + minutes * MINUTE, SILENCE)
    assert found.calls_1h == pytest.approx(of_the_hour)
    assert found.calls_today == pytest.approx(of_today)
    assert found.talk_seconds_1h == pytest.approx(of_the_hour * 50)
    assert found.days == 8


def test_milliseconds_count() -> None:
    row = row_of(weekly({9: (3_600, 0)}))
    assert expectation_at(row, NINE + 1, SILENCE).calls_today == pytest.approx(0.001)
    assert expectation_at(row, NINE - 1, SILENCE).calls_today == 0


def test_the_first_hour_of_a_day_reaches_back_into_the_day_before_and_its_weekday() -> None:
    #  Sunday 23:00 ▓▓▓▓▓▓ 24:00 ░░ 00:20
    sundays = {MONDAY - 1 - 7 * week: {23: (6 if week else 14, 0)} for week in range(8)}  # 7 on average
    row = row_of(sundays | weekly({0: (3, 0)}))
    midnight = NINE - 9 * HOUR
    assert expectation_at(row, midnight + 20 * MINUTE, SILENCE).calls_1h == pytest.approx(7 * 40 / 60 + 3 * 20 / 60)
    assert expectation_at(row, midnight + 20 * MINUTE, SILENCE).calls_today == pytest.approx(1)
    assert expectation_at(row, midnight, SILENCE).calls_1h == 7
    assert expectation_at(row_of(weekly({0: (3, 0)})), midnight, SILENCE).calls_1h == 0


def test_only_the_last_eight_such_weekdays_count_and_not_today() -> None:
    row = row_of({**weekly({9: (10, 0)}), MONDAY: {9: (99, 0)}, MONDAY - 63: {9: (99, 0)}, MONDAY - 1: {9: (99, 0)}})
    assert expectation_at(row, NINE + HOUR, SILENCE).calls_1h == 10
    assert expectation_at(row, NINE + HOUR, SILENCE).days == 8


@pytest.mark.parametrize("cold", [True, False])
def test_a_day_away_is_no_day_of_no_calls(cold: bool) -> None:
    worked = {MONDAY - 7: {9: (8, 0)}, MONDAY - 14: {9: (12, 0)}}
    away = {MONDAY - 21: {9: (0, 0)}, MONDAY - 28: {}}
    row = row_of(worked | away, cold=cold)
    assert expectation_at(row, NINE + HOUR, SILENCE) == expectation_at(row_of(worked), NINE + HOUR, SILENCE)
    assert expectation_at(row, NINE + HOUR, SILENCE).days == 2
    assert expectation_at(row, NINE + HOUR, SILENCE).calls_1h == 10


def test_a_day_on_which_another_hour_was_worked_counts_with_none() -> None:
    row = row_of({MONDAY - 7: {9: (8, 0)}, MONDAY - 14: {15: (1, 0)}})
    assert expectation_at(row, NINE + HOUR, SILENCE).calls_1h == 4


def test_a_row_that_was_begun_and_never_written_is_a_day_away() -> None:
    row = row_of(weekly({9: (8, 0)}))
    row.days[MONDAY - 7] = []
    assert expectation_at(row, NINE + HOUR, SILENCE).days == 7


@pytest.mark.parametrize(
    ("past", "made", "expected"),
    [
        # The variance of 8 and 12 is 8, and 10 more are a Poisson process's own.
        ([8, 12], 10, 0.0),
        ([8, 12], 1, -9 / sqrt(18)),
        ([8, 12], 20, 10 / sqrt(18)),
        ([10, 10, 10, 10], 4, -6 / sqrt(10)),
        ([8], 1, None),  # one day is no history
        ([], 1, None),
    ],
)
def test_a_deviation_is_told_in_standard_deviations(past: list[int], made: int, expected: float | None) -> None:
    row = row_of({MONDAY - 7 * week: {9: (calls, 0)} for week, calls in enumerate(past, 1)})
    found = expectation_at(row, NINE + HOUR, hour_with(made, 0)).calls_zscore
    assert found == (expected if expected is None else pytest.approx(expected))


def test_where_nothing_is_expected_a_call_is_one_deviation() -> None:
    row = row_of(weekly({9: (10, 0)}))
    assert expectation_at(row, NINE + 5 * HOUR, hour_with(1, 0)).calls_zscore == 1
    assert expectation_at(row, NINE + 5 * HOUR, SILENCE).calls_zscore == 0


def test_a_minute_of_talk_more_than_ever_is_one_deviation() -> None:
    row = row_of(weekly({9: (1, 600_000)}))
    assert expectation_at(row, NINE + HOUR, hour_with(1, 660_000)).talk_zscore == pytest.approx(1)
    # 100 s and 300 s: the variance is 20,000 s².
    row = row_of({MONDAY - 7: {9: (1, 100_000)}, MONDAY - 14: {9: (1, 300_000)}})
    found = expectation_at(row, NINE + HOUR, hour_with(1, 0)).talk_zscore
    assert found == pytest.approx(-200 / sqrt(20_000 + 3_600))


def test_half_an_hour_of_two_hours_has_half_the_variance_of_both() -> None:
    row = row_of({MONDAY - 7: {9: (8, 0), 10: (20, 0)}, MONDAY - 14: {9: (12, 0), 10: (30, 0)}})
    found = expectation_at(row, NINE + 90 * MINUTE, hour_with(0, 0)).calls_zscore
    assert found == pytest.approx(-17.5 / sqrt((8 + 50) / 2 + 17.5))


def test_weekdays_of_eight_weeks() -> None:
    days = {
        MONDAY: {9: (99, 99)},  # today is not over
        MONDAY - 7: {9: (3, 60_000), 17: (4, 0)},
        MONDAY - 14: {9: (0, 0)},
        MONDAY - 56: {0: (1, 1_000)},
        MONDAY - 63: {9: (99, 99)},
        MONDAY - 1: {23: (2, 5_000)},
        MONDAY - 57: {9: (99, 99)},
    }
    nothing = Weekday(0, 0, 0)
    assert baseline(row_of(days), MONDAY).weekdays == (Weekday(2, 8, 61_000), *[nothing] * 5, Weekday(1, 2, 5_000))


# ---- clocks that change


@pytest.mark.parametrize(
    ("zone", "on", "hours"),
    [
        ("Europe/Berlin", "2026-03-29", {2: 0}),
        ("Europe/Berlin", "2026-10-25", {2: 2}),
        ("Australia/Lord_Howe", "2026-04-05", {1: 1.5}),
        ("Australia/Lord_Howe", "2026-10-04", {2: 0.5}),
        ("Asia/Beirut", "2026-03-29", {0: 0}),
        ("America/Nuuk", "2026-10-24", {23: 2}),
        ("Asia/Kathmandu", "2026-03-29", {}),
    ],
)
def test_an_hour_of_the_clock_lasts_as_long_as_the_clock_shows_it(zone: str, on: str, hours: dict[int, float]) -> None:
    day = (date.fromisoformat(on) - EPOCH).days
    begins, shown = hour_changes(local_time(zone), day)
    ends = (*begins[1:], local_time(zone).day_bounds(day)[1])
    lasted = dict.fromkeys(range(24), 0.0)
    for begin, end, hour in zip(begins, ends, shown, strict=True):
        lasted[hour] += (end - begin) / HOUR
    assert lasted == {**dict.fromkeys(range(24), 1), **hours}


ZONES = ["Europe/Berlin", "Asia/Kolkata", "Australia/Lord_Howe", "America/Havana", "America/Nuuk", "Pacific/Chatham"]
# Changes of 2026: Europe, Lord Howe, Cuba, Greenland, Chatham, each way.
CHANGES = ["2026-03-29T01", "2026-10-25T01", "2026-04-04T15", "2026-10-03T15:30", "2026-03-08T05", "2026-11-01T05"]
minutes_of_time = st.one_of(
    st.integers(1_767_225_600 // 60, 1_830_297_600 // 60),
    st.builds(
        lambda at, by: int(datetime.fromisoformat(at).replace(tzinfo=UTC).timestamp()) // 60 + by,
        st.sampled_from(CHANGES),
        st.integers(-1_500, 1_500),
    ),
)
work = st.dictionaries(st.integers(0, 23), st.tuples(st.integers(0, 40), st.integers(0, 3_600_000)), max_size=6)
history = st.dictionaries(st.integers(0, 60), work, max_size=20)


def by_the_minute(days: Mapping[int, Hours], zone: str, now_minute: int) -> tuple[float, float, float, float, int]:
    """Calls of the hour, their variance, talk of the hour, calls of today, days: minute by minute, as it is defined."""
    tz = ZoneInfo(zone)
    present = {day: hours for day, hours in days.items() if any(calls for calls, _ in hours.values())}

    def shown(minute: int) -> datetime:
        return datetime.fromtimestamp(minute * 60, tz)

    today = (shown(now_minute).date() - EPOCH).days

    def like(minute: int) -> list[tuple[int, int]]:
        day, hour = (shown(minute).date() - EPOCH).days, shown(minute).hour
        same = [other for other in range(today - 56, today) if (other - day) % 7 == 0 and other in present]
        return [present[other].get(hour, (0, 0)) for other in same]

    def expected(minute: int, place: int) -> float:
        return mean([of[place] for of in found]) / 60 if (found := like(minute)) else 0.0

    def spread(minute: int) -> float:
        return variance([of[0] for of in found]) / 60 if len(found := like(minute)) > 1 else 0.0

    hour = range(now_minute - 60, now_minute)
    so_far = [
        minute for minute in range(now_minute - 1_600, now_minute) if (shown(minute).date() - EPOCH).days == today
    ]
    return (
        sum(expected(minute, 0) for minute in hour),
        sum(spread(minute) for minute in hour),
        sum(expected(minute, 1) for minute in hour) / 1000,
        sum(expected(minute, 0) for minute in so_far),
        len(like(now_minute)),
    )


@given(st.sampled_from(ZONES), minutes_of_time, history, st.integers(0, 60))
@example("Europe/Berlin", int(datetime(2026, 10, 25, 1, 30, tzinfo=UTC).timestamp()) // 60, {7: {2: (6, 0)}}, 3)
@example("America/Havana", int(datetime(2026, 3, 8, 5, 0, tzinfo=UTC).timestamp()) // 60, {1: {23: (6, 0)}}, 3)
def test_it_is_what_the_definition_gives_minute_by_minute(
    zone: str, now_minute: int, ago: dict[int, Hours], made: int
) -> None:
    today = (datetime.fromtimestamp(now_minute * 60, ZoneInfo(zone)).date() - EPOCH).days
    days = {today - back: hours for back, hours in ago.items()}
    calls, spread, talk, so_far, n = by_the_minute(days, zone, now_minute)
    found = expectation_at(row_of(days, zone), now_minute * MINUTE, hour_with(made, 1_000 * made))
    assert found.days == n
    if n:
        assert found.calls_1h == pytest.approx(calls)
        assert found.talk_seconds_1h == pytest.approx(talk)
        assert found.calls_today == pytest.approx(so_far)
        assert found.calls_zscore == (pytest.approx((made - calls) / sqrt(spread + (calls or 1))) if n >= 2 else None)
    else:
        assert found == NOTHING


# ---- what must always hold

moments = st.integers(0, 2 * DAY).map(lambda after: NINE + after)


@given(moments, st.sets(st.integers(1, 56), min_size=1), st.integers(0, 100), st.integers(0, 3_600))
def test_the_expectation_of_a_constant_rhythm_is_that_rhythm_and_no_deviation_from_it(
    now: int, present: set[int], calls: int, talk: int
) -> None:
    row = row_of({MONDAY + 2 - back: dict.fromkeys(range(24), (calls, talk * 1_000)) for back in present})
    found = expectation_at(row, now, hour_with(calls, talk * 1_000))
    today = row.local.day(now)
    before = baseline(row, today).before
    if found.days and calls and (now - row.local.day_bounds(today)[0] >= HOUR or before[0]):
        assert found.calls_1h == pytest.approx(calls)
        assert found.talk_seconds_1h == pytest.approx(talk)
        assert found.calls_today == pytest.approx(calls * (now - row.local.day_bounds(today)[0]) / HOUR)
        if found.days > 1:
            assert found.calls_zscore == pytest.approx(0, abs=1e-9)
            assert found.talk_zscore == pytest.approx(0, abs=1e-9)


@given(moments, history, st.sets(st.integers(0, 60)))
def test_days_away_never_change_it(now: int, ago: dict[int, Hours], away: set[int]) -> None:
    days = {MONDAY + 1 - back: hours for back, hours in ago.items()}
    more = days | {MONDAY + 1 - back: {9: (0, 0)} for back in away if back not in ago}
    assert expectation_at(row_of(more), now, SILENCE) == expectation_at(row_of(days), now, SILENCE)


@given(moments, history, work, work)
def test_neither_today_nor_what_is_older_than_eight_weeks_changes_it(
    now: int, ago: dict[int, Hours], of_today: Hours, of_old: Hours
) -> None:
    today = new_row().local.day(now)
    days = {today - back: hours for back, hours in ago.items() if 0 < back <= 56}
    more = days | {today: of_today, today - 57: of_old, today - 63: of_old, today + 1: of_old}
    assert expectation_at(row_of(more), now, SILENCE) == expectation_at(row_of(days), now, SILENCE)
    assert baseline(row_of(more), today) == baseline(row_of(days), today)


@given(moments, history, st.integers(0, 60), st.integers(0, 60))
def test_it_lies_among_the_days_it_was_made_of_and_more_calls_raise_the_score(
    now: int, ago: dict[int, Hours], fewer: int, more: int
) -> None:
    row = row_of({MONDAY + 1 - back: hours for back, hours in ago.items()})
    low, high = (expectation_at(row, now, hour_with(made, made)) for made in sorted((fewer, more)))
    if low.calls_1h is None or low.calls_today is None or low.calls_zscore is None or high.calls_zscore is None:
        assert low.days < 2
        return
    most = max((calls for hours in ago.values() for calls, _ in hours.values()), default=0)
    assert 0 <= low.calls_1h <= most + 1e-9
    assert 0 <= low.calls_today <= 25 * most
    assert low.calls_zscore <= high.calls_zscore
    assert low.calls_zscore < 0 or low.calls_1h <= min(fewer, more)


# ---- as calls are folded and managers are read


def calls_at(at: int, count: int, talk: int = MINUTE, name: str = "") -> list[CallsEvent]:
    return [ended(f"{name}{at}.{n}", at + n * MINUTE + talk, begun=at + n * MINUTE, talk=talk) for n in range(count)]


def test_it_comes_from_the_calls_that_were_folded() -> None:
    events = [call for week in range(8, 0, -1) for call in calls_at(NINE - 7 * week * DAY, 4 + week % 2)]
    row, _ = folded(events)
    view = seen(row, NINE + HOUR)
    found = expectation_at(row, NINE + HOUR, view.counts[LAST_HOUR])
    spread = variance([4, 5, 4, 5, 4, 5, 4, 5])
    assert found.calls_1h == pytest.approx(4.5)
    assert found.talk_seconds_1h == pytest.approx(4.5 * 60)
    assert found.calls_zscore == pytest.approx(-4.5 / sqrt(spread + 4.5))
    assert baseline(row, MONDAY).weekdays[0] == Weekday(8, 36, 36 * MINUTE)


def test_the_last_hour_is_that_of_the_ring() -> None:
    events = [call for week in range(8, -1, -1) for call in calls_at(NINE - 7 * week * DAY, 5)]
    row, _ = folded(events)
    found = expectation_at(row, NINE + HOUR, seen(row, NINE + HOUR).counts[LAST_HOUR])
    assert found.calls_zscore == 0
    assert found.talk_zscore == 0


def test_a_day_has_one_baseline_and_each_day_row_is_read_once_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    row, cache = row_of({MONDAY - back: {9: (5, 0)} for back in range(90)}), ManagerCache()
    read: list[bytes] = []

    def unpack(packed: bytes) -> list[int]:
        read.append(packed)
        return unpack_counts(packed)

    monkeypatch.setattr(module, "unpack_counts", unpack)
    weekdays = seen(row, NINE, cache=cache).weekdays
    assert len(read) == 56
    for minute in range(0, 14 * 60, 7):
        assert seen(row, NINE + minute * MINUTE, cache=cache).weekdays is weekdays
    assert len(read) == 56


def test_a_late_call_of_a_past_day_is_expected_at_once() -> None:
    events = [call for week in range(8, 0, -1) for call in calls_at(NINE - 7 * week * DAY, 4)]
    row, _ = folded(events)
    cache = ManagerCache()
    assert seen(row, NINE + HOUR, cache=cache).weekdays[0].calls == 32
    folded(calls_at(NINE - 7 * DAY + 10 * MINUTE, 8, name="late"), row)
    view = seen(row, NINE + HOUR, cache=cache)
    assert view.weekdays[0].calls == 40
    assert view.expectation.calls_1h == 5


def test_it_goes_on_with_the_days() -> None:
    row, _ = folded(calls_at(NINE, 4))
    cache = ManagerCache()
    for day, present in ((0, 0), (1, 1), (6, 1), (7, 1), (56, 1), (57, 0)):
        assert sum(weekday.days for weekday in seen(row, NINE + day * DAY, cache=cache).weekdays) == present
    assert baseline(row, MONDAY + 7).days == 1
    assert baseline(row, MONDAY + 8).days == 0


def test_the_calendar_of_this_module_is_right() -> None:
    assert EPOCH + timedelta(days=MONDAY) == date(2026, 10, 26)
    assert (EPOCH + timedelta(days=MONDAY)).weekday() == 0
    assert new_row().local.day_hour(NINE) == (MONDAY, 9)

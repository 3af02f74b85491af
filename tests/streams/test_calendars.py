import timeit
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from streams import calendars
from streams.calendars import LocalTime, is_working_day, local_time, shift_bounds, weekday
from streams.settings.fields import Weekday
from streams.settings.settings import Calendar, Manager, Settings, Shift, load
from tests.streams.timeline import on_shift

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
SINCE = 1_325_376_000_000  # 2012: before, a few zones changed their clocks at a minute past midnight
UNTIL = 4_102_444_800_000  # 2100
# Whole hours, :30 and :45 offsets; changes of an hour, of half an hour (Lord Howe) and of two (Troll); changes at
# midnight that skip it (Beirut, Asuncion, Havana) or repeat the hour before it (Nuuk); a day left out would be Apia's.
ZONES = [
    "UTC", "Europe/Berlin", "Europe/Lisbon", "Atlantic/Azores", "America/New_York", "America/St_Johns", "Asia/Kolkata",
    "Asia/Kathmandu", "Pacific/Chatham", "Australia/Lord_Howe", "Antarctica/Troll", "Asia/Beirut", "America/Asuncion",
    "America/Havana", "America/Nuuk", "America/Sao_Paulo", "Africa/Casablanca", "Pacific/Kiritimati", "Pacific/Apia",
]  # fmt: skip
zones = st.sampled_from(ZONES)
moments = st.integers(SINCE, UNTIL)


def ms(text: str, zone: str = "UTC", fold: int = 0) -> int:
    """The moment at which the clock of the zone shows the text."""
    return round(datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone), fold=fold).timestamp() * 1000)


def day(text: str) -> int:
    return (date.fromisoformat(text) - date(1970, 1, 1)).days


def near_changes(zone: str) -> list[int]:
    """Moments at which the zone changes its offset, 2012 to 2040, found by looking, a day at a time and then closer."""
    tz = ZoneInfo(zone)

    def offset(second: int) -> timedelta | None:
        return datetime.fromtimestamp(second, tz).utcoffset()

    found = []
    for second in range(SINCE // 1000, 2_208_988_800, 86_400):
        low, high = second, second + 86_400
        if offset(low) == offset(high):
            continue
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if offset(middle) == offset(low) else (low, middle)
        found.append(high * 1000)
    return found


CHANGES = {zone: near_changes(zone) for zone in ZONES}
changing = st.sampled_from([(zone, at) for zone, all_at in CHANGES.items() for at in all_at])
around = st.tuples(changing, st.integers(-2 * DAY_MS, 2 * DAY_MS)).map(
    lambda drawn: (drawn[0][0], drawn[0][1] + drawn[1])
)
places = st.tuples(zones, moments) | around


@given(places)
@example(("America/St_Johns", ms("2010-11-07T02:31")))  # the clocks went back at 00:01, inside a slot
@example(("Africa/Monrovia", ms("1971-06-01T00:44:29")))  # an offset of 44 min 30 s
@example(("Europe/Berlin", -1))
def test_day_and_hour_are_those_of_the_standard_library_by_way_of_a_slot_or_not(place: Any) -> None:
    zone, at_ms = place
    local = datetime.fromtimestamp(at_ms // 1000, ZoneInfo(zone))
    expected = ((local.date() - date(1970, 1, 1)).days, local.hour)
    times = LocalTime(zone)
    assert times.day_hour(at_ms) == expected
    assert times.day_hour(at_ms) == expected
    assert times.day(at_ms) == expected[0]


def test_a_slot_inside_which_the_clocks_change_is_looked_up_moment_by_moment() -> None:
    times = LocalTime("America/St_Johns")
    change = ms("2010-11-07T02:31")
    assert times.day_hour(change - 1) == (day("2010-11-07"), 0)
    assert times.day_hour(change) == (day("2010-11-06"), 23)


@given(places)
def test_the_bounds_of_a_day_hold_exactly_the_moments_of_that_day(place: Any) -> None:
    zone, at_ms = place
    times = local_time(zone)
    start_ms, end_ms = times.day_bounds(times.day(at_ms))
    assert start_ms <= at_ms < end_ms
    assert times.day(start_ms) == times.day(end_ms - 1) == times.day(at_ms)
    assert times.day(start_ms - 1) < times.day(at_ms) < times.day(end_ms)


@given(places)
def test_days_follow_each_other_without_gap_and_last_about_a_day(place: Any) -> None:
    zone, at_ms = place
    times = local_time(zone)
    today = times.day(at_ms)
    start_ms, end_ms = times.day_bounds(today)
    assert times.day_bounds(today - 1)[1] == start_ms
    assert times.day_bounds(today + 1)[0] == end_ms
    changed = any(start_ms <= at <= end_ms for at in CHANGES[zone])
    assert abs(end_ms - start_ms - DAY_MS) <= 2 * HOUR_MS
    if not changed and at_ms < max(CHANGES[zone], default=UNTIL):
        assert end_ms - start_ms == DAY_MS


@pytest.mark.parametrize(
    ("zone", "on", "hours"),
    [
        ("Europe/Berlin", "2026-03-29", 23),
        ("Europe/Berlin", "2026-10-25", 25),
        ("Europe/Berlin", "2026-10-26", 24),
        ("Australia/Lord_Howe", "2026-04-05", 24.5),
        ("Australia/Lord_Howe", "2026-10-04", 23.5),
        ("Antarctica/Troll", "2026-03-29", 22),
        ("Asia/Kathmandu", "2026-03-29", 24),
        ("Asia/Beirut", "2026-03-29", 23),  # there is no midnight: the day begins at 01:00
        ("America/Nuuk", "2026-10-24", 25),  # the hour before midnight comes twice
        ("Pacific/Apia", "2011-12-29", 24),
        ("Pacific/Apia", "2011-12-30", 0),  # Samoa crossed the date line: there was no such day
    ],
)
def test_a_day_is_as_long_as_the_clocks_make_it(zone: str, on: str, hours: float) -> None:
    start_ms, end_ms = LocalTime(zone).day_bounds(day(on))
    assert (end_ms - start_ms) / HOUR_MS == hours


def test_a_day_that_begins_at_one_begins_with_the_change() -> None:
    start_ms, _ = LocalTime("Asia/Beirut").day_bounds(day("2026-03-29"))
    assert start_ms == ms("2026-03-28T22:00")
    assert LocalTime("Asia/Beirut").day_hour(start_ms) == (day("2026-03-29"), 1)


@pytest.mark.parametrize(
    ("minute", "expected"),
    [
        (119, "2026-03-29T00:59"),
        (120, "2026-03-29T01:00"),  # 02:00 to 03:00 is skipped
        (150, "2026-03-29T01:00"),
        (180, "2026-03-29T01:00"),
        (181, "2026-03-29T01:01"),
        (24 * 60 + 150, "2026-03-30T00:30"),
    ],
)
def test_a_skipped_time_stands_for_the_moment_of_the_change(minute: Any, expected: str) -> None:
    assert LocalTime("Europe/Berlin").instant(day("2026-03-29"), minute) == ms(expected)


def test_a_repeated_time_stands_for_its_first_occurrence() -> None:
    assert LocalTime("Europe/Berlin").instant(day("2026-10-25"), 150) == ms("2026-10-25T00:30")


@given(places, st.integers(0, 2 * 1440 - 1))
def test_no_moment_before_an_instant_shows_its_time_and_the_instant_does(place: Any, minute: int) -> None:
    zone, at_ms = place
    times = local_time(zone)
    today = times.day(at_ms)
    wall = datetime(1970, 1, 1) + timedelta(days=today, minutes=minute)  # noqa: DTZ001  a time on a wall has no zone
    found = times.instant(today, minute)

    def shown(moment: int) -> datetime:
        return datetime.fromtimestamp(moment // 1000, ZoneInfo(zone)).replace(tzinfo=None)

    assert shown(found) >= wall
    assert all(shown(found - back) < wall for back in (1, 60_000, 59 * 60_000, 3 * HOUR_MS))


@pytest.mark.source
def test_the_slots_remembered_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calendars, "MAX_SLOTS", 10)
    times = LocalTime("Europe/Berlin")
    for at_ms in range(SINCE, SINCE + 100 * calendars.SLOT_MS, calendars.SLOT_MS):
        times.day_hour(at_ms)
        times.day_bounds(at_ms // DAY_MS)
        assert len(times._slots) <= 10
        assert len(times._starts) <= 10


@pytest.mark.no_cover  # measuring takes time
def test_a_look_up_that_hits_does_not_ask_the_zone() -> None:
    times = LocalTime("Europe/Berlin")
    hit = min(timeit.repeat(lambda: times.day_hour(SINCE), number=10_000, repeat=5))
    miss = min(timeit.repeat(lambda: calendars._look(times._zone, SINCE), number=10_000, repeat=5))
    assert hit < miss / 2


def test_weekdays_begin_on_monday() -> None:
    assert [weekday(day(f"2026-11-{at}")) for at in range(23, 30)] == [0, 1, 2, 3, 4, 5, 6]
    assert weekday(-1) == date(1969, 12, 31).weekday()


# ---- shifts

WEEK: Final[tuple[Weekday, ...]] = ("mon", "tue", "wed", "thu", "fri")


def manager(
    *shifts: tuple[tuple[Weekday, ...], str, str], zone: str = "Europe/Berlin", team: str = "unassigned"
) -> Manager:
    made = tuple(Shift(days=days, start=start, end=end) for days, start, end in shifts)
    return Manager(id="anna", name="Anna", team=team, timezone=zone, shifts=made)


@pytest.mark.parametrize(
    ("at", "expected"),
    [
        # 2026-11-23 is a Monday.
        ("2026-11-23T08:59:59.999", None),
        ("2026-11-23T09:00", ("2026-11-23T09:00", "2026-11-23T13:00")),
        ("2026-11-23T12:59:59.999", ("2026-11-23T09:00", "2026-11-23T13:00")),
        ("2026-11-23T13:00", None),
        ("2026-11-23T14:30", ("2026-11-23T14:00", "2026-11-23T18:00")),
        ("2026-11-23T18:00", None),
        ("2026-11-28T10:00", None),
    ],
)
def test_a_shift_is_half_open_and_only_on_its_days(at: str, expected: Any) -> None:
    anna = manager((WEEK, "09:00", "13:00"), (WEEK, "14:00", "18:00"))
    berlin = "Europe/Berlin"
    bounds = expected and tuple(ms(bound, berlin) for bound in expected)
    assert shift_bounds(Settings(), anna, ms(at, berlin)) == bounds
    assert on_shift(Settings(), anna, ms(at, berlin)) is (expected is not None)


@pytest.mark.parametrize(
    ("at", "covered"),
    [
        ("2026-11-23T21:59", False),
        ("2026-11-23T22:00", True),
        ("2026-11-24T00:00", True),
        ("2026-11-24T05:59", True),
        ("2026-11-24T06:00", False),
        ("2026-11-24T23:00", False),  # Tuesday night is not planned
    ],
)
def test_a_shift_over_midnight_belongs_to_the_day_it_starts_on(at: str, covered: bool) -> None:
    night = manager((("mon",), "22:00", "06:00"))
    assert on_shift(Settings(), night, ms(at, "Europe/Berlin")) is covered


@pytest.mark.parametrize(("start", "hours"), [("2026-03-28", 7), ("2026-10-24", 9), ("2026-11-28", 8)])
def test_a_night_shift_lasts_as_long_as_the_night(start: str, hours: int) -> None:
    night = manager((("sat",), "22:00", "06:00"))
    bounds = shift_bounds(Settings(), night, ms(f"{start}T23:00", "Europe/Berlin"))
    assert bounds is not None
    assert (bounds[1] - bounds[0]) / HOUR_MS == hours
    assert shift_bounds(Settings(), night, bounds[1] - 1) == bounds
    assert shift_bounds(Settings(), night, bounds[1]) is None


def test_a_shift_until_twenty_four_ends_with_the_day() -> None:
    late = manager((("mon",), "18:00", "24:00"))
    assert on_shift(Settings(), late, ms("2026-11-23T23:59:59.999", "Europe/Berlin"))
    assert not on_shift(Settings(), late, ms("2026-11-24T00:00", "Europe/Berlin"))


def test_a_manager_without_shifts_is_never_on_shift() -> None:
    assert not on_shift(Settings(), Settings().manager("stranger"), ms("2026-11-23T10:00"))


@given(places, st.integers(0, 1439), st.integers(1, 1439), st.sets(st.sampled_from([*WEEK, "sat", "sun"]), min_size=1))
def test_a_shift_covers_exactly_the_moments_between_its_bounds(
    place: tuple[str, int], start: int, length: int, days: set[Weekday]
) -> None:
    zone, at_ms = place
    times = local_time(zone)

    def text(minute: int) -> str:
        return f"{minute // 60 % 24:02}:{minute % 60:02}"

    anna = manager((tuple(days), text(start), text(start + length)), zone=zone)
    bounds = shift_bounds(Settings(), anna, at_ms)
    # The same by another way: which days' shift could it be, by the definition?
    names = [*WEEK, "sat", "sun"]
    expected = [
        (times.instant(on, start), times.instant(on, start + length))
        for on in range(times.day(at_ms) - 3, times.day(at_ms) + 3)
        if names[(date(1970, 1, 1) + timedelta(days=on)).weekday()] in days
        and times.instant(on, start) <= at_ms < times.instant(on, start + length)
    ]
    assert bounds == (expected[0] if expected else None)


@given(places)
def test_a_shift_on_every_day_around_the_clock_has_no_gap(place: Any) -> None:
    zone, at_ms = place
    always = manager(((*WEEK, "sat", "sun"), "08:00", "20:00"), ((*WEEK, "sat", "sun"), "20:00", "08:00"), zone=zone)
    bounds = shift_bounds(Settings(), always, at_ms)
    assert bounds is not None
    assert on_shift(Settings(), always, bounds[1])


# ---- holidays


@pytest.mark.parametrize(
    ("calendar", "on", "worked"),
    [
        (Calendar(), "2026-12-25", True),
        (Calendar(country="DE"), "2026-12-25", False),
        (Calendar(country="DE"), "2026-12-24", True),
        (Calendar(country="DE"), "2026-03-08", True),
        (Calendar(country="DE", subdivision="BE"), "2026-03-08", False),  # Women's Day, Berlin only
        (Calendar(country="PT"), "2026-10-05", False),
        (Calendar(country="DE"), "2027-01-01", False),
        (Calendar(extra_holidays=(date(2026, 12, 24),)), "2026-12-24", False),
        (Calendar(country="DE", working_days=(date(2026, 12, 25),)), "2026-12-25", True),
    ],
)
def test_holidays_come_from_the_country_and_from_the_settings(calendar: Any, on: str, worked: bool) -> None:
    assert is_working_day(calendar, day(on)) is worked


def test_nobody_is_on_shift_on_a_holiday_but_a_night_shift_from_the_day_before_goes_on() -> None:
    settings = Settings(calendar=Calendar(country="DE"))
    night = manager((WEEK, "22:00", "06:00"))
    berlin = "Europe/Berlin"
    assert on_shift(settings, night, ms("2026-12-25T05:00", berlin))  # from Thursday, which is worked
    assert not on_shift(settings, night, ms("2026-12-25T23:00", berlin))
    assert not on_shift(settings, night, ms("2026-12-26T05:00", berlin))


def test_a_team_abroad_has_the_holidays_of_its_own_calendar() -> None:
    settings = load(
        """
        timezone = "Europe/Berlin"
        calendar = { country = "DE" }
        teams = [
          { id = "berlin", shifts = ["mon-fri 09:00-18:00"] },
          { id = "lisbon", shifts = ["mon-fri 09:00-18:00"], calendar = { country = "PT" } },
        ]
        managers = [{ id = "anna", team = "berlin" }, { id = "rui", team = "lisbon" }]
        """,
        {},
    )
    republic_day, ascension_day = ms("2026-10-05T12:00"), ms("2026-05-14T12:00")
    on = {
        (who, when): on_shift(settings, settings.manager(who), when)
        for who in ("anna", "rui")
        for when in (republic_day, ascension_day)
    }
    assert on == {
        ("anna", republic_day): True,
        ("rui", republic_day): False,
        ("anna", ascension_day): False,
        ("rui", ascension_day): True,
    }


def test_the_helpers_of_this_module_agree_with_the_calendar() -> None:
    assert ms("2026-11-23T00:00", "Asia/Kathmandu") == round(
        datetime(2026, 11, 22, 18, 15, tzinfo=UTC).timestamp() * 1000
    )
    assert all(len(CHANGES[zone]) > 20 for zone in ("Europe/Berlin", "Australia/Lord_Howe", "America/New_York"))

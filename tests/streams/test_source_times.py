"""Moments and spans as systems write them."""

from __future__ import annotations

import contextlib
import re
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.contract.events import EARLIEST_MS, LATEST_MS, LONGEST_MS
from streams.sources.times import TimeError, Times, span

NOON = int(datetime(2026, 11, 17, 12, 0, 5, tzinfo=UTC).timestamp() * 1000)


@pytest.mark.parametrize(
    ("form", "zone", "written", "ms"),
    [
        ("unix", None, "1794916805", NOON),
        ("unix", None, 1794916805, NOON),
        ("unix", None, "1794916805.123999", NOON + 123),
        ("unix", None, 1794916805.5, NOON + 500),
        ("unix_ms", None, "1794916805000", NOON),
        ("unix_ms", "Europe/Moscow", 1794916805001, NOON + 1),
        ("unix_us", None, "1794916805000999", NOON),
        ("iso", None, "2026-11-17T12:00:05Z", NOON),
        ("iso", None, "2026-11-17 12:00:05.1239+00:00", NOON + 123),
        ("iso", None, "2026-11-17T15:00:05+03", NOON),
        ("iso", None, "2026-11-17T08:30:05-0330", NOON),
        ("iso", "Europe/Moscow", "2026-11-17T15:00:05", NOON),
        ("iso", "Europe/Moscow", "2026-11-17T12:00:05Z", NOON),
        ("iso", "Europe/Moscow", "2026-11-17 15:00", NOON - 5_000),
        ("%d.%m.%Y %H:%M:%S", "Europe/Moscow", "17.11.2026 15:00:05", NOON),
        ("%d.%m.%Y %H:%M:%S", "Europe/Moscow", " 17.11.2026\u00a0 15:00:05 ", NOON),
        ("%d.%m.%y %T", "Europe/Berlin", "17.11.26 13:00:05", NOON),
        ("%m/%d/%Y %I:%M:%S %p", "America/New_York", "11/17/2026 7:00:05 AM", NOON),
        ("%m/%d/%Y %I:%M %p", "UTC", "11/17/2026 12:00 p.m.", NOON - 5_000),
        ("%m/%d/%Y %I:%M %p", "UTC", "11/17/2026 12:00 am", NOON - 5_000 - 12 * 3_600_000),
        ("%d %b %Y %H:%M:%S.%f", "UTC", "17 NOVEMBER 2026 12:00:05.250", NOON + 250),
        ("%Y%m%d%H%M%S", "UTC", "20261117120005", NOON),
        ("%Y-%m-%dT%H:%M:%S%z", None, "2026-11-17T13:00:05+0100", NOON),
        ("%d.%m.%Y %H:%M %z", "UTC", "17.11.2026 13:00 +01:00", NOON - 5_000),
    ],
)
def test_a_moment_is_read_by_its_form(form: str, zone: str | None, written: str | float, ms: int) -> None:
    assert Times(form, zone).moment(written) == ms


@pytest.mark.parametrize(
    ("form", "zone", "written", "message"),
    [
        ("unix", None, "1794916805000", "before 2000 or after 2100"),
        ("unix_ms", None, "1794916805", "before 2000"),
        ("unix", None, "1,79492E+09", "no unix time"),
        ("unix", None, "-1", "no unix time"),
        ("unix", None, "", "no unix time"),
        ("unix", None, True, "no time"),
        ("iso", None, "2026-11-17T12:00:05", "no timezone is set"),
        ("iso", None, "2026-11-17", "not written in the form"),
        ("iso", None, "2026-02-30T00:00:00Z", "no date and time that exists"),
        ("iso", None, "2026-11-17T24:00:00Z", "no date and time that exists"),
        ("iso", None, "2026-11-17T12:00:60Z", "second above 59"),
        ("iso", None, "2026-11-17T12:00:05+99:99", "no date and time that exists"),
        ("iso", None, "0001-01-01T00:00:00Z", "before 2000"),
        ("iso", None, "9999-12-31T23:59:59-23:59", "after 2100"),
        ("%d.%m.%Y %H:%M", "UTC", "11/17/2026 12:00", "not written in the form"),
        ("%d/%m/%Y %H:%M", "UTC", "11/17/2026 12:00", "no date and time that exists"),
        ("%d.%m.%Y %H:%M", "UTC", "17.11.2026 12:00:05", "not written in the form"),
        ("%d.%m.%Y %H:%M", "UTC", "17.11.26 12:00", "not written in the form"),
        ("%d.%m.%Y %H:%M", "UTC", "\u0661\u0667.11.2026 12:00", "not written in the form"),
        ("%m/%d/%Y %I:%M %p", "UTC", "11/17/2026 13:00 pm", "hour above 12"),
    ],
)
def test_what_is_no_moment_of_the_form_is_refused(form: str, zone: str | None, written: str, message: str) -> None:
    with pytest.raises(TimeError, match=message):
        Times(form, zone).moment(written)


@pytest.mark.parametrize(
    ("form", "message"),
    [
        ("%d.%m.%Y", "no pattern with a date and an hour"),
        ("%H:%M:%S", "no pattern with a date and an hour"),
        ("", "no pattern"),
        ("ISO", "no pattern"),
        ("%d.%m.%Y %I:%M", "no pattern"),
        ("%d.%m.%Y %H:%M %Q", "%Q is not known"),
        ("%d.%m.%Y %H:%H", "%H stands twice"),
    ],
)
def test_a_form_that_says_no_moment_is_refused(form: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Times(form, "UTC")


BERLIN = "Europe/Berlin"
FORM = "%d.%m.%Y %H:%M:%S"


@pytest.mark.parametrize(
    ("zone", "twice", "hours"),
    [("Europe/Berlin", "25.10.2026 02:30:00", (0, 1)), ("America/New_York", "01.11.2026 01:59:59", (5, 6))],
)
def test_an_hour_that_exists_twice_is_refused_unless_it_is_said_which_is_meant(
    zone: str, twice: str, hours: tuple[int, int]
) -> None:
    with pytest.raises(TimeError, match="exists twice"):
        Times(FORM, zone).moment(twice)
    first, second = (Times(FORM, zone, fold).moment(twice) for fold in ("first", "second"))
    assert second - first == 3_600_000
    assert [datetime.fromtimestamp(ms / 1000, UTC).hour for ms in (first, second)] == list(hours)


@pytest.mark.parametrize(("zone", "never"), [(BERLIN, "29.03.2026 02:30:00"), ("Europe/Moscow", "27.03.2011 02:00:00")])
@pytest.mark.parametrize("fold", [None, "first", "second"])
def test_an_hour_that_never_existed_is_refused(zone: str, never: str, fold: None) -> None:
    with pytest.raises(TimeError, match="clock skips"):
        Times(FORM, zone, fold).moment(never)


@pytest.mark.parametrize(
    "written", ["25.10.2026 01:59:59", "25.10.2026 03:00:00", "29.03.2026 01:59:59", "29.03.2026 03:00:00"]
)
def test_the_hours_beside_the_change_are_read(written: str) -> None:
    local = datetime.strptime(written, FORM).replace(tzinfo=ZoneInfo(BERLIN))
    assert Times(FORM, BERLIN).moment(written) == local.timestamp() * 1000


@given(
    st.integers(EARLIEST_MS, LATEST_MS),
    st.sampled_from([FORM, "%d %b %y %I:%M:%S %p", "%Y%m%d%H%M%S", "%Y-%m-%dT%H:%M:%S"]),
    st.sampled_from(["UTC", "Europe/Moscow", "Asia/Kathmandu", "America/St_Johns", "Australia/Lord_Howe"]),
)
def test_what_a_clock_writes_is_read_as_the_same_second(ms: int, form: str, zone: str) -> None:
    local = datetime.fromtimestamp(ms // 1000, ZoneInfo(zone))
    fold = "second" if local.fold else "first"
    if "%y" not in form or local.year < 2069:
        assert Times(form, zone, fold).moment(local.strftime(form)) == ms // 1000 * 1000  # type: ignore[arg-type]  # one of its values
    assert Times("iso").moment(local.isoformat()) == ms // 1000 * 1000


@pytest.mark.fuzz
@given(
    st.text(max_size=60) | st.from_regex(r"[0-9:./ TZ+-]{0,40}", fullmatch=True) | st.integers() | st.floats(),
    st.sampled_from(["iso", "unix", "unix_ms", "unix_us", FORM]),
)
def test_any_value_gives_a_moment_or_a_refusal_that_does_not_quote_it(written: str | float, form: str) -> None:
    said = ""
    try:
        found = Times(form, "Europe/Berlin").moment(written)
    except TimeError as error:
        found, said = EARLIEST_MS, str(error)
    assert EARLIEST_MS <= found <= LATEST_MS
    assert not re.search(r"\d{5}", said)


# -- spans


@pytest.mark.parametrize(
    ("form", "written", "ms"),
    [
        ("auto", "317", 317_000),
        ("auto", 31, 31_000),
        ("auto", 31.5, 31_500),
        ("auto", "05:17", 317_000),
        ("auto", "1:05:17", 3_917_000),
        ("auto", "00:05:17.25", 317_250),
        ("auto", "0", 0),
        ("seconds", "31.5", 31_500),
        ("milliseconds", "31500", 31_500),
        ("minutes", "1.5", 90_000),
        ("clock", "75:10", 4_510_000),
        ("clock", "25:00:00", 90_000_000),
    ],
)
def test_a_span_is_read_by_its_form(form: str, written: str | float, ms: int) -> None:
    assert span(written, form) == ms  # type: ignore[arg-type]  # one of its values


def test_a_decimal_comma_is_read_where_it_is_set() -> None:
    assert span("31,5", "seconds", ",") == 31_500
    with pytest.raises(TimeError):
        span("31,5", "seconds")


@pytest.mark.parametrize(
    ("form", "written"),
    [
        ("auto", "-5"), ("auto", "five"), ("auto", ""), ("auto", "1e3"), ("auto", "00:75"), ("auto", "1:75:00"),
        ("auto", "5:1"), ("clock", "317"), ("seconds", "05:17"), ("auto", "-00:10"), ("auto", "٣"), ("auto", True),
        ("seconds", str(LONGEST_MS)), ("auto", "nan"), ("auto", float("inf")), ("auto", "1" * 40), ("clock", "1:2:3:4"),
    ],
)  # fmt: skip
def test_what_is_no_span_is_refused(form: str, written: str | float) -> None:
    with pytest.raises(TimeError):
        span(written, form)  # type: ignore[arg-type]  # one of its values


@given(st.integers(0, LONGEST_MS // 1000))
def test_a_span_survives_being_written_as_a_clock(seconds: int) -> None:
    assert span(f"{seconds // 3600}:{seconds // 60 % 60:02}:{seconds % 60:02}") == seconds * 1000
    assert span(f"{seconds // 60:02}:{seconds % 60:02}" if seconds < 600_000 else seconds) == seconds * 1000


@pytest.mark.fuzz
@given(st.text(max_size=40) | st.from_regex(r"[0-9:.,-]{0,30}", fullmatch=True), st.sampled_from([".", ","]))
def test_any_text_is_a_span_or_refused(written: str, decimal: str) -> None:
    with contextlib.suppress(TimeError):
        assert 0 <= span(written, "auto", decimal) <= LONGEST_MS

"""The oracle itself, on cases whose right figure needs no calculation."""

from __future__ import annotations

from functools import cache

import pytest

from tests.oracle.handmade import HOUR, MINUTE, NOON, Told, ended, utc
from tests.oracle.names import METRICS, RESULTS

WITHOUT_DEALS = {
    f"callpulse_{name}"
    for name in (
        "conversion_ratio",
        "conversion_ratio_lower",
        "conversion_ratio_upper",
        "presentation_ratio",
        "stage_moves_per_call",
        "next_step_ratio",
        "mean_stage_age_seconds",
        "first_call_deal_ratio",
        "calls_per_won_deal",
        "plan_calls_per_day",
        "cost_per_won_deal",
        "mean_won_amount",
        "won_first_call_talk_seconds",
        "won_calls_per_deal",
        "next_steps_kept_ratio",
        "expected_calls",
        "expected_talk_seconds",
        "calls_zscore",
        "talk_zscore",
        "lead_attention",
    )
}

# -- every manager and every metric


def test_a_manager_without_events_is_there_at_zero_and_without_ratios() -> None:
    told = Told([], NOON)
    assert {name for name, _ in told.answers} == (METRICS | RESULTS) - {
        "callpulse_connect_ratio",
        "callpulse_short_call_ratio",
        "callpulse_attempts_per_contact",
        "callpulse_calls_per_lead",
        "callpulse_last_activity_timestamp_seconds",
        "callpulse_presence",
        *WITHOUT_DEALS,
    }
    assert told.answers.pop(("callpulse_target_ratio", (("manager", "anna"),))) == 0.01  # the floor
    assert set(told.answers.values()) == {0}
    activity = [name for name, _ in told.answers if name in METRICS]
    assert len(activity) == 10 + 15 + 6 + 4 + 3 + 2 + 5 + 9 + 1 + 1 + 2 + 1 + 1 + 1 + 1 + 5 + 1
    # won, proposals, by conversations, due and stuck, by stage, given, reasons, promises, off hours, expectation_days
    assert len(told.answers) - len(activity) == 3 + 2 + 5 + 2 + 5 + 5 + 5 + 1 + 1 + 1


def test_a_manager_whom_no_roster_names_is_there_too() -> None:
    told = Told([ended(NOON - MINUTE, manager="queue:sales", direction="inbound", disposition="no_answer")], NOON)
    assert told("calls", "queue:sales", window="today", direction="inbound") == 1
    assert told("answered_calls", "queue:sales", window="today") == 0
    assert told.calls("anna") == 0


def test_one_answered_dial_counts_everywhere_it_should() -> None:
    told = Told([ended(NOON - MINUTE, kind="cold", talk_ms=300_000, started_at=NOON - 10 * MINUTE)], NOON)
    for window in ("1h", "today", "7d", "30d", "90d"):
        assert told("calls", window=window, direction="outbound") == 1
        assert told("calls", window=window, direction="inbound") == 0
        assert told("answered_calls", window=window) == (None if window == "90d" else 1)
        assert told("talk_time_seconds", window=window) == 300
    for window in ("today", "7d", "30d"):
        assert told("connect_ratio", window=window) == 1
        assert told("short_call_ratio", window=window) == 0
        assert told("meaningful_calls", window=window) == 1
    for window in ("1h", "90d"):
        assert told("connect_ratio", window=window) is None
    for window in ("today", "30d"):
        assert told("conversations", window=window) == 1
    assert told("attempts_per_contact", window="30d") == 1
    assert told("attempts_per_contact", window="today") is None
    assert told("conversations", window="7d") is None
    for window in ("today", "30d", "90d"):
        assert told("calls_by_kind", window=window, kind="cold") == 1
        assert told("calls_by_kind", window=window, kind="unknown") == 0
    assert told("calls_by_disposition", window="today", disposition="answered") == 1
    assert told("calls_timed_out", window="today") == 0
    assert told("calls_in_progress") == 0


def test_ratios_divide_by_what_their_help_says() -> None:
    events = [
        ended(NOON - 1 * MINUTE, "c1", talk_ms=119_999),
        ended(NOON - 2 * MINUTE, "c2", talk_ms=120_000),
        ended(NOON - 3 * MINUTE, "c3", talk_ms=0, disposition="busy"),
        ended(NOON - 4 * MINUTE, "c4", talk_ms=0, disposition="no_answer"),
        ended(NOON - 5 * MINUTE, "c5", talk_ms=10_000, direction="inbound"),
        ended(NOON - 6 * MINUTE, "c6", talk_ms=400_000, disposition="voicemail"),
    ]
    told = Told(events, NOON)
    assert told("connect_ratio", window="today") == 2 / 5
    assert told("attempts_per_contact", window="30d") == 5 / 2
    assert told("short_call_ratio", window="today") == 2 / 3
    assert told("talk_time_seconds", window="1h") == 119.999 + 120 + 10  # a message on a voicemail is not talk
    assert told("conversations", window="today") == 2
    assert told("meaningful_calls", window="today") == 0
    assert told("calls_by_disposition", window="today", disposition="voicemail") == 1


# -- lines to the millisecond


TALKS = (0, 6_000, 6_001, 59_999, 60_000, 60_001, 119_999, 120_000, 299_999, 300_000, 1_200_000, 1_200_001)


@cache
def of_talks() -> Told:
    """Return the answers for one call of each length, each of a separate manager."""
    return Told([ended(NOON, manager=f"m{talk_ms}", talk_ms=talk_ms) for talk_ms in TALKS], NOON)


@pytest.mark.parametrize(
    ("talk_ms", "short", "conversations", "meaningful"),
    [
        (0, 1, 0, 0),
        (59_999, 1, 0, 0),
        (60_000, 1, 1, 0),
        (119_999, 1, 1, 0),
        (120_000, 0, 1, 0),
        (299_999, 0, 1, 0),
        (300_000, 0, 1, 1),
    ],
)
def test_talk_time_divides_calls_at_the_millisecond(
    talk_ms: int, short: int, conversations: int, meaningful: int
) -> None:
    told, manager = of_talks(), f"m{talk_ms}"
    assert told("short_call_ratio", manager, window="today") == short
    assert told("conversations", manager, window="today") == conversations
    assert told("meaningful_calls", manager, window="today") == meaningful


@pytest.mark.parametrize(
    ("talk_ms", "first"),
    [(0, "6"), (6_000, "6"), (6_001, "20"), (60_000, "60"), (60_001, "120"), (1_200_000, "1200"), (1_200_001, "+Inf")],
)
def test_the_histogram_counts_a_talk_at_its_bound_and_at_every_longer_one(talk_ms: int, first: str) -> None:
    told, manager = of_talks(), f"m{talk_ms}"
    bounds = ["6", "20", "60", "120", "180", "300", "600", "1200", "+Inf"]
    counted = [told("calls_talked", manager, window="today", le=le) for le in bounds]
    place = bounds.index(first)
    assert counted == [0] * place + [1] * (len(bounds) - place)


@pytest.mark.parametrize(
    ("at", "now", "counts"),
    [
        # the minute of 12:00 and the 59 before it: 11:01:00.000 to 12:00:59.999
        ("11:01:00.000", "12:00:00.000", 1),
        ("11:00:59.999", "12:00:00.000", 0),
        ("11:01:00.000", "12:00:59.999", 1),
        ("11:01:59.999", "12:01:00.000", 0),
        ("12:00:59.999", "12:00:00.000", 1),
        ("12:01:00.000", "12:00:59.999", 0),
    ],
)
def test_the_last_hour_is_sixty_whole_minutes(at: str, now: str, counts: int) -> None:
    told = Told([ended(utc(f"2026-11-23T{at}"))], utc(f"2026-11-23T{now}"))
    assert told.calls(window="1h") == counts
    assert told.calls(window="today") == 1  # a day holds what its own future brings


@pytest.mark.parametrize(
    ("window", "first_day"),
    [("today", "2026-11-23"), ("7d", "2026-11-17"), ("30d", "2026-10-25"), ("90d", "2026-08-26")],
)
def test_windows_of_days_begin_at_midnight_and_end_with_today(window: str, first_day: str) -> None:
    begins = utc(f"{first_day}T00:00")
    events = [ended(begins - 1, "before"), ended(begins, "first"), ended(utc("2026-11-24T00:00"), "tomorrow")]
    assert Told(events, utc("2026-11-23T23:59:59.999")).calls(window=window) == 1


@pytest.mark.parametrize(
    ("zone", "begins", "ends"),
    [
        ("Europe/Berlin", "2026-10-24T22:00", "2026-10-25T23:00"),  # 25 hours: the clock goes back
        pytest.param(
            "Europe/Berlin", "2026-03-28T23:00", "2026-03-29T22:00", marks=pytest.mark.slow
        ),  # 23 hours: the clock goes forward
        pytest.param("America/New_York", "2026-11-01T04:00", "2026-11-02T05:00", marks=pytest.mark.slow),
        pytest.param("Asia/Kolkata", "2026-11-22T18:30", "2026-11-23T18:30", marks=pytest.mark.slow),
        pytest.param("Pacific/Kiritimati", "2026-11-22T10:00", "2026-11-23T10:00", marks=pytest.mark.slow),
    ],
)
def test_today_is_the_managers_own_day_however_long_it_is(zone: str, begins: str, ends: str) -> None:
    first, end = utc(begins), utc(ends)
    events = [ended(at, f"c{at}") for at in (first - 1, first, end - 1, end)]
    for now in (first, end - 1):
        assert Told(events, now, {"anna": zone}).calls() == 2
    assert Told(events, first - 1, {"anna": zone}).calls() == 1
    assert Told(events, end, {"anna": zone}).calls() == 1


def test_each_manager_has_a_today_of_their_own() -> None:
    at = utc("2026-11-23T20:00")  # the 24th in Tokyo
    events = [ended(at - 6 * HOUR, manager="aiko"), ended(at - 6 * HOUR, manager="anna")]
    told = Told(events, at, {"anna": "UTC", "aiko": "Asia/Tokyo"})
    assert told.calls("anna") == 1
    assert told.calls("aiko") == 0
    assert told.calls("aiko", "7d") == 1

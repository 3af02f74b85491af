"""The oracle with late events, and the order in which it takes events."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.oracle.handmade import DAY, HOUR, MINUTE, NOON, SECOND, Told, answered, ended, records, started, transferred
from tests.oracle.oracle import Thresholds, answers

pytestmark = pytest.mark.slow  # slow, because each case runs all queries: test_oracle.py and test_folds.py are quicker


def test_a_call_that_is_told_days_late_counts_on_its_own_day() -> None:
    events = [ended(NOON, "c1"), ended(NOON - 6 * DAY, "c2"), ended(NOON - 89 * DAY, "c3", talk_ms=60_000)]
    told = Told(events, NOON)
    assert [told.calls(window=window) for window in ("today", "7d", "30d", "90d")] == [1, 2, 2, 3]


def test_an_event_more_than_four_hundred_days_behind_is_not_kept() -> None:
    kept, dropped = NOON - 400 * DAY, NOON - 400 * DAY - 1
    events = [ended(NOON, "new"), ended(dropped, "c1"), ended(kept, "c2")]
    assert Told(events, NOON - 400 * DAY).calls(window="90d") == 1
    assert Told(events[::-1], NOON - 400 * DAY).calls(window="90d") == 2  # it was not behind when it came


def test_a_start_that_comes_six_hours_behind_opens_no_leg_any_more() -> None:
    newest = ended(NOON, "new")
    assert Told([newest, started(NOON - 6 * HOUR)], NOON)("calls_timed_out", window="today") == 1
    assert Told([newest, started(NOON - 6 * HOUR - 1)], NOON)("calls_timed_out", window="today") == 0
    assert Told([started(NOON - 6 * HOUR - 1), newest], NOON)("calls_timed_out", window="today") == 1


def test_an_answer_that_comes_six_hours_behind_is_heard_while_its_leg_is_open() -> None:
    begun, answer = started(NOON - 7 * HOUR), answered(NOON - 7 * HOUR + SECOND)
    newest = ended(NOON, "new")
    assert Told([begun, newest, answer], NOON)("answered_calls", window="today") == 2
    assert Told([newest, begun, answer], NOON)("answered_calls", window="today") == 1


def test_the_order_of_arrival_is_that_of_the_log_and_not_of_the_call() -> None:
    log = records([ended(NOON, "new"), ended(NOON - 401 * DAY, "old")])
    for given in (log, log[::-1]):
        found = answers(given, {"anna": "UTC"}, "UTC", NOON - 401 * DAY, Thresholds())
        assert found["callpulse_answered_calls", (("manager", "anna"), ("window", "today"))] == 0


def test_a_leg_that_a_start_just_in_time_has_opened_hears_what_comes_later() -> None:
    events = [ended(NOON, "new"), started(NOON - 6 * HOUR), answered(NOON - 6 * HOUR - 1)]
    assert Told(events, NOON)("answered_calls", window="today") == 2


def test_the_open_leg_of_another_manager_keeps_no_leg_open() -> None:
    events = [
        started(NOON - 7 * HOUR, manager="boris"),
        ended(NOON, "new"),
        started(NOON - 7 * HOUR, manager="anna"),
    ]
    assert Told(events, NOON)("calls_timed_out", window="today") == 0


def test_a_leg_that_has_ended_is_not_opened_again() -> None:
    events = [started(NOON - 7 * HOUR, lead="A"), ended(NOON - 7 * HOUR + MINUTE), ended(NOON, "new")]
    again = transferred(NOON - 7 * HOUR + SECOND, "boris")
    assert Told([*events, again], NOON)("calls_timed_out", "boris", window="today") is None
    assert Told([*events[:2], again, events[2]], NOON)("calls_timed_out", "boris", window="today") == 1


def test_a_stray_record_arrives_after_those_of_its_managers_own_partition() -> None:
    log = records([ended(NOON, "new"), ended(NOON - 401 * DAY, "c1"), ended(NOON - 401 * DAY, "c2")])
    log = [log[0], replace(log[1], partition=1, offset=0), replace(log[2], partition=1, offset=1)]
    found = answers(log, {"anna": "UTC"}, "UTC", NOON - 401 * DAY)
    assert found["callpulse_answered_calls", (("manager", "anna"), ("window", "today"))] == 2


def test_a_stray_record_and_its_copy_count_once() -> None:
    log = records([ended(NOON, "c1"), ended(NOON, "c2")])
    found = answers([*log, replace(log[0], partition=3)], {"anna": "UTC"}, "UTC", NOON)
    assert found["callpulse_answered_calls", (("manager", "anna"), ("window", "today"))] == 2

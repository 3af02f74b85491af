"""The oracle's answers on activity, presence and runs of work."""

from __future__ import annotations

import pytest

from tests.oracle.handmade import DAY, HOUR, MINUTE, NOON, Told, answered, ended, presence, started, utc

pytestmark = pytest.mark.slow  # slow, because each case runs all queries: test_oracle.py and test_folds.py are quicker

# -- activity and presence


def test_the_last_activity_is_the_latest_event_of_any_call() -> None:
    events = [started(NOON - 9 * MINUTE), answered(NOON - 8 * MINUTE), presence(NOON, "paused")]
    assert Told(events, NOON)("last_activity_timestamp_seconds") == (NOON - 8 * MINUTE) / 1000
    assert Told(events[:1], NOON + DAY)("last_activity_timestamp_seconds") == (NOON - 9 * MINUTE) / 1000


def test_presence_is_what_was_said_last_in_event_time() -> None:
    told = Told([presence(NOON, "paused"), presence(NOON - 1, "available")], NOON)
    assert told("presence", state="paused") == 1
    assert told("presence", state="available") is None
    tie = Told([presence(NOON, "offline", id="b"), presence(NOON, "paused", id="a")], NOON)
    assert tie("presence", state="offline") == 1


# -- runs of work


@pytest.mark.parametrize(("gap_ms", "current"), [(15 * MINUTE - 1, 300 + 899.999 + 600), (15 * MINUTE, 600)])
def test_a_pause_of_fifteen_minutes_ends_a_run(gap_ms: int, current: float) -> None:
    #   ├─5 min─┤  gap  ├──10 min──┤ now
    begins = NOON - 10 * MINUTE
    first = ended(begins - gap_ms, "c1", started_at=begins - gap_ms - 5 * MINUTE)
    second = ended(NOON, "c2", started_at=begins)
    assert Told([second, first], NOON)("work_block_seconds") == pytest.approx(current, abs=1e-9)


def test_a_run_is_over_fifteen_minutes_after_the_last_activity() -> None:
    event = ended(NOON, started_at=NOON - 10 * MINUTE)
    assert Told([event], NOON + 15 * MINUTE - 1)("work_block_seconds") == 600
    assert Told([event], NOON + 15 * MINUTE)("work_block_seconds") == 0


def test_a_run_lasts_while_a_leg_is_in_progress() -> None:
    events = [started(NOON - 3 * HOUR)]
    told = Told(events, NOON)
    assert told("work_block_seconds") == 10800
    assert told("work_blocks", window="today") == 1
    assert told("breaks_missed", window="today") == 1


@pytest.mark.parametrize(
    ("length_ms", "blocks", "breaks"),
    [
        (2 * HOUR - 1, 0, 0),
        (2 * HOUR, 1, 0),
        (3 * HOUR - 1, 1, 0),
        (3 * HOUR, 1, 1),
        (6 * HOUR - 1, 1, 1),
        (6 * HOUR, 1, 2),
    ],
)
def test_blocks_and_missed_breaks_are_counted_at_the_millisecond(length_ms: int, blocks: int, breaks: int) -> None:
    begins = NOON - 7 * HOUR
    moments = range(begins, begins + length_ms, 14 * MINUTE)
    told = Told([started(at, "c1") for at in moments] + [ended(begins + length_ms, started_at=begins)], NOON)
    assert told("work_blocks", window="today") == blocks
    assert told("breaks_missed", window="today") == breaks
    assert told("work_block_seconds") == 0


def test_a_run_belongs_to_the_day_in_which_it_began() -> None:
    midnight = utc("2026-11-23T00:00")
    early = ended(midnight + 2 * HOUR, started_at=midnight - 1)
    on_time = ended(midnight + 2 * HOUR, started_at=midnight)
    assert Told([early], NOON)("work_blocks", window="today") == 0
    assert Told([on_time], NOON)("work_blocks", window="today") == 1


def test_an_end_makes_a_span_of_four_hours_at_most_even_where_a_better_end_is_believed() -> None:
    wrong = ended(NOON, ended_by="cdr", started_at=NOON - 9 * HOUR)
    right = ended(NOON, ended_by="hangup", started_at=NOON - MINUTE)
    told = Told([wrong, right], NOON)
    assert told("work_block_seconds") == 4 * 3600
    assert told("breaks_missed", window="today") == 1


def test_a_late_event_closes_the_gap_between_two_runs() -> None:
    events = [started(NOON - 20 * MINUTE, "c1"), ended(NOON - 20 * MINUTE, "c1"), ended(NOON, "c2")]
    assert Told(events, NOON)("work_block_seconds") == 40
    told = Told([*events, answered(NOON - 10 * MINUTE, "c1")], NOON)
    assert told("work_block_seconds") == 20 * 60 + 40


def test_spans_that_are_equal_begin_one_run_together() -> None:
    # a start, an answer and another start at the same moments, as transfers make them, 20 min apart
    events = []
    for at in range(NOON - 10 * HOUR, NOON, 20 * MINUTE):
        for manager in ("anna", "boris", "clara"):
            events += [started(at, f"a{at}", manager), answered(at, f"a{at}", manager), started(at, f"b{at}", manager)]
            events += [ended(at, f"{end}{at}", manager, started_at=at) for end in "ab"]
    told = Told(events, NOON)
    for manager in ("anna", "boris", "clara"):
        assert told("work_blocks", manager, window="today") == 0
        assert told("work_block_seconds", manager) == 0


def test_only_the_last_run_is_the_current_one() -> None:
    events = [ended(NOON - 2 * HOUR, started_at=NOON - 3 * HOUR), started(NOON - MINUTE, "c2")]
    assert Told(events, NOON)("work_block_seconds") == 60

"""The oracle itself, on cases so small that the right figure can be written down without computing it."""

from __future__ import annotations

import pytest

from tests.oracle.handmade import (
    DAY,
    HOUR,
    MINUTE,
    NOON,
    SECOND,
    Told,
    answered,
    ended,
    presence,
    records,
    started,
    transferred,
    utc,
)
from tests.oracle.oracle import METRICS, Thresholds, answers

# -- everyone and every metric


def test_a_manager_without_events_is_there_at_zero_and_without_ratios() -> None:
    told = Told([], NOON)
    assert {name for name, _ in told.answers} == METRICS - {
        "callpulse_connect_ratio",
        "callpulse_short_call_ratio",
        "callpulse_attempts_per_contact",
        "callpulse_calls_per_lead",
        "callpulse_last_activity_timestamp_seconds",
        "callpulse_presence",
    }
    assert set(told.answers.values()) == {0}
    assert len(told.answers) == 10 + 15 + 6 + 5 + 5 + 2 + 5 + 9 + 1 + 1 + 1 + 1 + 1 + 1 + 5 + 5 + 1


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
        assert told("answered_calls", window=window) == 1
        assert told("connect_ratio", window=window) == 1
        assert told("short_call_ratio", window=window) == 0
        assert told("meaningful_calls", window=window) == 1
        assert told("talk_time_seconds", window=window) == 300
    for window in ("today", "30d"):
        assert told("conversations", window=window) == 1
        assert told("attempts_per_contact", window=window) == 1
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
        ended(NOON - 6 * MINUTE, "c6", talk_ms=25_000, disposition="voicemail"),
    ]
    told = Told(events, NOON)
    assert told("connect_ratio", window="1h") == 2 / 5
    assert told("attempts_per_contact", window="today") == 5 / 2
    assert told("short_call_ratio", window="1h") == 2 / 3
    assert told("talk_time_seconds", window="1h") == 119.999 + 120 + 10  # a voicemail is not talk
    assert told("calls_by_disposition", window="today", disposition="voicemail") == 1


# -- lines to the millisecond


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
    told = Told([ended(NOON, talk_ms=talk_ms)], NOON)
    assert told("short_call_ratio", window="today") == short
    assert told("conversations", window="today") == conversations
    assert told("meaningful_calls", window="today") == meaningful


@pytest.mark.parametrize(
    ("talk_ms", "first"),
    [(0, "6"), (6_000, "6"), (6_001, "20"), (60_000, "60"), (60_001, "120"), (1_200_000, "1200"), (1_200_001, "+Inf")],
)
def test_the_histogram_counts_a_talk_at_its_bound_and_at_every_longer_one(talk_ms: int, first: str) -> None:
    told = Told([ended(NOON, talk_ms=talk_ms)], NOON)
    bounds = ["6", "20", "60", "120", "180", "300", "600", "1200", "+Inf"]
    counted = [told("calls_talked", window="today", le=le) for le in bounds]
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
        ("Europe/Berlin", "2026-03-28T23:00", "2026-03-29T22:00"),  # 23 hours: the clock goes forward
        ("America/New_York", "2026-11-01T04:00", "2026-11-02T05:00"),
        ("Asia/Kolkata", "2026-11-22T18:30", "2026-11-23T18:30"),
        ("Pacific/Kiritimati", "2026-11-22T10:00", "2026-11-23T10:00"),
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


# -- one leg, several reports


def test_an_event_that_is_told_twice_counts_once() -> None:
    once = ended(NOON - MINUTE)
    told = Told([once, once, once | {"talk_ms": 99_000}], NOON)
    assert told.calls() == 1
    assert told("talk_time_seconds", window="today") == 30


def test_the_same_id_for_two_managers_is_two_events() -> None:
    events = [ended(NOON, manager=manager, id="same") for manager in ("anna", "boris")]
    told = Told(events, NOON)
    assert (told.calls("anna"), told.calls("boris")) == (1, 1)


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_a_hangup_is_believed_before_a_cdr_row(order: tuple[int, int]) -> None:
    ends = [
        ended(NOON - HOUR * 2, ended_by="cdr", talk_ms=70_000, kind="cold"),
        ended(NOON - MINUTE, ended_by="hangup", talk_ms=20_000, kind="repeat"),
    ]
    told = Told([ends[place] for place in order], NOON)
    assert told.calls() == told.calls(window="1h") == 1
    assert told("talk_time_seconds", window="today") == 20
    assert told("calls_by_kind", window="today", kind="repeat") == 1
    assert told("calls_by_kind", window="today", kind="cold") == 0


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_of_two_ends_the_answered_one_is_believed_even_if_it_is_earlier(order: tuple[int, int]) -> None:
    ends = [ended(NOON - MINUTE, disposition="no_answer", talk_ms=0), ended(NOON - 2 * MINUTE, talk_ms=61_000)]
    told = Told([ends[place] for place in order], NOON)
    assert told.calls() == told("answered_calls", window="today") == told("conversations", window="today") == 1


def test_of_two_equal_ends_the_later_is_believed() -> None:
    told = Told([ended(NOON - MINUTE, talk_ms=50_000), ended(NOON - 2 * MINUTE, talk_ms=40_000)], NOON)
    assert told("talk_time_seconds", window="today") == 50


def test_a_leg_known_only_by_its_answer_is_in_progress_and_counts_nothing() -> None:
    told = Told([answered(NOON - MINUTE)], NOON)
    assert told.calls() == 0
    assert told("calls_in_progress") == 1
    assert Told([answered(NOON - 4 * HOUR)], NOON)("calls_in_progress") == 0
    assert Told([answered(NOON - 4 * HOUR + 1)], NOON)("calls_in_progress") == 1


def test_calls_in_progress_are_as_old_as_the_first_that_is_known_of_them() -> None:
    events = [
        answered(NOON - 9 * MINUTE, "c1"),
        started(NOON - 8 * MINUTE, "c1"),
        started(NOON - MINUTE, "c2"),
        started(NOON - HOUR, "c3"),
        ended(NOON - MINUTE, "c3"),
    ]
    told = Told(events, NOON)
    assert told("calls_in_progress") == 2
    assert told("longest_call_in_progress_seconds") == 540


# -- ends that never came


def test_a_leg_without_an_end_is_closed_after_four_hours() -> None:
    begun = started(NOON - 4 * HOUR, kind="cold", lead="L1")
    before = Told([begun], NOON - 1)
    assert before.calls() == 0
    assert before("calls_in_progress") == 1
    assert before("longest_call_in_progress_seconds") == 14399.999
    after = Told([begun], NOON)
    assert after("calls_in_progress") == 0
    assert after("calls", window="1h", direction="outbound") == after("calls_timed_out", window="today") == 1
    assert after("calls_by_disposition", window="today", disposition="no_answer") == 1
    assert after("calls_by_kind", window="today", kind="cold") == 1
    assert after.steps("calls") == [1, 0, 0, 0, 0]


def test_a_leg_closed_by_timeout_is_answered_where_an_answer_is_known_but_never_talk_time() -> None:
    told = Told([started(NOON - 5 * HOUR), answered(NOON - 5 * HOUR + SECOND)], NOON)
    assert told("answered_calls", window="today") == 1
    assert told("connect_ratio", window="today") == 1
    assert told("short_call_ratio", window="today") is None
    assert told("calls_talked", window="today", le="+Inf") == 0
    assert told("talk_time_seconds", window="today") == 0


def test_a_late_real_end_replaces_the_timeout() -> None:
    events = [started(NOON - 6 * HOUR), ended(NOON - 5 * HOUR, started_at=NOON - 6 * HOUR, talk_ms=90_000)]
    told = Told(events, NOON)
    assert told.calls() == 1
    assert told("calls_timed_out", window="today") == 0
    assert told("talk_time_seconds", window="today") == 90
    assert told.calls(window="1h") == 0  # it ended five hours ago, not when it would have been closed


def test_what_callpulse_itself_adds_to_the_topic_is_not_believed() -> None:
    events = [
        started(NOON - 5 * HOUR),
        ended(NOON - HOUR, ended_by="timeout", source="callpulse", disposition="answered"),
        started(NOON - MINUTE, "c2", "boris", source="callpulse"),
    ]
    told = Told(events, NOON)
    assert told("calls_timed_out", window="today") == 1
    assert told("calls_by_disposition", window="today", disposition="no_answer") == 1
    assert told("calls_in_progress", "boris") is None


def test_a_source_may_say_itself_that_a_call_timed_out() -> None:
    told = Told([ended(NOON - HOUR, ended_by="timeout", talk_ms=70_000)], NOON)
    assert told("calls_timed_out", window="today") == told("answered_calls", window="today") == 1
    assert told("conversations", window="today") == 0
    assert told("last_activity_timestamp_seconds") is None


# -- transfers
#
#     anna  ├─ring─┤═══talk═══┤
#     boris                   ├─ring─┤═══talk═══┤


def test_a_transfer_ends_the_leg_of_the_one_and_begins_the_leg_of_the_other() -> None:
    at = NOON - 10 * MINUTE
    events = [
        started(at, kind="targeted", lead="L1"),
        answered(at + 5 * SECOND),
        transferred(at + 70 * SECOND, "boris"),
    ]
    told = Told(events, NOON)
    assert told.calls() == told("conversations", window="today") == 1
    assert told("talk_time_seconds", window="today") == 65
    assert told("calls_by_kind", window="today", kind="targeted") == 1
    assert told("calls_in_progress") == 0
    assert told.calls("boris") == 0
    assert told("calls_in_progress", "boris") == 1
    assert told("longest_call_in_progress_seconds", "boris") == 530
    assert told("last_activity_timestamp_seconds", "boris") == (at + 70 * SECOND) / 1000
    assert told("work_block_seconds", "boris") == 530


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 2, 0), (2, 0, 1)])
def test_a_transfer_may_come_before_all_else_of_its_leg(order: tuple[int, ...]) -> None:
    at = NOON - 10 * MINUTE
    events = [started(at), answered(at + 5 * SECOND), transferred(at + 70 * SECOND, "boris")]
    told = Told([events[place] for place in order], NOON)
    assert told("talk_time_seconds", window="today") == 65
    assert told("calls_in_progress", "boris") == 1


def test_a_transfer_of_a_leg_whose_beginning_nobody_told_waits() -> None:
    told = Told([answered(NOON - MINUTE), transferred(NOON, "boris")], NOON)
    assert told.calls() == 0
    assert told("calls_in_progress") == 1
    assert told("calls_in_progress", "boris") is None


def test_the_talk_before_a_transfer_is_unknown_where_the_answer_is() -> None:
    told = Told([started(NOON - MINUTE), transferred(NOON, "boris")], NOON)
    assert told("answered_calls", window="today") == 1
    assert told("short_call_ratio", window="today") is None
    assert told("calls_timed_out", window="today") == 0


def test_the_real_end_of_a_transferred_leg_is_believed_before_the_transfer() -> None:
    at = NOON - 10 * MINUTE
    events = [started(at), answered(at), transferred(at + 80 * SECOND, "boris"), ended(at + 90 * SECOND)]
    told = Told(events, NOON)
    assert told.calls() == 1
    assert told("talk_time_seconds", window="today") == 30


def test_a_transfer_after_the_end_alone_is_known_still_begins_the_other_leg() -> None:
    at = NOON - MINUTE
    events = [ended(at, direction="inbound", kind="inbound", lead="L1"), transferred(at, "boris")]
    told = Told(events, at + 4 * HOUR)
    assert told("calls", "boris", window="today", direction="inbound") == 1
    assert told("calls_by_kind", "boris", window="today", kind="inbound") == 1
    assert told("open_leads_by_calls", "boris", calls="2") == 1


@pytest.mark.parametrize(("how", "disposition"), [("blind", "no_answer"), ("attended", "answered")])
def test_a_leg_begun_by_a_transfer_is_closed_after_four_hours_too(how: str, disposition: str) -> None:
    at = NOON - 4 * HOUR
    events = [started(at - MINUTE, direction="inbound"), transferred(at, "boris", how=how)]
    told = Told(events, NOON)
    assert told("calls", "boris", window="1h", direction="inbound") == 1
    assert told("calls_timed_out", "boris", window="today") == 1
    assert told("calls_by_disposition", "boris", window="today", disposition=disposition) == 1


def test_a_call_handed_on_and_on_is_followed_to_the_last() -> None:
    at = NOON - 10 * MINUTE
    events = [
        transferred(at + 2 * MINUTE, "clara", manager="boris"),
        answered(at + MINUTE, manager="boris"),
        transferred(at + MINUTE, "boris"),
        started(at, lead="L1"),
    ]
    told = Told(events, NOON)
    assert [told.calls(manager) for manager in ("anna", "boris", "clara")] == [1, 1, 0]
    assert told("talk_time_seconds", "boris", window="today") == 60
    assert told("calls_in_progress", "clara") == 1


def test_a_call_handed_back_finds_the_leg_that_ended_with_the_first_transfer() -> None:
    at = NOON - 10 * MINUTE
    events = [started(at), transferred(at + MINUTE, "boris"), transferred(at + 2 * MINUTE, "anna", manager="boris")]
    told = Told(events, NOON)
    assert [told.calls(manager) for manager in ("anna", "boris")] == [1, 1]
    assert told("calls_in_progress", "anna") == 0


def test_a_transfer_to_oneself_only_ends_the_leg() -> None:
    told = Told([started(NOON - HOUR), transferred(NOON, "anna")], NOON)
    assert told.calls() == 1
    assert told("calls_in_progress") == 0


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
    moments = [*range(begins, begins + length_ms, 14 * MINUTE), begins + length_ms]
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


# -- leads


def test_leads_are_sorted_by_their_calls_and_their_conversations() -> None:
    events = []
    for lead, calls, conversations in [("A", 1, 0), ("B", 1, 1), ("C", 4, 2), ("D", 5, 0), ("E", 7, 6)]:
        for number in range(calls):
            talk_ms = 60_000 if number < conversations else 59_999
            events.append(ended(NOON - number * DAY, f"{lead}{number}", lead=lead, talk_ms=talk_ms))
    events.append(ended(NOON, "nobody"))
    told = Told(events, NOON)
    assert told.steps("calls") == [2, 0, 0, 1, 2]
    assert told.steps("conversations") == [1, 1, 0, 0, 1]
    assert told("calls_per_lead", window="30d") == 18 / 5


def test_a_lead_forgets_its_calls_after_thirty_days() -> None:
    first = utc("2026-10-25T00:00")
    events = [ended(first, "c1", lead="A"), ended(first - 1, "c2", lead="A"), ended(first - 1, "c3", lead="B")]
    told = Told(events, NOON)
    assert told.steps("calls") == [1, 0, 0, 0, 0]
    assert told("calls_per_lead", window="30d") == 1
    assert Told(events, NOON + DAY)("calls_per_lead", window="30d") is None


@pytest.mark.parametrize(("dials", "over_called"), [(3, 0), (4, 1)])
def test_more_than_three_dials_a_day_are_too_many(dials: int, over_called: int) -> None:
    outbound = [ended(NOON - n, f"c{n}", lead="A", disposition="busy", talk_ms=0) for n in range(dials)]
    others = [
        ended(NOON, "in", lead="A", direction="inbound"),
        ended(NOON - DAY, "yesterday", lead="A"),
        ended(NOON, "other", lead="B"),
    ]
    assert Told(outbound + others, NOON)("leads_over_called", window="today") == over_called


def test_a_lead_is_with_the_manager_of_its_latest_leg_and_brings_all_its_calls() -> None:
    events = [
        ended(NOON - 3 * HOUR, "c1", "anna", lead="A"),
        ended(NOON - 2 * HOUR, "c2", "anna", lead="A"),
        ended(NOON - 1 * HOUR, "c3", "anna", lead="A"),
        ended(NOON, "c4", "boris", lead="A"),
    ]
    told = Told(events, NOON)
    assert told.steps("calls", "anna") == [0, 0, 0, 0, 0]
    assert told.steps("calls", "boris") == [0, 0, 0, 1, 0]
    assert told("leads_over_called", "boris", window="today") == 1
    assert told("calls_per_lead", "boris", window="30d") == 4
    assert told("calls_per_lead", "anna", window="30d") is None


def test_the_latest_leg_is_the_one_that_began_last_and_then_the_greater_name() -> None:
    long_ago = ended(NOON, "c9", "anna", lead="A", started_at=NOON - HOUR)
    lately = ended(NOON - MINUTE, "c1", "boris", lead="A", started_at=NOON - 2 * MINUTE)
    assert Told([lately, long_ago], NOON).steps("calls", "boris") == [0, 1, 0, 0, 0]
    same = {"lead": "B", "started_at": NOON - HOUR}
    events = [ended(NOON, "c2", "anna", **same), ended(NOON, "c1", "zoe", **same), ended(NOON, "c2", "boris", **same)]
    assert Told(events, NOON).steps("calls", "boris") == [0, 0, 1, 0, 0]


def test_both_legs_of_a_transferred_call_are_calls_on_the_lead() -> None:
    at = NOON - 10 * MINUTE
    events = [
        started(at, lead="A"),
        transferred(at + MINUTE, "boris"),
        ended(at + 3 * MINUTE, manager="boris", lead="A", started_at=at + MINUTE, talk_ms=80_000),
    ]
    told = Told(events, NOON)
    assert told.steps("calls", "boris") == [0, 1, 0, 0, 0]
    assert told.steps("conversations", "boris") == [1, 0, 0, 0, 0]


@pytest.mark.parametrize(("order", "stays_with"), [((0, 1), "boris"), ((1, 0), "anna")])
def test_a_lead_that_an_end_named_wrongly_stays_with_the_manager_it_was_told_of(
    order: tuple[int, int], stays_with: str
) -> None:
    ends = [
        ended(NOON, "c2", "boris", id="row", ended_by="cdr", lead="A"),
        ended(NOON, "c2", "boris", id="call", ended_by="hangup", lead="B"),
    ]
    events = [ended(NOON - HOUR, "c1", "anna", lead="A"), *(ends[place] for place in order)]
    told = Told(events, NOON)
    assert told("open_leads_by_calls", stays_with, calls="1") == (2 if stays_with == "boris" else 1)
    assert told("calls_per_lead", "boris", window="30d") == 1


# -- lateness


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

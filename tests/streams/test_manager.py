"""The manager table, case by case: legs, their ends, transfers, timeouts, lateness and work."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import permutations
from typing import Any, Final

import pytest

from streams.contract.events import CallAnswered, CallsEvent, CallStarted, EndedBy, encode
from streams.tables.manager.counts import (
    ANSWERED,
    CONNECTED,
    CONVERSATIONS,
    HISTOGRAM,
    HOUR_CALLS,
    HOUR_TALK_MS,
    INBOUND,
    INTERNAL_LEGS,
    KIND,
    MEANINGFUL,
    OUTBOUND,
    SHORT,
    TALK_MS,
    TALKED,
    TIMED_OUT,
)
from streams.tables.manager.effect import LegChange, ManagerEffect
from streams.tables.manager.results import result_of
from streams.tables.manager.synthetic import SOURCE
from streams.tables.manager.view import Roster
from tests.streams.timeline import (
    DAY,
    FOLD,
    HOUR,
    MINUTE,
    NINE,
    answered,
    drawn,
    ended,
    folded,
    new_row,
    passing,
    presence,
    seen,
    started,
    transferred,
)

SECOND = 1000


def today(picture: str) -> list[int]:
    row, _ = folded(drawn(picture))
    return seen(row, NINE + 2 * HOUR).counts["today"]


def leaves(effect: ManagerEffect) -> list[tuple[bool, str, int]]:
    return [
        (told.withdrawn, told.finished.disposition, told.finished.talk_ms)
        for told in effect.emitted
        if type(told) is LegChange
    ]


@pytest.mark.parametrize(
    ("picture", "calls", "talk_minutes", "why"),
    [
        ("c1 s a..e", 1, 3, "a leg is counted when it ends"),
        ("c1 s....e", 1, 0, "and also if nobody answered"),
        ("c1 s a...", 0, 0, "but not before"),
        ("c1   a..e", 1, 3, "an end counts without its start"),
        ("c1      e", 1, 0, "and without anything else"),
        ("c1   a...", 0, 0, "an answer alone says too little"),
        ("c1 s a..e\n c2 s ..e", 2, 3, "legs are apart"),
        ("c1 s a..c", 1, 3, "a CDR row counts like a hangup"),
        ("c1 s a..e c", 1, 3, "the hangup is better than the CDR row after it"),
        ("c1 s a..c e", 1, 5, "and replaces the one before it"),
        ("c1 s a..o", 1, 0, "a timeout counts as a call without talk"),
        ("c1 s a..o e", 1, 5, "until the real end comes"),
        ("c1 s a..b", 1, 3, "a transfer ends the leg"),
        ("c1 s a..b e", 1, 5, "unless its own end is known"),
        ("c1 s a..o b", 1, 5, "a transfer is better than a timeout"),
        ("c1 s ...b", 1, 0, "how long was talked before a transfer is not known without an answer"),
        ("c1     .b", 0, 0, "a transfer alone says too little"),
        ("c1 s a.b t", 1, 4, "the last transfer counts"),
    ],
)
def test_a_leg_counts_once_by_the_best_that_is_known(picture: str, calls: int, talk_minutes: int, why: str) -> None:
    counts = today(picture)
    assert counts[INBOUND] + counts[OUTBOUND] == calls, why
    assert counts[TALK_MS] == talk_minutes * MINUTE, why


@pytest.mark.parametrize(
    ("talk", "short", "conversation", "meaningful", "bucket"),
    [
        (0, 1, 0, 0, 0),
        (6 * SECOND, 1, 0, 0, 0),
        (6 * SECOND + 1, 1, 0, 0, 1),
        (60 * SECOND - 1, 1, 0, 0, 2),
        (60 * SECOND, 1, 1, 0, 2),
        (120 * SECOND - 1, 1, 1, 0, 3),
        (120 * SECOND, 0, 1, 0, 3),
        (300 * SECOND - 1, 0, 1, 0, 5),
        (300 * SECOND, 0, 1, 1, 5),
        (1200 * SECOND, 0, 1, 1, 7),
        (1200 * SECOND + 1, 0, 1, 1, 8),
    ],
)
def test_talk_time_decides_what_an_answered_leg_was(
    talk: int, short: int, conversation: int, meaningful: int, bucket: int
) -> None:
    row, _ = folded([ended("c1", NINE + HOUR, begun=NINE, talk=talk)])
    counts = seen(row, NINE + HOUR).counts["today"]
    assert (counts[SHORT], counts[CONVERSATIONS], counts[MEANINGFUL]) == (short, conversation, meaningful)
    assert [place for place, count in enumerate(counts[HISTOGRAM:]) if count] == [bucket]
    assert (counts[ANSWERED], counts[CONNECTED], counts[TALKED], counts[TALK_MS]) == (1, 1, 1, talk)


def test_an_inbound_leg_is_answered_but_not_connected() -> None:
    row, _ = folded([ended("c1", NINE, begun=NINE, talk=1, direction="inbound", kind=None)])
    counts = seen(row, NINE).counts["today"]
    assert (counts[INBOUND], counts[OUTBOUND], counts[ANSWERED], counts[CONNECTED]) == (1, 0, 1, 0)
    assert counts[KIND : KIND + 5] == [0, 0, 0, 0, 1]  # its kind is unknown


def test_a_call_counts_in_the_local_hour_and_day_in_which_it_ended() -> None:
    midnight = NINE + 15 * HOUR
    row, _ = folded([ended("c1", midnight, begun=midnight - 1, talk=1), ended("c2", midnight - 1, begun=NINE, talk=7)])
    before, after = (seen(row, midnight + back).counts["today"] for back in (-1, 0))
    assert (before[OUTBOUND], before[HOUR_CALLS + 23], before[HOUR_TALK_MS + 23]) == (1, 1, 7)
    assert (after[OUTBOUND], after[HOUR_CALLS], after[HOUR_TALK_MS]) == (1, 1, 1)
    assert seen(row, midnight).counts["7d"][OUTBOUND] == 2


# -- emitted facts


def test_the_lead_hears_of_every_finished_leg_and_of_what_replaced_it() -> None:
    row, effects = folded(drawn("c1 s a..o c"))
    assert [leaves(effect) for effect in effects] == [
        [],
        [],
        [(False, "answered", -1)],
        [(True, "answered", -1), (False, "answered", 5 * MINUTE)],
    ]
    assert row.timed_out == {}


def test_an_end_that_counts_the_same_is_not_told_again() -> None:
    events = [ended("c1", NINE, begun=NINE, talk=5, by="cdr"), ended("c1", NINE, begun=NINE, talk=5)]
    _, effects = folded(events)
    assert [leaves(effect) for effect in effects] == [[(False, "answered", 5)], []]


BY_WORTH: Final[tuple[tuple[EndedBy, dict[str, bool]], ...]] = (
    ("hangup", {}),
    ("cdr", {"uncertain": False}),
    ("hangup", {"uncertain": True}),
    ("cdr", {"uncertain": True}),
    ("timeout", {}),
)
"""The kinds of ends, the most reliable one first."""


@pytest.mark.parametrize(("worse", "better"), [(place + 1, place) for place in range(len(BY_WORTH) - 1)])
def test_the_most_reliable_end_counts_in_whatever_order_the_ends_come(worse: int, better: int) -> None:
    begun, legs = NINE - HOUR, []
    for place, talk in ((better, MINUTE), (worse, HOUR)):
        by, more = BY_WORTH[place]
        legs.append(ended("c1", NINE + (place == worse), begun=begun, talk=talk, by=by, id=f"e{place}", **more))
    for events in (legs, legs[::-1]):
        row, _ = folded([started("c1", begun), *events])
        finished = result_of(row.past["c1"])
        assert finished is not None
        assert finished.talk_ms == MINUTE


def test_an_uncertain_end_counts_where_nothing_better_is_known() -> None:
    """A transfer of which only the moment is known has less weight; see the lines of `results.py`."""
    uncertain = ended("c1", NINE + HOUR, begun=NINE, talk=MINUTE, uncertain=True)
    moved = transferred("c1", NINE + HOUR, "boris")
    events: list[CallsEvent] = [started("c1", NINE), answered("c1", NINE + 1), moved, uncertain]
    row, _ = folded(events)
    finished = result_of(row.past["c1"])
    assert finished is not None
    assert (finished.talk_ms, finished.disposition) == (MINUTE, "answered")


def test_a_leg_without_a_lead_is_told_to_nobody() -> None:
    _, effects = folded([ended("c1", NINE, begun=NINE, lead=None)])
    assert effects == [ManagerEffect("applied")]


def test_a_better_end_with_another_lead_is_told_to_both() -> None:
    _, effects = folded(
        [ended("c1", NINE, begun=NINE, by="cdr", lead="old"), ended("c1", NINE, begun=NINE, lead="new")]
    )
    left = [told for told in effects[1].emitted if isinstance(told, LegChange)]
    assert [(told.withdrawn, told.finished.lead) for told in left] == [(True, "old"), (False, "new")]


@pytest.mark.parametrize(
    "picture",
    ["c1 s a..{}", "c1 .s..{}", "c1   a.e{}"],
)
@pytest.mark.parametrize(("how", "joined"), [("b", False), ("t", True)])
def test_a_transfer_begins_the_leg_of_the_manager_who_took_over(picture: str, how: str, joined: bool) -> None:
    events = drawn(picture.format(how))
    _, effects = folded(events)
    begun = [told for effect in effects for told in effect.emitted if type(told) is not LegChange]
    assert [type(told) for told in begun] == [CallStarted, CallAnswered][: 1 + joined]
    assert {(told.manager, told.at, told.source, told.lead) for told in begun} == {
        ("boris", events[-1].at, SOURCE, "lead-c1")
    }
    # The same comes of it in every order, the identity included, so that a repeat is known as one.
    _, effects = folded(reversed(events))
    again = [told for effect in effects for told in effect.emitted if type(told) is not LegChange]
    assert {told.id for told in again} == {told.id for told in begun}


def test_a_transfer_whose_leg_is_not_known_yet_waits_for_it() -> None:
    row, effects = folded([transferred("c1", NINE + MINUTE), started("c1", NINE)])
    assert effects[0].emitted == ()
    assert [type(told) for told in effects[1].emitted] == [LegChange, CallStarted]
    assert seen(row, NINE + MINUTE).in_progress == 0


def test_a_transfer_to_oneself_begins_nothing() -> None:
    _, effects = folded([started("c1", NINE), transferred("c1", NINE + MINUTE, to="anna")])
    assert [type(told) for told in effects[1].emitted] == [LegChange]


@pytest.mark.parametrize("order", [[0, 1, 2], [2, 0, 1], [1, 2, 0]])
def test_the_transfer_that_is_last_by_time_counts(order: list[int]) -> None:
    events: list[CallsEvent] = [
        started("c1", NINE),
        transferred("c1", NINE + 5 * MINUTE, to="boris", id="z"),
        transferred("c1", NINE + 9 * MINUTE, to="clara", id="a"),
    ]
    row, _ = folded([events[place] for place in order])
    finished = result_of(row.past["c1"])
    assert finished is not None
    assert finished.at == NINE + 9 * MINUTE


# -- timeouts


def test_a_leg_whose_end_never_comes_is_closed_after_the_longest_call_allowed() -> None:
    row, _ = folded(drawn("c1 s a"))
    begun = NINE + 3 * MINUTE
    assert FOLD.timeouts(row, begun + 4 * HOUR - 1) == []
    (timeout,) = FOLD.timeouts(row, begun + 4 * HOUR)
    assert (timeout.at, timeout.disposition, timeout.source) == (begun + 4 * HOUR, "answered", SOURCE)
    assert seen(row, begun + 4 * HOUR - 1).in_progress == 1
    assert seen(row, begun + 4 * HOUR).in_progress == 0  # at once, whether or not the timeout has come back
    folded([timeout], row)
    counts = seen(row, timeout.at).counts["today"]
    assert (counts[OUTBOUND], counts[ANSWERED], counts[TIMED_OUT]) == (1, 1, 1)
    assert (counts[TALKED], counts[TALK_MS], sum(counts[HISTOGRAM:])) == (0, 0, 0)
    assert FOLD.timeouts(row, timeout.at) == []


def test_an_answer_that_comes_after_the_timeout_still_makes_it_answered() -> None:
    row, _ = folded([started("c1", NINE)])
    timeouts = FOLD.timeouts(row, NINE + 4 * HOUR)
    _, effects = folded([*timeouts, answered("c1", NINE + MINUTE)], row)
    assert leaves(effects[-1]) == [(True, "no_answer", -1), (False, "answered", -1)]


def test_a_real_end_days_later_replaces_the_timeout() -> None:
    row, _ = folded([started("c1", NINE)])
    timeouts = FOLD.timeouts(row, NINE + 4 * HOUR)
    later = presence("available", NINE + 3 * DAY)
    end = ended("c1", NINE + HOUR, begun=NINE, talk=HOUR, by="cdr")
    _, effects = folded([*timeouts, later, end], row)
    assert effects[-1].outcome == "late"
    counts = seen(row, NINE + 3 * DAY).counts["7d"]
    assert (counts[OUTBOUND], counts[TIMED_OUT], counts[TALK_MS]) == (1, 0, HOUR)


def test_a_timeout_that_a_real_end_has_overtaken_counts_nothing() -> None:
    row, _ = folded([started("c1", NINE)])
    (timeout,) = FOLD.timeouts(row, NINE + 4 * HOUR)
    _, effects = folded([ended("c1", NINE + HOUR, begun=NINE, talk=5), timeout], row)
    assert effects[-1].emitted == ()
    counts = seen(row, NINE + 4 * HOUR).counts["today"]
    assert (counts[OUTBOUND], counts[TIMED_OUT]) == (1, 0)


def test_a_timeout_of_a_leg_that_is_forgotten_counts_nothing() -> None:
    row, _ = folded([started("c1", NINE)])
    (timeout,) = FOLD.timeouts(row, NINE + 4 * HOUR)
    end = ended("c1", NINE + HOUR, begun=NINE, talk=5)
    day_long = [presence("available", NINE + step * 20 * MINUTE, id=f"p{step}") for step in range(5, 40)]
    _, effects = folded([end, *day_long, timeout], row)
    assert effects[-1] == ManagerEffect("duplicate")


def test_what_the_evening_told_is_known_the_next_morning() -> None:
    """A night without calls is no time for repeats: the first event of the morning must not make the fold forget."""
    end = ended("c1", NINE + 8 * HOUR, begun=NINE + 8 * HOUR - MINUTE, talk=5)
    _, effects = folded([end, presence("available", NINE + DAY), end])
    assert effects[-1] == ManagerEffect("duplicate")


def test_an_end_that_is_concluded_does_not_make_other_events_late() -> None:
    row, _ = folded([started("c1", NINE)])
    (timeout,) = FOLD.timeouts(row, NINE + 5 * HOUR)
    _, effects = folded([timeout, presence("available", NINE + MINUTE)], row)
    assert effects[-1] == ManagerEffect("applied")
    assert seen(row, NINE + 2 * DAY).counts["7d"][OUTBOUND] == 1


def test_the_oldest_of_too_many_timeouts_are_given_up() -> None:
    row = new_row()
    for number in range(2100):
        folded([ended(f"c{number}", NINE + number, begun=NINE, by="timeout")], row)
    assert len(row.timed_out) == 2000
    assert "c99" not in row.timed_out
    assert "c100" in row.timed_out


# -- repeats, lateness, forgetting


@pytest.mark.parametrize(
    "picture", ["c1 s", "c1 a", "c1 s a e", "c1 s a b", "c1 s a c e", "c1 s a e c", "c1 s s a a e", "c1 s o e"]
)
def test_a_repeat_of_any_event_of_a_leg_is_a_duplicate(picture: str) -> None:
    events = drawn(picture)
    row, _ = folded(events)
    _, again = folded(events, row)
    assert {effect.outcome for effect in again} == {"duplicate"}


def test_a_repeat_of_presence_is_a_duplicate() -> None:
    _, effects = folded([presence("available", NINE), presence("paused", NINE + 1), presence("available", NINE)])
    assert [effect.outcome for effect in effects] == ["applied", "applied", "duplicate"]


def test_the_newest_presence_counts_even_if_it_came_first() -> None:
    row, _ = folded([presence("paused", NINE + MINUTE), presence("available", NINE)])
    assert seen(row, NINE + HOUR).presence == "paused"


@pytest.mark.parametrize(
    ("behind", "outcome"), [(10 * MINUTE, "applied"), (10 * MINUTE + 1, "late"), (400 * DAY, "late")]
)
def test_a_late_end_counts_in_the_day_it_belongs_to(behind: int, outcome: str) -> None:
    now = NINE + 400 * DAY
    row, effects = folded([presence("available", now), ended("c1", now - behind, begun=now - behind, talk=1)])
    assert effects[-1].outcome == outcome
    assert row.days[row.local.day(now - behind)][OUTBOUND] == 1


def test_an_end_whose_day_is_no_longer_kept_is_too_late() -> None:
    now = NINE + 400 * DAY + 1
    row, effects = folded([presence("available", now), ended("c1", NINE, begun=NINE, talk=1)])
    assert effects[-1] == ManagerEffect("too_late")
    assert row.days == {}


@pytest.mark.parametrize("event", [started("c1", NINE), answered("c1", NINE), transferred("c1", NINE)])
def test_what_is_too_late_to_find_its_leg_is_dropped(event: Any) -> None:
    _, effects = folded([presence("available", NINE + 6 * HOUR), event])
    assert effects[-1].outcome == "late"
    row, effects = folded([presence("available", NINE + 6 * HOUR + 1), event])
    assert effects[-1] == ManagerEffect("too_late")
    assert (row.live.open, row.past, row.live.runs) == ({}, {}, [])


def test_an_open_leg_takes_even_a_very_late_answer() -> None:
    begun = started("c1", NINE + 3 * HOUR)
    row, effects = folded([begun, presence("available", NINE + 10 * HOUR), answered("c1", NINE + 3 * HOUR + 1)])
    assert effects[-1].outcome == "late"
    assert row.live.open["c1"].answered_at == NINE + 3 * HOUR + 1


def test_finished_legs_and_lone_answers_are_forgotten_after_the_retry_horizon() -> None:
    row, _ = folded([*drawn("c1 s a.e\nc2 a"), started("c3", NINE), *passing(NINE, NINE + 6 * HOUR)])
    assert (set(row.past), set(row.live.open)) == ({"c1"}, {"c2", "c3"})
    folded(passing(NINE + 6 * HOUR + 1, NINE + 7 * HOUR), row)
    assert (set(row.past), set(row.live.open)) == (set(), {"c3"})  # c3 waits for its timeout


def test_minutes_are_kept_for_an_hour_and_runs_for_two_days() -> None:
    row, _ = folded(drawn("c1 s a.e"))
    folded([*drawn("c2 s a.e", NINE + DAY), presence("available", NINE + 3 * DAY)], row)
    assert (len(row.live.ring), len(row.live.runs)) == (0, 2)
    folded(drawn("c3 s a.e", NINE + 3 * DAY), row)
    assert [(end - NINE) // DAY for _, end in row.live.runs] == [1, 3]
    _, effects = folded(drawn("c4 s a.e", NINE + HOUR), row)  # counts, but is no work any more
    assert (effects[-1].outcome, len(row.live.runs)) == ("late", 2)


def test_a_manager_of_whom_only_transfers_tell_stays_small() -> None:
    """Transfers to an outside number: legs without any further event."""
    row = new_row()
    for hour in range(600):
        folded([started(f"c{hour}", NINE + hour * HOUR, source=SOURCE)], row)
        folded(FOLD.timeouts(row, NINE + hour * HOUR), row)
    assert len(row.live.open) == 4
    assert len(row.live.ring) <= 140
    assert len(row.live.runs) <= 49


# -- progress, work, shifts


def test_legs_in_progress_are_those_begun_and_not_ended() -> None:
    #       0   4   8
    row, _ = folded(drawn("c1 s a\nc2     s\nc3 s.e\nc4 a.t\nc5  a"))
    view = seen(row, NINE + HOUR)
    assert view.in_progress == 3
    assert view.longest == HOUR - 3 * MINUTE


@pytest.mark.parametrize(
    ("minutes", "block", "why"),
    [
        (13, 13, "with a leg in progress a run lasts until now"),
        (200, 200, "however long ago its last event was"),
    ],
)
def test_a_leg_in_progress_is_work(minutes: int, block: int, why: str) -> None:
    row, _ = folded([started("c1", NINE)])
    assert seen(row, NINE + minutes * MINUTE).work_block == block * MINUTE, why


@pytest.mark.parametrize(("after", "block"), [(0, 30), (15 * MINUTE - 1, 30), (15 * MINUTE, 0)])
def test_a_run_is_over_after_a_quarter_of_an_hour_without_anything(after: int, block: int) -> None:
    end = NINE + 30 * MINUTE
    row, _ = folded([ended("c1", end, begun=NINE, talk=1)])
    assert seen(row, end + after).work_block == block * MINUTE


@pytest.mark.parametrize(
    ("calls", "blocks", "breaks"),
    [
        ([(0, 119)], 0, 0),
        ([(0, 120)], 1, 0),
        ([(0, 100), (114, 180)], 1, 1),  # 14 minutes are no break
        ([(0, 100), (115, 180)], 0, 0),  # 15 are
        ([(0, 130), (150, 290)], 2, 0),
        ([(0, 200), (201, 361)], 1, 2),
    ],
)
def test_blocks_of_work_and_breaks_not_taken(calls: list[tuple[int, int]], blocks: int, breaks: int) -> None:
    events = [ended(f"c{begun}", NINE + end * MINUTE, begun=NINE + begun * MINUTE, talk=1) for begun, end in calls]
    row, _ = folded(events)
    view = seen(row, NINE + 10 * HOUR)
    assert (view.work_blocks, view.breaks_missed) == (blocks, breaks)
    view = seen(row, NINE + 10 * HOUR + DAY)
    assert (view.work_blocks, view.breaks_missed) == (0, 0)


def test_an_end_is_work_for_at_most_the_longest_call_allowed() -> None:
    row, _ = folded([ended("c1", NINE + 9 * HOUR, begun=NINE, talk=1)])
    assert seen(row, NINE + 9 * HOUR).work_block == 4 * HOUR


SHIFT = (NINE, NINE + 9 * HOUR)


@pytest.mark.parametrize(
    ("events", "roster", "on_shift", "idle_minutes", "why"),
    [
        ([], Roster(), False, 0, "nothing is known"),
        ([], Roster(SHIFT, has_shifts=True), True, 60, "idle since the shift began"),
        ([], Roster(None, has_shifts=True), False, 0, "outside the shift"),
        ([presence("offline", NINE)], Roster(SHIFT, has_shifts=True), False, 0, "off in spite of the shift"),
        ([presence("offline", NINE - 15 * HOUR)], Roster(SHIFT, has_shifts=True), False, 0, "off since yesterday"),
        ([presence("paused", NINE)], Roster(SHIFT, has_shifts=True), True, 60, "a pause is part of the shift"),
        (
            [presence("offline", NINE), presence("after_call", NINE + 1)],
            Roster(SHIFT, has_shifts=True),
            True,
            60,
            "back again",
        ),
        ([presence("available", NINE)], Roster(None, has_shifts=True), False, 0, "there outside the shift"),
        ([presence("available", NINE)], Roster(), True, 60, "without shifts presence decides"),
        ([presence("available", NINE - 15 * HOUR - 1)], Roster(), False, 0, "but not for more than 16 h"),
        (
            [ended("c1", NINE + 20 * MINUTE, begun=NINE)],
            Roster(SHIFT, has_shifts=True),
            True,
            40,
            "since the last call",
        ),
        (
            [ended("c1", NINE - HOUR, begun=NINE - HOUR)],
            Roster(SHIFT, has_shifts=True),
            True,
            60,
            "the later of the two",
        ),
        ([started("c1", NINE + 20 * MINUTE)], Roster(SHIFT, has_shifts=True), True, 0, "a leg in progress is not idle"),
    ],
)
def test_shift_and_idleness(
    events: list[CallsEvent], roster: Roster, on_shift: bool, idle_minutes: int, why: str
) -> None:
    row, _ = folded(events)
    view = seen(row, NINE + HOUR, roster=roster)
    assert (view.on_shift, view.idle) == (on_shift, idle_minutes * MINUTE), why


# -- legs that begin again, and internal ones

# anna talks for 10 min, hands the call to boris, gets it back, talks for 5 min, and does not pick up once more
RETURNED: list[CallsEvent] = [
    started("c1", NINE),
    answered("c1", NINE + MINUTE),
    transferred("c1", NINE + 11 * MINUTE),
    started("c1", NINE + 20 * MINUTE, id="back"),
    answered("c1", NINE + 21 * MINUTE),
    ended("c1", NINE + 26 * MINUTE, begun=NINE + 20 * MINUTE, talk=5 * MINUTE),
    started("c1", NINE + 39 * MINUTE),
    ended("c1", NINE + 40 * MINUTE, begun=NINE + 39 * MINUTE),
]


@pytest.mark.parametrize("order", [range(8), range(7, -1, -1), (3, 4, 5, 0, 1, 2, 7, 6)])
def test_a_leg_that_begins_again_is_one_with_the_talk_of_all_its_stretches(order: Iterable[int]) -> None:
    row, effects = folded([RETURNED[place] for place in order])
    counts = seen(row, NINE + HOUR).counts["today"]
    assert (counts[OUTBOUND], counts[ANSWERED], counts[TALK_MS]) == (1, 1, 15 * MINUTE)
    assert not row.live.open
    believed: list[int] = []
    for told in (told for effect in effects for told in effect.emitted if isinstance(told, LegChange)):
        (believed.remove if told.withdrawn else believed.append)(told.finished.at)
    assert believed == [NINE + 40 * MINUTE]


def test_a_leg_that_begins_again_is_in_progress_and_keeps_what_it_counted() -> None:
    row, _ = folded(RETURNED[:5])
    view = seen(row, NINE + 25 * MINUTE)
    assert (view.in_progress, view.longest, view.idle) == (1, 5 * MINUTE, 0)
    assert (view.counts["today"][OUTBOUND], view.counts["today"][TALK_MS]) == (1, 10 * MINUTE)
    (end,) = FOLD.timeouts(row, NINE + 20 * MINUTE + 4 * HOUR)
    assert (end.started_at, end.at) == (NINE + 20 * MINUTE, NINE + 20 * MINUTE + 4 * HOUR)
    folded([end], row)
    assert not row.live.open
    assert seen(row, end.at).counts["today"][TALK_MS] == 10 * MINUTE
    assert FOLD.timeouts(row, end.at) == []
    folded(RETURNED[5:6], row)
    assert seen(row, end.at).counts["today"][TALK_MS] == 15 * MINUTE


def test_an_internal_leg_counts_apart_and_its_manager_is_busy() -> None:
    chat = started("c1", NINE, internal=True)
    row, _ = folded([presence("available", NINE), chat])
    view = seen(row, NINE + 30 * MINUTE)
    assert (view.in_progress, view.idle, view.work_block) == (0, 0, 30 * MINUTE)
    _, effects = folded([ended("c1", NINE + HOUR, begun=NINE, talk=50 * MINUTE, internal=True)], row)
    view = seen(row, NINE + HOUR)
    assert effects[0].emitted == ()
    assert (view.internal_legs, view.internal_talk, view.legs) == (1, 50 * MINUTE, 0)
    assert not any(view.counts["1h"])
    assert sum(view.counts["today"][:INTERNAL_LEGS]) == 0


@pytest.mark.parametrize("order", list(permutations(range(3))))
def test_a_leg_with_a_customer_leaves_out_its_internal_stretches(order: Iterable[int]) -> None:
    ends: list[CallsEvent] = [
        ended("c1", NINE + 10 * MINUTE, begun=NINE, talk=9 * MINUTE, internal=True),
        ended("c1", NINE + 20 * MINUTE, begun=NINE + 15 * MINUTE, talk=5 * MINUTE),
        ended("c1", NINE + 40 * MINUTE, begun=NINE + 30 * MINUTE, talk=8 * MINUTE, internal=True),
    ]
    row, _ = folded([ends[place] for place in order])
    view = seen(row, NINE + HOUR)
    counts = view.counts["today"]
    assert (counts[OUTBOUND], counts[ANSWERED], counts[TALK_MS]) == (1, 1, 5 * MINUTE)
    assert (view.internal_legs, view.internal_talk) == (0, 0)


def test_a_transfer_of_an_internal_leg_begins_an_internal_one() -> None:
    _, effects = folded([started("c1", NINE, internal=True), transferred("c1", NINE + MINUTE)])
    (begun,) = effects[1].emitted
    assert isinstance(begun, CallStarted)
    assert (begun.internal, begun.kind, begun.lead) == (True, None, None)


def test_ordinary_events_that_callpulse_makes_are_written_as_before() -> None:
    row, effects = folded([started("c1", NINE), transferred("c1", NINE + MINUTE)])
    folded([started("c2", NINE)], row)
    made = [effects[1].emitted[1], *FOLD.timeouts(row, NINE + 4 * HOUR)]
    assert not [event for event in made if not isinstance(event, LegChange) and b"internal" in encode(event)]

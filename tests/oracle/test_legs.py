"""The oracle combines the reports of a leg: repeats, better ends, ends that never came, transfers."""

from __future__ import annotations

import itertools

import pytest

from tests.oracle.handmade import HOUR, MINUTE, NOON, SECOND, Told, answered, ended, started, transferred

pytestmark = pytest.mark.slow  # slow, because each case runs all queries: test_oracle.py and test_folds.py are quicker

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
        ended(NOON - HOUR * 2, ended_by="cdr", talk_ms=70_000, kind="cold", started_at=NOON - 3 * HOUR),
        ended(NOON - MINUTE, ended_by="hangup", talk_ms=20_000, kind="repeat", started_at=NOON - 3 * HOUR),
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
    begun = NOON - 3 * MINUTE
    ends = [ended(NOON - ago * MINUTE, talk_ms=ms, started_at=begun) for ago, ms in ((1, 50_000), (2, 40_000))]
    told = Told(ends, NOON)
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
    end = ended(NOON - HOUR, ended_by="timeout", talk_ms=70_000, disposition="failed")
    told = Told([end], NOON)
    assert told("calls_timed_out", window="today") == 1
    assert told("calls_by_disposition", window="today", disposition="failed") == 1
    assert told("last_activity_timestamp_seconds") is None
    told = Told([end, answered(NOON - 2 * HOUR)], NOON)
    assert told("calls_timed_out", window="today") == told("answered_calls", window="today") == 1
    assert told("conversations", window="today") == 0


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
    events = [answered(NOON - MINUTE), transferred(NOON, "boris")]
    told = Told(events, NOON)
    assert told.calls() == 0
    assert told("calls_in_progress") == 0  # the manager who handed the call over is not in it
    assert told("calls_in_progress", "boris") is None
    assert Told([*events, started(NOON - 2 * MINUTE)], NOON).calls() == 1


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


def test_a_leg_to_which_its_call_is_handed_back_goes_on() -> None:
    at = NOON - 10 * MINUTE
    events = [started(at), transferred(at + MINUTE, "boris"), transferred(at + 2 * MINUTE, "anna", manager="boris")]
    told = Told(events, NOON)
    assert [told.calls(manager) for manager in ("anna", "boris")] == [1, 1]
    assert [told("calls_in_progress", manager) for manager in ("anna", "boris")] == [1, 0]
    assert told("longest_call_in_progress_seconds", "anna") == 8 * 60


def test_a_leg_that_begins_again_is_one_with_the_talk_of_all_its_stretches() -> None:
    # anna  s a-----t          s a---e         s---e      10 min until the transfer, 5 min, and a ring that nobody takes
    # boris         s a----t
    at = NOON - HOUR
    said = {"kind": "cold", "lead": "lead-1"}
    events = [
        started(at, **said),
        answered(at + MINUTE),
        transferred(at + 11 * MINUTE, "boris"),
        answered(at + 12 * MINUTE, manager="boris"),
        transferred(at + 20 * MINUTE, "anna", manager="boris"),
        answered(at + 21 * MINUTE),
        ended(at + 26 * MINUTE, started_at=at + 20 * MINUTE, talk_ms=5 * MINUTE, **said),
        ended(at + 40 * MINUTE, started_at=at + 39 * MINUTE, talk_ms=0, disposition="no_answer", **said),
    ]
    for order in (events, events[::-1], events[4:] + events[:4]):
        told = Told(order, NOON)
        assert [told.calls(manager) for manager in ("anna", "boris")] == [1, 1]
        assert told("talk_time_seconds", "anna", window="today") == 15 * 60
        assert told("talk_time_seconds", "boris", window="today") == 8 * 60
        assert (
            told("answered_calls", "anna", window="1h")
            == told("calls_by_kind", "anna", window="today", kind="cold")
            == 1
        )
        assert told("calls_in_progress", "anna") == 0
        assert Told(order, at + 39 * MINUTE + HOUR)("answered_calls", "anna", window="1h") == 1


def test_a_hangup_replaces_the_cdr_row_of_its_own_stretch_alone() -> None:
    second = NOON - 30 * MINUTE
    events = [
        ended(NOON - 50 * MINUTE, ended_by="cdr", started_at=NOON - HOUR, talk_ms=60_000),
        ended(NOON - 20 * MINUTE, ended_by="cdr", started_at=second, talk_ms=120_000),
        ended(NOON - 20 * MINUTE - SECOND, started_at=second, talk_ms=119_000),
    ]
    for order in itertools.permutations(events):
        assert Told(order, NOON)("talk_time_seconds", window="today") == 179


def test_an_internal_leg_counts_apart_and_reaches_no_lead() -> None:
    events = [
        ended(NOON - MINUTE, "c1", internal=True, talk_ms=90_000, lead="lead-1"),
        started(NOON - 5 * MINUTE, "c2", internal=True),
        ended(NOON - 10 * MINUTE, "c3", internal=False, talk_ms=61_000),
        started(NOON - 5 * HOUR, "c4", internal=True),
    ]
    told = Told(events, NOON)
    assert told.calls() == told("conversations", window="today") == 1
    assert told("talk_time_seconds", window="today") == 61
    assert told("internal_calls", window="today") == 2  # one timed out
    assert told("internal_talk_seconds", window="today") == 90
    assert told("calls_in_progress") == told("calls_timed_out", window="today") == 0
    assert told("open_leads_by_calls", calls="1") == 0


def test_internal_stretches_of_a_leg_with_a_customer_are_left_out() -> None:
    begun = NOON - 30 * MINUTE
    events = [
        ended(NOON - 50 * MINUTE, internal=True, talk_ms=60_000, started_at=NOON - HOUR),
        ended(NOON - 20 * MINUTE, talk_ms=120_000, started_at=begun),
    ]
    told = Told(events, NOON)
    assert told("talk_time_seconds", window="today") == 120
    assert told.calls() == 1
    assert told("internal_calls", window="today") == 0


def test_a_transfer_to_oneself_only_ends_the_leg() -> None:
    told = Told([started(NOON - HOUR), transferred(NOON, "anna")], NOON)
    assert told.calls() == 1
    assert told("calls_in_progress") == 0


def test_an_end_that_does_not_say_how_it_is_known_is_a_hangup() -> None:
    begun = NOON - 2 * MINUTE
    cdr = ended(NOON, talk_ms=70_000, ended_by="cdr", started_at=begun)
    told = Told([cdr, ended(NOON - MINUTE, talk_ms=20_000, started_at=begun)], NOON)
    assert told("talk_time_seconds", window="today") == 20


def test_of_two_ends_at_one_moment_the_greater_id_is_believed() -> None:
    ends = [ended(NOON, id=name, talk_ms=talk_ms) for name, talk_ms in (("a", 10_000), ("c", 20_000), ("b", 30_000))]
    assert Told(ends, NOON)("talk_time_seconds", window="today") == 20


def test_a_call_whose_kind_nobody_said_is_unknown() -> None:
    told = Told([ended(NOON, "c1"), ended(NOON, "c2", kind=None), ended(NOON, "c3", kind="cold")], NOON)
    assert told("calls_by_kind", window="today", kind="unknown") == 2


def test_talk_before_a_transfer_begins_with_the_earliest_answer() -> None:
    at = NOON - HOUR
    events = [started(at), answered(at + 20 * SECOND), answered(at + 10 * SECOND), transferred(at + MINUTE, "boris")]
    assert Told(events, NOON)("talk_time_seconds", window="today") == 50


def test_talk_before_a_transfer_is_never_less_than_nothing() -> None:
    told = Told([started(NOON - HOUR), answered(NOON), transferred(NOON - MINUTE, "boris")], NOON)
    assert told("short_call_ratio", window="today") == 1
    assert told("talk_time_seconds", window="today") == 0


def test_the_earliest_start_says_what_a_leg_is() -> None:
    at = NOON - HOUR
    events = [
        started(at, direction="inbound", kind="repeat", id="b"),
        started(at, direction="outbound", kind="cold", id="a"),
        started(at + SECOND, direction="inbound", kind="inbound"),
        transferred(at + MINUTE, "boris"),
    ]
    told = Told(events, NOON)
    assert told("calls", window="today", direction="outbound") == 1
    assert told("calls_by_kind", window="today", kind="cold") == 1


@pytest.mark.parametrize(
    ("better", "worse"),
    [
        ({"ended_by": "hangup"}, {"ended_by": "cdr"}),
        ({"ended_by": "cdr"}, {"ended_by": "timeout"}),
        ({"ended_by": "cdr"}, {"ended_by": "hangup", "uncertain": True}),
        ({"ended_by": "hangup", "uncertain": True}, {"ended_by": "cdr", "uncertain": True}),
        ({"ended_by": "cdr", "uncertain": True}, {"ended_by": "timeout", "uncertain": True}),
        ({"disposition": "answered"}, {"disposition": "busy"}),
        ({"at": NOON - HOUR}, {"at": NOON - HOUR - 1}),
        ({"id": "d"}, {"id": "c"}),
    ],
)
def test_where_no_start_is_known_the_best_end_says_what_is_handed_over(
    better: dict[str, object], worse: dict[str, object]
) -> None:
    begun = NOON - 2 * HOUR
    ends = [
        ended(NOON - HOUR, started_at=begun, direction="inbound", id="a") | better,
        ended(NOON - HOUR, started_at=begun, direction="outbound", id="b") | worse,
    ]
    told = Told([*ends, transferred(NOON - HOUR, "boris")], NOON + 3 * HOUR)
    assert told("calls", "boris", window="today", direction="inbound") == 1


def test_two_managers_of_one_call_hand_it_to_two_others() -> None:
    events = [
        ended(NOON - HOUR),
        ended(NOON - HOUR, manager="boris"),
        transferred(NOON - HOUR, "clara"),
        transferred(NOON - HOUR, "dora", manager="boris"),
    ]
    told = Told(events, NOON)
    assert [told("calls_in_progress", manager) for manager in ("anna", "boris", "clara", "dora")] == [0, 0, 1, 1]


def test_an_attended_transfer_to_oneself_is_no_answer() -> None:
    told = Told([started(NOON - HOUR), transferred(NOON, "anna", how="attended")], NOON)
    assert told("short_call_ratio", window="today") is None

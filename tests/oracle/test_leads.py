"""The oracle's answers on leads and their owners."""

from __future__ import annotations

import pytest

from tests.oracle.handmade import DAY, HOUR, MINUTE, NOON, SECOND, Told, deal, ended, started, transferred, utc

pytestmark = pytest.mark.slow  # slow, because each case runs all queries: test_oracle.py and test_folds.py are quicker


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


def test_a_lead_is_open_until_all_its_deals_are_won_or_lost() -> None:
    calls = [ended(NOON - number, f"{lead}{number}", lead=lead) for lead in "ABC" for number in range(2)]
    deals = [
        *(deal(NOON, "A", "won", "a"), deal(NOON, "B", "lost", "b1")),
        *(deal(NOON, "B", "won", "b2"), deal(NOON, "C", "won", "c1"), deal(NOON, "C", "qualified", "c2")),
    ]
    told = Told([*calls, *deals], NOON)
    assert told.steps("calls") == [0, 1, 0, 0, 0]
    assert told("calls_per_lead", window="30d") == 2


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


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_a_lead_that_an_end_named_wrongly_goes_back(order: tuple[int, int]) -> None:
    ends = [
        ended(NOON, "c2", "boris", id="row", ended_by="cdr", lead="A"),
        ended(NOON, "c2", "boris", id="call", ended_by="hangup", lead="B"),
    ]
    events = [ended(NOON - HOUR, "c1", "anna", lead="A"), *(ends[place] for place in order)]
    told = Told(events, NOON)
    assert told("open_leads_by_calls", "anna", calls="1") == 1
    assert told("calls_per_lead", "boris", window="30d") == 1


@pytest.mark.parametrize("order", [(0, 1, 2), (1, 2, 0), (1, 0, 2), (2, 0, 1)])
def test_a_lead_that_only_a_transfer_named_is_nobodys_once_the_end_names_another(order: tuple[int, ...]) -> None:
    leg = [
        started(NOON - MINUTE, "c2", "boris", lead="A"),
        transferred(NOON - SECOND, "clara", "c2", "boris"),
        ended(NOON, "c2", "boris", lead="B"),
    ]
    told = Told([ended(NOON - HOUR, "c1", "anna", lead="A"), *(leg[place] for place in order)], NOON)
    leads = {manager: told("open_leads_by_calls", manager, calls="1") for manager in ("anna", "boris")}
    assert leads == {"anna": 1, "boris": 1}


def test_a_lead_counts_each_call_on_the_day_of_the_manager_who_made_it() -> None:
    at = utc("2026-11-23T14:59")  # 23:59 in Tokyo
    dials = [ended(at, f"c{n}", "aiko", lead="A") for n in range(4)]
    last = ended(at + 11 * HOUR, "c9", "aiko", lead="A")  # 01:59 in UTC, 10:59 in Tokyo
    told = Told([*dials, last], at + 11 * HOUR, {"aiko": "Asia/Tokyo"})
    assert told("leads_over_called", "aiko", window="today") == 0
    told = Told([*dials, ended(at + HOUR, "c9", "anna", lead="A")], at + HOUR, {"aiko": "Asia/Tokyo", "anna": "UTC"})
    assert told("leads_over_called", "anna", window="today") == 1
    assert told("leads_over_called", "aiko", window="today") == 0


def test_a_long_message_on_a_voicemail_is_no_conversation() -> None:
    told = Told([ended(NOON, lead="A", talk_ms=90_000, disposition="voicemail")], NOON)
    assert told.steps("calls") == [1, 0, 0, 0, 0]
    assert told.steps("conversations") == [0, 0, 0, 0, 0]


def test_the_thirty_days_are_those_of_the_manager_who_has_the_lead() -> None:
    now = utc("2026-11-23T20:00")  # the 24th in Tokyo, whose thirty days begin with October 26
    events = [
        ended(utc("2026-10-25T12:00"), "c1", "aiko", lead="A", talk_ms=60_000),
        ended(now - HOUR, "c2", "anna", lead="A", talk_ms=60_000),
    ]
    told = Told(events, now, {"anna": "UTC", "aiko": "Asia/Tokyo"})
    assert told.steps("calls") == told.steps("conversations") == [0, 1, 0, 0, 0]


def test_two_managers_of_one_call_tell_their_leads_each() -> None:
    events = [
        ended(NOON, "c1", "anna", lead="A"),
        ended(NOON - MINUTE, "c1", "boris", lead="B", ended_by="cdr"),
    ]
    told = Told(events, NOON)
    assert told.steps("calls", "anna") == told.steps("calls", "boris") == [1, 0, 0, 0, 0]

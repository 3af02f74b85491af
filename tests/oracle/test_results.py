"""The oracle's answers on results: cases small enough to calculate by hand, with the calculation beside each."""

from __future__ import annotations

import math

import pytest

from tests.oracle.handmade import (
    DAY,
    HOUR,
    MINUTE,
    NOON,
    SECOND,
    Event,
    Told,
    agreed,
    consulted,
    deal,
    deleted,
    ended,
    linked,
    noted,
    started,
    touched,
    transferred,
    utc,
)
from tests.oracle.practice import Practice

pytestmark = pytest.mark.slow  # a query of every measure for each of a hundred cases


def talk(at: int, call: str, lead: str = "A", manager: str = "anna", **more: object) -> Event:
    """Return a conversation of two minutes."""
    return ended(at, call, manager, lead=lead, **{"talk_ms": 2 * MINUTE, "started_at": at - 3 * MINUTE, **more})


# -- notes


def test_a_note_counts_on_its_call_whether_it_comes_before_it_after_it_or_twice() -> None:
    call, note = talk(NOON, "c1", kind="cold"), noted(NOON + MINUTE, "A", stages=["proposal"], reason="reminder")
    for events in ([call, note], [note, call], [note, call, note]):
        told = Told(events, NOON)
        assert told("proposal_calls", window="7d") == 1
        assert told("follow_up_calls", window="30d", reason="reminder") == 1
        assert told("presentation_ratio", window="90d", kind="cold") == 0  # 0 of 1


@pytest.mark.parametrize(
    ("one", "other", "holds"),
    [
        # the higher revision; of equal ones the later; of equally late ones the greater id
        ({"revision": 2}, {"revision": 1, "at": NOON + HOUR}, "one"),
        ({"revision": 1}, {"revision": 1, "at": NOON + HOUR}, "other"),
        ({"revision": 1, "id": "b"}, {"revision": 1, "id": "a"}, "one"),
    ],
)
def test_a_revision_replaces_all_that_was_said(one: Event, other: Event, holds: str) -> None:
    notes = [noted(NOON, "A", reason="one", **{"id": "n1", **one}), noted(NOON, "A", reason="other2") | other]
    practice = Practice(reasons=("one", "other2"))
    told = Told([*notes, talk(NOON, "c1")], NOON, practice=practice)
    counted = {reason: told("follow_up_calls", window="30d", reason=reason) for reason in practice.reasons}
    assert counted == ({"one": 1, "other2": 0} if holds == "one" else {"one": 0, "other2": 1})


def test_a_note_is_of_the_leg_of_its_manager_or_of_the_leg_that_began_last() -> None:
    at = NOON - HOUR
    call = [
        started(at, lead="A"),
        transferred(at + 2 * MINUTE, "boris"),
        ended(at + 9 * MINUTE, manager="boris", lead="A", started_at=at + 2 * MINUTE, talk_ms=7 * MINUTE),
    ]
    for named, credited in ((None, "boris"), ("boris", "boris"), ("anna", "anna"), ("clara", None)):
        told = Told([*call, noted(NOON, "A", stages=["proposal"], manager=named)], NOON)
        proposals = {who: told("proposal_calls", who, window="7d") for who in ("anna", "boris")}
        assert proposals == {who: who == credited for who in ("anna", "boris")}


def test_a_note_says_the_kind_of_a_call_only_where_the_call_does_not() -> None:
    calls = [talk(NOON - HOUR, "c1"), talk(NOON, "c2", lead="B", kind="repeat")]
    notes = [noted(NOON, "A", "c1", kind="cold"), noted(NOON, "B", "c2", kind="cold", stages=["presentation"])]
    told = Told([*calls, *notes], NOON)
    given = {kind: told("leads_given", window="90d", kind=kind) for kind in ("cold", "repeat", "unknown")}
    assert given == {"cold": 1, "repeat": 1, "unknown": 0}
    assert told("presentation_ratio", window="90d", kind="cold") == 0
    assert told("presentation_ratio", window="90d", kind="repeat") == 1
    assert told("calls_by_kind", window="90d", kind="unknown") == 1  # telephony's own figure stays


def test_a_stage_is_new_once_and_only_stages_of_the_list_are() -> None:
    events = [
        talk(NOON - 3 * HOUR, "c1"),
        talk(NOON - 2 * HOUR, "c2"),
        talk(NOON - HOUR, "c3", disposition="no_answer"),
        noted(NOON, "A", "c1", stages=["qualified", "qualified", "small talk", "lost"]),  # 1 new
        noted(NOON, "A", "c2", stages=["qualified", "presentation"]),  # 1 new
        noted(NOON, "A", "c3", stages=["won"]),  # 1 new, though it was not answered
    ]
    told = Told(events, NOON)
    assert told.claims()["moves"] == {0: 3}
    assert told("stage_moves_per_call", window="30d") == 3 / 2  # two answered legs


def test_the_next_step_ratio_is_of_conversations() -> None:
    events = [
        talk(NOON, "c1"),
        talk(NOON, "c2"),
        talk(NOON, "c3", talk_ms=59_999),
        noted(NOON, "A", "c1", next_step=agreed()),
        noted(NOON, "A", "c2", next_step={"agreed": False}),
        noted(NOON, "A", "c3", next_step=agreed()),
    ]
    assert Told(events, NOON)("next_step_ratio", window="30d") == 1 / 2


# -- progress, the mentor, and stuck leads


def attention(told: Told, manager: str = "anna") -> dict[tuple[str, str], float]:
    return {
        (dict(labels)["lead"], dict(labels)["why"]): value
        for (name, labels), value in told.answers.items()
        if name == "callpulse_lead_attention" and dict(labels)["manager"] == manager
    }


@pytest.mark.parametrize(
    ("conversations", "due", "stuck", "shown"),
    [
        (2, 0, 0, {}),
        (3, 1, 0, {("A", "consultation"): 3}),
        (4, 1, 0, {("A", "consultation"): 4}),
        (5, 1, 1, {("A", "stuck"): 5}),
        (7, 1, 1, {("A", "stuck"): 7}),
    ],
)
def test_help_is_due_after_three_conversations_in_a_row_and_after_five_the_lead_is_stuck(
    conversations: int, due: int, stuck: int, shown: dict[tuple[str, str], float]
) -> None:
    events = [talk(NOON - n * HOUR, f"c{n}") for n in range(conversations)]
    told = Told([*events, talk(NOON, "short", talk_ms=59_999)], NOON)
    assert (told("leads_consultation_due"), told("leads_stuck")) == (due, stuck)
    assert attention(told) == shown
    steps = [0.0] * 5
    steps[min(conversations, 5) - 1] = 1
    assert told.steps("conversations") == steps


@pytest.mark.parametrize(
    ("progress", "left"),
    [
        # conversations at -4 h, -3 h, -2 h, -1 h, 0 h; progress is made at -2 h
        (noted(NOON, "A", "c2", next_step=agreed()), 2),
        (noted(NOON, "A", "c2", stages=["qualified"]), 2),
        (noted(NOON, "A", "c2", stages=["lost", "small talk"]), 5),
        (noted(NOON, "A", "c2", next_step={"agreed": False}, reason="reminder"), 5),
        (deal(NOON - 2 * HOUR, "A", "qualified"), 2),
        (deal(NOON - 2 * HOUR - 1, "A", "qualified"), 3),
        (deal(NOON - 2 * HOUR, "A", "a stage of nobody"), 5),
        (touched(NOON - 2 * HOUR, "A"), 5),
        (consulted(NOON - 2 * HOUR, "A"), 5),
    ],
)
def test_progress_is_an_agreement_a_new_stage_or_a_deal_that_goes_on(progress: Event, left: int) -> None:
    told = Told([*(talk(NOON - n * HOUR, f"c{n}") for n in range(5)), progress], NOON)
    steps = [0.0] * 5
    steps[left - 1] = 1
    assert told.steps("conversations") == steps
    assert told("leads_stuck") == (left == 5)


def test_a_consultation_answers_what_was_due_until_three_more_conversations() -> None:
    events = [consulted(NOON - 2 * HOUR, "A"), *(talk(NOON - n * HOUR, f"c{n}") for n in range(5))]
    told = Told(events, NOON)
    assert (told("leads_consultation_due"), told("leads_stuck")) == (0, 1)  # two since; five without progress
    assert attention(told) == {("A", "stuck"): 5}
    again = Told([*events, talk(NOON + MINUTE, "c9")], NOON + HOUR)
    assert again("leads_consultation_due") == 1


def test_a_consultation_for_a_lead_nobody_knows_counts_nothing() -> None:
    told = Told([consulted(NOON, "nobody")], NOON)
    assert told.claims() == {}


def test_a_deal_that_is_moved_back_takes_back_what_it_had_reached() -> None:
    # conversations at -5 h to -1 h; the proposal at -2 h was progress, until it was found to be none
    events = [*(talk(NOON - n * HOUR, f"c{n}") for n in range(1, 6)), deal(NOON - 6 * HOUR, "A", "qualified")]
    forward = [*events, deal(NOON - 2 * HOUR, "A", "proposal")]
    assert Told(forward, NOON).steps("conversations") == [1, 0, 0, 0, 0]
    assert Told(forward, NOON).claims()["reach:proposal"] == {0: 1}
    back = Told([*forward, deal(NOON - 90 * MINUTE, "A", "qualified")], NOON)
    assert back.steps("conversations") == [0, 0, 0, 0, 1]
    assert "reach:proposal" not in back.claims()
    assert "reach:presentation" not in back.claims()
    again = Told([*forward, deal(NOON - 90 * MINUTE, "A", "qualified"), deal(NOON, "A", "presentation")], NOON)
    assert again.claims()["reach:presentation"] == {0: 1}
    assert again.steps("conversations") == [0, 0, 0, 0, 0]  # progress once more, after all five


def test_a_lost_deal_keeps_what_it_had_reached() -> None:
    told = Told([talk(NOON, "c1"), deal(NOON - DAY, "A", "proposal"), deal(NOON, "A", "lost")], NOON)
    assert told.claims()["reach:proposal"] == {-1: 1}
    assert told.claims()["lost"] == {0: 1}
    assert told("won_deals", window="90d") == 0


def test_a_lead_all_of_whose_deals_are_closed_is_open_no_more() -> None:
    conversations = [talk(NOON - n * HOUR, f"c{n}") for n in range(1, 7)]
    lost = [*conversations, deal(NOON - DAY, "A", "proposal"), deal(NOON, "A", "lost")]
    told = Told(lost, NOON)
    assert told.steps("conversations") == [0] * 5
    assert (told("leads_consultation_due"), told("leads_stuck"), attention(told)) == (0, 0, {})
    assert sum(told("open_leads_by_stage", stage=stage) or 0 for stage in ("none", "proposal", "other")) == 0
    assert told("leads_given", window="90d", kind="unknown") == 1  # it counts as given all the same
    another = Told([*lost, deal(NOON - 2 * DAY, "A", "qualified", "d2")], NOON)
    assert another("leads_stuck") == 1
    assert another("open_leads_by_stage", stage="qualified") == 1  # the open deal counts, though it is older


def test_the_stage_of_a_lead_and_how_long_it_has_been_in_it() -> None:
    events = [
        talk(NOON - 9 * DAY, "c1", "A"),
        talk(NOON - 9 * DAY, "c2", "B"),
        talk(NOON - 9 * DAY, "c3", "C"),
        talk(NOON - 9 * DAY, "c4", "D"),
        deal(NOON - 8 * DAY, "A", "presentation"),
        deal(NOON - 6 * DAY, "A", "presentation"),  # the same stage: since the first of them
        deal(NOON - 2 * DAY, "B", "presentation"),
        deal(NOON - 2 * DAY, "C", "a stage of nobody"),
    ]
    told = Told(events, NOON)
    stages = ("none", "qualified", "presentation", "proposal", "other")
    assert [told("open_leads_by_stage", stage=stage) for stage in stages] == [1, 0, 2, 0, 1]
    ages = [told("mean_stage_age_seconds", stage=stage) for stage in stages]
    assert ages == [9 * 86400, None, 5 * 86400, None, None]  # (8 + 2) / 2 days; `other` has no figure


def test_leads_of_whom_nothing_was_heard_for_thirty_days_are_not_shown() -> None:
    first = utc("2026-10-25T00:00")
    for shift, count in ((0, 1), (-1, 0)):
        told = Told([talk(first + shift - n, f"c{n}") for n in range(5)][::-1], NOON)
        assert told("leads_stuck") == told("open_leads_by_stage", stage="none") == len(attention(told)) == count


def test_the_leads_that_need_help_most_come_first() -> None:
    # (lead, conversations, days in stage): stuck before due, more conversations first, then longer in the stage
    leads = [("a", 3, 9), ("b", 5, 1), ("c", 4, 1), ("d", 4, 2), ("e", 4, 2), ("f", 6, 0)]
    events = []
    for lead, conversations, days in leads:
        events.append(deal(NOON - days * DAY - 12 * HOUR, lead, "not in the list"))
        events += [talk(NOON - n, f"{lead}{n}", lead) for n in range(conversations)]
    for most, shown in ((0, ""), (1, "f"), (3, "fbd"), (4, "fbde"), (5, "fbdec"), (20, "fbdeca")):
        told = Told(events, NOON, practice=Practice(attention_series=most))
        assert {lead for lead, _ in attention(told)} == set(shown)


# -- conversion, amounts, prices


def test_fourteen_deals_of_two_hundred_calls_with_a_proposal_are_seven_percent() -> None:
    events = []
    for n in range(200):
        events.append(talk(NOON - n * HOUR // 2, f"c{n}", f"L{n}"))
        events.append(noted(NOON, f"L{n}", f"c{n}", stages=["proposal"]))
    events += [deal(NOON - n * HOUR, f"L{n}", "won") for n in range(14)]
    told = Told(events, NOON)
    assert told("proposal_calls", window="90d") == 200
    assert told("won_deals", window="90d") == 14
    assert told("conversion_ratio", window="90d") == 0.07
    # Wilson, z = 1.96: (0.07 + 0.0096 ± 1.96 * sqrt(0.07 * 0.93 / 200 + 3.8416 / 160000)) / 1.019208
    assert told("conversion_ratio_lower", window="90d") == pytest.approx(0.0421, abs=1e-4)
    assert told("conversion_ratio_upper", window="90d") == pytest.approx(0.1141, abs=1e-4)
    assert told("first_call_deal_ratio", window="90d") == 0.07  # 200 leads given
    assert told("target_ratio") == 0.05  # 7.75 % is above the cap
    assert told("calls_per_won_deal", window="90d") == pytest.approx(200 / 14)


def test_more_deals_than_proposals_are_taken_for_certain_success() -> None:
    events = [talk(NOON, "c1"), noted(NOON, "A", stages=["proposal"]), deal(NOON, "A", "won"), deal(NOON, "B", "won")]
    told = Told([event | {"manager": "anna"} for event in events], NOON)
    assert told("conversion_ratio", window="90d") == 2
    assert told("conversion_ratio_lower", window="90d") == pytest.approx(1 / (1 + 1.96**2))
    assert told("conversion_ratio_upper", window="90d") == pytest.approx(1)


@pytest.mark.parametrize(
    ("days_ago", "in_7d", "in_30d", "in_90d", "before"),
    [
        (0, 1, 1, 1, 0),
        (6, 1, 1, 1, 0),
        (7, 0, 1, 1, 0),
        (29, 0, 1, 1, 0),
        (30, 0, 0, 1, 0),
        (89, 0, 0, 1, 0),
        (90, 0, 0, 0, 1),
        (179, 0, 0, 0, 1),
        (180, 0, 0, 0, 0),
    ],
)
def test_a_deal_counts_on_the_day_on_which_it_was_won(
    days_ago: int, in_7d: int, in_30d: int, in_90d: int, before: int
) -> None:
    at = NOON - days_ago * DAY
    told = Told([talk(at, "c1"), talk(at + MINUTE, "c2"), deal(at, "A", "won")], NOON)
    assert [told("won_deals", window=window) for window in ("7d", "30d", "90d")] == [in_7d, in_30d, in_90d]
    assert told("calls_per_won_deal", window="90d") == (2 if in_90d else None)
    assert told("calls_per_won_deal", window="previous") == (2 if before else None)
    assert told("first_call_deal_ratio", window="previous") == (1 if before else None)


def test_a_deal_that_is_reopened_is_won_no_more_and_a_second_time_on_the_new_day() -> None:
    events = [talk(NOON - 9 * DAY, "c1"), deal(NOON - 8 * DAY, "A", "won", amount="10", currency="EUR")]
    assert Told(events, NOON)("won_deals", window="90d") == 1
    events.append(deal(NOON - 7 * DAY, "A", "proposal"))
    assert Told(events, NOON)("won_deals", window="90d") == 0
    assert Told(events, NOON)("open_leads_by_stage", stage="proposal") == 1
    told = Told([*events, deal(NOON - 2 * DAY, "A", "won")], NOON)
    assert [told("won_deals", window=window) for window in ("7d", "90d")] == [1, 1]
    assert told("mean_won_amount", window="90d", currency="EUR") == 10  # the earlier amount holds


def test_amounts_are_counted_to_the_thousandth_and_only_in_the_currency() -> None:
    amounts = [("10.001", "EUR"), ("20", "EUR"), ("99", "USD"), ("7", None), (None, "EUR"), ("1e13", "EUR")]
    events: list[Event] = []
    for n, (amount, currency) in enumerate(amounts):
        events.append(deal(NOON, f"L{n}", "won", amount=amount, currency=currency, manager="anna", channel="email"))
    told = Told(events, NOON)
    assert told("won_deals", window="90d") == 6
    assert told("mean_won_amount", window="90d", currency="EUR") == 30.001 / 2
    assert told.team("won_amount", window="90d", channel="email", currency="EUR") == 30.001
    both = Told(events, NOON, practice=Practice(currencies=("EUR", "USD")))
    assert both.team("won_amount", window="90d", channel="email", currency="USD") == 99
    assert both("mean_won_amount", window="90d", currency="EUR") == 30.001 / 2


def test_what_a_deal_costs() -> None:
    # 12 legs at 1.00, 3 e-mails and 2 messages at 0.10, 1 meeting at 25.00: 37.50 for 2 deals
    events = [ended(NOON - n * HOUR, f"c{n}", lead="A", disposition="busy", talk_ms=0) for n in range(11)]
    events.append(ended(NOON, "without a lead"))
    events += [touched(NOON - n, "A", "email") for n in range(3)] + [
        touched(NOON - n, "A", "messenger") for n in range(2)
    ]
    events += [touched(NOON, "B", "meeting", manager="anna"), touched(NOON, "B", "meeting")]  # no manager
    events += [deal(NOON, "A", "won"), deal(NOON, "A", "won", "d2")]
    told = Told(events, NOON)
    assert told("cost_per_won_deal", window="90d") == pytest.approx(37.5 / 2)
    touches = {channel: told.team("touches", window="90d", channel=channel) for channel in Practice().costs}
    assert touches == {"call": 12, "email": 3, "messenger": 2, "meeting": 1}
    assert told.team("cost", window="90d", channel="meeting") == 25


def test_twelve_hundred_calls_for_ten_deals_are_a_norm_of_a_hundred_and_twenty() -> None:
    events = [ended(NOON - n * HOUR, f"c{n}", lead=f"L{n}") for n in range(1200)]
    events += [deal(NOON, f"L{n}", "won") for n in range(10)]
    told = Told(events, NOON, practice=Practice(plans={"anna": 14}))
    assert told("calls_per_won_deal", window="90d") == 120
    assert told("plan_calls_per_day") == 80  # 14 deals of 120 calls in 21 working days
    assert told("target_ratio") == pytest.approx(10 / 1200 + 0.0075)
    assert Told(events, NOON)("plan_calls_per_day") is None


def test_how_deals_were_won() -> None:
    first = NOON - 9 * DAY
    events = [
        ended(first, "c0", lead="A", disposition="busy", talk_ms=0),
        talk(first + HOUR, "c1", talk_ms=400 * SECOND),
        talk(first + DAY, "c2"),
        talk(NOON, "after", started_at=NOON - 3 * MINUTE),
        deal(NOON - DAY, "A", "won"),
        deal(NOON - DAY, "B", "won", manager="anna"),  # B was not called
    ]
    told = Told(events, NOON)
    assert told("won_calls_per_deal", window="90d") == 3
    assert told("won_first_call_talk_seconds", window="90d") == 400


def test_a_deal_is_its_managers_and_else_the_leads() -> None:
    events = [talk(NOON, "c1", "A"), talk(NOON - HOUR, "c2", "B")]
    named = [deal(NOON - HOUR, "A", "proposal", manager="boris"), deal(NOON, "A", "won")]
    told = Told([*events, *named, deal(NOON, "B", "won")], NOON, {"anna": "UTC", "boris": "UTC"})
    assert told("won_deals", "boris", window="7d") == 1
    assert told("won_deals", "anna", window="7d") == 1


# -- by product, client type, channel and kind of the first call


def test_conversion_by_what_the_deal_is_about() -> None:
    events = [
        talk(NOON - DAY, "c1", "A", kind="cold"),
        talk(NOON, "c2", "A", kind="repeat"),
        noted(NOON, "A", "c1", stages=["proposal"]),
        noted(NOON, "A", "c2", stages=["proposal"]),
        deal(NOON - HOUR, "A", "proposal", product="gold", channel="email"),
        deal(NOON, "A", "won", product="silver"),
        talk(NOON, "c3", "B"),
        noted(NOON, "B", "c3", stages=["proposal"]),
        deal(NOON, "C", "won", manager="anna"),
    ]
    told = Told(events, NOON)

    def of(dimension: str, value: str) -> tuple[float | None, float | None]:
        labels = {"window": "90d", "dimension": dimension, "value": value}
        return told.team("won_deals", **labels), told.team("proposal_calls", **labels)

    assert of("product", "silver") == (1, 2)
    assert of("product", "gold") == (None, None)
    assert of("product", "none") == (1, 1)
    assert of("channel", "email") == (1, 2)
    assert of("client_type", "none") == (2, 3)
    assert of("first_kind", "cold") == (1, 2)
    assert of("first_kind", "unknown") == (None, 1)
    assert of("first_kind", "none") == (1, None)


def test_a_team_shows_so_many_names_and_the_rest_as_other() -> None:
    products = ["p1"] + ["p2"] * 2 + ["p3"] * 3 + ["p4"] * 4
    events = [
        deal(NOON, f"L{n}", "won", product=product, manager="anna", amount="1", currency="EUR", channel=product)
        for n, product in enumerate(products)
    ]
    practice = Practice(products=("p1", "p9"), channels=(), max_values=3)
    told = Told(events, NOON, practice=practice)
    shown = {
        value: told.team("won_deals", window="90d", dimension="product", value=value)
        for value in ("p1", "p2", "p3", "p4", "p9", "other")
    }
    assert shown == {"p1": 1, "p2": None, "p3": 3, "p4": 4, "p9": None, "other": 2}
    amounts = {
        value: told.team("won_amount", window="90d", channel=value, currency="EUR")
        for value in ("p1", "p2", "p3", "p4", "other")
    }
    assert amounts == {"p1": None, "p2": 2, "p3": 3, "p4": 4, "other": 1}


# -- the funnel


def test_how_far_leads_came() -> None:
    def ago(days: float) -> int:
        return NOON - round(days * DAY)

    events = [
        # A: a call without conversation, a presentation, a proposal in a call, won
        ended(ago(9), "a1", lead="A", talk_ms=10_000),
        talk(ago(8), "a2", "A"),
        noted(NOON, "A", "a2", stages=["presentation"]),
        talk(ago(5), "a3", "A"),
        noted(NOON, "A", "a3", stages=["won"]),  # the stage `won` in a note of a call is a proposal, not a deal
        deal(ago(3), "A", "won"),
        # B: the deal alone shows the presentation, before the first conversation
        talk(ago(1), "b1", "B"),
        deal(ago(2), "B", "presentation"),
        # C: only dials
        ended(ago(2), "c1", lead="C", disposition="busy", talk_ms=0),
    ]
    claims = Told(events, NOON).claims()
    assert claims["reach:call"] == {-8: 1, -2: 1}
    assert claims["reach:presentation"] == {-8: 1, -2: 1}
    assert claims["reach:proposal"] == {-5: 1}
    assert claims["reach:won"] == {-3: 1}
    told = Told(events, NOON)
    steps = {step: told.team("funnel_leads", window="30d", step=step) for step in ("call", "presentation", "won")}
    assert steps == {"call": 2, "presentation": 2, "won": 1}
    assert Told(events, NOON + 25 * DAY).team("funnel_leads", window="30d", step="presentation") == 1


# -- reasons of repeat calls, promises, hours


def test_follow_ups_by_reason_and_by_how_far_the_deals_had_come() -> None:
    events = [
        ended(NOON - 3 * DAY, "c1", lead="A", disposition="no_answer", talk_ms=0),
        talk(NOON - 2 * DAY, "c2"),
        talk(NOON - DAY, "c3"),
        talk(NOON, "c4"),
        *(noted(NOON, "A", f"c{n}", reason=reason) for n, reason in enumerate(["reminder"] * 3 + ["weather"], 1)),
        deal(NOON - 2 * DAY, "A", "qualified"),
        deal(NOON - DAY, "A", "nobody knows"),
        deal(NOON - DAY + 1, "A", "proposal"),
    ]
    told = Told(events, NOON)
    assert told("follow_up_calls", window="30d", reason="reminder") == 3
    assert told("follow_up_calls", window="30d", reason="other") == 1
    claims = {measure: days for measure, days in told.claims().items() if measure.startswith("reason:")}
    assert claims == {
        "reason:reminder@none": {-3: 1},
        "reason:reminder@qualified": {-2: 1},  # a change at the very moment counts
        "reason:reminder@other": {-1: 1},
        "reason:other@proposal": {0: 1},
    }
    assert told.team("follow_up_calls", window="30d", reason="other", stage="proposal") == 1


@pytest.mark.parametrize(
    ("done", "kept"),
    [
        (ended(NOON + HOUR, "c2", lead="A", disposition="busy", talk_ms=0), 1),  # a dial is an attempt
        (talk(NOON + HOUR, "c2", direction="inbound"), 1),
        (ended(NOON + HOUR, "c2", lead="A", disposition="no_answer", talk_ms=0, direction="inbound"), 0),
        (talk(NOON + HOUR, "c2", "B"), 0),
        (talk(NOON + HOUR, "c2", manager="boris"), 1),
        (touched(NOON + HOUR, "A"), 1),
        (touched(NOON - DAY, "A"), 0),  # at the moment of the promise, not after it
        (touched(NOON - DAY + 1, "A"), 1),
        (touched(utc("2026-11-24T23:59:59.999"), "A"), 1),
        (touched(utc("2026-11-25T00:00"), "A"), 0),
        (ended(utc("2026-11-25T00:10"), "c2", lead="A", started_at=utc("2026-11-24T23:59:59.999")), 1),
        (ended(utc("2026-11-25T00:10"), "c2", lead="A", started_at=utc("2026-11-25T00:00")), 0),
    ],
)
def test_a_promise_is_kept_by_a_call_or_an_activity_before_its_day_is_over(done: Event, kept: int) -> None:
    due_at = utc("2026-11-24T09:00")  # tomorrow; promised yesterday
    events = [talk(NOON - DAY, "c1"), noted(NOON - DAY, "A", "c1", next_step=agreed(due_at)), done]
    told = Told(sorted(events, key=lambda event: event["at"]), NOON + 2 * DAY)
    assert told("next_steps_due", window="30d") == 1
    assert told("next_steps_kept_ratio", window="30d") == kept


def test_a_promise_is_due_on_its_day_and_not_before() -> None:
    events = [talk(NOON - DAY, "c1"), noted(NOON, "A", "c1", next_step=agreed(utc("2026-11-24T00:00")))]
    assert Told(events, NOON)("next_steps_due", window="30d") == 0
    assert Told(events, NOON + DAY)("next_steps_due", window="30d") == 1
    assert Told(events, NOON + 30 * DAY)("next_steps_due", window="30d") == 1
    assert Told(events, NOON + 31 * DAY)("next_steps_due", window="30d") == 0


@pytest.mark.parametrize(("ahead_ms", "due"), [(400 * DAY, 1), (400 * DAY + 1, 0), (73 * 365 * DAY, 0)])
def test_a_promise_for_the_year_2099_is_none(ahead_ms: int, due: int) -> None:
    events = [talk(NOON, "c1"), noted(NOON, "A", "c1", next_step=agreed(NOON + ahead_ms))]
    assert len(Told(events, NOON).claims().get("due", {})) == due


@pytest.mark.parametrize(
    ("zone", "local", "off"),
    [
        ("UTC", "07:59:59.999", 1),
        ("UTC", "08:00", 0),
        ("UTC", "20:59:59.999", 0),
        ("UTC", "21:00", 1),
        ("Asia/Kolkata", "02:29:59.999", 1),  # 07:59 there
        ("Asia/Kolkata", "02:30", 0),
    ],
)
def test_calls_outside_the_permitted_hours_of_the_manager(zone: str, local: str, off: int) -> None:
    begun = utc(f"2026-11-23T{local}")
    events = [
        ended(begun + MINUTE, "c1", lead="A", started_at=begun),
        ended(begun + MINUTE, "c2", lead="A", started_at=begun, direction="inbound"),
    ]
    assert Told(events, begun + MINUTE, {"anna": zone})("calls_off_hours", window="today") == off


# -- deals under several leads


def test_a_deal_under_two_leads_is_one_deal_of_the_lead_of_its_last_stage() -> None:
    events = [
        talk(NOON - 3 * DAY, "c1", "A", "anna", kind="cold"),
        talk(NOON - 3 * DAY, "c2", "B", "boris", kind="inbound"),
        deal(NOON - 2 * DAY, "A", "proposal", "d", product="gold", amount="10", currency="EUR"),
        deal(NOON - DAY, "B", "won", "d"),
        deal(NOON - 3 * DAY, "A", "qualified", "d"),  # late
    ]
    for order in (events, events[::-1]):
        told = Told(order, NOON)
        assert "won" not in told.claims("anna")
        assert told.claims("boris")["won@product=gold"] == {-1: 1}
        assert told.claims("boris")["won@first_kind=inbound"] == {-1: 1}
        assert told("open_leads_by_stage", stage="none") == 1  # A has no deal
        gone = Told([*order, deleted(NOON, "A", "d")], NOON)
        assert "won" not in gone.claims("boris")
    linked_up = Told([*events, linked(NOON, "B", "A")], NOON)
    assert linked_up.claims("boris")["won@first_kind=cold"] == {-1: 1}


def test_ids_of_deals_are_those_of_their_source() -> None:
    won = [deal(NOON, "A", "won", "d", manager="anna", source=source, id=source) for source in ("crm", "other")]
    told = Told([*won, deal(NOON + 1, "B", "lost", "d", source="other")], NOON + 1)
    assert (told.claims()["won"], told.claims()["lost"]) == ({0: 1}, {0: 1})


# -- links


def test_a_caller_who_turns_out_to_be_a_lead_brings_all_calls_along() -> None:
    events = [
        talk(NOON - 3 * HOUR, "c1", "phone:1", "anna", kind="inbound"),
        talk(NOON - 2 * HOUR, "c2", "phone:1", "anna"),
        noted(NOON, "phone:1", "c2", stages=["presentation"]),
        talk(NOON - HOUR, "c3", "crm-1", "boris"),
        deal(NOON, "crm-1", "won"),
    ]
    apart = Told(events, NOON)
    # The lead that was won is closed: it is no open lead of its manager.
    assert (apart.steps("calls"), apart.steps("calls", "boris")) == ([0, 1, 0, 0, 0], [0] * 5)
    link = linked(NOON, "crm-1", "phone:1")
    for order in ([*events, link], [link, *events], [*events[:2], link, *events[2:]]):
        told = Told(order, NOON)
        assert (told.steps("calls"), told.steps("calls", "boris")) == ([0] * 5, [0] * 5)
        assert told("leads_given", "boris", window="90d", kind="inbound") == 1
        assert told("presentation_ratio", "anna", window="90d", kind="inbound") == 0
        labels = {"window": "90d", "dimension": "first_kind", "value": "inbound"}
        assert told.team("won_deals", **labels) == 1


def test_links_are_followed_from_key_to_key_and_the_first_one_holds() -> None:
    events = [
        talk(NOON - 2 * HOUR, "c1", "A"),
        talk(NOON - HOUR, "c2", "C"),
        linked(NOON, "B", "A"),
        linked(NOON + 1, "D", "A"),
        linked(NOON + 2, "C", "B"),
    ]
    assert Told(events, NOON + HOUR).steps("calls") == [0, 1, 0, 0, 0]


# -- hand-overs and zones


def test_everything_goes_over_with_a_lead_but_what_was_done_on_the_phone() -> None:
    events = [
        *(talk(NOON - n * HOUR, f"c{n}", "A", "anna", kind="cold") for n in range(2, 6)),
        noted(NOON, "A", "c2", reason="reminder", manager="anna"),
        talk(NOON - HOUR, "c1", "A", "boris"),
    ]
    told = Told(events, NOON)
    assert (told("leads_stuck"), told("leads_stuck", "boris")) == (0, 1)
    assert told("leads_given", "boris", window="90d", kind="cold") == 1
    assert told("follow_up_calls", window="30d", reason="reminder") == 1
    assert told.claims()["talks"] == {0: 4}
    assert told.claims("boris")["talks"] == {0: 1}


def test_days_are_those_of_who_is_credited() -> None:
    at = utc("2026-11-23T20:00")  # the 24th in Tokyo
    events = [talk(at, "c1", "A", "aiko"), deal(at, "A", "won"), touched(at, "A", manager="anna"), touched(at, "A")]
    told = Told(events, at, {"anna": "UTC", "aiko": "Asia/Tokyo"})
    assert told.claims("aiko")["won"] == {1: 1}
    assert told.claims("aiko")["touch:email"] == {1: 1}
    assert told.claims("anna")["touch:email"] == {0: 1}


# -- expectations


def test_an_hour_is_expected_to_be_like_those_of_the_same_weekday() -> None:
    # Three Mondays with calls: at 11:30 there were 2, 4 and 6, at 12:15 there were 3, 3 and 0.
    events = []
    for week, (before, after) in enumerate([(2, 3), (4, 3), (6, 0)], 1):
        midnight = utc("2026-11-23T00:00") - week * 7 * DAY
        events += [ended(midnight + 11 * HOUR + 30 * MINUTE + n, f"{week}a{n}", talk_ms=60_000) for n in range(before)]
        events += [ended(midnight + 12 * HOUR + 15 * MINUTE + n, f"{week}b{n}", talk_ms=30_000) for n in range(after)]
    now = NOON + 15 * MINUTE
    events += [ended(now - n, f"now{n}") for n in range(7)]
    events.append(ended(NOON - 9 * 7 * DAY, "too long ago"))
    told = Told(sorted(events, key=lambda event: event["at"]), now)
    assert told("expectation_days") == 3
    # 11 h: mean 4, variance 4; 12 h: mean 2, variance 3; a quarter of the hour is over
    expected = 0.25 * 2 + 0.75 * 4
    assert told("expected_calls", window="1h") == expected
    assert told("expected_calls", window="today") == 4 + 0.25 * 2
    assert told("calls_zscore", window="1h") == pytest.approx((7 - expected) / math.sqrt(0.25 * 3 + 0.75 * 4 + 3.5))
    # talk: 240 s on average at 11 h (variance 60² * 4), 60 s at 12 h (variance 30² * 3)
    assert told("expected_talk_seconds", window="1h") == 0.25 * 60 + 0.75 * 240
    variance = 0.25 * 900 * 3 + 0.75 * 3600 * 4 + 3600
    assert told("talk_zscore", window="1h") == pytest.approx((7 * 30 - 195) / math.sqrt(variance))


def test_nothing_is_expected_without_days_and_no_deviation_is_told_from_one() -> None:
    monday = NOON - 7 * DAY
    told = Told([ended(monday)], NOON)
    assert (told("expectation_days"), told("expected_calls", window="1h")) == (1, 0)
    assert told("calls_zscore", window="1h") is None
    assert Told([ended(NOON - DAY)], NOON)("expected_calls", window="1h") is None
    assert Told([ended(NOON)], NOON)("expectation_days") == 0  # today is not part of the baseline


def test_a_quiet_hour_has_a_deviation_too() -> None:
    events = [ended(NOON - week * 7 * DAY - 5 * HOUR, f"c{week}") for week in (1, 2)] + [ended(NOON, "now")]
    told = Told(sorted(events, key=lambda event: event["at"]), NOON)
    assert told("calls_zscore", window="1h") == 1  # (1 - 0) / sqrt(0 + 1)


def test_after_midnight_the_hour_before_is_of_yesterdays_weekday() -> None:
    tuesday = utc("2026-11-24T00:30")
    mondays = [ended(utc("2026-11-16T23:10") + n, f"m{n}") for n in range(6)]  # one Monday of the last eight
    tuesdays = [ended(utc("2026-11-17T00:10") + n, f"t{n}") for n in range(2)]
    told = Told([*mondays, *tuesdays], tuesday)
    assert told("expectation_days") == 1
    assert told("expected_calls", window="1h") == 0.5 * 2 + 0.5 * 6
    yesterday = Told([*mondays, *tuesdays, ended(utc("2026-11-23T12:00"), "noon")], tuesday)
    assert yesterday("expected_calls", window="1h") == 0.5 * 2 + 0.5 * 3  # yesterday is one of them


def test_the_weekdays_of_eight_weeks() -> None:
    events = [
        ended(NOON - 57 * DAY, "too long ago"),
        ended(NOON - 56 * DAY, "a Monday"),
        ended(NOON - 7 * DAY, "another", talk_ms=90_000),
        ended(NOON - 7 * DAY, "again"),
        ended(NOON - 4 * DAY, "a Thursday"),
        ended(NOON, "today"),
        ended(NOON - 4 * DAY, "a Thursday of boris", "boris"),
    ]
    told = Told(sorted(events, key=lambda event: event["at"]), NOON)
    assert (told.team("weekday_days", weekday="mon"), told.team("weekday_calls", weekday="mon")) == (2, 3)
    assert told.team("weekday_talk_seconds", weekday="mon") == 150
    assert told.team("weekday_days", weekday="thu") == 2
    assert told.team("weekday_days", weekday="sun") is None

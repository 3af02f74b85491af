"""The contributions of a lead to its managers, one story of a supervisor after the other."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from streams.tables.measures import NUMBERS
from tests.streams.lead_cases import (
    DAY,
    HOUR,
    NOON,
    TODAY,
    Lead,
    consulted,
    deleted,
    dial,
    fold_by,
    lead,
    leg,
    note,
    stage,
    touched,
)

MINUTE = 60_000


# -- calls on the lead


def since(entries: Mapping[int, int], cutoff: int) -> int:
    """Return the sum of the entries on days >= `cutoff`, as a window reads them."""
    return sum(n for day, n in entries.items() if day >= cutoff)


def test_a_lead_is_counted_by_its_calls_from_each_cutoff_on() -> None:
    #  day         -5  -2   0
    #  calls        1   2   1          calls from the cut-off on: 4 4 .. 3 3 .. 1 1 .. 0
    calls = lead(dial("c1", NOON - 5 * DAY), dial("c2", NOON - 2 * DAY), dial("c3", NOON - 2 * DAY + HOUR), dial("c4"))
    folded = calls.some("calls:")
    held = {
        cutoff: [bucket for bucket in NUMBERS if since(folded.get("calls:" + bucket, {}), cutoff)]
        for cutoff in (-9, -5, -4, -2, -1, 0, 1)
    }
    assert held == {-9: ["4"], -5: ["4"], -4: ["3"], -2: ["3"], -1: ["1"], 0: ["1"], 1: []}
    assert calls.some("sum") == {"sum": {-5: 1, -2: 2, 0: 1}}


def test_five_calls_and_more_are_one_bucket() -> None:
    folded = lead(*(dial(f"c{back}", NOON - back * DAY) for back in range(8))).some("calls:")
    assert [since(folded["calls:5+"], -back) for back in (7, 5, 4, 3)] == [1, 1, 1, 0]


@pytest.mark.parametrize(("dials", "inbound", "over"), [(3, 0, 0), (3, 2, 0), (4, 0, 1), (9, 0, 1)])
def test_a_lead_dialled_more_often_than_allowed_on_a_day_is_over_called(dials: int, inbound: int, over: int) -> None:
    calls = [dial(f"o{number}", NOON + number * MINUTE) for number in range(dials)]
    calls += [dial(f"i{number}", NOON + number * MINUTE, direction="inbound") for number in range(inbound)]
    assert lead(*calls).of().get("over", {}) == ({0: 1} if over else {})


def test_dials_of_all_managers_count_as_calls_on_the_lead() -> None:
    calls = lead(*(dial(f"c{n}", NOON + n * HOUR, "boris" if n % 2 else "anna") for n in range(4)))
    assert calls.of("boris")["over"] == {0: 1}
    assert calls.some("sum", "over") == {}


def test_days_before_the_last_thirty_one_are_not_counted() -> None:
    calls = lead(dial("c1", NOON - 32 * DAY), dial("c2", NOON - 31 * DAY), dial("c3"))
    assert calls.some("sum", "calls:") == {"sum": {-31: 1, 0: 1}, "calls:1": {-31: -1, 0: 1}, "calls:2": {-31: 1}}


def test_calls_on_a_closed_lead_are_not_counted_among_those_on_open_leads() -> None:
    folded = lead(dial("c1", NOON - DAY), *(dial(f"d{n}", NOON + n) for n in range(4)))
    calls = folded.some("calls:", "sum")
    assert set(calls) == {"calls:4", "calls:5+", "sum"}
    folded.take(stage("won", NOON + HOUR))
    assert folded.some("calls:", "sum", "over") == {"over": {0: 1}}
    folded.take(dial("c9", NOON + 2 * HOUR))
    assert folded.some("calls:", "sum") == {}
    folded.take(stage("qualified", NOON + 3 * HOUR, "deal-2"))  # another deal opens the lead again
    assert folded.some("sum") == {"sum": {-1: 1, 0: 5}}
    folded.take(stage("lost", NOON + 4 * HOUR, "deal-2"))
    assert folded.some("calls:", "sum") == {}


# -- owners, and given leads


def test_a_lead_belongs_to_the_manager_of_the_leg_that_was_begun_last() -> None:
    #  anna   ■■■■■■■■■■■■
    #  boris       ■■              ends first, but was begun later
    anna = leg("c1", NOON, "anna", started_at=NOON - HOUR)
    boris = leg("c2", NOON - 30 * MINUTE, "boris", started_at=NOON - 40 * MINUTE)
    for order in ([anna, boris], [boris, anna]):
        assert {manager for manager, measure, _ in lead(*order).totals if measure == "sum"} == {"boris"}


def test_a_lead_that_changes_hands_takes_its_open_counts_along_and_leaves_what_was_done() -> None:
    calls = lead(leg("c1", NOON - DAY), leg("c2", NOON, "boris"))
    assert set(calls.of("anna")) == {"answered:cold", "talks"}
    assert calls.some("streak:", "given:", "stage:", "sum", manager="boris") == {
        "given:cold": {-1: 1},
        "stage:none": {0: 1},
        "streak:2": {0: 1},
        "sum": {-1: 1, 0: 1},
    }


def test_a_withdrawn_call_leaves_nothing() -> None:
    first, second = dial("c1"), leg("c2", NOON + HOUR, "boris", seq=8)
    gone = leg("c2", NOON + HOUR, "boris", seq=9, withdrawn=True)
    assert lead(first, second, gone).totals == lead(first).totals
    better = leg("c2", NOON + HOUR, "boris", seq=10, talk_ms=61_000)
    assert lead(first, second, gone, better).totals == lead(first, better).totals


@pytest.mark.parametrize(
    ("said", "noted", "given"),
    [
        ("cold", None, "cold"),
        ("cold", "targeted", "cold"),
        ("unknown", "targeted", "targeted"),
        ("unknown", None, "unknown"),
        ("inbound", None, "inbound"),
    ],
)
def test_a_lead_is_given_as_what_its_first_call_was(said: str, noted: Any, given: str) -> None:
    folded = lead(leg("c1", NOON - DAY, kind=said), note("c1", kind=noted), leg("c2", kind="repeat"))
    assert folded.some("given:") == {f"given:{given}": {-1: 1}}
    assert folded.some("answered:") == {f"answered:{given}": {-1: 1}, "answered:repeat": {0: 1}}


# -- stages and reasons in another case, values that cannot be read, deals that are deleted


@pytest.mark.parametrize("name", ["WON", "Won", " won"])
def test_a_stage_is_the_same_in_any_case(name: str) -> None:
    folded = lead(leg(), stage(name, id="a"))
    assert folded.some("won") == {"won": {0: 1}}
    assert folded.effects[-1].folded == ()


def test_stages_and_reasons_of_a_note_are_the_same_in_any_case() -> None:
    folded = lead(leg(), note(stages=("Presentation",), reason="REMINDER "))
    assert folded.some("presented:", "reason:") == {"presented:cold": {0: 1}, "reason:reminder@none": {0: 1}}
    assert folded.effects[-1].folded == ()


def test_an_amount_that_cannot_be_read_leaves_the_one_of_an_earlier_change() -> None:
    folded = lead(leg(), stage("proposal", NOON - HOUR, amount="900", currency="EUR"), stage("won", amount="much"))
    assert folded.some("amount:") == {"amount:EUR": {0: 900_000}}


def test_an_amount_in_what_names_no_currency_does_not_count_in_that_of_an_earlier_change() -> None:
    first = stage("proposal", NOON - HOUR, amount="900", currency="EUR")
    folded = lead(leg(), first, stage("won", amount="1000", currency="euros"))
    assert folded.some("amount:", "won") == {"won": {0: 1}}


def test_a_deal_that_is_deleted_counts_nowhere() -> None:
    #  won at -5, deleted at -1, as if it had never been
    folded = lead(leg("c1", NOON - 9 * DAY), leg("c2"), stage("won", NOON - 5 * DAY, amount="1000", currency="EUR"))
    assert folded.some("won", "amount:") == {"won": {-5: 1}, "amount:EUR": {-5: 1_000_000}}
    folded.take(deleted(NOON - DAY))
    assert folded.totals == lead(leg("c1", NOON - 9 * DAY), leg("c2")).totals


def test_a_deletion_may_come_before_the_deal_and_at_the_same_time() -> None:
    both: list[Any] = [deleted(NOON - DAY, id="a"), stage("won", NOON - DAY, id="b")]
    assert lead(leg(), *both).totals == lead(leg(), *reversed(both)).totals == lead(leg()).totals


def test_a_deal_that_is_changed_after_its_deletion_is_as_it_was() -> None:
    folded = lead(leg(), stage("proposal", NOON - 5 * DAY), deleted(NOON - 2 * DAY), stage("proposal", NOON - DAY))
    assert folded.some("since:") == {"since:proposal": {0: TODAY - 5}}


def test_deals_that_were_merged_are_one() -> None:
    #  CRM: d59a and d59b were won, and became d59c
    parts = [stage("won", NOON - 5 * DAY, "a", amount="1"), stage("won", NOON - 4 * DAY, "b", amount="1")]
    remaining = stage("won", NOON - DAY, "c", amount="2")
    folded = lead(leg(), *parts, deleted(NOON - DAY, "a"), deleted(NOON - DAY, "b"), remaining)
    assert folded.totals == lead(leg(), remaining).totals


# -- changes of a deal at the same time


@pytest.mark.parametrize("ids", [("a", "b"), ("b", "a")], ids="-".join)
@pytest.mark.parametrize(
    ("first", "then"),
    [
        ("proposal", "won"),
        ("qualified", "presentation"),
        ("won", "lost"),
        ("dreaming", "qualified"),
        ("proposal", "lost"),
    ],
)
def test_of_two_stages_at_the_same_time_the_later_stage_wins(first: str, then: str, ids: tuple[str, str]) -> None:
    changes: list[Any] = [stage(first, NOON - HOUR, id=ids[0]), stage(then, NOON - HOUR, id=ids[1])]
    folded = lead(leg("c1", NOON - DAY), *changes)
    assert folded.totals == lead(leg("c1", NOON - DAY), *reversed(changes)).totals
    alone = lead(leg("c1", NOON - DAY), stage(then, NOON - HOUR, id=ids[1]))
    assert folded.some("stage:", "won", "lost") == alone.some("stage:", "won", "lost")


@pytest.mark.parametrize("ids", [("a", "b"), ("b", "a")], ids="-".join)
def test_a_follow_up_is_counted_at_the_later_of_two_stages_at_the_same_time(ids: tuple[str, str]) -> None:
    changes: list[Any] = [stage("presentation", NOON - HOUR, id=ids[0]), stage("proposal", NOON - HOUR, id=ids[1])]
    folded = lead(leg(), note(reason="reminder"), *changes)
    assert folded.some("reason:") == {"reason:reminder@proposal": {0: 1}}


# -- progress, the mentor rule, stuck leads


def talks(count: int, **more: Any) -> list[Any]:
    """Return conversations, a day each, the last of them today."""
    return [leg(f"c{n}", NOON - (count - n) * DAY, **more) for n in range(1, count + 1)]


HELP = ("streak:", "mentor", "stuck")


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (talks(1), {"streak:1": {0: 1}}),
        (talks(2), {"streak:2": {0: 1}}),
        (talks(3), {"streak:3": {0: 1}, "mentor": {0: 1}}),
        (talks(4), {"streak:4": {0: 1}, "mentor": {0: 1}}),
        (talks(5), {"streak:5+": {0: 1}, "mentor": {0: 1}, "stuck": {0: 1}}),
        (talks(7), {"streak:5+": {0: 1}, "mentor": {0: 1}, "stuck": {0: 1}}),
        ([*talks(3), consulted(NOON + HOUR)], {"streak:3": {0: 1}}),
        ([*talks(3), consulted(NOON - DAY)], {"streak:3": {0: 1}}),
        ([*talks(5), consulted(NOON + HOUR)], {"streak:5+": {0: 1}, "stuck": {0: 1}}),
        ([*talks(6), consulted(NOON - 3 * DAY)], {"streak:5+": {0: 1}, "mentor": {0: 1}, "stuck": {0: 1}}),
        ([*talks(3), note("c1", agreed=True)], {"streak:2": {0: 1}}),
        ([*talks(3), note("c3", agreed=True)], {}),
        ([*talks(3), note("c2", stages=("qualified",))], {"streak:1": {0: 1}}),
        ([*talks(3), note("c2", stages=("lost",))], {"streak:3": {0: 1}, "mentor": {0: 1}}),
        ([*talks(3), note("c2", stages=("dreaming",))], {"streak:3": {0: 1}, "mentor": {0: 1}}),
        ([*talks(3), stage("proposal", NOON - DAY)], {"streak:1": {0: 1}}),
        ([*talks(3), stage("lost", NOON - DAY)], {}),
        ([*talks(3), stage("won", NOON - DAY)], {}),
        ([*talks(3), stage("won", NOON - DAY), stage("qualified", NOON - DAY, "deal-2")], {"streak:1": {0: 1}}),
        ([dial(f"c{n}", NOON - n * DAY) for n in range(6)], {}),
    ],
    ids=[
        "one",
        "two",
        "a consultation is due after the third",
        "and still after the fourth",
        "stuck after the fifth",
        "and further on",
        "consulted after the third: not due any more",
        "consulted in between: not three since",
        "consulted does not free a stuck lead",
        "three again since the consultation",
        "an agreed next step is progress",
        "also in the last call",
        "a stage reached in a call is progress",
        "that a lead was lost is none",
        "nor a stage that nobody knows",
        "a deal that moved on is progress",
        "a lost lead needs no help",
        "nor does one that was won",
        "with another deal the lead is open",
        "who never answered had no conversation",
    ],
)
def test_help_is_due_after_conversations_without_progress(said: list[Any], expected: Any) -> None:
    assert lead(*said).some(*HELP) == expected


def test_a_stage_named_again_is_no_progress_and_no_move() -> None:
    folded = lead(*talks(3), note("c1", stages=("presentation",)), note("c2", stages=("presentation", "proposal")))
    assert folded.some("moves", "streak:") == {"moves": {-2: 1, -1: 1}, "streak:1": {0: 1}}
    folded.take(note("c3", stages=("proposal",)))
    assert folded.some("moves", "streak:") == {"moves": {-2: 1, -1: 1}, "streak:1": {0: 1}}


def test_a_lead_that_needs_help_is_listed_with_why() -> None:
    folded = lead(*talks(2), dial("c9", NOON - HOUR), leg("c3"), note("c2", reason="reminder"))
    listed = folded.received.listed["anna", "lead-1"]
    assert (listed.why, listed.attempts, listed.without_progress, listed.reason) == ("consultation", 4, 3, "reminder")
    assert (listed.stage, listed.stage_since, listed.day) == ("none", NOON - DAY, TODAY)
    folded.take(stage("proposal", NOON - 9 * DAY), leg("c4", NOON + HOUR), leg("c5", NOON + 2 * HOUR))
    listed = folded.received.listed["anna", "lead-1"]
    assert (listed.why, listed.stage, listed.stage_since) == ("stuck", "proposal", NOON - 9 * DAY)
    folded.take(leg("c6", NOON + 3 * HOUR, "boris"))
    assert set(folded.received.listed) == {("boris", "lead-1")}
    folded.take(note("c6", manager="boris", agreed=True))
    assert folded.received.listed == {}


def test_the_reason_that_is_listed_is_that_of_the_last_call_that_has_one() -> None:
    folded = lead(*talks(4), note("c1", reason="reminder"), note("c3", reason="my cousin"), note("c4"))
    assert folded.received.listed["anna", "lead-1"].reason == "other"


# -- stages and deals


def test_an_open_lead_is_counted_at_the_stage_of_its_deal_since_it_came_there() -> None:
    folded = lead(dial(), stage("qualified", NOON - 9 * DAY), stage("proposal", NOON - 4 * DAY))
    assert folded.some("stage:", "since:") == {"stage:proposal": {0: 1}, "since:proposal": {0: TODAY - 4}}


def test_a_lead_without_a_deal_is_at_no_stage_since_its_first_call() -> None:
    folded = lead(dial("c1", NOON - 7 * DAY), dial("c2"))
    assert folded.some("stage:", "since:") == {"stage:none": {0: 1}, "since:none": {0: TODAY - 7}}


def test_a_stage_that_is_reported_again_keeps_its_start() -> None:
    folded = lead(dial(), stage("proposal", NOON - 9 * DAY), stage("proposal", NOON - 2 * DAY))
    assert folded.some("since:") == {"since:proposal": {0: TODAY - 9}}


def test_a_stage_out_of_the_list_is_other_and_said_so() -> None:
    folded = lead(dial(), stage("dreaming", NOON - 3 * DAY), stage("musing", NOON - DAY))
    assert folded.some("stage:", "since:") == {"stage:other": {0: 1}, "since:other": {0: TODAY - 3}}
    assert [effect.folded for effect in folded.effects] == [(), ("stage",), ("stage",)]


def test_the_deal_that_changed_last_speaks_for_the_lead_of_those_that_are_open() -> None:
    folded = lead(dial(), stage("qualified", NOON - 9 * DAY, "a"), stage("presentation", NOON - 8 * DAY, "b"))
    assert set(folded.some("stage:")) == {"stage:presentation"}
    folded.take(stage("won", NOON - 7 * DAY, "b"))
    assert set(folded.some("stage:")) == {"stage:qualified"}
    folded.take(stage("lost", NOON - 6 * DAY, "a"))
    assert folded.some("stage:") == {}


WON = ("won", "reach:won", "lost")


@pytest.mark.parametrize(
    ("stages", "expected"),
    [
        (["won"], {"won": {-1: 1}, "reach:won": {-1: 1}}),
        (["won", "won"], {"won": {-2: 1}, "reach:won": {-2: 1}}),
        (["won", "proposal"], {}),
        (["won", "proposal", "won"], {"won": {-1: 1}, "reach:won": {-1: 1}}),
        (["won", "lost"], {"lost": {-1: 1}, "reach:won": {-2: 1}}),
        (["lost", "won"], {"won": {-1: 1}, "reach:won": {-1: 1}}),
        (["lost", "qualified"], {}),
        (["won", "dreaming"], {"reach:won": {-2: 1}}),
    ],
    ids=[
        "won",
        "won and reported again",
        "moved back: not won after all",
        "won again: on the later day",
        "won, then lost: it came as far as won",
        "reopened and won",
        "reopened",
        "won, then something that nobody knows",
    ],
)
def test_a_deal_that_is_moved_back_or_reopened_takes_back_what_it_counted(stages: list[str], expected: Any) -> None:
    changes = [stage(name, NOON - (len(stages) - place) * DAY) for place, name in enumerate(stages)]
    folded = lead(leg("c1", NOON - 9 * DAY), *changes)
    assert folded.some(*WON) == expected
    assert lead(*reversed(changes), leg("c1", NOON - 9 * DAY)).totals == folded.totals


def test_a_won_deal_counts_by_its_attributes_and_by_the_calls_before_it() -> None:
    folded = lead(
        leg("c1", NOON - 9 * DAY, kind="inbound", talk_ms=123_000),
        dial("c2", NOON - 5 * DAY),
        leg("c3", NOON, started_at=NOON - DAY),
        stage("proposal", NOON - 3 * DAY, product="gold", client_type="new", channel="phone", amount="1200.5"),
        stage("won", NOON - 2 * DAY, product="tin", currency="USD"),
        leg("c4", NOON + HOUR),
    )
    assert folded.some("won", "won@", "amount:", "amounts:", "amount@", "win_calls", "win_leads", "win_talk") == {
        "won": {-2: 1},
        "won@product=tin": {-2: 1},
        "won@client_type=new": {-2: 1},
        "won@channel=phone": {-2: 1},
        "won@first_kind=inbound": {-2: 1},
        "amount:USD": {-2: 1_200_500},
        "amounts:USD": {-2: 1},
        "amount@channel=phone:USD": {-2: 1_200_500},
        "win_calls": {-2: 2},
        "win_leads": {-2: 1},
        "win_talk": {-2: 123_000},
    }


def test_a_deal_of_a_lead_that_nobody_called_is_its_managers_or_nobodys() -> None:
    assert lead(stage("won")).totals == {}
    folded = lead(stage("won", manager="boris", amount="5", currency="EUR")).of("boris")
    assert folded["won@first_kind=none"] == {0: 1}
    assert folded["amount:EUR"] == {0: 5_000}
    assert not {"win_calls", "win_leads", "win_talk"} & set(folded)


def test_a_deal_is_its_managers_and_without_one_the_owners() -> None:
    folded = lead(leg("c1", NOON - DAY), stage("proposal", NOON - HOUR, manager="boris"), stage("won"))
    assert (folded.some("won", manager="anna"), folded.some("won", manager="boris")) == ({}, {"won": {0: 1}})
    folded = lead(leg("c1", NOON - DAY), stage("won"), leg("c2", NOON + HOUR, "boris"))
    assert (folded.some("won", manager="anna"), folded.some("won", manager="boris")) == ({}, {"won": {0: 1}})


@pytest.mark.parametrize(
    ("said", "counted", "fields"),
    [
        ({"amount": "12.5", "currency": "EUR"}, 12_500, ()),
        ({"amount": "0.0005", "currency": "EUR"}, 1, ()),
        ({"amount": "-3", "currency": "EUR"}, -3_000, ()),
        ({"amount": "1000000000000", "currency": "EUR"}, 10**15, ()),
        ({"amount": "1000000000000.01", "currency": "EUR"}, None, ("amount",)),
        ({"amount": "12.5", "currency": "XAU"}, None, ("currency",)),
        ({"amount": "12.5"}, None, ()),
        ({"currency": "EUR"}, None, ()),
        ({"amount": "1 000,50", "currency": "eur"}, 1_000_500, ()),
        ({"amount": "", "currency": "EUR"}, None, ()),
        ({"amount": "twelve", "currency": "EUR"}, None, ("amount",)),
        ({"amount": True, "currency": "EUR"}, None, ("amount",)),
        ({"amount": "1e16", "currency": "EUR"}, None, ("amount",)),
        ({"amount": "12.5", "currency": "euros"}, None, ("currency",)),
        ({"amount": "NaN", "currency": "$"}, None, ("currency", "amount")),
    ],
)
def test_an_amount_is_summed_where_it_can_be(said: Any, counted: int | None, fields: tuple[str, ...]) -> None:
    folded = lead(leg(), stage("won", **said))
    assert folded.of().get("amount:EUR", {}).get(0) == counted
    assert folded.of().get("amounts:EUR", {}).get(0) == (None if counted is None else 1)
    assert folded.some("won") == {"won": {0: 1}}
    assert folded.effects[-1].folded == fields


# -- the funnel


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ([dial("c1", NOON - 3 * DAY)], {}),
        ([leg("c1", NOON - 3 * DAY), leg("c2")], {"call": -3}),
        ([dial("c1", NOON - 3 * DAY), note("c1", stages=("presentation",))], {"call": -3, "presentation": -3}),
        ([leg(), note(stages=("proposal",))], {"call": 0, "presentation": 0, "proposal": 0}),
        ([leg(), note(stages=("won",))], {"call": 0, "presentation": 0, "proposal": 0}),
        ([leg(), stage("qualified")], {"call": 0}),
        (
            [leg(), stage("won", NOON + 2 * DAY)],
            {"call": 0, "presentation": 2, "proposal": 2, "won": 2},
        ),
        (
            [leg(), stage("presentation", NOON - DAY), stage("proposal"), stage("presentation", NOON + DAY)],
            {"call": -1, "presentation": -1},
        ),
    ],
    ids=[
        "nobody answered",
        "the first conversation",
        "a presentation is a call",
        "a proposal passes through a presentation",
        "a note of winning wins no deal",
        "qualified is before the funnel's second step",
        "a deal won at once passes through all",
        "moved back from the proposal",
    ],
)
def test_a_lead_reaches_each_step_of_the_funnel_once(said: list[Any], expected: dict[str, int]) -> None:
    assert lead(*said).some("reach:") == {f"reach:{step}": {day: 1} for step, day in expected.items()}


# -- what the legs were


def test_conversion_is_won_in_calls_in_which_a_proposal_was_discussed() -> None:
    folded = lead(
        leg("c1", NOON - DAY),
        leg("c2"),
        dial("c3"),
        note("c1", stages=("presentation", "proposal")),
        note("c2", stages=("proposal",)),
        note("c3", stages=("proposal", "presentation")),
        stage("proposal", product="gold"),
    )
    assert folded.some("presented:", "proposed", "proposed@") == {
        "presented:cold": {-1: 1},
        "proposed": {-1: 1, 0: 1},
        "proposed@product=gold": {-1: 1, 0: 1},
        "proposed@client_type=none": {-1: 1, 0: 1},
        "proposed@channel=none": {-1: 1, 0: 1},
        "proposed@first_kind=cold": {-1: 1, 0: 1},
    }


def test_a_next_step_is_agreed_in_a_conversation() -> None:
    folded = lead(leg("c1"), dial("c2"), note("c1", agreed=True), note("c2", agreed=True))
    assert folded.some("talks", "agreed") == {"talks": {0: 1}, "agreed": {0: 1}}


@pytest.mark.parametrize(
    ("reason", "changes", "expected"),
    [
        ("reminder", [], "reason:reminder@none"),
        ("weather", [], "reason:other@none"),
        ("reminder", [stage("proposal", NOON)], "reason:reminder@proposal"),
        ("reminder", [stage("proposal", NOON + 1)], "reason:reminder@none"),
        ("reminder", [stage("proposal", NOON - DAY), stage("won", NOON - HOUR, "b")], "reason:reminder@won"),
        ("reminder", [stage("dreaming", NOON - DAY)], "reason:reminder@other"),
    ],
)
def test_a_follow_up_counts_by_its_reason_and_the_stage_at_that_time(
    reason: str, changes: list[Any], expected: str
) -> None:
    folded = lead(leg(), note(reason=reason), *changes)
    assert folded.some("reason:") == {expected: {0: 1}}
    assert folded.effects[1].folded == (("reason",) if reason == "weather" else ())


@pytest.mark.parametrize(
    ("manager", "clock", "off"),
    [
        ("anna", 8 * HOUR - 1, True),
        ("anna", 8 * HOUR, False),
        ("anna", 21 * HOUR - 1, False),
        ("anna", 21 * HOUR, True),
        ("boris", 6 * HOUR - 1, True),  # Amsterdam is two hours ahead in summer
        ("boris", 6 * HOUR, False),
        ("boris", 19 * HOUR, True),
        ("chen", 2 * HOUR + 14 * MINUTE, True),  # Kathmandu is 5:45 ahead
        ("chen", 2 * HOUR + 15 * MINUTE, False),
    ],
)
def test_a_dial_outside_the_permitted_hours_of_the_managers_clock_is_off_hours(
    manager: str, clock: int, off: bool
) -> None:
    at = TODAY * DAY + clock
    folded = lead(dial("c1", at + MINUTE, manager, started_at=at))
    assert bool(folded.some("off_hours", manager=manager)) == off
    assert lead(dial("c1", at + MINUTE, manager, started_at=at, direction="inbound")).some("off_hours") == {}


# -- promises


PROMISE = note("c1", NOON + HOUR, NOON + 2 * DAY)


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        ([], False),
        ([dial("c2", NOON + 2 * DAY)], True),
        ([dial("c2", NOON + DAY)], True),
        ([dial("c2", TODAY * DAY + 3 * DAY - MINUTE)], True),
        ([dial("c2", TODAY * DAY + 3 * DAY + HOUR)], False),
        ([dial("c2", NOON + DAY, "boris")], True),
        ([dial("c2", NOON + DAY, direction="inbound")], False),
        ([leg("c2", NOON + DAY, direction="inbound")], True),
        ([touched("email", NOON + DAY)], True),
        ([touched("email", NOON - DAY)], False),
        ([touched("email", NOON + 3 * DAY)], False),
    ],
    ids=[
        "nothing was done",
        "called on the day",
        "called before it",
        "called in the last minute of it",
        "called the day after",
        "called by somebody else",
        "the customer called in vain",
        "the customer called and was answered",
        "an e-mail is enough",
        "one before the promise is not",
        "nor one after the day",
    ],
)
def test_a_promise_is_kept_by_reaching_out_until_the_end_of_its_day(said: list[Any], kept: bool) -> None:
    assert lead(leg(), PROMISE, *said).some("due", "kept") == {"due": {2: 1}} | ({"kept": {2: 1}} if kept else {})
    assert lead(*said, PROMISE, leg()).some("due", "kept") == {"due": {2: 1}} | ({"kept": {2: 1}} if kept else {})


@pytest.mark.parametrize(
    ("due_at", "agreed", "is_due", "fields"),
    [
        (NOON, True, True, ()),
        (NOON - 1, True, False, ()),
        (NOON + DAY, False, False, ()),
        (NOON + 400 * DAY, True, True, ()),
        (4_070_908_800_000, True, False, ("due_at",)),  # 2099
    ],
    ids=["at once", "before the call", "nothing was agreed", "in 400 days", "in 2099"],
)
def test_a_promise_counts_where_it_can_be_meant(
    due_at: int, agreed: bool, is_due: bool, fields: tuple[str, ...]
) -> None:
    folded = lead(leg(), note("c1", NOON + HOUR, due_at, agreed=agreed))
    assert bool(folded.some("due")) == is_due
    assert bool(folded.some("agreed")) == agreed
    assert folded.effects[-1].folded == fields


# -- notes and activities


def test_a_note_waits_for_its_call() -> None:
    folded = lead(note("c1", stages=("proposal",)))
    assert folded.totals == {}
    assert folded.take(leg()).totals == lead(leg(), note("c1", stages=("proposal",))).totals
    assert folded.some("proposed") == {"proposed": {0: 1}}


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"revision": 2}, {"revision": 1}),
        ({"at": NOON + 2}, {"at": NOON + 1}),
        ({"id": "b", "at": NOON}, {"id": "a", "at": NOON}),
    ],
    ids=["the higher revision", "the later one", "the greater id"],
)
def test_of_two_notes_of_a_call_one_holds(one: Any, other: Any) -> None:
    holds, gives_way = note("c1", **one, stages=("presentation",)), note("c1", **other, stages=("proposal",))
    for order in ([holds, gives_way], [gives_way, holds], [holds, gives_way, holds]):
        assert lead(leg(), *order).some("proposed", "presented:") == {"presented:cold": {0: 1}}


def test_a_revision_takes_back_all_that_the_note_before_it_said() -> None:
    folded = lead(leg(), note(stages=("proposal",), reason="reminder", due_at=NOON + DAY))
    assert folded.take(note(at=NOON + 2 * HOUR, revision=1)).totals == lead(leg()).totals


def test_a_note_is_of_the_leg_of_the_manager_whom_it_names() -> None:
    #  one call, two legs: anna hands it to boris
    anna, boris = leg("c1", NOON), leg("c1", NOON + HOUR, "boris", started_at=NOON)
    named = note("c1", manager="anna", reason="reminder")
    assert lead(anna, boris, named).some("reason:", manager="anna") == {"reason:reminder@none": {0: 1}}
    assert lead(boris, named).some("reason:", manager="boris") == {}
    assert lead(boris, named, anna).totals == lead(anna, boris, named).totals
    unnamed = note("c1", reason="reminder")
    assert lead(anna, boris, unnamed).some("reason:", manager="boris") == {"reason:reminder@none": {0: 1}}
    assert lead(anna, unnamed, boris).totals == lead(anna, boris, unnamed).totals


def test_an_activity_is_its_managers_and_without_one_the_owners() -> None:
    folded = lead(touched("email", NOON, manager="boris"), touched("meeting", NOON - DAY))
    assert folded.totals == {("boris", "touch:email", TODAY): 1}
    assert folded.take(leg()).some("touch:") == {"touch:meeting": {-1: 1}}


def test_days_are_those_of_whom_is_credited() -> None:
    evening = TODAY * DAY + 23 * HOUR  # tomorrow in Amsterdam
    folded = lead(leg("c1", NOON), stage("won", evening, manager="boris"), touched("email", evening, manager="anna"))
    assert folded.some("won", manager="boris") == {"won": {1: 1}}
    assert folded.some("reach:won", "touch:") == {"reach:won": {0: 1}, "touch:email": {0: 1}}


def test_other_settings_tell_another_story() -> None:
    fold = fold_by(mentor_after=2, stuck_after=2, reasons=("weather",))
    folded: Lead = lead(*talks(2), note("c1", reason="weather"), fold=fold)
    assert folded.some("mentor", "stuck", "reason:") == {
        "mentor": {0: 1},
        "stuck": {0: 1},
        "reason:weather@none": {-1: 1},
    }

"""Lead rows: what each manager is told of a lead, and that being told again changes nothing."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.facts import Contact
from streams.tables import lead
from streams.tables.lead import LeadEffect, LeadFold, LeadRecords, LeadRow
from streams.tables.records import LayoutError
from streams.windows import Steps

FOLD = LeadFold(calls_per_day=3)
TODAY = 20_000


def contact(seq: int, day: int = TODAY, manager: str = "anna", **more: Any) -> Contact:
    said = {
        "src": "calls/0",
        "lead": "lead-1",
        "call": f"c{seq}",
        "at": day * 86_400_000 + seq + 1000,
        "started_at": day * 86_400_000 + seq,
        "direction": "outbound",
        "kind": "cold",
        "disposition": "answered",
        "answered": True,
        **more,
    }
    return Contact(seq=seq, day=day, manager=manager, **said)


def folded(contacts: list[Contact]) -> tuple[LeadRow, list[LeadEffect]]:
    row = LeadRow()
    return row, [FOLD.fold(row, fact) for fact in contacts]


def sums(effects: list[LeadEffect]) -> dict[str, dict[tuple[str, int], int]]:
    """Return what each manager knows once every change has reached them."""
    known: dict[str, Counter[tuple[str, int]]] = {}
    for effect in effects:
        for manager, changes in effect.told:
            for measure, day, by in changes:
                known.setdefault(manager, Counter())[measure, day] += by
    return {
        manager: nonzero for manager, counts in known.items() if (nonzero := {k: n for k, n in counts.items() if n})
    }


def at(contribution: dict[tuple[str, int], int], measure: str, cutoff: int) -> int:
    return Steps.at({day: n for (name, day), n in contribution.items() if name == measure}, cutoff)


def test_a_lead_is_counted_by_its_calls_from_each_cutoff_on() -> None:
    #  day         -5  -2   0
    #  calls        1   2   1          calls from the cut-off on: 4 4 .. 3 3 .. 1 1 .. 0
    row, _ = folded([contact(1, TODAY - 5), contact(2, TODAY - 2), contact(3, TODAY - 2), contact(4)])
    told = FOLD.contribution(row)
    held = {
        cutoff: [bucket for bucket in lead.BUCKETS if at(told, "calls:" + bucket, TODAY + cutoff)]
        for cutoff in (-9, -5, -4, -2, -1, 0, 1)
    }
    assert held == {-9: ["4"], -5: ["4"], -4: ["3"], -2: ["3"], -1: ["1"], 0: ["1"], 1: []}
    assert at(told, "sum", TODAY - 4) == 3


def test_five_calls_and_more_are_one_bucket() -> None:
    row, _ = folded([contact(seq, TODAY - seq) for seq in range(8)])
    told = FOLD.contribution(row)
    assert [at(told, "calls:5+", TODAY - back) for back in (7, 5, 4, 3)] == [1, 1, 1, 0]


def test_conversations_are_counted_apart_from_calls() -> None:
    row, _ = folded([contact(1), contact(2, conversation=True), contact(3, TODAY - 1, conversation=True)])
    told = FOLD.contribution(row)
    assert at(told, "calls:3", TODAY - 1) == 1
    assert at(told, "conversations:2", TODAY - 1) == 1
    assert at(told, "conversations:1", TODAY) == 1


@pytest.mark.parametrize(("dials", "inbound", "over"), [(3, 0, 0), (3, 2, 0), (4, 0, 1), (9, 0, 1)])
def test_a_lead_dialled_more_often_than_allowed_on_a_day_is_over_called(dials: int, inbound: int, over: int) -> None:
    facts = [contact(seq) for seq in range(dials)]
    facts += [contact(dials + seq, direction="inbound") for seq in range(inbound)]
    row, _ = folded(facts)
    assert FOLD.contribution(row).get(("over", TODAY), 0) == over


def test_dials_of_all_managers_count_as_calls_on_the_lead() -> None:
    facts = [contact(seq, manager="boris" if seq % 2 else "anna", src=f"calls/{seq % 2}") for seq in range(4)]
    row, effects = folded(facts)
    assert row.state.manager == "boris"
    assert sums(effects) == {"boris": FOLD.contribution(row)}
    assert FOLD.contribution(row)["over", TODAY] == 1


def test_a_lead_belongs_to_the_manager_of_the_leg_that_was_begun_last() -> None:
    #  anna   ■■■■■■■■■■■■
    #  boris       ■■              ends first, but was begun later
    anna = contact(1, started_at=1_000, at=9_000)
    boris = contact(1, manager="boris", src="calls/1", started_at=2_000, at=3_000)
    for order in ([anna, boris], [boris, anna]):
        row, effects = folded(order)
        assert row.state.manager == "boris"
        assert set(sums(effects)) == {"boris"}


def test_a_change_of_hands_takes_all_from_one_manager_and_gives_all_to_the_other() -> None:
    row, effects = folded([contact(1), contact(2), contact(9, manager="boris", src="calls/1")])
    assert [manager for manager, _ in effects[-1].told] == ["anna", "boris"]
    assert sums(effects) == {"boris": FOLD.contribution(row)}


def test_a_withdrawn_call_leaves_no_count_but_decides_whose_the_lead_is() -> None:
    withdrawn = contact(3, manager="boris", withdrawn=True, call="c2")
    row, effects = folded([contact(1), contact(2, manager="boris"), withdrawn])
    assert (row.state.calls, row.state.manager) == (1, "boris")
    assert sums(effects) == {"boris": {("calls:1", TODAY): 1, ("sum", TODAY): 1}}


def test_days_that_no_window_holds_are_dropped_and_taken_back() -> None:
    row, effects = folded([contact(1, TODAY - 32), contact(2, TODAY - 31), contact(3, TODAY)])
    assert sorted(row.state.days) == [TODAY - 31, TODAY]
    assert sums(effects) == {"anna": FOLD.contribution(row)}
    assert row.state.calls == 3


def test_a_fact_that_is_sent_again_is_a_duplicate() -> None:
    row, _ = folded([contact(1), contact(5)])
    for again in (contact(5), contact(1), contact(4)):
        assert FOLD.fold(row, again).outcome == "duplicate"
    assert row.state.calls == 2
    assert FOLD.fold(row, contact(4, src="calls/1")).outcome == "applied"


@st.composite
def contacts(draw: st.DrawFn) -> list[Contact]:
    """Draw the facts of a lead: of each source in order, some of them withdrawn later."""
    facts = []
    for source in range(draw(st.integers(1, 3))):
        seq = 0
        for _ in range(draw(st.integers(0, 7))):
            seq += draw(st.integers(1, 9))
            fact = contact(
                seq,
                TODAY - draw(st.sampled_from([0, 0, 1, 2, 29, 30, 31, 32, 60])),
                f"manager-{source}-{draw(st.integers(0, 1))}",
                src=f"calls/{source}",
                call=f"c{source}-{seq}",
                direction=draw(st.sampled_from(["inbound", "outbound"])),
                conversation=draw(st.booleans()),
            )
            facts.append(fact)
            if draw(st.integers(0, 3)) == 0:
                seq += 1
                facts.append(withdrawal(fact, seq))
    order = draw(st.permutations(sorted(fact.src for fact in facts)))
    queues = {src: iter([fact for fact in facts if fact.src == src]) for src in set(order)}
    return [next(queues[src]) for src in order]


def withdrawal(fact: Contact, seq: int) -> Contact:
    said = {name: getattr(fact, name) for name in fact.__struct_fields__}
    return Contact(**{**said, "seq": seq, "withdrawn": True})


@settings(max_examples=300, deadline=None)
@given(contacts(), st.data())
def test_managers_know_what_the_row_says_however_facts_arrive(facts: list[Contact], data: st.DataObject) -> None:
    row, effects = folded(facts)
    assert sums(effects) == ({row.state.manager: told} if (told := FOLD.contribution(row)) else {})
    # Each source again from an earlier position on, as after a crash.
    begin = data.draw(st.integers(0, len(facts)))
    again, more = folded([*facts[:begin], *facts[data.draw(st.integers(0, begin)) :]])
    assert again == row
    assert sums(more) == sums(effects)
    assert lead.load(lead.dump(row)) == row


@settings(max_examples=200, deadline=None)
@given(contacts(), st.integers(0, 3))
def test_a_contribution_is_what_a_recount_of_the_calls_gives(facts: list[Contact], later: int) -> None:
    row, _ = folded(facts)
    told = FOLD.contribution(row)
    newest = max((fact.day for fact in facts), default=TODAY)
    today = newest + later
    cutoff = today - 29
    inside = [(fact, -1 if fact.withdrawn else 1) for fact in facts if cutoff <= fact.day <= today]
    calls = sum(sign for _, sign in inside)
    talks = sum(sign for fact, sign in inside if fact.conversation)
    for place, bucket in enumerate(lead.BUCKETS, 1):
        is_in = min(calls, 5) == place
        assert at(told, "calls:" + bucket, cutoff) == is_in
        assert at(told, "conversations:" + bucket, cutoff) == (min(talks, 5) == place)
    assert at(told, "sum", cutoff) == calls
    dials = sum(sign for fact, sign in inside if fact.day == today and fact.direction == "outbound")
    assert told.get(("over", today), 0) == (dials > 3)


def test_a_row_comes_back_from_the_changelog() -> None:
    row, _ = folded([contact(1), contact(2, TODAY - 3, conversation=True)])
    expected = lead.load(lead.dump(row))
    records = LeadRecords()
    rows: dict[bytes, LeadRow] = {}
    for key, value in records.changelog(b"lead-1", row):
        assert records.restore(rows, key, value) is None
    assert rows[b"lead-1"] == expected
    assert row == expected  # the row goes on, though only its bytes were kept
    assert FOLD.fold(row, contact(2)).outcome == "duplicate"
    assert records.restore(rows, b"lead-1", None) is None
    assert rows == {}


def test_an_older_record_behind_a_newer_one_is_passed_over_and_must_be_written_again() -> None:
    records = LeadRecords()
    older, newer = lead.dump(folded([contact(1)])[0]), lead.dump(folded([contact(1), contact(2)])[0])
    rows: dict[bytes, LeadRow] = {}
    assert [records.restore(rows, b"lead-1", value) for value in (newer, older)] == [None, b"lead-1"]
    assert rows[b"lead-1"].state.calls == 2


@pytest.mark.parametrize("value", [b"", b"\x02" + bytes(8) + b"\x90", b"\x90"])
def test_a_record_of_another_layout_is_refused_with_what_to_do(value: bytes) -> None:
    with pytest.raises(LayoutError, match="delete the changelog topic"):
        lead.load(value)


def test_a_lead_with_a_month_of_calls_takes_some_hundred_bytes() -> None:
    row, _ = folded([contact(seq, TODAY - seq % 10) for seq in range(30)])
    assert len(lead.dump(row)) < 250

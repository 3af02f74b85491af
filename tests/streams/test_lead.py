"""Lead rows: repeats, retention, bytes, and implausible values."""

from __future__ import annotations

from typing import Any

import pytest

from streams.contract import events
from streams.contract.facts import Contact, Linked, Moved
from streams.tables.changelog import LayoutError
from streams.tables.lead import retention
from streams.tables.lead.codec import heard_at, pack
from streams.tables.lead.row import LeadRecords, LeadRow, dump, load
from tests.streams.lead_cases import (
    ANYWHERE,
    DAY,
    FOLD,
    HOUR,
    NOON,
    TODAY,
    Received,
    consulted,
    dial,
    fold_crm,
    lead,
    leg,
    note,
    stage,
    touched,
)

MINUTE = 60_000


# -- twice


def test_a_fact_that_is_sent_again_is_a_duplicate() -> None:
    row = LeadRow()

    def outcome(seq: int, src: str = "calls/0") -> str:
        return FOLD.contact(row, dial(f"c{src}-{seq}", NOON + seq, src=src, seq=seq), ANYWHERE, seq).outcome

    assert [outcome(seq) for seq in (1, 5, 5, 1, 4, 6)] == [
        "applied",
        "applied",
        "duplicate",
        "duplicate",
        "duplicate",
        "applied",
    ]
    assert outcome(4, "calls/1") == "applied"
    assert row.state.revision == 4


@pytest.mark.parametrize(
    "event",
    [note("c1", reason="reminder"), stage("won"), consulted(), touched()],
    ids=["note", "deal", "consultation", "activity"],
)
def test_an_event_that_is_sent_again_at_another_place_is_a_duplicate(event: events.CrmEvents) -> None:
    folded = lead(leg(), event)
    before = dump(folded.row)
    assert folded.take(event).effects[-1].outcome == "duplicate"
    assert dump(folded.row) == before
    assert fold_crm(folded.row, event, "crm/7", 3).outcome == "duplicate"


def test_an_event_may_come_straight_from_its_own_topic() -> None:
    row = LeadRow()
    received = Received()
    said: list[events.CrmEvents] = [stage("won", manager="anna"), touched(manager="anna")]
    for seq, event in enumerate(said):
        received.take(fold_crm(row, event, "crm/0", seq))
    assert received.totals == FOLD.totals(row.state)
    assert fold_crm(row, stage("lost"), "crm/0", 1).outcome == "duplicate"  # by its place


# -- an older definition


def rows_of_before() -> tuple[LeadRow, Received]:
    """Return a row of definition 1, and the totals that managers received for it."""
    changes = [stage("won", NOON, id="a"), stage("proposal", NOON, id="b"), stage("lost", NOON, "deal-2")]
    row = LeadRow(unpacked=lead(leg("c1", NOON - DAY), leg("c2"), *changes).row.state)
    row.state.definition = 1
    received = Received()
    received.sums.update(FOLD.totals(row.state))
    row = LeadRow(dump(row))
    return row, received


def test_a_row_of_an_older_definition_keeps_its_contributions_until_a_fact_comes() -> None:
    row, received = rows_of_before()
    assert FOLD.totals(row.state) == received.totals
    assert received.totals["anna", "stage:proposal", TODAY] == 1
    assert ("anna", "won", TODAY) not in received.totals
    assert dump(row)[9] == 2


def test_a_fact_corrects_what_a_row_of_an_older_definition_emitted() -> None:
    row, received = rows_of_before()
    received.take(FOLD.contact(row, dial("c3", NOON + HOUR), ANYWHERE, 1))
    assert received.totals == FOLD.totals(row.state)
    assert received.totals["anna", "won", TODAY] == 1
    assert ("anna", "sum", TODAY) not in received.totals
    assert dump(row)[9] == 3


def test_a_fact_that_changes_nothing_leaves_a_row_of_an_older_definition_as_it_was() -> None:
    row, received = rows_of_before()
    before = dump(row)
    again = fold_crm(row, stage("won", NOON, id="a"), "crm/9", 1)
    assert (again.outcome, again.deltas) == ("duplicate", ())
    assert dump(row) == before
    received.take(FOLD.contact(row, dial("c3", NOON + HOUR), ANYWHERE, 1))
    assert received.totals == FOLD.totals(row.state)


# -- bounds


@pytest.mark.slow
@pytest.mark.no_cover
def test_a_lead_of_ten_thousand_calls_keeps_its_calls_of_a_month_and_how_it_began() -> None:
    row, received = LeadRow(), Received()
    first = NOON - 60 * DAY
    opening = [leg("first", first, kind="targeted", src="calls/9"), leg("second", first + HOUR, src="calls/9")]
    for number in range(10_000):
        at = first + 2 * HOUR + number * 60 * DAY // 10_000
        opening.append(dial(f"c{number}", at, "boris" if number > 9_990 else "anna", src="calls/0", seq=number))
    for seq, contact in enumerate(opening):
        received.take(FOLD.contact(row, contact, ANYWHERE, seq))
    state = row.state
    assert retention.MAX_LEGS * 7 // 8 <= len(state.legs) <= retention.MAX_LEGS
    assert len(dump(row)) < 20_000
    assert [leg.call for leg in state.legs] == ["first", *(leg.call for leg in opening[-len(state.legs) + 1 :])]
    expected: dict[int, int] = {}
    for contact in opening:
        if contact.day >= state.latest_day - 31:
            expected[contact.day] = expected.get(contact.day, 0) + 1
    known = {key: n for key, n in received.totals.items() if key[0] == "boris"}
    assert {day: n for (_, measure, day), n in known.items() if measure == "sum"} == expected
    assert {day for (_, measure, day) in known if measure == "over"} == {day for day, n in expected.items() if n > 3}
    assert known["boris", "calls:5+", max(expected)] == 1
    assert known["boris", "given:targeted", opening[0].day] == 1
    assert known["boris", "reach:call", opening[0].day] == 1
    assert all(n > 0 for (_, measure, _), n in received.totals.items() if not measure.startswith("calls:"))


def test_legs_that_named_a_stage_first_are_not_forgotten() -> None:
    shown = lead(leg("c0", NOON - 50 * DAY), note("c0", NOON - 50 * DAY, stages=("presentation",)))
    for number in range(1, retention.MAX_LEGS + 40):
        shown.take(dial(f"c{number}", NOON + number * MINUTE))  # `take` compares the deltas each time
    assert shown.row.state.legs[0].call == "c0"
    assert shown.some("reach:presentation", "moves") == {"reach:presentation": {-50: 1}, "moves": {-50: 1}}


def test_a_leg_that_was_forgotten_can_still_be_withdrawn() -> None:
    row, received = LeadRow(), Received()
    contacts = [dial(f"c{number}", NOON + number * MINUTE, src="calls/0", seq=number) for number in range(300)]
    fields = {name: getattr(contacts[50], name) for name in Contact.__struct_fields__}
    contacts.append(Contact(**{**fields, "seq": 300, "withdrawn": True}))
    for contact in contacts:
        received.take(FOLD.contact(row, contact, ANYWHERE, contact.seq))
    assert received.totals["anna", "sum", TODAY] == 299
    assert len(row.state.legs) <= retention.MAX_LEGS


def many(what: str) -> list[Any]:
    count = 250
    if what == "notes":
        return [note(f"n{number}", NOON + number) for number in range(count)]
    if what == "activities":
        return [touched("email", NOON + number, manager="anna") for number in range(count)]
    if what == "deals":
        return [stage("won", NOON + number, f"deal-{number}", manager="anna") for number in range(count)]
    stages = ["qualified", "proposal"]
    return [stage(stages[number % 2], NOON + number, manager="anna") for number in range(count)]


@pytest.mark.parametrize("what", ["notes", "activities", "deals", "changes"])
def test_what_is_over_a_bound_is_forgotten_oldest_first_and_not_taken_back(what: str) -> None:
    row, received = LeadRow(), Received()
    said = many(what)
    for seq, event in enumerate([leg(), *said]):
        effect = (
            FOLD.contact(row, event, ANYWHERE, seq)
            if isinstance(event, Contact)
            else fold_crm(row, event, "crm/0", seq)
        )
        received.take(effect)
    state = row.state
    kept = {
        "notes": sorted(state.notes, key=lambda call: state.notes[call].at),
        "activities": [activity.id for activity in state.activities],
        "deals": sorted(state.deals, key=lambda deal: state.deals[deal][0].at),
        "changes": [change.id for change in state.deals.get("deal-1", [])],
    }[what]
    name = {"notes": "call", "deals": "deal"}.get(what, "id")
    most = {"notes": 200, "activities": 200, "deals": 32, "changes": 64}[what]
    assert most * 7 // 8 <= len(kept) <= most
    assert kept == [getattr(event, name) for event in said[-len(kept) :]]
    if what == "activities":
        assert received.totals["anna", "touch:email", TODAY] == 250
    if what == "deals":
        assert received.totals["anna", "won", TODAY] == 250


def test_a_row_of_long_words_stays_small_enough_to_be_moved() -> None:
    row = LeadRow()
    word = "\N{GRINNING FACE}" * 120
    for number in range(120):
        fold_crm(row, note(f"{word}{number:04}", NOON + number, id=f"{word}{number:04}"), "crm/0", 3 * number)
        long = stage("won", NOON + number, f"{word}{number % 9}", id=f"{word}{number:04}", product=word * 2)
        fold_crm(row, long, "crm/0", 3 * number + 1)
        contact = dial(f"{word}{number:04}", NOON + number, src="calls/0", seq=number)
        FOLD.contact(row, contact, ANYWHERE, 3 * number + 2)
    assert len(pack(row.state)) < retention.MAX_ROW_BYTES + 8_000
    assert f"{word}0119" in row.state.notes
    link = Linked(src="x", seq=1, lead="lead-1", to="lead-2", at=NOON, id="i")
    moved = FOLD.contact(row, link, ANYWHERE, 1).facts[0]
    assert isinstance(moved, Moved)


def test_two_leads_at_their_bounds_become_one_inside_them() -> None:
    rows = [LeadRow(), LeadRow()]
    received = Received()
    contacts = [dial(f"c{number}", NOON + number * MINUTE, src="calls/0", seq=number) for number in range(360)]
    for contact in contacts:
        received.take(FOLD.contact(rows[contact.seq % 2], contact, ANYWHERE, contact.seq))
    link = Linked(src="x", seq=1, lead="phone:1", to="lead-1", at=NOON, id="i")
    effect = FOLD.contact(rows[0], link, ANYWHERE, 9_999)
    received.take(effect)
    received.take(FOLD.contact(rows[1], effect.facts[0], ANYWHERE, 1))
    assert len(rows[1].state.legs) <= retention.MAX_LEGS
    assert {key: n for key, n in received.totals.items() if key[1] in {"sum", "over"}} == {
        ("anna", "sum", TODAY): 360,
        ("anna", "over", TODAY): 1,
    }


# -- implausible values


def test_a_consultation_for_a_lead_that_nobody_knows_is_kept_and_says_nothing() -> None:
    folded = lead(consulted(NOON))
    assert [effect.outcome for effect in folded.effects] == ["applied"]
    assert folded.totals == {}
    folded.take(*(leg(f"c{back}", NOON - back * DAY) for back in range(4)))
    assert folded.some("mentor", "streak:") == {"streak:4": {0: 1}}


def test_events_alone_make_no_lead_of_anybodys() -> None:
    folded = lead(note(stages=("proposal",)), stage("proposal"), touched(), consulted())
    assert folded.totals == {}
    assert folded.received.listed == {}


def test_a_kind_that_nobody_knows_is_unknown() -> None:
    assert lead(leg(kind="mystery")).some("given:") == {"given:unknown": {0: 1}}


# -- bytes


def test_a_row_comes_back_from_the_changelog() -> None:
    folded = lead(leg("c1"), dial("c2", NOON - 3 * DAY), note("c1", due_at=NOON + DAY), stage("won"), touched())
    expected = load(dump(folded.row))
    records = LeadRecords()
    rows: dict[bytes, LeadRow] = {}
    for key, value in records.changelog(b"lead-1", folded.row):
        assert records.restore(rows, key, value) is None
    assert rows[b"lead-1"] == expected
    assert folded.row == expected  # the row can be used further, from its bytes
    folded.take(leg("c3", NOON + HOUR))
    assert records.restore(rows, b"lead-1", None) is None
    assert rows == {}


def test_an_older_record_behind_a_newer_one_is_passed_over_and_must_be_written_again() -> None:
    records = LeadRecords()
    older, newer = dump(lead(dial("c1")).row), dump(lead(dial("c1"), dial("c2")).row)
    rows: dict[bytes, LeadRow] = {}
    assert [records.restore(rows, b"lead-1", value) for value in (newer, older)] == [None, b"lead-1"]
    assert len(rows[b"lead-1"].state.legs) == 2


@pytest.mark.parametrize("value", [b"", b"\x02" + bytes(8) + b"\x90", b"\x90", b"\x01" + bytes(8) + b"\x90"])
def test_a_record_of_another_layout_is_refused_with_what_to_do(value: bytes) -> None:
    with pytest.raises(LayoutError, match="delete the changelog topic"):
        load(value)


def test_when_a_lead_was_heard_of_is_read_from_its_bytes() -> None:
    folded = lead(leg(), stage("won", NOON + 9 * DAY), touched("email", NOON - DAY))
    assert heard_at(dump(folded.row)) == NOON + 9 * DAY


def test_a_lead_of_five_calls_takes_less_than_five_hundred_bytes() -> None:
    calls = [
        leg(f"1732441234.{number}", NOON - number * DAY, f"manager-{number % 2:03}", src=f"calls/{number % 2}")
        for number in range(5)
    ]
    folded = lead(*calls, note("1732441234.2", due_at=NOON + DAY, stages=("presentation",), reason="reminder"))
    assert len(dump(folded.row)) < 500

"""Outcome rows: many leads summed for one manager, over both hops."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from streams.facts import SLOTS, Contact, Outcome
from streams.tables import lead, outcome
from streams.tables.lead import LeadFold, LeadRow
from streams.tables.outcome import OutcomeRecords, OutcomeRow, fold, read

FOLD = LeadFold(calls_per_day=3)
TODAY = 20_000


def told(seq: int, *changes: tuple[str, int, int], src: str = "contacts/0") -> Outcome:
    return Outcome(src=src, seq=seq, manager="anna", changes=changes)


def test_leads_are_read_by_their_calls_of_the_last_thirty_days() -> None:
    #   lead with a call today and one 29 days ago; one with a call 30 days ago
    row = OutcomeRow()
    fold(row, told(1, ("calls:1", TODAY, 1), ("calls:1", TODAY - 29, -1), ("calls:2", TODAY - 29, 1)))
    fold(row, told(2, ("sum", TODAY, 1), ("sum", TODAY - 29, 1), ("sum", TODAY - 30, 1), ("calls:1", TODAY - 30, 1)))
    view = read(row, TODAY)
    assert (view.by_calls, view.calls, view.calls_per_lead) == ((0, 1, 0, 0, 0), 2, 2.0)
    view = read(row, TODAY - 1)  # it was still inside yesterday
    assert view.by_calls == (1, 1, 0, 0, 0)
    view = read(row, TODAY + 1)
    assert (view.by_calls, view.calls_per_lead) == ((1, 0, 0, 0, 0), 1.0)


def test_over_called_leads_are_those_of_the_day_alone() -> None:
    row = OutcomeRow()
    fold(row, told(1, ("over", TODAY, 1), ("over", TODAY - 1, 1)))
    assert [read(row, day).over_called for day in (TODAY - 1, TODAY, TODAY + 1)] == [1, 1, 0]


def test_without_leads_there_is_no_ratio() -> None:
    assert read(OutcomeRow(), TODAY).calls_per_lead is None


def test_a_fact_that_is_sent_again_is_a_duplicate() -> None:
    row = OutcomeRow()
    assert [fold(row, told(seq, ("sum", TODAY, 1))) for seq in (1, 1, 7, 3)] == [
        "applied",
        "duplicate",
        "applied",
        "duplicate",
    ]
    assert fold(row, told(1, ("sum", TODAY, 1), src="contacts/1")) == "applied"
    assert read(row, TODAY).calls == 3


def test_a_reading_is_made_anew_after_a_change_and_on_another_day() -> None:
    row = OutcomeRow()
    fold(row, told(1, ("calls:1", TODAY, 1)))
    assert read(row, TODAY) is read(row, TODAY)
    fold(row, told(2, ("calls:1", TODAY, 1)))
    assert read(row, TODAY).by_calls[0] == 2
    assert read(row, TODAY + 30).by_calls[0] == 0


@st.composite
def calls(draw: st.DrawFn) -> list[Contact]:
    """Draw contacts of several leads by several managers, in an order in which they may arrive."""
    facts = []
    for seq in range(draw(st.integers(0, 25))):
        manager = draw(st.integers(0, 2))
        day = TODAY - draw(st.sampled_from([0, 0, 0, 1, 28, 29, 30, 31, 33]))
        facts.append(
            Contact(
                src=f"calls/{manager}",
                seq=seq,
                lead=f"lead-{draw(st.integers(0, 3))}",
                manager=f"manager-{manager}",
                call=f"c{seq}",
                day=day,
                at=day * 86_400_000 + seq + 1000,
                started_at=day * 86_400_000 + seq,
                direction=draw(st.sampled_from(["outbound", "outbound", "inbound"])),
                kind="cold",
                disposition="answered",
                conversation=draw(st.booleans()),
            )
        )
    return facts


def leads_agent(log: list[Contact], rows: dict[str, LeadRow], first: int = 0) -> list[Outcome]:
    """Fold the contacts at offsets from `first` on; return the facts for managers."""
    facts = []
    for offset, contact in enumerate(log[first:], first):
        effect = FOLD.fold(rows.setdefault(contact.lead, LeadRow()), contact)
        for slot, (manager, changes) in enumerate(effect.told):
            facts.append(Outcome(src="contacts/0", seq=offset * SLOTS + slot, manager=manager, changes=changes))
    return facts


def outcomes_agent(log: list[Outcome], rows: dict[str, OutcomeRow]) -> None:
    for fact in log:
        fold(rows.setdefault(fact.manager, OutcomeRow()), fact)


def recount(log: list[Contact], today: int) -> dict[str, tuple[dict[int, int], dict[int, int], int, int]]:
    """Return, for each manager: leads by calls, leads by conversations, calls, over-called leads."""
    found: dict[str, tuple[dict[int, int], dict[int, int], int, int]] = {}
    for name in {contact.lead for contact in log}:
        of_lead = [contact for contact in log if contact.lead == name]
        manager = max(of_lead, key=lambda contact: (contact.started_at, contact.call, contact.manager)).manager
        by_calls, by_talks, total, over = found.get(manager, ({}, {}, 0, 0))
        inside = [contact for contact in of_lead if today - 30 < contact.day <= today]
        talks = sum(contact.conversation for contact in inside)
        for counts, number in ((by_calls, len(inside)), (by_talks, talks)):
            if number:
                counts[min(number, 5)] = counts.get(min(number, 5), 0) + 1
        dials = sum(contact.day == today and contact.direction == "outbound" for contact in of_lead)
        found[manager] = (by_calls, by_talks, total + len(inside), over + (dials > 3))
    return found


@settings(max_examples=200, deadline=None)
@given(calls(), st.integers(0, 2), st.data())
def test_outcome_rows_are_a_recount_of_all_leads_in_spite_of_facts_sent_again(
    log: list[Contact], later: int, data: st.DataObject
) -> None:
    leads: dict[str, LeadRow] = {}
    rows: dict[str, OutcomeRow] = {}
    facts = leads_agent(log, leads)
    outcomes_agent(facts, rows)
    # Both agents start again from earlier positions, their rows being further on.
    first = data.draw(st.integers(0, len(log)))
    assert leads_agent(log, leads, first) == []
    outcomes_agent(facts[data.draw(st.integers(0, len(facts))) :], rows)
    today = max((contact.day for contact in log), default=TODAY) + later
    expected = recount(log, today)
    for manager, row in rows.items():
        by_calls, by_talks, total, over = expected.get(manager, ({}, {}, 0, 0))
        view = read(row, today)
        assert view.by_calls == tuple(by_calls.get(number, 0) for number in range(1, 6))
        assert view.by_conversations == tuple(by_talks.get(number, 0) for number in range(1, 6))
        assert (view.calls, view.over_called) == (total, over)
        assert outcome.load(outcome.dump(row)) == row
    assert set(expected) <= set(rows)


@settings(max_examples=100, deadline=None)
@given(calls(), st.data())
def test_facts_of_a_lead_row_that_fell_back_are_the_same_facts(log: list[Contact], data: st.DataObject) -> None:
    """The facts were sent, the rows were not written: the worker folds again and tells the same."""
    written = data.draw(st.integers(0, len(log)))
    leads: dict[str, LeadRow] = {}
    facts = leads_agent(log[:written], leads)
    rest = leads_agent(log, {name: _copy(row) for name, row in leads.items()}, written)
    assert leads_agent(log, leads, written) == rest
    rows: dict[str, OutcomeRow] = {}
    outcomes_agent([*facts, *rest, *rest], rows)
    undisturbed: dict[str, OutcomeRow] = {}
    outcomes_agent(leads_agent(log, {}), undisturbed)
    assert rows == undisturbed


def _copy(row: LeadRow) -> LeadRow:
    return lead.load(lead.dump(row))


def test_a_row_comes_back_from_the_changelog() -> None:
    row = OutcomeRow()
    fold(row, told(1, ("calls:1", TODAY, 1)))
    records = OutcomeRecords()
    rows: dict[bytes, OutcomeRow] = {}
    older = records.changelog(b"anna", row)
    fold(row, told(2, ("calls:2", TODAY, 1)))
    newer = records.changelog(b"anna", row)
    assert [records.restore(rows, key, value) for key, value in [*newer, *older]] == [None, b"anna"]
    assert rows[b"anna"] == row
    assert read(rows[b"anna"], TODAY).by_calls == (1, 1, 0, 0, 0)

"""Deltas are the difference of all contributions, with facts in any order and any number of repeats."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from streams.contract.facts import Contact
from streams.tables.lead.codec import heard_at
from streams.tables.lead.row import LeadRow, dump, load
from tests.examples import examples
from tests.streams.lead_cases import FOLD, Lead, Said, fold_by, histories, in_order_of_their_sources


@examples(400)
@given(histories(), st.data())
def test_managers_receive_the_same_totals_in_any_order_of_the_facts(said: list[Said], data: st.DataObject) -> None:
    orders = [in_order_of_their_sources(said, data.draw(st.permutations(range(len(said))))) for _ in range(2)]
    # `take` compares the deltas of each fact with the difference of all contributions.
    one, other = (Lead().take(*order) for order in orders)
    assert one.totals == other.totals
    assert one.received.listed == other.received.listed


@examples(150)
@given(histories(), st.data())
def test_what_is_said_twice_counts_once(said: list[Said], data: st.DataObject) -> None:
    twice = [*said, *(fact for fact in said if not isinstance(fact, Contact))]
    once = Lead().take(*in_order_of_their_sources(said, range(len(said))))
    again = Lead().take(*in_order_of_their_sources(twice, data.draw(st.permutations(range(len(twice))))))
    assert again.totals == once.totals


@examples(150)
@given(histories(), st.data())
def test_a_row_that_is_written_and_read_in_between_emits_the_same(said: list[Said], data: st.DataObject) -> None:
    order = in_order_of_their_sources(said, data.draw(st.permutations(range(len(said)))))
    lead, written = Lead(), Lead()
    for fact in order:
        lead.take(fact)
        assert load(dump(written.row)) == written.row
        written.row = LeadRow(dump(written.row))
        written.take(fact)
        assert written.effects[-1] == lead.effects[-1]
        assert heard_at(dump(lead.row)) == lead.row.state.heard_at


@examples(100)
@given(histories(), st.integers(1, 4), st.integers(4, 6))
def test_the_fast_paths_hold_for_other_settings(said: list[Said], mentor_after: int, stuck_after: int) -> None:
    stages = ("presentation", "contract", "proposal", "won", "lost")
    fold = fold_by(1, mentor_after=mentor_after, stuck_after=stuck_after, stages=stages, permitted_hours="11:30-12:30")
    Lead(fold).take(*in_order_of_their_sources(said, range(len(said))))


@examples(100)
@given(histories())
def test_the_contributions_add_up_to_the_totals(said: list[Said]) -> None:
    lead = Lead().take(*in_order_of_their_sources(said, range(len(said))))
    sums: Counter[tuple[str, str, int]] = Counter()
    ids = {"call": {leg.call for leg in lead.row.state.legs}, "deal": set(lead.row.state.deals)}
    ids |= {"activity": {activity.id for activity in lead.row.state.activities}, "lead": {""}}
    for entry in FOLD.contributions(lead.row.state):
        sums[entry.manager, entry.measure, entry.day] += entry.n
        assert entry.id in ids[entry.of]
        assert entry.ref == (f"{entry.of}:{entry.id}" if entry.id else "lead")
    assert {key: n for key, n in sums.items() if n} == lead.totals

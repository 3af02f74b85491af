"""What is told of a lead is the plain difference of its claims, in whatever order and how often facts come."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from streams.contract.facts import Contact
from tests.examples import examples
from tests.streams import lead_table as leads
from tests.streams.lead_cases import FOLD, Lead, Said, fold_by, histories, in_order_of_their_sources
from tests.streams.lead_table import LeadRow


@examples(400)
@given(histories(), st.data())
def test_managers_know_what_a_lead_claims_in_whatever_order_its_facts_come(
    said: list[Said], data: st.DataObject
) -> None:
    orders = [in_order_of_their_sources(said, data.draw(st.permutations(range(len(said))))) for _ in range(2)]
    # `take` checks, at each fact, the short way against the plain definition.
    one, other = (Lead().take(*order) for order in orders)
    assert one.claims == other.claims
    assert one.told.listed == other.told.listed


@examples(150)
@given(histories(), st.data())
def test_what_is_said_twice_counts_once(said: list[Said], data: st.DataObject) -> None:
    twice = [*said, *(fact for fact in said if not isinstance(fact, Contact))]
    once = Lead().take(*in_order_of_their_sources(said, range(len(said))))
    again = Lead().take(*in_order_of_their_sources(twice, data.draw(st.permutations(range(len(twice))))))
    assert again.claims == once.claims


@examples(150)
@given(histories(), st.data())
def test_a_row_that_is_written_and_read_in_between_tells_the_same(said: list[Said], data: st.DataObject) -> None:
    order = in_order_of_their_sources(said, data.draw(st.permutations(range(len(said)))))
    lead, written = Lead(), Lead()
    for fact in order:
        lead.take(fact)
        assert leads.load(leads.dump(written.row)) == written.row
        written.row = LeadRow(leads.dump(written.row))
        written.take(fact)
        assert written.effects[-1] == lead.effects[-1]
        assert leads.heard_at(leads.dump(lead.row)) == lead.row.state.heard_at


@examples(100)
@given(histories(), st.integers(1, 4), st.integers(4, 6))
def test_the_short_ways_hold_for_other_settings(said: list[Said], mentor_after: int, stuck_after: int) -> None:
    stages = ("presentation", "contract", "proposal", "won", "lost")
    fold = fold_by(1, mentor_after=mentor_after, stuck_after=stuck_after, stages=stages, permitted_hours="11:30-12:30")
    Lead(fold).take(*in_order_of_their_sources(said, range(len(said))))


@examples(100)
@given(histories())
def test_the_evidence_adds_up_to_the_contribution(said: list[Said]) -> None:
    lead = Lead().take(*in_order_of_their_sources(said, range(len(said))))
    sums: dict[tuple[str, str, int], int] = {}
    ids = {"call": {leg.call for leg in lead.row.state.legs}, "deal": set(lead.row.state.deals)}
    ids |= {"activity": {activity.id for activity in lead.row.state.activities}, "lead": {""}}
    for claim in FOLD.claims(lead.row.state):
        sums[claim.manager, claim.measure, claim.day] = sums.get((claim.manager, claim.measure, claim.day), 0) + claim.n
        assert claim.id in ids[claim.of]
        assert claim.ref == (f"{claim.of}:{claim.id}" if claim.id else "lead")
    assert {key: n for key, n in sums.items() if n} == lead.claims

"""Deals: the row of a deal, which selects the lead that has it, and the deals in a lead's row.

Events of one deal may name several leads: a caller's key first and the CRM's own id later, or two leads that are the
same person. The deal belongs to the lead of its newest change of stage. Its row is in the table of leads, receives all
events of the deal, and sends the deal to that lead (`streams.contract.facts.Deal`). So one deal counts once, whatever
leads its events name and in whatever order they come.
"""

from __future__ import annotations

from bisect import insort
from typing import Final

from msgspec.structs import replace

from streams.contract.events import DealDeleted, DealStageChanged
from streams.contract.facts import MAX_HOPS, Deal
from streams.tables.lead import affected, mapping, merge
from streams.tables.lead.changes import make_room, summary_of
from streams.tables.lead.deltas import Difference, merged
from streams.tables.lead.effect import APPLIED, DUPLICATE, LeadEffect
from streams.tables.lead.policy import LeadPolicy
from streams.tables.lead.records import DELETED, DealChange, DealVersion, event_order
from streams.tables.lead.retention import MAX_CHANGES
from streams.tables.lead.row import LeadRow

_CHANGES_LEFT: Final = MAX_CHANGES * 7 // 8


def of_deal(
    row: LeadRow, deal: str, event: DealStageChanged | DealDeleted, policy: LeadPolicy, src: str, seq: int
) -> LeadEffect:
    """Apply an event to the row of the deal with the key `deal`, and return the facts for the leads.

    `src` and `seq` are the partition and the position of the record in topic `contacts`.
    """
    state = row.state
    change, folded = mapping.change_of(event, policy)
    if any(known.id == change.id for known in state.changes):
        return DUPLICATE
    state.heard_at = max(state.heard_at, event.at)
    newest = _newest_stage(state.changes, policy)
    if len(state.changes) >= MAX_CHANGES:
        del state.changes[: len(state.changes) - _CHANGES_LEFT]
    insort(state.changes, change, key=event_order)
    before = state.holder
    # A deletion moves nothing: it may name any lead that had the deal.
    if change.stage != DELETED and (newest is None or policy.change_order(change) > policy.change_order(newest)):
        state.holder = event.lead
    if not state.holder:
        return LeadEffect("applied", folded=folded)
    changes = tuple([known.packed() for known in state.changes])
    fact = Deal(src=src, seq=seq, lead=state.holder, deal=deal, version=seq, at=event.at, changes=changes)
    if not before or before == state.holder:
        return LeadEffect("applied", facts=(fact,), folded=folded)
    gone = Deal(src=src, seq=seq, lead=before, deal=deal, version=seq, at=event.at, gone=True)
    return LeadEffect("applied", facts=(gone, fact), folded=folded)


def _newest_stage(changes: list[DealChange], policy: LeadPolicy) -> DealChange | None:
    """Return the newest change that is no deletion."""
    return next((change for change in reversed(policy.in_order(changes)) if change.stage != DELETED), None)


def of_lead(row: LeadRow, fact: Deal, policy: LeadPolicy, src: str, seq: int) -> LeadEffect:
    """Store a deal that its row sent, or remove it. `src` and `seq` are those of the fact's own record.

    A lead may receive one deal over several keys that are linked to it, in any order among them: the greatest version
    counts. Over each key the deal comes before the fact that it is gone, so the lead keeps no trace of deals that it
    does not have.
    """
    state = row.state
    state.heard_at = max(state.heard_at, fact.at)
    if state.linked_to and fact.hops < MAX_HOPS:
        onward = replace(fact, src=src, seq=seq, lead=state.linked_to, hops=fact.hops + 1)
        return LeadEffect("applied", facts=(onward,))
    deal = fact.deal
    known = state.deal_versions.get(deal)
    if known is not None and fact.version <= known.version:
        return APPLIED
    if fact.gone:
        state.deal_versions.pop(deal, None)
        if deal not in state.deals:
            return APPLIED
    dropped = () if fact.gone else make_room(row, fact.lead, policy)
    summary = summary_of(row, policy)
    components = affected.by_deal(summary)
    difference = Difference(fact.lead, summary, policy)
    difference.before(components)
    if fact.gone:
        del state.deals[deal]
    else:
        known = state.deal_versions.get(deal)  # anew, since retention may have dropped records
        floor = (0, "") if known is None else (known.floor_at, known.floor_id)
        state.deal_versions[deal] = DealVersion(fact.version, *floor)
        merge.add_changes(state, deal, [DealChange(*change) for change in fact.changes])
    summary.update_deal(deal, policy)
    difference.after(components, summary)
    return LeadEffect("applied", merged(dropped, difference.deltas()))


def of_older_group(row: LeadRow, lead: str, event: DealStageChanged | DealDeleted, policy: LeadPolicy) -> LeadEffect:
    """Apply a change of a deal to the lead that it names, as groups of the release before do."""
    change, folded = mapping.change_of(event, policy)
    state = row.state
    deal = event.deal
    if any(known.id == change.id for known in state.deals.get(deal, ())):
        return DUPLICATE
    dropped = make_room(row, lead, policy)
    summary = summary_of(row, policy)
    components = affected.by_deal(summary)
    difference = Difference(lead, summary, policy)
    difference.before(components)
    merge.add_change(state, deal, change)
    summary.update_deal(deal, policy)
    difference.after(components, summary)
    return LeadEffect("applied", merged(dropped, difference.deltas()), folded=folded)

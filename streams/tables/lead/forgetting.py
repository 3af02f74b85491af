"""Forgetting: a row loses all records of its lead or deal at once. Their contributions to managers' figures stay.

An emptied row keeps the positions of its sources and nothing else, so that facts which are sent again change nothing.
It is removed soon after (`agents/state/expiry.py`), when no record before this fact can come again.
"""

from __future__ import annotations

from streams.contract.facts import RESERVED, Forgotten
from streams.tables.changelog import FORGOTTEN_AT
from streams.tables.lead import contributions, merge
from streams.tables.lead.changes import summary_of
from streams.tables.lead.deltas import ManagerDelta, deltas_of
from streams.tables.lead.effect import LeadEffect
from streams.tables.lead.policy import LeadPolicy
from streams.tables.lead.row import LeadRow


def forget(row: LeadRow, lead: str, policy: LeadPolicy, src: str, seq: int) -> LeadEffect:
    """Empty the row of `lead`, or of a deal. The lead leaves its manager's list, and its deals are forgotten as well.

    `src` and `seq` are the partition and the position of the record in topic `contacts`.
    """
    state = row.state
    deltas: tuple[ManagerDelta, ...] = ()
    if not lead.startswith(RESERVED):
        summary = summary_of(row, policy)
        owner = summary.owner
        deltas = deltas_of({}, lead, (owner, contributions.attention(summary, policy)), (owner, None))
    deals = tuple([Forgotten(src=src, seq=seq, lead=deal) for deal in state.deals if deal.startswith(RESERVED)])
    merge.clear_records(state)
    state.changes = []
    state.holder = state.linked_to = ""
    state.heard_at = FORGOTTEN_AT
    row.summary = None
    return LeadEffect("applied", deltas, deals)

"""The lead's row: what is known of a lead, and what that means for the managers who work on it.

lead_state    what is known: a set of legs, notes, deals, activities, consultations
lead_story    what that comes to: whose lead it is, how its deals stand, what was progress
lead_claims   what counts for whom, with the evidence
lead_fold     how a fact changes it, and what is told because of it
lead_codec    rows as bytes
"""

from __future__ import annotations

from streams.tables.lead.codec import LeadRecords, LeadRow, dump, heard_at, load
from streams.tables.lead.contributions import BUCKETS, Claim, Contribution
from streams.tables.lead.deltas import Changes
from streams.tables.lead.effect import LeadEffect
from streams.tables.lead.fold import LeadFold, refusal
from streams.tables.lead.state import DAYS_KEPT, LeadState

__all__ = [
    "BUCKETS",
    "DAYS_KEPT",
    "Changes",
    "Claim",
    "Contribution",
    "LeadEffect",
    "LeadFold",
    "LeadRecords",
    "LeadRow",
    "LeadState",
    "dump",
    "heard_at",
    "load",
    "refusal",
]

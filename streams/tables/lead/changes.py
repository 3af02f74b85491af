"""The changes of a lead's row by events of the CRM, except those of deals; and functions common to all changes.

Each function applies one event and returns the effect: the difference of the contributions that the change can affect
(`affected`), computed before and after it.
"""

from __future__ import annotations

from streams.contract.events import ActivityLogged, CallAnnotated, LeadConsulted
from streams.tables.lead import affected, contributions, mapping, merge, retention
from streams.tables.lead.deltas import Difference, ManagerDelta, merged
from streams.tables.lead.effect import APPLIED, DUPLICATE, LeadEffect
from streams.tables.lead.policy import LeadPolicy
from streams.tables.lead.records import Activity, note_version
from streams.tables.lead.row import LeadRow
from streams.tables.lead.summary import LeadSummary


def note(row: LeadRow, lead: str, event: CallAnnotated, policy: LeadPolicy) -> LeadEffect:
    """Apply a note on a call."""
    version, folded = mapping.note_of(event, policy)
    state = row.state
    old = state.notes.get(event.call)
    if old is not None and note_version(old) >= note_version(version):
        return DUPLICATE if note_version(old) == note_version(version) else APPLIED
    dropped = make_room(row, lead, policy)
    summary = summary_of(row, policy)
    components = affected.by_note(summary, event.call, version, old)
    difference = Difference(lead, summary, policy)
    difference.before(components)
    merge.add_note(state, event.call, version)
    summary.update_notes()
    difference.after(components, summary)
    return LeadEffect("applied", merged(dropped, difference.deltas()), folded=folded)


def consultation(row: LeadRow, lead: str, event: LeadConsulted, policy: LeadPolicy) -> LeadEffect:
    """Apply a consultation about the lead."""
    state = row.state
    if event.at <= state.consulted_at:
        return DUPLICATE if event.at == state.consulted_at else APPLIED
    summary = summary_of(row, policy)
    difference = Difference(lead, summary, policy)
    difference.before(affected.BY_CONSULTATION)
    state.consulted_at = event.at
    difference.after(affected.BY_CONSULTATION, summary)
    return LeadEffect("applied", difference.deltas())


def activity(row: LeadRow, lead: str, event: ActivityLogged, policy: LeadPolicy) -> LeadEffect:
    """Apply a contact other than a call."""
    state = row.state
    if any(known.id == event.id for known in state.activities):
        return DUPLICATE
    dropped = make_room(row, lead, policy)
    summary = summary_of(row, policy)
    difference = Difference(lead, summary, policy)
    difference.before(affected.BY_ACTIVITY)
    merge.add_activity(state, Activity(event.at, event.id, event.channel, event.manager or ""))
    difference.after(affected.BY_ACTIVITY, summary)
    return LeadEffect("applied", merged(dropped, difference.deltas()))


def summary_of(row: LeadRow, policy: LeadPolicy) -> LeadSummary:
    """Return the summary of the present state: that of the last fold, if there is one."""
    summary = row.summary
    if summary is None:
        summary = row.summary = LeadSummary(row.state, policy)
    return summary


def new_summary(row: LeadRow, policy: LeadPolicy) -> LeadSummary:
    """Return a summary computed anew, after a change that no `update_...` of the summary covers."""
    row.summary = None
    return summary_of(row, policy)


def make_room(row: LeadRow, lead: str, policy: LeadPolicy) -> tuple[ManagerDelta, ...]:
    """Drop records if one more would exceed a bound; return the deltas of the dropping."""
    state = row.state
    if not retention.must_forget(state, 1):
        return ()
    difference = Difference(lead, summary_of(row, policy), policy)
    difference.before(contributions.CURRENT)
    retention.make_room(state, 1)
    difference.after(contributions.CURRENT, new_summary(row, policy))
    return difference.deltas()

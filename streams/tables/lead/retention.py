"""Retention: the bounds on a lead's row. Records beyond a bound are dropped, oldest first.

Contributions of a dropped leg, deal or activity stay counted. Those that describe the present state of the lead
(`contributions.CURRENT`) are computed anew. So the row is brought inside the bounds before a change, and the deltas of
the change are computed from the records that are left.
"""

from __future__ import annotations

from bisect import bisect_left
from typing import Final

from streams.tables.lead.codec import pack
from streams.tables.lead.merge import count_forgotten, noted_legs
from streams.tables.lead.records import (
    FLAG_CONVERSATION,
    DealChange,
    DealVersion,
    LeadLeg,
    end_order,
    event_order,
    start_order,
)
from streams.tables.lead.state import CALL_DAYS_KEPT, LeadState

MAX_LEGS: Final = 200
MAX_NOTES: Final = 200
MAX_ACTIVITIES: Final = 200
MAX_DEALS: Final = 32
MAX_CHANGES: Final = 64
MAX_DEAL_VERSIONS: Final = 2 * MAX_DEALS
"""Deals of which the version is kept: those of the lead, and some of those that were dropped."""
MAX_ROW_BYTES: Final = 256 * 1024
"""A larger row drops more than the other bounds demand: a `Moved` fact with its state must fit into one record."""
_MANY_RECORDS: Final = 48
_WEIGHED_EVERY: Final = 8  # revisions
_SHARE_LEFT: Final = 7 / 8


def must_forget(state: LeadState, more: int) -> bool:
    """Return whether a row exceeds a bound once `more` records of any type are added. Bytes are counted rarely."""
    return is_over(state, more) or (not state.revision % _WEIGHED_EVERY and _is_heavy(state))


def make_room(state: LeadState, more: int) -> None:
    """Drop records until `more` of any type fit, and an eighth more, so that this is rarely needed."""
    if is_over(state, more):
        forget(state, more, _SHARE_LEFT if more else 1.0)
    share = 1.0
    while _is_heavy(state) and share > 0.01:  # noqa: PLR2004 - nothing is left below
        share /= 2
        forget(state, more, share)


def _is_heavy(state: LeadState) -> bool:
    return _record_count(state) > _MANY_RECORDS and len(pack(state)) > MAX_ROW_BYTES


def _record_count(state: LeadState) -> int:
    changes = sum([len(changes) for changes in state.deals.values()])
    return len(state.legs) + len(state.notes) + len(state.activities) + changes


def is_over(state: LeadState, more: int) -> bool:
    """Return whether `more` records of any type would exceed a bound."""
    return (
        len(state.legs) + more > MAX_LEGS
        or len(state.notes) + more > MAX_NOTES
        or len(state.activities) + more > MAX_ACTIVITIES
        or len(state.deals) + more > MAX_DEALS
        or (bool(state.deals) and any(len(changes) + more > MAX_CHANGES for changes in state.deals.values()))
    )


def forget(state: LeadState, more: int, share: float = 1.0) -> None:
    """Drop the oldest records, so that `more` of each type fit into `share` of the bounds.

    The first leg stays, and so do the first conversation and the legs whose notes were the first to name a stage: they
    prove when the lead was given and which steps it reached.
    """
    over_legs = len(state.legs) + more - int(MAX_LEGS * share)
    over_notes = len(state.notes) + more - int(MAX_NOTES * share)
    if over_legs > 0 or over_notes > 0:
        pinned = _pinned(state)
        old = [leg for leg in state.legs if (leg.call, leg.manager) not in pinned]
        forget_legs(state, old[: max(0, over_legs)])
        calls = {call for call, _ in pinned}
        by_age = sorted((event_order(note), call) for call, note in state.notes.items() if call not in calls)
        for _, call in by_age[: max(0, len(state.notes) + more - int(MAX_NOTES * share))]:
            del state.notes[call]
    del state.activities[: max(0, len(state.activities) + more - int(MAX_ACTIVITIES * share))]
    over_deals = len(state.deals) + more - max(1, int(MAX_DEALS * share))
    if over_deals > 0:
        ages = sorted((event_order(changes[-1]), deal) for deal, changes in state.deals.items())
        for _, deal in ages[:over_deals]:
            _note_dropped(state, deal, state.deals.pop(deal))
    for deal, changes in state.deals.items():
        over_changes = max(0, len(changes) + more - max(1 + more, int(MAX_CHANGES * share)))
        _note_dropped(state, deal, changes[:over_changes])
        del changes[:over_changes]


def _note_dropped(state: LeadState, deal: str, dropped: list[DealChange]) -> None:
    """Remember the dropped changes of a deal, so that they do not count when they come again."""
    version = state.deal_versions.get(deal)
    if version is None or not dropped:
        return
    state.deal_versions[deal] = DealVersion(version.version, dropped[-1].at, dropped[-1].id)
    over = len(state.deal_versions) - MAX_DEAL_VERSIONS
    if over > 0:
        absent = [known for known in state.deal_versions if known not in state.deals]
        for known in absent[:over]:
            del state.deal_versions[known]


def keep_only(state: LeadState, union: LeadState) -> None:
    """Drop from `state` the records that retention dropped from `union`, which contained all of them."""
    kept = set(union.legs)
    forget_legs(state, [leg for leg in state.legs if leg not in kept])
    state.notes = {call: note for call, note in state.notes.items() if call in union.notes}
    state.activities = [activity for activity in state.activities if activity in union.activities]
    deals = {
        deal: [change for change in changes if change in union.deals.get(deal, ())]
        for deal, changes in state.deals.items()
    }
    state.deals = {deal: changes for deal, changes in deals.items() if changes}


def _pinned(state: LeadState) -> set[tuple[str, str]]:
    """Return (call, manager) of the legs that retention never drops."""
    legs = state.legs
    pinned = {(leg.call, leg.manager) for leg in legs[:1]}
    conversations = [leg for leg in legs if leg.flags & FLAG_CONVERSATION]
    if conversations:
        first = min(conversations, key=end_order)
        pinned.add((first.call, first.manager))
    named: set[str] = set()
    for leg, note in noted_legs(state):
        if not named.issuperset(note.stages):
            named.update(note.stages)
            pinned.add((leg.call, leg.manager))
    return pinned


def forget_legs(state: LeadState, legs: list[LeadLeg]) -> None:
    """Drop legs and the notes of their calls. Their calls and dials stay in the counts per day."""
    for leg in legs:
        del state.legs[bisect_left(state.legs, start_order(leg), key=start_order)]
        count_forgotten(state, leg, 1)
    calls = {leg.call for leg in state.legs}
    for leg in legs:
        if leg.call not in calls:
            state.notes.pop(leg.call, None)
    oldest = state.latest_day - CALL_DAYS_KEPT
    for day in [day for day in state.forgotten if day < oldest]:
        del state.forgotten[day]

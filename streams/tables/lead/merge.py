"""A lead's state as a set: what is added to it and taken back, its union with another, its days and its notes.

Of two versions of the same thing the newer wins, by something that is part of it; whatever changes the state says
whether it did. So the same facts come to the same state in whatever order they are told.
"""

from __future__ import annotations

from bisect import insort
from typing import Final

from streams.tables.lead.records import OUTBOUND, Activity, Change, Gone, Leg, Note, begun, ended, moment, rank_of
from streams.tables.lead.state import DAYS_KEPT, DIALS, LeadState

MAX_GONE: Final = 200


def add_leg(state: LeadState, leg: Leg) -> bool:
    """Add a leg, or a newer version of one. Return whether that changed anything."""
    if state.gone and any(_is_over(leg, gone) for gone in state.gone):
        return False
    for place, known in enumerate(state.legs):
        if known.call == leg.call and known.manager == leg.manager:
            if known.seq >= leg.seq:
                return False
            del state.legs[place]
            break
    insort(state.legs, leg, key=begun)
    return True


def withdraw_leg(state: LeadState, leg: Leg) -> bool:
    """Take back a leg by a later fact of it. Return whether that changed anything."""
    for place, known in enumerate(state.legs):
        if known.call == leg.call and known.manager == leg.manager:
            if known.seq > leg.seq:
                return False
            del state.legs[place]
            break
    else:
        if state.forgotten and state.legs and begun(leg) < begun(state.legs[-1]):
            remember(state, leg, -1)  # it was counted, and then forgotten
            return True
    return _note_gone(state, Gone(leg.call, leg.manager, leg.seq))


def _note_gone(state: LeadState, gone: Gone) -> bool:
    others = []
    for known in state.gone:
        if known.call != gone.call or known.manager != gone.manager:
            others.append(known)
        elif known.seq >= gone.seq:
            return False
    state.gone = [*others[1 - MAX_GONE :], gone]
    return True


def add_note(state: LeadState, call: str, note: Note) -> bool:
    """Add what was noted of a call, if it is newer than what is there. Return whether that changed anything."""
    known = state.notes.get(call)
    if known is not None and rank_of(known) >= rank_of(note):
        return False
    state.notes[call] = note
    return True


def add_change(state: LeadState, deal: str, change: Change) -> bool:
    """Add a change of a deal. Return whether it was not there yet."""
    changes = state.deals.setdefault(deal, [])
    if any(known.id == change.id for known in changes):
        return False
    insort(changes, change, key=moment)
    return True


def add_activity(state: LeadState, activity: Activity) -> bool:
    """Add an activity. Return whether it was not there yet."""
    if any(known.id == activity.id for known in state.activities):
        return False
    insort(state.activities, activity, key=moment)
    return True


def _is_over(leg: Leg, gone: Gone) -> bool:
    return leg.seq < gone.seq and leg.call == gone.call and leg.manager == gone.manager


def merge(state: LeadState, other: LeadState) -> None:
    """Add all that `other` knows, but where it came from and what it was linked to."""
    for gone in other.gone:
        state.legs = [leg for leg in state.legs if not _is_over(leg, gone)]
        _note_gone(state, gone)
    for leg in other.legs:
        add_leg(state, leg)
    for call, note in other.notes.items():
        add_note(state, call, note)
    for deal, changes in other.deals.items():
        for change in changes:
            add_change(state, deal, change)
    for activity in other.activities:
        add_activity(state, activity)
    for day, counts in other.forgotten.items():
        _count(state, day, counts)
    state.consulted_at = max(state.consulted_at, other.consulted_at)
    state.heard_at = max(state.heard_at, other.heard_at)


def become(state: LeadState, other: LeadState) -> None:
    """Take over all that `other` knows, but where its facts came from and its link."""
    state.legs = other.legs
    state.notes = other.notes
    state.deals = other.deals
    state.activities = other.activities
    state.consulted_at = other.consulted_at
    state.forgotten = other.forgotten
    state.gone = other.gone
    state.heard_at = max(state.heard_at, other.heard_at)


def empty(state: LeadState) -> None:
    """Forget all but where facts came from, when the lead was heard of, and its link."""
    become(state, LeadState())


def remember(state: LeadState, leg: Leg, sign: int) -> None:
    """Count (or with `sign` -1: no longer count) a leg that is forgotten."""
    _count(state, leg.day, sign * ((1 << DIALS) + 1 if leg.flags & OUTBOUND else 1))


def _count(state: LeadState, day: int, counts: int) -> None:
    counts += state.forgotten.get(day, 0)
    if counts > 0:
        state.forgotten[day] = counts
    else:
        state.forgotten.pop(day, None)


def counts_by_day(state: LeadState) -> dict[int, int]:
    """Return calls and dials by day, back to `DAYS_KEPT` days before the newest; a day's two in one integer."""
    legs = state.legs
    if not legs:
        return {}
    days = state.forgotten.copy()
    for leg in legs:
        day = leg.day
        days[day] = days.get(day, 0) + ((1 << DIALS) + 1 if leg.flags & OUTBOUND else 1)
    newest = max(days)
    if min(days) < newest - DAYS_KEPT:
        return {day: counts for day, counts in days.items() if day >= newest - DAYS_KEPT}
    return days


def noted_legs(state: LeadState) -> list[tuple[Leg, Note]]:
    """Return the legs with what was noted of them, in the order in which they ended.

    A note is of its manager's leg of the call, and waits until that is there; one that names nobody is of the leg of
    the call that began last.
    """
    notes = state.notes
    if not notes:
        return []
    found: dict[str, tuple[Leg, Note]] = {}
    for leg in state.legs:
        note = notes.get(leg.call)
        if note is not None and (not note.manager or note.manager == leg.manager):
            found[leg.call] = leg, note
    pairs = list(found.values())
    if len(pairs) > 1:
        pairs.sort(key=_ended_first)
    return pairs


def _ended_first(pair: tuple[Leg, Note]) -> tuple[int, str, str]:
    return ended(pair[0])

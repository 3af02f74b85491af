"""Changes of a lead's state as a set: add a record, withdraw a leg, unite two states.

Of two versions of the same record the newer one wins, by a version that is part of it. So the same facts give the same
state in any order. The functions that add or withdraw return whether the state changed.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Iterable
from typing import Final

from streams.tables.lead.records import (
    FLAG_OUTBOUND,
    Activity,
    DealChange,
    DealVersion,
    LeadLeg,
    Note,
    Tombstone,
    end_order,
    event_order,
    note_version,
    start_order,
)
from streams.tables.lead.state import CALL_DAYS_KEPT, DIALS_SHIFT, LeadState

MAX_TOMBSTONES: Final = 200


def add_leg(state: LeadState, leg: LeadLeg) -> bool:
    """Add a leg, or replace an older version of it."""
    if state.tombstones and any(_is_withdrawn(leg, tombstone) for tombstone in state.tombstones):
        return False
    for index, other in enumerate(state.legs):
        if other.call == leg.call and other.manager == leg.manager:
            if other.seq >= leg.seq:
                return False
            del state.legs[index]
            break
    insort(state.legs, leg, key=start_order)
    return True


def withdraw_leg(state: LeadState, leg: LeadLeg) -> bool:
    """Remove a leg, by a later fact of the same leg."""
    for index, other in enumerate(state.legs):
        if other.call == leg.call and other.manager == leg.manager:
            if other.seq > leg.seq:
                return False
            del state.legs[index]
            break
    else:
        if state.forgotten and state.legs and start_order(leg) < start_order(state.legs[-1]):
            count_forgotten(state, leg, -1)  # retention dropped the leg, so it is in these counts
            return True
    return _add_tombstone(state, Tombstone(leg.call, leg.manager, leg.seq))


def _add_tombstone(state: LeadState, tombstone: Tombstone) -> bool:
    others = []
    for other in state.tombstones:
        if other.call != tombstone.call or other.manager != tombstone.manager:
            others.append(other)
        elif other.seq >= tombstone.seq:
            return False
    state.tombstones = [*others[1 - MAX_TOMBSTONES :], tombstone]
    return True


def add_note(state: LeadState, call: str, note: Note) -> bool:
    """Set the note of a call, unless the present one is newer."""
    present = state.notes.get(call)
    if present is not None and note_version(present) >= note_version(note):
        return False
    state.notes[call] = note
    return True


def add_change(state: LeadState, deal: str, change: DealChange) -> bool:
    """Add a change of a deal, unless it is present."""
    changes = state.deals.setdefault(deal, [])
    if any(other.id == change.id for other in changes):
        return False
    insort(changes, change, key=event_order)
    return True


def add_activity(state: LeadState, activity: Activity) -> bool:
    """Add an activity, unless it is present."""
    if any(other.id == activity.id for other in state.activities):
        return False
    insort(state.activities, activity, key=event_order)
    return True


def _is_withdrawn(leg: LeadLeg, tombstone: Tombstone) -> bool:
    return leg.seq < tombstone.seq and leg.call == tombstone.call and leg.manager == tombstone.manager


def merge(state: LeadState, other: LeadState) -> None:
    """Add all records of `other`; its source positions and its link are not taken over."""
    for tombstone in other.tombstones:
        state.legs = [leg for leg in state.legs if not _is_withdrawn(leg, tombstone)]
        _add_tombstone(state, tombstone)
    for leg in other.legs:
        add_leg(state, leg)
    for call, note in other.notes.items():
        add_note(state, call, note)
    _merge_deals(state, other)
    for activity in other.activities:
        add_activity(state, activity)
    for day, counts in other.forgotten.items():
        _count(state, day, counts)
    state.consulted_at = max(state.consulted_at, other.consulted_at)
    state.heard_at = max(state.heard_at, other.heard_at)


def _merge_deals(state: LeadState, other: LeadState) -> None:
    for deal, version in other.deal_versions.items():
        present = state.deal_versions.get(deal)
        if present is not None:
            floor = max((present.floor_at, present.floor_id), (version.floor_at, version.floor_id))
            version = DealVersion(max(present.version, version.version), *floor)  # noqa: PLW2901 - of both rows
        state.deal_versions[deal] = version
    for deal, changes in other.deals.items():
        add_changes(state, deal, changes)


def add_changes(state: LeadState, deal: str, changes: Iterable[DealChange]) -> None:
    """Add changes of a deal, except those that are present and those that retention dropped before."""
    version = state.deal_versions.get(deal)
    for change in changes:
        if version is None or version.admits(change):
            add_change(state, deal, change)


def replace_records(state: LeadState, other: LeadState) -> None:
    """Replace the records of `state` by those of `other`; source positions and the link stay."""
    state.legs = other.legs
    state.notes = other.notes
    state.deals = other.deals
    state.deal_versions = other.deal_versions
    state.activities = other.activities
    state.consulted_at = other.consulted_at
    state.forgotten = other.forgotten
    state.tombstones = other.tombstones
    state.heard_at = max(state.heard_at, other.heard_at)


def clear_records(state: LeadState) -> None:
    """Remove all records; source positions, `heard_at` and the link stay."""
    replace_records(state, LeadState())


def count_forgotten(state: LeadState, leg: LeadLeg, sign: int) -> None:
    """Add a dropped leg to the counts of its day (`sign` 1), or subtract it (-1)."""
    _count(state, leg.day, sign * ((1 << DIALS_SHIFT) + 1 if leg.flags & FLAG_OUTBOUND else 1))


def _count(state: LeadState, day: int, counts: int) -> None:
    counts += state.forgotten.get(day, 0)
    if counts > 0:
        state.forgotten[day] = counts
    else:
        state.forgotten.pop(day, None)


def counts_by_day(state: LeadState) -> dict[int, int]:
    """Return calls and dials per day, packed in one integer, from `CALL_DAYS_KEPT` days before the newest day on."""
    legs = state.legs
    if not legs:
        return {}
    days = state.forgotten.copy()
    for leg in legs:
        day = leg.day
        days[day] = days.get(day, 0) + ((1 << DIALS_SHIFT) + 1 if leg.flags & FLAG_OUTBOUND else 1)
    newest = max(days)
    if min(days) < newest - CALL_DAYS_KEPT:
        return {day: counts for day, counts in days.items() if day >= newest - CALL_DAYS_KEPT}
    return days


def noted_legs(state: LeadState) -> list[tuple[LeadLeg, Note]]:
    """Return the legs that have a note, with that note, ordered by their end.

    A note that names a manager belongs to that manager's leg of the call, and waits for it. A note without a manager
    belongs to the leg of the call that started last.
    """
    notes = state.notes
    if not notes:
        return []
    by_call: dict[str, tuple[LeadLeg, Note]] = {}
    for leg in state.legs:
        note = notes.get(leg.call)
        if note is not None and (not note.manager or note.manager == leg.manager):
            by_call[leg.call] = leg, note
    pairs = list(by_call.values())
    if len(pairs) > 1:
        pairs.sort(key=_pair_order)
    return pairs


def _pair_order(pair: tuple[LeadLeg, Note]) -> tuple[int, str, str]:
    return end_order(pair[0])

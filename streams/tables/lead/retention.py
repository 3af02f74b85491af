"""How much is kept of a lead: what is over the bounds is forgotten, oldest first.

What was done stays as it was told when the leg, deal or activity by which it was done is forgotten; how the lead stands
and how far it came is told anew. So a row is brought inside the bounds before a change, and what the change tells is
the difference that it makes to what is left.
"""

from __future__ import annotations

from bisect import bisect_left
from typing import Final

from streams.tables.lead.codec import pack
from streams.tables.lead.merge import noted_legs, remember
from streams.tables.lead.records import CONVERSATION, Leg, begun, ended, moment
from streams.tables.lead.state import DAYS_KEPT, LeadState

MAX_LEGS: Final = 200
MAX_NOTES: Final = 200
MAX_ACTIVITIES: Final = 200
MAX_DEALS: Final = 32
MAX_CHANGES: Final = 64
MAX_ROW_BYTES: Final = 256 * 1024
"""A row beyond it forgets more than the bounds ask for: what moves it to another lead must fit into a record."""
_MANY_THINGS: Final = 48
_NOW_AND_THEN: Final = 8
_ROOM: Final = 7 / 8


def must_forget(state: LeadState, more: int) -> bool:
    """Tell whether a row is over its bounds once `more` of anything come. Bytes are counted now and then."""
    return is_over(state, more) or (not state.revision % _NOW_AND_THEN and _is_heavy(state))


def make_room(state: LeadState, more: int) -> None:
    """Forget what is over the bounds once `more` of anything come, and an eighth more, so that it is seldom needed."""
    if is_over(state, more):
        forget(state, more, _ROOM if more else 1.0)
    share = 1.0
    while _is_heavy(state) and share > 0.01:  # noqa: PLR2004 - nothing is left below
        share /= 2
        forget(state, more, share)


def _is_heavy(state: LeadState) -> bool:
    return _things(state) > _MANY_THINGS and len(pack(state)) > MAX_ROW_BYTES


def _things(state: LeadState) -> int:
    changes = sum([len(changes) for changes in state.deals.values()])
    return len(state.legs) + len(state.notes) + len(state.activities) + changes


def is_over(state: LeadState, more: int) -> bool:
    """Tell whether so many more of anything would be over a bound."""
    return (
        len(state.legs) + more > MAX_LEGS
        or len(state.notes) + more > MAX_NOTES
        or len(state.activities) + more > MAX_ACTIVITIES
        or len(state.deals) + more > MAX_DEALS
        or (bool(state.deals) and any(len(changes) + more > MAX_CHANGES for changes in state.deals.values()))
    )


def forget(state: LeadState, more: int, share: float = 1.0) -> None:
    """Forget, oldest first, what is over the bounds (or a `share` of them) once so many `more` of it come.

    The first leg stays, the first conversation, and the legs whose notes were the first to name a stage: they say when
    a lead was given and how far it came, however often it was called since.
    """
    over_legs = len(state.legs) + more - int(MAX_LEGS * share)
    over_notes = len(state.notes) + more - int(MAX_NOTES * share)
    if over_legs > 0 or over_notes > 0:
        pinned = _pinned(state)
        old = [leg for leg in state.legs if (leg.call, leg.manager) not in pinned]
        forget_legs(state, old[: max(0, over_legs)])
        calls = {call for call, _ in pinned}
        by_age = sorted((moment(note), call) for call, note in state.notes.items() if call not in calls)
        for _, call in by_age[: max(0, len(state.notes) + more - int(MAX_NOTES * share))]:
            del state.notes[call]
    del state.activities[: max(0, len(state.activities) + more - int(MAX_ACTIVITIES * share))]
    over_deals = len(state.deals) + more - max(1, int(MAX_DEALS * share))
    if over_deals > 0:
        ages = sorted((moment(changes[-1]), deal) for deal, changes in state.deals.items())
        for _, deal in ages[:over_deals]:
            del state.deals[deal]
    for changes in state.deals.values():
        del changes[: max(0, len(changes) + more - max(1 + more, int(MAX_CHANGES * share)))]


def keep_only(state: LeadState, union: LeadState) -> None:
    """Forget of `state` what `union`, which has all of it and more, has forgotten."""
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
    """Return (call, manager) of the legs that are not forgotten."""
    legs = state.legs
    pinned = {(leg.call, leg.manager) for leg in legs[:1]}
    conversations = [leg for leg in legs if leg.flags & CONVERSATION]
    if conversations:
        first = min(conversations, key=ended)
        pinned.add((first.call, first.manager))
    named: set[str] = set()
    for leg, note in noted_legs(state):
        if not named.issuperset(note.stages):
            named.update(note.stages)
            pinned.add((leg.call, leg.manager))
    return pinned


def forget_legs(state: LeadState, legs: list[Leg]) -> None:
    """Forget legs, and what was noted of their calls; the calls and dials of their days are still counted."""
    for leg in legs:
        del state.legs[bisect_left(state.legs, begun(leg), key=begun)]
        remember(state, leg, 1)
    calls = {leg.call for leg in state.legs}
    for leg in legs:
        if leg.call not in calls:
            state.notes.pop(leg.call, None)
    oldest = state.latest_day - DAYS_KEPT
    for day in [day for day in state.forgotten if day < oldest]:
        del state.forgotten[day]

"""What is known of a lead: its legs, what was noted of them, its deals, activities, consultations, and its link.

The state is a set: the same facts give the same state in whatever order they come, and a fact that is there already
changes nothing. Of two versions of the same thing the newer wins, by something that is part of it (a revision, a place
in its source), never by the time it came. Bounds keep a row small; what is over them is forgotten, oldest first.
"""

from __future__ import annotations

from bisect import insort
from operator import attrgetter
from typing import Final

from msgspec import Struct, field

from streams import events

MAX_GONE: Final = 200

DAYS_KEPT: Final = 31
"""How many days before the newest one calls are counted: the longest window of them is 30 days, and zones differ."""

KINDS: Final[tuple[str, ...]] = (*events.KINDS, "unknown")
UNKNOWN: Final = KINDS.index("unknown")
# A leg's flags in one small integer: the place of its kind in KINDS, and three bits.
KIND: Final = 7
OUTBOUND: Final = 8
ANSWERED: Final = 16
CONVERSATION: Final = 32

# A day's calls and dials that were forgotten in one integer: calls in the low 32 bits.
DIALS: Final = 32
CALLS: Final = (1 << DIALS) - 1


class Leg(Struct, frozen=True, gc=False, array_like=True):
    """A finished leg. `day` is the local day of its manager in which it ended, `talk_ms` is -1 where it is not known.

    `seq` is the place of the fact in its source: of two facts of the same leg (call, manager) the later one holds.
    """

    call: str
    manager: str
    day: int
    at: int
    started_at: int
    flags: int
    talk_ms: int
    seq: int


class Gone(Struct, frozen=True, gc=False, array_like=True):
    """A leg that was withdrawn by the fact at `seq`: earlier facts of it say nothing any more."""

    call: str
    manager: str
    seq: int


class Note(Struct, frozen=True, gc=False, array_like=True):
    """What was said of a call. `manager` is "" where nobody was named, `reason` where none was given.

    `stages` are known and ranked, `reason` is one of the settings or "other", `due_at` is 0 without an agreed next step
    that has a moment.
    """

    revision: int
    at: int
    id: str
    manager: str
    kind: int
    stages: tuple[str, ...]
    reason: str
    agreed: bool
    due_at: int


class Change(Struct, frozen=True, gc=False, array_like=True):
    """A deal came to `stage` ("other" for one that is not of the settings). `amount` is in thousandths."""

    at: int
    id: str
    stage: str
    manager: str | None = None
    amount: int | None = None
    currency: str | None = None
    product: str | None = None
    channel: str | None = None
    client_type: str | None = None


class Activity(Struct, frozen=True, gc=False, array_like=True):
    """The lead was reached by something other than a call. `manager` is "" where nobody was named."""

    at: int
    id: str
    channel: str
    manager: str


class LeadState(Struct, gc=False, array_like=True):
    """A lead. `revision` counts the facts applied, `applied` holds the highest `seq` of each `src`.

    `heard_at` is the newest moment of anything applied. `legs` are in the order in which they began, the changes of a
    deal and the activities in that of their moments. `notes` are by call, `deals` by deal. `forgotten` counts by day
    the calls and dials of legs that are over the bounds. `linked_to` is the lead that this key became, "" if none.
    """

    revision: int = 0
    heard_at: int = 0
    applied: dict[str, int] = field(default_factory=dict)
    legs: list[Leg] = field(default_factory=list)
    notes: dict[str, Note] = field(default_factory=dict)
    deals: dict[str, list[Change]] = field(default_factory=dict)
    activities: list[Activity] = field(default_factory=list)
    consulted_at: int = 0
    linked_to: str = ""
    forgotten: dict[int, int] = field(default_factory=dict)
    gone: list[Gone] = field(default_factory=list)

    @property
    def is_empty(self) -> bool:
        """Whether nothing is known but where facts came from."""
        return not (
            self.legs or self.notes or self.deals or self.activities or self.consulted_at or self.forgotten or self.gone
        )

    @property
    def latest_day(self) -> int:
        """The newest local day of a leg, 0 without any."""
        return max([leg.day for leg in self.legs], default=0)


def begun(leg: Leg) -> tuple[int, str, str]:
    """Return what orders legs: which began first, and a rule for those that began at once."""
    return leg.started_at, leg.call, leg.manager


def ended(leg: Leg) -> tuple[int, str, str]:
    """Return what orders what was said in legs: which ended first."""
    return leg.at, leg.call, leg.manager


moment: Final = attrgetter("at", "id")
rank_of: Final = attrgetter("revision", "at", "id")


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


def remember(state: LeadState, leg: Leg, sign: int) -> None:
    """Count (or with `sign` -1: no longer count) a leg that is forgotten."""
    _count(state, leg.day, sign * ((1 << DIALS) + 1 if leg.flags & OUTBOUND else 1))


def _count(state: LeadState, day: int, counts: int) -> None:
    counts += state.forgotten.get(day, 0)
    if counts > 0:
        state.forgotten[day] = counts
    else:
        state.forgotten.pop(day, None)


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

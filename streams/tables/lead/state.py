"""What is known of a lead: its legs, what was noted of them, its deals, activities, consultations, and its link.

The state is a set: the same facts give the same state in whatever order they come, and a fact that is there already
changes nothing. Of two versions of the same thing the newer wins, by something that is part of it (a revision, a place
in its source), never by the time it came. Bounds keep a row small; what is over them is forgotten, oldest first.
"""

from __future__ import annotations

from typing import Final, TypeAlias, final

from mypy_extensions import mypyc_attr

from streams.tables.lead.records import (
    Activity,
    ActivityRecord,
    Change,
    ChangeRecord,
    Gone,
    GoneRecord,
    Leg,
    LegRecord,
    Note,
    NoteRecord,
    newest_day,
)
from streams.tables.value import Plain

DAYS_KEPT: Final = 31
"""How many days before the newest one calls are counted: the longest window of them is 30 days, and zones differ."""

# A day's calls and dials that were forgotten in one integer: calls in the low 32 bits.
DIALS: Final = 32
CALLS: Final = (1 << DIALS) - 1


StateRecord: TypeAlias = tuple[
    int,
    int,
    dict[str, int],
    list[LegRecord],
    dict[str, NoteRecord],
    dict[str, list[ChangeRecord]],
    list[ActivityRecord],
    int,
    str,
    dict[int, int],
    list[GoneRecord],
]
"""A state as it is written: the attributes of `LeadState` in their order."""


@final
@mypyc_attr(acyclic=True)
class LeadState(Plain):
    """A lead. `revision` counts the facts applied, `applied` holds the highest `seq` of each `src`.

    `heard_at` is the newest moment of anything applied. `legs` are in the order in which they began, the changes of a
    deal and the activities in that of their moments. `notes` are by call, `deals` by deal. `forgotten` counts by day
    the calls and dials of legs that are over the bounds. `linked_to` is the lead that this key became, "" if none.
    """

    __slots__ = (
        "activities",
        "applied",
        "consulted_at",
        "deals",
        "forgotten",
        "gone",
        "heard_at",
        "legs",
        "linked_to",
        "notes",
        "revision",
    )

    def __init__(self) -> None:
        self.revision = 0
        self.heard_at = 0
        self.applied: dict[str, int] = {}
        self.legs: list[Leg] = []
        self.notes: dict[str, Note] = {}
        self.deals: dict[str, list[Change]] = {}
        self.activities: list[Activity] = []
        self.consulted_at = 0
        self.linked_to = ""
        self.forgotten: dict[int, int] = {}
        self.gone: list[Gone] = []

    def packed(self) -> StateRecord:
        """Return all of it as plain data, of which `unpacked` makes the same again."""
        return (
            self.revision,
            self.heard_at,
            self.applied,
            [leg.packed() for leg in self.legs],
            {call: note.packed() for call, note in self.notes.items()},
            {deal: [change.packed() for change in changes] for deal, changes in self.deals.items()},
            [activity.packed() for activity in self.activities],
            self.consulted_at,
            self.linked_to,
            self.forgotten,
            [gone.packed() for gone in self.gone],
        )

    __hash__ = None  # type: ignore[assignment]  # states change

    @property
    def is_empty(self) -> bool:
        """Whether nothing is known but where facts came from."""
        return not (
            self.legs or self.notes or self.deals or self.activities or self.consulted_at or self.forgotten or self.gone
        )

    @property
    def latest_day(self) -> int:
        """The newest local day of a leg, 0 without any."""
        return newest_day(self.legs) if self.legs else 0


def unpacked(record: StateRecord) -> LeadState:
    """Return the state that `LeadState.packed` gave."""
    state = LeadState()
    state.revision, state.heard_at, state.applied = record[0], record[1], record[2]
    state.legs = [Leg(*leg) for leg in record[3]]
    state.notes = {call: Note(*note) for call, note in record[4].items()}
    state.deals = {deal: [Change(*change) for change in changes] for deal, changes in record[5].items()}
    state.activities = [Activity(*activity) for activity in record[6]]
    state.consulted_at, state.linked_to, state.forgotten = record[7], record[8], record[9]
    state.gone = [Gone(*gone) for gone in record[10]]
    return state

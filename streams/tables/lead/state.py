"""The state of a lead: its legs, the notes on them, its deals, activities, consultations, and its link.

The row of a deal (`deals`) is in the same table and has such a state, too. It uses only `changes` and `holder`.

The state is a set: the same facts give the same state in any order, and a repeated fact changes nothing. Of two
versions of the same record the newer one wins. Its own revision or source position decides this, never its arrival
time. Bounds keep the row small: `retention` drops the oldest records beyond them.
"""

from __future__ import annotations

from typing import Final, TypeAlias, final

from mypy_extensions import mypyc_attr

from streams.tables.lead.records import (
    Activity,
    ActivityRecord,
    DealChange,
    DealChangeRecord,
    DealVersion,
    DealVersionRecord,
    LeadLeg,
    LegRecord,
    Note,
    NoteRecord,
    Tombstone,
    TombstoneRecord,
    newest_day,
)
from streams.tables.value import Plain

CALL_DAYS_KEPT: Final = 31
"""Calls are counted on this many days before the newest one: their longest window is 30 days, and zones differ."""

DEFINITION: Final = 2
"""The present definition of contributions. A row of an older one is brought up to it by the next fact (`fold`)."""

# The calls and dials of a day in one integer: calls in the low 32 bits, dials above them.
DIALS_SHIFT: Final = 32
CALLS_MASK: Final = (1 << DIALS_SHIFT) - 1


StateRecord: TypeAlias = tuple[
    int,
    int,
    dict[str, int],
    list[LegRecord],
    dict[str, NoteRecord],
    dict[str, list[DealChangeRecord]],
    list[ActivityRecord],
    int,
    str,
    dict[int, int],
    list[TombstoneRecord],
]
"""A state as it is stored: the attributes of `LeadState`, in order."""
StateWithDealsRecord: TypeAlias = tuple[
    int,
    int,
    dict[str, int],
    list[LegRecord],
    dict[str, NoteRecord],
    dict[str, list[DealChangeRecord]],
    list[ActivityRecord],
    int,
    str,
    dict[int, int],
    list[TombstoneRecord],
    dict[str, DealVersionRecord],
    list[DealChangeRecord],
    str,
]
"""The same with the attributes that only a lead with deals, or a deal, has."""


@final
@mypyc_attr(acyclic=True)
class LeadState(Plain):
    """The facts of one lead.

    `revision` counts the facts applied; `applied` has the highest `seq` per `src`. `heard_at` is the newest time of any
    fact applied, ms. `legs` are ordered by their start; activities and the changes of each deal by their time. `notes`
    are keyed by call, `deals` by `deal_key`, or by the id in groups of the release before. `deal_versions` are those of
    the deals that came as `Deal`. `forgotten` counts, per day, the calls and dials of legs that retention dropped.
    `linked_to` is the lead that this key was linked to, "" if none. `definition` is the version of the definition of
    contributions by which those of this row were emitted.

    In the row of a deal, `changes` are those of the deal and `holder` is the lead that has it, "" if none is known yet.
    """

    __slots__ = (
        "activities",
        "applied",
        "changes",
        "consulted_at",
        "deal_versions",
        "deals",
        "definition",
        "forgotten",
        "heard_at",
        "holder",
        "legs",
        "linked_to",
        "notes",
        "revision",
        "tombstones",
    )

    def __init__(self) -> None:
        self.definition = DEFINITION
        self.revision = 0
        self.heard_at = 0
        self.applied: dict[str, int] = {}
        self.legs: list[LeadLeg] = []
        self.notes: dict[str, Note] = {}
        self.deals: dict[str, list[DealChange]] = {}
        self.activities: list[Activity] = []
        self.consulted_at = 0
        self.linked_to = ""
        self.forgotten: dict[int, int] = {}
        self.tombstones: list[Tombstone] = []
        self.deal_versions: dict[str, DealVersion] = {}
        self.changes: list[DealChange] = []
        self.holder = ""

    def packed(self) -> StateRecord | StateWithDealsRecord:
        """Return the attributes as plain data; `unpacked` or `unpacked_with_deals` restores the object."""
        record: StateRecord = (
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
            [tombstone.packed() for tombstone in self.tombstones],
        )
        if not (self.deal_versions or self.changes):
            return record
        return (
            *record,
            {deal: version.packed() for deal, version in self.deal_versions.items()},
            [change.packed() for change in self.changes],
            self.holder,
        )

    __hash__ = None  # type: ignore[assignment]  # states change

    @property
    def is_empty(self) -> bool:
        """True if the row holds no facts about the lead, only the positions of its sources."""
        return not (
            self.legs
            or self.notes
            or self.deals
            or self.activities
            or self.consulted_at
            or self.forgotten
            or self.tombstones
        )

    @property
    def latest_day(self) -> int:
        """The newest local day of a leg, 0 if there is no leg."""
        return newest_day(self.legs) if self.legs else 0


def _change(record: DealChangeRecord) -> DealChange:
    return DealChange(record[0], record[1], record[2], record[3], record[4], record[5], record[6], record[7], record[8])


def unpacked(record: StateRecord) -> LeadState:
    """Restore a state from the result of `LeadState.packed` without deals that came as `Deal`."""
    state = LeadState()
    state.revision, state.heard_at, state.applied = record[0], record[1], record[2]
    # Compiled, a call with `*` costs several times as much as one with each argument.
    state.legs = [LeadLeg(leg[0], leg[1], leg[2], leg[3], leg[4], leg[5], leg[6], leg[7]) for leg in record[3]]
    if record[4]:
        state.notes = {
            call: Note(note[0], note[1], note[2], note[3], note[4], note[5], note[6], note[7], note[8])
            for call, note in record[4].items()
        }
    if record[5]:
        state.deals = {deal: [_change(change) for change in changes] for deal, changes in record[5].items()}
    state.activities = [Activity(*activity) for activity in record[6]]
    state.consulted_at, state.linked_to, state.forgotten = record[7], record[8], record[9]
    state.tombstones = [Tombstone(*tombstone) for tombstone in record[10]]
    return state


def unpacked_with_deals(record: StateWithDealsRecord) -> LeadState:
    """Restore a state from any other result of `LeadState.packed`."""
    state = unpacked(record[:11])
    state.deal_versions = {deal: DealVersion(*version) for deal, version in record[11].items()}
    state.changes = [_change(change) for change in record[12]]
    state.holder = record[13]
    return state

"""What is known of a lead: its legs, what was noted of them, its deals, activities, consultations, and its link.

The state is a set: the same facts give the same state in whatever order they come, and a fact that is there already
changes nothing. Of two versions of the same thing the newer wins, by something that is part of it (a revision, a place
in its source), never by the time it came. Bounds keep a row small; what is over them is forgotten, oldest first.
"""

from __future__ import annotations

from operator import attrgetter
from typing import Final

from msgspec import Struct, field

from streams import events

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

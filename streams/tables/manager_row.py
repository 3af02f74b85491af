"""The manager's row: what is known of one manager, as plain data.

`manager.py` folds events into it, `manager_codec.py` brings it to the changelog and back, `manager_view.py` reads it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Protocol

from msgspec import Struct, field

from streams.calendars import LocalTime
from streams.tables.counts import unpack_counts
from streams.tables.legs import TIMEOUT, Leg

if TYPE_CHECKING:
    from streams.norms import Norms

NO_DAY: Final = -1


class Live(Struct, gc=False, array_like=True):
    """What of a manager is of the moment, in the form in which it is kept and written.

    `pos` is the offset of the last record applied, `watermark` the event time of the newest event. `clock` goes with
    the watermark but passes over the hours without events; it alone decides what is forgotten, so that a replay forgets
    the same: past legs whose stamp (the clock when they were last heard of) is before `horizon` are. `ring` maps
    minutes since epoch to counts, `runs` are the spans of work on calls: sorted, disjoint, back to two days before the
    last one.
    """

    pos: int = -1
    watermark: int = 0
    forgot_at: int = 0
    horizon: int = 0
    presence: str = ""
    presence_at: int = 0
    presence_id: str = ""
    presences: dict[str, None] = field(default_factory=dict)  # ids of the last events of presence
    ring: dict[int, list[int]] = field(default_factory=dict)
    open: dict[str, Leg] = field(default_factory=dict)
    runs: list[list[int]] = field(default_factory=list)
    clock: int = 0


class Frozen(Protocol):
    """What a row that was restored and not touched since is made of."""

    def thaw(self, row: ManagerRow) -> None:
        """Set every attribute of `row` that was left unset."""


class ManagerRow:
    """Everything that is known of one manager.

    `days` maps local days (since 1970-01-01) to their counts; days that are neither recent nor just changed lie encoded
    in `cold`. `fresh` are the past and timed-out legs that no block of the changelog holds yet, `blocks` the calls in
    each of those that do; `dropped` and `again` are blocks to be removed from the changelog and days to be written
    once more. A row restored from the changelog is decoded when it is first asked for anything but its days.
    """

    __slots__ = (
        "again",
        "blocks",
        "cold",
        "counts",
        "counts_at",
        "days",
        "dropped",
        "fresh",
        "frozen",
        "id",
        "live",
        "local",
        "norms",
        "past",
        "sums",
        "sums_day",
        "timed_out",
    )

    def __init__(
        self, manager: str, local: LocalTime, live: Live | None = None, *, frozen: Frozen | None = None
    ) -> None:
        self.id = manager
        self.local = local
        self.cold: dict[int, bytes] = {}
        self.again: set[int] = set()
        self.frozen = frozen
        # A cache of `manager_view.read`: sums of the days before `sums_day`.
        self.sums: dict[str, list[int]] = {}
        self.sums_day = NO_DAY
        # Another one: the counts by window of days as they were read at (position, local day).
        self.counts: dict[str, list[int]] = {}
        self.counts_at = (-1, NO_DAY)
        # A cache of `norms.norms`, dropped together with the sums.
        self.norms: Norms | None = None
        if frozen is None:
            self.fill(live or Live(), {}, {})

    def fill(self, live: Live, legs: dict[str, Leg], days: dict[int, list[int]]) -> None:
        """Set what a frozen row lacks; `legs` are those that no block holds, in the order of their stamps."""
        self.live = live
        self.past: dict[str, Leg] = {}
        self.timed_out: dict[str, Leg] = {}
        self.fresh = legs
        self.blocks: dict[bytes, list[str]] = {}
        self.dropped: dict[bytes, int] = {}
        self.days = days
        self.remember(legs)

    def remember(self, legs: dict[str, Leg]) -> None:
        """Put finished legs where they belong."""
        for call, leg in legs.items():
            (self.timed_out if is_timed_out(leg) else self.past)[call] = leg

    def __getattr__(self, name: str) -> Any:
        """Decode a frozen row: Python asks here only for what is not set."""
        frozen = self.frozen
        if frozen is None:
            raise AttributeError(name)
        self.frozen = None
        frozen.thaw(self)
        return getattr(self, name)

    def __eq__(self, other: object) -> bool:
        """Tell whether both rows hold the same, however they are laid out."""
        if not isinstance(other, ManagerRow):
            return NotImplemented
        return all(
            getattr(self, name) == getattr(other, name) for name in ("id", "live", "past", "timed_out")
        ) and all_days(self) == all_days(other)

    __hash__ = None  # type: ignore[assignment]  # rows change


def is_timed_out(leg: Leg) -> bool:
    """Tell whether all that is known of a finished leg's end is that it did not come."""
    end = leg.concluded()
    return end is not None and end.rank == TIMEOUT


def warm(row: ManagerRow, day: int) -> list[int]:
    """Return the counts of `day`, to be changed."""
    counts = row.days.get(day)
    if counts is None:
        packed = row.cold.pop(day, None)
        counts = row.days[day] = [] if packed is None else unpack_counts(packed)
    return counts


def all_days(row: ManagerRow) -> dict[int, list[int]]:
    """Return the counts of every day that is kept."""
    return {**{day: unpack_counts(packed) for day, packed in row.cold.items()}, **row.days}


def dissolve(row: ManagerRow, call: str) -> None:
    """Make the other legs of the block that holds `call` fresh again: what the block says of `call` is no longer so."""
    for name, calls in row.blocks.items():
        if call in calls:
            del row.blocks[name]
            row.dropped[name] = -1
            for other in calls:
                leg = row.past.get(other) or row.timed_out.get(other)
                if leg is not None:
                    row.fresh[other] = leg
            return

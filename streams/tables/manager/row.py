"""The manager's row: what is known of one manager, as plain data.

`fold.py` folds events into it, `codec.py` brings it to the changelog and back, `view.py` reads it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol, TypeAlias, final

from mypy_extensions import mypyc_attr

from streams.calendars import LocalTime
from streams.tables.manager.counts import unpack_counts
from streams.tables.manager.legs import TIMEOUT, Leg, LegRecord, unpacked
from streams.tables.value import Plain

if TYPE_CHECKING:
    from streams.tables.manager.baseline import Norms

NO_DAY: Final = -1


LiveRecord: TypeAlias = tuple[
    int,
    int,
    int,
    int,
    str,
    int,
    str,
    dict[str, None],
    dict[int, list[int]],
    dict[str, LegRecord],
    list[list[int]],
    int,
]
"""What is of the moment, as it is written: the attributes of `Live` in their order."""


@final
@mypyc_attr(acyclic=True)
class Live(Plain):
    """What of a manager is of the moment.

    `pos` is the offset of the last record applied, `watermark` the event time of the newest event. `clock` goes with
    the watermark but passes over the hours without events; it alone decides what is forgotten, so that a replay forgets
    the same: past legs whose stamp (the clock when they were last heard of) is before `horizon` are. `presences` are
    the ids of the last events of presence. `ring` maps minutes since epoch to counts, `runs` are the spans of work on
    calls: sorted, disjoint, back to two days before the last one.
    """

    __slots__ = (
        "clock",
        "forgot_at",
        "horizon",
        "open",
        "pos",
        "presence",
        "presence_at",
        "presence_id",
        "presences",
        "ring",
        "runs",
        "watermark",
    )

    def __init__(self) -> None:
        self.pos = -1
        self.watermark = 0
        self.forgot_at = 0
        self.horizon = 0
        self.presence = ""
        self.presence_at = 0
        self.presence_id = ""
        self.presences: dict[str, None] = {}
        self.ring: dict[int, list[int]] = {}
        self.open: dict[str, Leg] = {}
        self.runs: list[list[int]] = []
        self.clock = 0

    def packed(self) -> LiveRecord:
        """Return all of it as plain data, of which `awoken` makes the same again."""
        return (
            self.pos,
            self.watermark,
            self.forgot_at,
            self.horizon,
            self.presence,
            self.presence_at,
            self.presence_id,
            self.presences,
            self.ring,
            {call: leg.packed() for call, leg in self.open.items()},
            self.runs,
            self.clock,
        )

    __hash__ = None  # type: ignore[assignment]  # rows change


def awoken(record: LiveRecord) -> Live:
    """Return what `Live.packed` gave."""
    live = Live()
    live.pos, live.watermark, live.forgot_at, live.horizon = record[0], record[1], record[2], record[3]
    live.presence, live.presence_at, live.presence_id, live.presences = record[4], record[5], record[6], record[7]
    live.ring = record[8]
    live.open = {call: unpacked(leg) for call, leg in record[9].items()}
    live.runs = record[10]
    live.clock = record[11]
    return live


class Frozen(Protocol):
    """What a row that was restored and not touched since is made of."""

    def thaw(self, row: ManagerRow) -> None:
        """Fill `row`."""


@final
class ManagerRow:
    """Everything that is known of one manager.

    `days` maps local days (since 1970-01-01) to their counts; days that are neither recent nor just changed lie encoded
    in `cold`. `fresh` are the past and timed-out legs that no block of the changelog holds yet, `blocks` the calls in
    each of those that do; `dropped` and `again` are blocks to be removed from the changelog and days to be written
    once more. A row restored from the changelog is decoded when it is first asked for anything but its days.
    """

    __slots__ = (
        "_blocks",
        "_days",
        "_dropped",
        "_fresh",
        "_live",
        "_past",
        "_timed_out",
        "again",
        "cold",
        "counts",
        "counts_at",
        "frozen",
        "id",
        "local",
        "norms",
        "sums",
        "sums_day",
    )

    def __init__(self, manager: str, local: LocalTime, *, frozen: Frozen | None = None) -> None:
        self.id = manager
        self.local = local
        self.cold: dict[int, bytes] = {}
        self.again: set[int] = set()
        self.frozen: Frozen | None = frozen
        # A cache of `view.read`: sums of the days before `sums_day`.
        self.sums: dict[str, list[int]] = {}
        self.sums_day: int = NO_DAY
        # Another one: the counts by window of days as they were read at (position, local day).
        self.counts: dict[str, list[int]] = {}
        self.counts_at: tuple[int, int] = (-1, NO_DAY)
        # A cache of `norms.norms`, dropped together with the sums.
        self.norms: Norms | None = None
        self._live = Live()
        self._past: dict[str, Leg] = {}
        self._timed_out: dict[str, Leg] = {}
        self._fresh: dict[str, Leg] = {}
        self._blocks: dict[bytes, list[str]] = {}
        self._dropped: dict[bytes, int] = {}
        self._days: dict[int, list[int]] = {}

    def fill(self, live: Live, legs: dict[str, Leg], days: dict[int, list[int]]) -> None:
        """Set what a frozen row lacks; `legs` are those that no block holds, in the order of their stamps."""
        self._live = live
        self._fresh = legs
        self._days = days
        self.remember(legs)

    def remember(self, legs: dict[str, Leg]) -> None:
        """Put finished legs where they belong."""
        for call, leg in legs.items():
            (self._timed_out if is_timed_out(leg) else self._past)[call] = leg

    def _thaw(self) -> None:
        frozen = self.frozen
        if frozen is None:
            return
        self.frozen = None
        try:
            frozen.thaw(self)
        except BaseException:
            self.frozen = frozen  # or the row would pass for an empty one
            raise

    @property
    def live(self) -> Live:
        """What is of the moment."""
        if self.frozen is not None:
            self._thaw()
        return self._live

    @property
    def past(self) -> dict[str, Leg]:
        """The finished legs that are remembered, by call, in the order of their stamps."""
        if self.frozen is not None:
            self._thaw()
        return self._past

    @property
    def timed_out(self) -> dict[str, Leg]:
        """The legs of which nothing is known but that their end did not come."""
        if self.frozen is not None:
            self._thaw()
        return self._timed_out

    @property
    def fresh(self) -> dict[str, Leg]:
        """The past and timed-out legs that no block of the changelog holds yet."""
        if self.frozen is not None:
            self._thaw()
        return self._fresh

    @property
    def blocks(self) -> dict[bytes, list[str]]:
        """The calls in each block of the changelog."""
        if self.frozen is not None:
            self._thaw()
        return self._blocks

    @property
    def dropped(self) -> dict[bytes, int]:
        """Blocks that are to be removed, with the position up to which a live row may name them."""
        if self.frozen is not None:
            self._thaw()
        return self._dropped

    @property
    def days(self) -> dict[int, list[int]]:
        """The counts of the days that are recent or have just changed."""
        if self.frozen is not None:
            self._thaw()
        return self._days

    def __eq__(self, other: object) -> bool:
        """Tell whether both rows hold the same, however they are laid out."""
        if not isinstance(other, ManagerRow):
            return NotImplemented
        return (
            self.id == other.id
            and self.live == other.live
            and self.past == other.past
            and self.timed_out == other.timed_out
            and all_days(self) == all_days(other)
        )

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

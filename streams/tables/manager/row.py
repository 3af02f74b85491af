"""The manager's row: the state of one manager, as plain data.

`fold.py` changes it by events, `codec.py` writes it to the changelog and reads it back, `view.py` reads its figures.
"""

from __future__ import annotations

from typing import Final, Protocol, TypeAlias, final

from mypy_extensions import mypyc_attr

from streams.calendars import LocalTime
from streams.contract.origin import Origin
from streams.tables.manager.counts import unpack_counts
from streams.tables.manager.legs import TIMEOUT, Leg, leg_from_record
from streams.tables.manager.records import LegRecord
from streams.tables.manager.results import result_of
from streams.tables.value import Plain

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
"""The attributes of `Live` as they are written, in their order."""


@final
@mypyc_attr(acyclic=True)
class Live(Plain):
    """The current part of a manager's state: everything except finished legs and the counts of days.

    `packed` leaves out `origins`, which few rows have: `codec.py` writes them behind the rest.

    `pos` is the offset of the last record applied. `watermark` is the event time of the newest event. `clock` advances
    with the watermark, but skips the hours without events. It alone decides which past legs are forgotten (those whose
    `stamp` is before `horizon`), so a replay forgets the same ones. `presences` holds the ids of the last presence
    events. `origins` maps each partition from which misrouted records were sent on to the highest offset applied.
    `ring` maps minutes since epoch to counts. `runs` are the spans of work on calls: sorted, disjoint, back to two days
    before the last one.
    """

    __slots__ = (
        "clock",
        "forgot_at",
        "horizon",
        "open",
        "origins",
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
        self.origins: dict[int, int] = {}

    def includes(self, origin: Origin) -> bool:
        """Return whether a copy of the misrouted record at `origin`, or of a later one there, was applied before.

        Every group sends the misrouted records of a partition on in their order, from the start of the partition. So
        the first copy of a record comes before all copies of later ones.
        """
        return origin.offset <= self.origins.get(origin.partition, -1)

    def packed(self) -> tuple[object, ...]:
        """Return the attributes as plain data; `live_from_record` is the inverse."""
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


def live_from_record(record: LiveRecord) -> Live:
    """Return the `Live` that `record` was written from."""
    live = Live()
    live.pos, live.watermark, live.forgot_at, live.horizon = record[0], record[1], record[2], record[3]
    live.presence, live.presence_at, live.presence_id, live.presences = record[4], record[5], record[6], record[7]
    live.ring = record[8]
    live.open = {call: leg_from_record(leg) for call, leg in record[9].items()}
    live.runs = record[10]
    live.clock = record[11]
    return live


class EncodedRow(Protocol):
    """The changelog records of a row that was restored and has not been read since."""

    def decode_into(self, row: ManagerRow) -> None:
        """Fill `row` with what the records hold."""


@final
class ManagerRow:
    """The whole state of one manager.

    `days` maps local days (since 1970-01-01) to their counts. Days that are neither recent nor just changed are kept
    encoded, in `cold`. `fresh` holds the past and timed-out legs that are not yet in a block of the changelog, `blocks`
    the calls of each block. `dropped` are blocks to be removed from the changelog, `rewrite` days to be written again.
    A row that was restored is decoded on the first access to anything but its cold days.
    """

    __slots__ = (
        "_blocks",
        "_days",
        "_dropped",
        "_fresh",
        "_live",
        "_newest_changed",
        "_newest_changes",
        "_older_changes",
        "_past",
        "_timed_out",
        "cold",
        "encoded",
        "id",
        "local",
        "rewrite",
    )

    def __init__(self, manager: str, local: LocalTime, *, encoded: EncodedRow | None = None) -> None:
        self.id = manager
        self.local = local
        self.cold: dict[int, bytes] = {}
        self.rewrite: set[int] = set()
        self.encoded: EncodedRow | None = encoded
        # Changes of days since the row was made: on the newest day that was changed, and on all days before it.
        self._newest_changed: int = NO_DAY
        self._newest_changes: int = 0
        self._older_changes: int = 0
        self._live = Live()
        self._past: dict[str, Leg] = {}
        self._timed_out: dict[str, Leg] = {}
        self._fresh: dict[str, Leg] = {}
        self._blocks: dict[bytes, list[str]] = {}
        self._dropped: dict[bytes, int] = {}
        self._days: dict[int, list[int]] = {}

    def fill(self, live: Live, legs: dict[str, Leg], days: dict[int, list[int]]) -> None:
        """Set the attributes that an encoded row lacks.

        `legs` are those outside blocks, in the order of their stamps.
        """
        self._live = live
        self._fresh = legs
        self._days = days
        self.remember(legs)

    def remember(self, legs: dict[str, Leg]) -> None:
        """Add finished legs to `past` or `timed_out`."""
        for call, leg in legs.items():
            (self._timed_out if is_timed_out(leg) else self._past)[call] = leg

    def _decode(self) -> None:
        encoded = self.encoded
        if encoded is None:
            return
        self.encoded = None
        try:
            encoded.decode_into(self)
        except BaseException:
            self.encoded = encoded  # otherwise the row would equal an empty one
            raise

    def note_change(self, day: int) -> None:
        """Note that the counts of a local day change."""
        if day == self._newest_changed:
            self._newest_changes += 1
        elif day < self._newest_changed:
            self._older_changes += 1
        else:
            self._older_changes += self._newest_changes
            self._newest_changed = day
            self._newest_changes = 1

    def changes_before(self, day: int) -> int:
        """Return a number that grows with each change of the counts of days before `day` since the row was made.

        Equal numbers mean that none of those days has changed. It may also count changes of later days, as long as
        the newest day that was changed lies after `day`.
        """
        return self._older_changes + (self._newest_changes if self._newest_changed < day else 0)

    @property
    def live(self) -> Live:
        """The current part of the state."""
        if self.encoded is not None:
            self._decode()
        return self._live

    @property
    def past(self) -> dict[str, Leg]:
        """The finished legs that are remembered, by call, in the order of their stamps."""
        if self.encoded is not None:
            self._decode()
        return self._past

    @property
    def timed_out(self) -> dict[str, Leg]:
        """The legs that ended by timeout only, by call."""
        if self.encoded is not None:
            self._decode()
        return self._timed_out

    @property
    def fresh(self) -> dict[str, Leg]:
        """The past and timed-out legs that are not yet in a block of the changelog."""
        if self.encoded is not None:
            self._decode()
        return self._fresh

    @property
    def blocks(self) -> dict[bytes, list[str]]:
        """The calls in each block of the changelog."""
        if self.encoded is not None:
            self._decode()
        return self._blocks

    @property
    def dropped(self) -> dict[bytes, int]:
        """Blocks to be removed from the changelog, each with the position up to which a live row may name it."""
        if self.encoded is not None:
            self._decode()
        return self._dropped

    @property
    def days(self) -> dict[int, list[int]]:
        """The counts of the days that are recent or have just changed."""
        if self.encoded is not None:
            self._decode()
        return self._days

    def __eq__(self, other: object) -> bool:
        """Return whether both rows hold the same state, in whatever layout."""
        if not isinstance(other, ManagerRow):
            return NotImplemented
        return (
            self.id == other.id
            and self.live == other.live
            and self.live.origins == other.live.origins
            and self.past == other.past
            and self.timed_out == other.timed_out
            and all_days(self) == all_days(other)
        )

    __hash__ = None  # type: ignore[assignment]  # rows change


def is_timed_out(leg: Leg) -> bool:
    """Return whether a finished leg ended by timeout only."""
    end = result_of(leg)
    return end is not None and end.rank == TIMEOUT


def writable_day(row: ManagerRow, day: int) -> list[int]:
    """Return the counts of `day` for a change; they move from `cold` to `days`."""
    counts = row.days.get(day)
    if counts is None:
        packed = row.cold.pop(day, None)
        counts = row.days[day] = [] if packed is None else unpack_counts(packed)
    return counts


def all_days(row: ManagerRow) -> dict[int, list[int]]:
    """Return the counts of all days."""
    return {**{day: unpack_counts(packed) for day, packed in row.cold.items()}, **row.days}


def invalidate_block(row: ManagerRow, call: str) -> None:
    """Drop the block that holds `call`, whose leg has changed; the other legs of the block become fresh again."""
    for name, calls in row.blocks.items():
        if call in calls:
            del row.blocks[name]
            row.dropped[name] = -1
            for other in calls:
                leg = row.past.get(other) or row.timed_out.get(other)
                if leg is not None:
                    row.fresh[other] = leg
            return

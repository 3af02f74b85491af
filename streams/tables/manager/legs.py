"""Legs: the state of one manager's part in a call, and what it counts as.

The merge of a leg's events does not depend on their order: of several starts, answers and ends, the same one always
wins. `result` is a function of the leg alone. So disorder, duplicates and a late end that replaces a timeout all lead
to the same figures.

    the leg's end is known from     the leg counts as
    nothing                         in progress, if it has a start or an answer
    timeout                         a call without talk time
    transfer (with start or end)    answered; talk until the transfer
    cdr                             what the record says
    hangup                          what the telephony said when it happened

Each line overrides the lines above it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal, TypeAlias, final

from mypy_extensions import mypyc_attr

from streams.contract.events import Direction, Disposition, Kind
from streams.tables.value import Plain

TIMEOUT: Final = 0
TRANSFER: Final = 1
CDR: Final = 2
HANGUP: Final = 3
RANKS: Final[Mapping[str, int]] = {"timeout": TIMEOUT, "cdr": CDR, "hangup": HANGUP}
UNKNOWN_TALK: Final = -1


How: TypeAlias = Literal["blind", "attended"]
FinishedRecord: TypeAlias = tuple[int, int, Direction, Kind | None, Disposition, int, str | None, int, str]
TransferRecord: TypeAlias = tuple[int, str, How, str]
LegRecord: TypeAlias = tuple[
    int,
    str,
    Direction,
    Kind | None,
    str | None,
    str | None,
    int,
    str,
    FinishedRecord | None,
    tuple[TransferRecord, ...],
    tuple[str, ...],
    int,
]
"""The attributes of `Leg` as they are written, in their order. The two records above are of the same kind."""


@final
@mypyc_attr(acyclic=True)
class Finished(Plain):
    """The result of a finished leg: what it counts as. Immutable.

    `talk_ms` is -1 if it is unknown; such a leg is left out of talk time.
    """

    __slots__ = ("at", "direction", "disposition", "id", "kind", "lead", "rank", "started_at", "talk_ms")

    def __init__(  # noqa: PLR0913, PLR0917 - in the order in which they are written
        self,
        at: int,
        started_at: int,
        direction: Direction,
        kind: Kind | None,
        disposition: Disposition,
        talk_ms: int,
        lead: str | None,
        rank: int,
        id: str,  # noqa: A002 - what events call it
    ) -> None:
        self.at = at
        self.started_at = started_at
        self.direction: Direction = direction
        self.kind: Kind | None = kind
        self.disposition: Disposition = disposition
        self.talk_ms = talk_ms
        self.lead = lead
        self.rank = rank
        self.id = id

    def packed(self) -> FinishedRecord:
        """Return all of it as plain data; `Finished(*packed)` is the same again."""
        return (
            self.at,
            self.started_at,
            self.direction,
            self.kind,
            self.disposition,
            self.talk_ms,
            self.lead,
            self.rank,
            self.id,
        )


@final
@mypyc_attr(acyclic=True)
class Transfer(Plain):
    """The manager transferred the call to `to_manager`. Immutable."""

    __slots__ = ("at", "how", "id", "to_manager")

    def __init__(self, at: int, to_manager: str, how: How, id: str) -> None:  # noqa: A002 - what events call it
        self.at = at
        self.to_manager = to_manager
        self.how: How = how
        self.id = id

    def packed(self) -> TransferRecord:
        """Return all of it as plain data; `Transfer(*packed)` is the same again."""
        return self.at, self.to_manager, self.how, self.id


@final
@mypyc_attr(acyclic=True)
class Leg(Plain):
    """One leg. An unknown moment is 0, a value that no event can have.

    `superseded` holds the ids of events that other events override, so that their duplicates are recognised. `stamp` is
    the row's clock at the moment when the leg ended; it decides only when the leg is forgotten.
    """

    __slots__ = (
        "answer_id",
        "answered_at",
        "direction",
        "end",
        "kind",
        "lead",
        "queue",
        "stamp",
        "start_id",
        "started_at",
        "superseded",
        "transfers",
    )

    def __init__(
        self,
        started_at: int = 0,
        start_id: str = "",
        direction: Direction = "inbound",
        kind: Kind | None = None,
        lead: str | None = None,
        queue: str | None = None,
    ) -> None:
        self.started_at = started_at
        self.start_id = start_id
        self.direction: Direction = direction
        self.kind: Kind | None = kind
        self.lead = lead
        self.queue = queue
        self.answered_at = 0
        self.answer_id = ""
        self.end: Finished | None = None
        self.transfers: tuple[Transfer, ...] = ()
        self.superseded: tuple[str, ...] = ()
        self.stamp = 0

    def packed(self) -> LegRecord:
        """Return the attributes as plain data; `leg_from_record` is the inverse."""
        return (
            self.started_at,
            self.start_id,
            self.direction,
            self.kind,
            self.lead,
            self.queue,
            self.answered_at,
            self.answer_id,
            None if self.end is None else self.end.packed(),
            tuple([transfer.packed() for transfer in self.transfers]),
            self.superseded,
            self.stamp,
        )

    __hash__ = None  # type: ignore[assignment]  # legs change

    @property
    def since_ms(self) -> int:
        """The moment of the first start or answer; 0 for a leg that has only an end or a transfer."""
        if self.started_at and self.answered_at:
            return min(self.started_at, self.answered_at)
        return self.started_at or self.answered_at

    @property
    def described(self) -> bool:
        """Whether the direction, kind and lead are known, from a start or an end."""
        return bool(self.started_at) or self.end is not None

    def includes(self, event_id: str) -> bool:
        """Return whether the event was merged into the leg before."""
        return (
            event_id in (self.start_id, self.answer_id)
            or (self.end is not None and self.end.id == event_id)
            or event_id in self.superseded
            or any(transfer.id == event_id for transfer in self.transfers)
        )

    def result(self) -> Finished | None:
        """Return what the leg counts as; None if it is in progress, or neither its start nor its end is known."""
        end = self.end
        if end is not None and end.rank > TRANSFER:
            return end
        if self.transfers and self.described:
            return self._ended_by(max(self.transfers, key=lambda transfer: (transfer.at, transfer.id)))
        if end is not None and self.answered_at and end.disposition != "answered":
            return Finished(
                end.at,
                end.started_at,
                end.direction,
                end.kind,
                "answered",
                end.talk_ms,
                end.lead,
                end.rank,
                end.id,
            )
        return end

    def _ended_by(self, transfer: Transfer) -> Finished:
        """Return the result of a leg that ended with `transfer`: it is answered, since only a talk is transferred."""
        talk_ms = max(0, transfer.at - self.answered_at) if self.answered_at else UNKNOWN_TALK
        described: Leg | Finished = self if self.started_at or self.end is None else self.end
        return Finished(
            transfer.at,
            described.started_at,
            described.direction,
            described.kind,
            "answered",
            talk_ms,
            described.lead,
            TRANSFER,
            transfer.id,
        )


def leg_from_record(record: LegRecord) -> Leg:
    """Return the leg that `record` was written from."""
    started_at, start_id, direction, kind, lead, queue, answered_at, answer_id, end, transfers, superseded, stamp = (
        record
    )
    leg = Leg(started_at, start_id, direction, kind, lead, queue)
    leg.answered_at = answered_at
    leg.answer_id = answer_id
    leg.end = None if end is None else Finished(*end)
    leg.transfers = tuple([Transfer(*transfer) for transfer in transfers])
    leg.superseded = superseded
    leg.stamp = stamp
    return leg


def precedence(end: Finished) -> tuple[int, bool, int, str]:
    """Return the sort key by which the ends of one leg override each other: the greatest one counts."""
    return end.rank, end.disposition == "answered", end.at, end.id


def counts_alike(one: Finished | None, other: Finished | None) -> bool:
    """Return whether two results count the same, whichever events they come from."""
    if one is None or other is None:
        return one is other
    return (
        one.at == other.at
        and one.started_at == other.started_at
        and one.direction == other.direction
        and one.kind == other.kind
        and one.disposition == other.disposition
        and one.talk_ms == other.talk_ms
        and one.lead == other.lead
        and (one.rank == TIMEOUT) == (other.rank == TIMEOUT)
    )

"""Legs: what is known of one manager's part in a call, and what that makes it count.

A leg is merged from its events in a way that does not depend on their order: of several starts, answers and ends the
same one always wins. `concluded` is a function of the leg alone, so disorder, repeats and a late end that replaces a
timeout all come to the same figures.

    known of the leg's end          counts as
    nothing                         in progress, if it has a start or an answer
    timeout                         a call without talk time
    transfer (with start or end)    answered; talk until the transfer
    cdr                             what the record says
    hangup                          what the telephony said when it happened

Each line is stronger than those above it.
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
NOT_KNOWN: Final = -1


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
"""A leg as it is written: the attributes of `Leg` in their order. The other two likewise."""


@final
@mypyc_attr(acyclic=True)
class Finished(Plain):
    """What a finished leg counts; it never changes.

    `talk_ms` is -1 where it is not known; such a leg is left out of talk time.
    """

    __slots__ = ("at", "direction", "disposition", "id", "kind", "lead", "rank", "started_at", "talk_ms")

    def __init__(  # noqa: PLR0913, PLR0917 - as many as a leg counts, in the order in which they are written
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
    """The manager handed the leg's call to `to_manager`; it never changes."""

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
    """One leg. The moments are 0 where they are not known, which no event can say.

    `others` are the ids of events that were outdone by better ones; with them a repeat is known as such. `stamp` is the
    event time of the manager's newest event when the leg ceased to be in progress; it serves forgetting only.
    """

    __slots__ = (
        "answer_id",
        "answered_at",
        "direction",
        "end",
        "kind",
        "lead",
        "others",
        "queue",
        "stamp",
        "start_id",
        "started_at",
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
        self.others: tuple[str, ...] = ()
        self.stamp = 0

    def packed(self) -> LegRecord:
        """Return all of it as plain data, of which `unpacked` makes the same again."""
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
            self.others,
            self.stamp,
        )

    __hash__ = None  # type: ignore[assignment]  # legs change

    @property
    def since_ms(self) -> int:
        """When the leg was first seen; 0 for one known only by its end or a transfer."""
        if self.started_at and self.answered_at:
            return min(self.started_at, self.answered_at)
        return self.started_at or self.answered_at

    @property
    def described(self) -> bool:
        """Whether direction, kind and lead are known, from the start or from an end."""
        return bool(self.started_at) or self.end is not None

    def knows(self, event_id: str) -> bool:
        """Tell whether the event is part of the leg already."""
        return (
            event_id in (self.start_id, self.answer_id)
            or (self.end is not None and self.end.id == event_id)
            or event_id in self.others
            or any(transfer.id == event_id for transfer in self.transfers)
        )

    def concluded(self) -> Finished | None:
        """Return what the leg counts, or None for one that is in progress or too little known."""
        end = self.end
        if end is not None and end.rank > TRANSFER:
            return end
        if self.transfers and self.described:
            return self._until(max(self.transfers, key=lambda transfer: (transfer.at, transfer.id)))
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

    def _until(self, transfer: Transfer) -> Finished:
        """Return what the leg counts if it ended at `transfer`: who hands a call over has talked."""
        talk_ms = max(0, transfer.at - self.answered_at) if self.answered_at else NOT_KNOWN
        of: Leg | Finished = self if self.started_at or self.end is None else self.end
        return Finished(
            transfer.at,
            of.started_at,
            of.direction,
            of.kind,
            "answered",
            talk_ms,
            of.lead,
            TRANSFER,
            transfer.id,
        )


def unpacked(record: LegRecord) -> Leg:
    """Return the leg that `Leg.packed` gave."""
    started_at, start_id, direction, kind, lead, queue, answered_at, answer_id, end, transfers, others, stamp = record
    leg = Leg(started_at, start_id, direction, kind, lead, queue)
    leg.answered_at = answered_at
    leg.answer_id = answer_id
    leg.end = None if end is None else Finished(*end)
    leg.transfers = tuple([Transfer(*transfer) for transfer in transfers])
    leg.others = others
    leg.stamp = stamp
    return leg


def worth(end: Finished) -> tuple[int, bool, int, str]:
    """Order ends of one leg from the weakest knowledge to the strongest, and never leave two of them equal."""
    return end.rank, end.disposition == "answered", end.at, end.id


def alike(one: Finished | None, other: Finished | None) -> bool:
    """Tell whether two ends count the same, whichever event said so."""
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

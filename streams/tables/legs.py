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
from typing import Final, Literal

from msgspec import Struct
from msgspec.structs import replace

from streams.events import Direction, Disposition, Kind

TIMEOUT, TRANSFER, CDR, HANGUP = range(4)
RANKS: Final[Mapping[str, int]] = {"timeout": TIMEOUT, "cdr": CDR, "hangup": HANGUP}
NOT_KNOWN: Final = -1


class Finished(Struct, frozen=True, gc=False, array_like=True):
    """What a finished leg counts. `talk_ms` is -1 where it is not known; such a leg is left out of talk time."""

    at: int
    started_at: int
    direction: Direction
    kind: Kind | None
    disposition: Disposition
    talk_ms: int
    lead: str | None
    rank: int
    id: str


class Transfer(Struct, frozen=True, gc=False, array_like=True):
    """The manager handed the leg's call to `to_manager`."""

    at: int
    to_manager: str
    how: Literal["blind", "attended"]
    id: str


class Leg(Struct, gc=False, array_like=True):
    """One leg. The moments are 0 where they are not known, which no event can say.

    `others` are the ids of events that were outdone by better ones; with them a repeat is known as such. `stamp` is the
    event time of the manager's newest event when the leg ceased to be in progress; it serves forgetting only.
    """

    started_at: int = 0
    start_id: str = ""
    direction: Direction = "inbound"
    kind: Kind | None = None
    lead: str | None = None
    queue: str | None = None
    answered_at: int = 0
    answer_id: str = ""
    end: Finished | None = None
    transfers: tuple[Transfer, ...] = ()
    others: tuple[str, ...] = ()
    stamp: int = 0

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
            return replace(end, disposition="answered")
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

"""Legs as they are written in the changelog."""

from __future__ import annotations

from typing import Final, Literal, TypeAlias

from msgspec import Struct

from streams.contract.events import Direction, Disposition, Kind

INTERNAL: Final = "internal"
LegKind: TypeAlias = Kind | Literal["internal"]
"""The kind of a leg. That of an internal leg is "internal", whatever kind its source gives."""
How: TypeAlias = Literal["blind", "attended"]

FinishedRecord: TypeAlias = tuple[int, int, Direction, LegKind | None, Disposition, int, str | None, int, str]
"""The attributes of `Finished`, in their order."""
TransferRecord: TypeAlias = tuple[int, str, How, str]
"""The attributes of `Transfer`, in their order."""
MomentRecord: TypeAlias = tuple[int, str]
"""The moment and the id of a start or an answer."""


class LegRecord(Struct, array_like=True, frozen=True, gc=False):
    """The attributes of `Leg`, in their order. The last three are left out where all of them are empty."""

    started_at: int
    start_id: str
    direction: Direction
    kind: LegKind | None
    lead: str | None
    queue: str | None
    answered_at: int
    answer_id: str
    end: FinishedRecord | None
    transfers: tuple[TransferRecord, ...]
    superseded: tuple[str, ...]
    stamp: int
    later_starts: tuple[MomentRecord, ...] = ()
    later_answers: tuple[MomentRecord, ...] = ()
    other_ends: tuple[FinishedRecord, ...] = ()

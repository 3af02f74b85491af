"""Legs: the state of one manager's part in a call. `results.py` derives the result of a leg.

The merge of a leg's events does not depend on their order: of several starts, answers and ends, the same one always
wins. So disorder, duplicates and a late end that replaces a timeout all lead to the same figures.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, final

from mypy_extensions import mypyc_attr

from streams.contract.events import CallEnded, Direction, Disposition
from streams.tables.manager.records import FinishedRecord, How, LegKind, LegRecord, MomentRecord, TransferRecord
from streams.tables.value import Plain

TIMEOUT: Final = 0
TRANSFER: Final = 1
CDR: Final = 2
HANGUP: Final = 3
UNCERTAIN_HANGUP: Final = 4
UNCERTAIN_CDR: Final = 5
RANKS: Final[Mapping[str, int]] = {"timeout": TIMEOUT, "cdr": CDR, "hangup": HANGUP}
_UNCERTAIN: Final[Mapping[str, int]] = {"timeout": TIMEOUT, "cdr": UNCERTAIN_CDR, "hangup": UNCERTAIN_HANGUP}
# Changelogs contain the ranks, so the numbers are fixed; this is their order, by rank.
_ORDER: Final = (0, 1, 4, 5, 3, 2)
UNKNOWN_TALK: Final = -1
TIMEOUT_ID: Final = "timeout:"


@final
@mypyc_attr(acyclic=True)
class Finished(Plain):
    """The counted result of a finished leg. Immutable.

    `talk_ms` is -1 if it is unknown; such a leg is left out of talk time.
    """

    __slots__ = ("at", "direction", "disposition", "id", "kind", "lead", "rank", "started_at", "talk_ms")

    def __init__(  # noqa: PLR0913, PLR0917 - in the order in which they are written
        self,
        at: int,
        started_at: int,
        direction: Direction,
        kind: LegKind | None,
        disposition: Disposition,
        talk_ms: int,
        lead: str | None,
        rank: int,
        id: str,  # noqa: A002 - the name of the field in events
    ) -> None:
        self.at = at
        self.started_at = started_at
        self.direction: Direction = direction
        self.kind: LegKind | None = kind
        self.disposition: Disposition = disposition
        self.talk_ms = talk_ms
        self.lead = lead
        self.rank = rank
        self.id = id

    def packed(self) -> FinishedRecord:
        """Return the attributes as plain data; `Finished(*packed)` restores the object."""
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

    def __init__(self, at: int, to_manager: str, how: How, id: str) -> None:  # noqa: A002 - the name of the field in events
        self.at = at
        self.to_manager = to_manager
        self.how: How = how
        self.id = id

    def packed(self) -> TransferRecord:
        """Return the attributes as plain data; `Transfer(*packed)` restores the object."""
        return self.at, self.to_manager, self.how, self.id


@final
@mypyc_attr(acyclic=True)
class Leg(Plain):
    """One leg. An unknown moment is 0, a value that no event can have.

    `started_at` and `answered_at` are those of the first start and answer, `end` is the best end. `later_starts`,
    `later_answers` and `other_ends` are the others, `superseded` are ids of events that changed nothing. With all of
    them, duplicates are recognised. `stamp` is the row's clock at the moment when the leg ended; it decides only when
    the leg is forgotten.
    """

    __slots__ = (
        "answer_id",
        "answered_at",
        "direction",
        "end",
        "kind",
        "later_answers",
        "later_starts",
        "lead",
        "other_ends",
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
        kind: LegKind | None = None,
        lead: str | None = None,
        queue: str | None = None,
    ) -> None:
        self.started_at = started_at
        self.start_id = start_id
        self.direction: Direction = direction
        self.kind: LegKind | None = kind
        self.lead = lead
        self.queue = queue
        self.answered_at = 0
        self.answer_id = ""
        self.end: Finished | None = None
        self.transfers: tuple[Transfer, ...] = ()
        self.superseded: tuple[str, ...] = ()
        self.stamp = 0
        self.later_starts: tuple[MomentRecord, ...] = ()
        self.later_answers: tuple[MomentRecord, ...] = ()
        self.other_ends: tuple[Finished, ...] = ()

    def packed(self) -> tuple[object, ...]:
        """Return the attributes as plain data; `leg_from_record` is the inverse."""
        record = (
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
        if not self.later_starts and not self.later_answers and not self.other_ends:
            return record
        other_ends = tuple([end.packed() for end in self.other_ends])
        return (*record, self.later_starts, self.later_answers, other_ends)

    __hash__ = None  # type: ignore[assignment]  # legs change

    @property
    def described(self) -> bool:
        """True if the direction, kind and lead are known, from a start or an end."""
        return bool(self.started_at) or self.end is not None

    @property
    def is_plain(self) -> bool:
        """True if the leg has neither an end nor a transfer, and no second start."""
        return self.end is None and not self.transfers and not self.later_starts

    def includes(self, event_id: str) -> bool:
        """Return whether the event was merged into the leg before."""
        return (
            event_id in (self.start_id, self.answer_id)
            or (self.end is not None and self.end.id == event_id)
            or event_id in self.superseded
            or any(transfer.id == event_id for transfer in self.transfers)
            or any(id_ == event_id for _, id_ in self.later_starts)
            or any(id_ == event_id for _, id_ in self.later_answers)
            or any(end.id == event_id for end in self.other_ends)
        )

    def add_start(self, at: int, event_id: str) -> bool:
        """Merge a start; return whether it is the first one."""
        if not self.started_at or (at, event_id) < (self.started_at, self.start_id):
            if self.start_id:
                self.later_starts += ((self.started_at, self.start_id),)
            self.started_at, self.start_id = at, event_id
            return True
        self.later_starts += ((at, event_id),)
        return False

    def add_answer(self, at: int, event_id: str) -> None:
        """Merge an answer."""
        if not self.answered_at or (at, event_id) < (self.answered_at, self.answer_id):
            if self.answer_id:
                self.later_answers += ((self.answered_at, self.answer_id),)
            self.answered_at, self.answer_id = at, event_id
        else:
            self.later_answers += ((at, event_id),)

    def add_end(self, end: Finished) -> None:
        """Merge an end."""
        best = self.end
        if best is None:
            self.end = end
        elif precedence(end) > precedence(best):
            self.other_ends += (best,)
            self.end = end
        else:
            self.other_ends += (end,)


def leg_from_record(record: LegRecord) -> Leg:
    """Return the leg that `record` was written from."""
    leg = Leg(record.started_at, record.start_id, record.direction, record.kind, record.lead, record.queue)
    leg.answered_at = record.answered_at
    leg.answer_id = record.answer_id
    end = record.end
    leg.end = None if end is None else Finished(*end)
    leg.transfers = tuple([Transfer(*transfer) for transfer in record.transfers])
    leg.superseded = record.superseded
    leg.stamp = record.stamp
    leg.later_starts = record.later_starts
    leg.later_answers = record.later_answers
    leg.other_ends = tuple([Finished(*other) for other in record.other_ends])
    return leg


def rank_of(event: CallEnded) -> int:
    """Return the rank of an end, by the kind of its evidence."""
    return _UNCERTAIN[event.ended_by] if event.uncertain is True else RANKS[event.ended_by]


def is_uncertain(end: Finished) -> bool:
    """Return whether a real end comes from a source that did not see all of the leg."""
    return end.rank > HANGUP


def is_synthetic(event_id: str) -> bool:
    """Return whether an id is that of a timeout that callpulse itself sent."""
    return event_id.startswith(TIMEOUT_ID)


def precedence(end: Finished) -> tuple[int, bool, bool, int, str]:
    """Return the sort key by which the ends of one leg override each other: the greatest one counts."""
    # A timeout of a source comes before our own, which is sent only where the source has sent none yet.
    return _ORDER[end.rank], not is_synthetic(end.id), end.disposition == "answered", end.at, end.id


def counts_alike(one: Finished | None, other: Finished | None) -> bool:
    """Return whether two results are counted in the same way. Their events may differ."""
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

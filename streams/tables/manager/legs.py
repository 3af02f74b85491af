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

A leg may begin again: a parked call comes back to the manager, or the colleague to whom it was transferred transfers it
back. Such a leg consists of *stretches*, and counts as one with the sum of their talk:

    starts            s                   s
    ends                 ]          (a)        ]        a start opens a stretch if an end or a transfer lies between
    stretches         ■■■■                ■■■■■■        it and the start before it. An end belongs to the stretch in
                                                        which it says that the leg started
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Mapping
from itertools import pairwise
from typing import Final, final

from mypy_extensions import mypyc_attr

from streams.contract.events import Direction, Disposition
from streams.tables.manager.records import FinishedRecord, How, LegKind, LegRecord, MomentRecord, TransferRecord
from streams.tables.value import Plain

TIMEOUT: Final = 0
TRANSFER: Final = 1
CDR: Final = 2
HANGUP: Final = 3
RANKS: Final[Mapping[str, int]] = {"timeout": TIMEOUT, "cdr": CDR, "hangup": HANGUP}
UNKNOWN_TALK: Final = -1
TIMEOUT_ID: Final = "timeout:"
_NEVER: Final = 1 << 62


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
        kind: LegKind | None,
        disposition: Disposition,
        talk_ms: int,
        lead: str | None,
        rank: int,
        id: str,  # noqa: A002 - what events call it
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
    def since_ms(self) -> int:
        """The moment of the first start or answer of the last stretch; 0 for a leg that has only ends or transfers."""
        begins = self._begins()
        if len(begins) > 1:
            return begins[-1]
        if self.started_at and self.answered_at:
            return min(self.started_at, self.answered_at)
        return self.started_at or self.answered_at

    @property
    def described(self) -> bool:
        """Whether the direction, kind and lead are known, from a start or an end."""
        return bool(self.started_at) or self.end is not None

    @property
    def last_start(self) -> int:
        """The moment at which the last stretch started, 0 if no start is known."""
        begins = self._begins()
        return begins[-1] if len(begins) > 1 else self.started_at

    @property
    def is_plain(self) -> bool:
        """Whether the leg has neither an end nor a transfer, and no second start."""
        return self.end is None and not self.transfers and not self.later_starts

    @property
    def in_progress(self) -> bool:
        """Whether the last stretch has not ended."""
        end = self.end
        if end is None and not self.transfers:
            return True
        begins = self._begins()
        if len(begins) <= 1:
            return False
        last = begins[-1]
        return (
            not any(transfer.at > last for transfer in self.transfers)
            and (end is None or end.started_at < last)
            and all(other.started_at < last for other in self.other_ends)
        )

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

    def result(self) -> Finished | None:
        """Return what the leg counts as; None if it is in progress, or neither its start nor its end is known."""
        if self.end is None and not self.transfers:
            return None
        begins = self._begins()
        if len(begins) > 1:
            return self._sum(begins)
        end = self.end
        if end is not None and end.rank > TRANSFER:
            return end
        if self.transfers and self.described:
            return self._ended_by(last_of(self.transfers), self.started_at, self.answered_at)
        return None if end is None else self._timed_out(end)

    def _begins(self) -> list[int]:
        """Return when each stretch began, as far as there is more than one: fewer than two moments mean one stretch."""
        end = self.end
        if (end is None or end.rank == TIMEOUT) and not self.transfers:
            return []
        if (
            not self.later_starts
            and not self.other_ends
            and (end is None or end.rank == TIMEOUT or (not self.transfers and self.started_at <= end.started_at))
        ):
            return []
        starts = {at for at, _ in self.later_starts}
        if self.started_at:
            starts.add(self.started_at)
        closings = [transfer.at for transfer in self.transfers]
        for closing in self._real_ends():
            starts.add(closing.started_at)
            closings.append(closing.at)
        closings.sort()
        begins = sorted(starts)
        return begins[:1] + [at for before, at in pairwise(begins) if _lies_between(closings, before, at)]

    def _real_ends(self) -> list[Finished]:
        ends = [end for end in self.other_ends if end.rank != TIMEOUT]
        if self.end is not None and self.end.rank != TIMEOUT:
            ends.append(self.end)
        return ends

    def _sum(self, begins: list[int]) -> Finished | None:
        """Return the result of a leg that consists of stretches."""
        parts = []
        for place, begin in enumerate(begins):
            until = begins[place + 1] if place + 1 < len(begins) else _NEVER
            part = self._stretch(begin if place else 0, begin, until)
            if part is not None:
                parts.append(part)
        if len(parts) <= 1:
            return parts[0] if parts else None
        first, last = parts[0], parts[-1]
        answered = [part for part in parts if part.disposition == "answered"]
        known = [part.talk_ms for part in answered if part.talk_ms != UNKNOWN_TALK]
        leads = [part.lead for part in parts if part.lead is not None]
        return Finished(
            last.at,
            first.started_at,
            first.direction,
            first.kind,
            "answered" if answered else last.disposition,
            sum(known) if known else UNKNOWN_TALK,
            leads[-1] if leads else None,
            max([part.rank for part in parts]),
            last.id,
        )

    def _stretch(self, since: int, begin: int, until: int) -> Finished | None:
        """Return the result of the stretch that began at `begin`: of what happened from `since` on and before `until`.

        None for a stretch without an end. A transfer at the very moment at which the next stretch begins ends this one.
        """
        ends = [end for end in self._real_ends() if since <= end.started_at < until]
        if ends:
            return max(ends, key=precedence)
        transfers = [transfer for transfer in self.transfers if since < transfer.at <= until]
        if not transfers or not self.described:
            return None
        answers = [at for at, _ in self.later_answers if since <= at < until]
        if since <= self.answered_at < until and self.answered_at:
            answers.append(self.answered_at)
        return self._ended_by(last_of(transfers), begin, min(answers) if answers else 0)

    def _ended_by(self, transfer: Transfer, started_at: int, answered_at: int) -> Finished:
        """Return the result of a stretch that ended with `transfer`: it is answered, since talks are transferred."""
        talk_ms = max(0, transfer.at - answered_at) if answered_at else UNKNOWN_TALK
        described: Leg | Finished = self if self.started_at or self.end is None else self.end
        return Finished(
            transfer.at,
            started_at or described.started_at,
            described.direction,
            described.kind,
            "answered",
            talk_ms,
            described.lead,
            TRANSFER,
            transfer.id,
        )

    def _timed_out(self, end: Finished) -> Finished:
        """Return the result of a leg of which only a timeout is known.

        The timeout of `synthetic` was dated by the start that was known at that moment. It moves with the start, so the
        result does not depend on which of the two came first.
        """
        of_start = bool(self.started_at) and is_synthetic(end.id)
        if not of_start and not self.answered_at:
            return end
        described: Leg | Finished = self if of_start else end
        return Finished(
            described.started_at + end.at - end.started_at if of_start else end.at,
            described.started_at,
            described.direction,
            described.kind,
            "answered" if self.answered_at else end.disposition,
            end.talk_ms,
            described.lead,
            TIMEOUT,
            end.id,
        )


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


def last_of(transfers: Iterable[Transfer]) -> Transfer:
    """Return the transfer that came last."""
    return max(transfers, key=lambda transfer: (transfer.at, transfer.id))


def is_synthetic(event_id: str) -> bool:
    """Return whether an id is that of a timeout that callpulse itself sent."""
    return event_id.startswith(TIMEOUT_ID)


def _lies_between(closings: list[int], before: int, at: int) -> bool:
    """Return whether one of the sorted moments lies after `before` and not after `at`."""
    place = bisect_right(closings, before)
    return place < len(closings) and closings[place] <= at


def precedence(end: Finished) -> tuple[int, bool, bool, int, str]:
    """Return the sort key by which the ends of one leg override each other: the greatest one counts."""
    # A timeout of a source comes before our own, which is sent only where the source has sent none yet.
    return end.rank, not is_synthetic(end.id), end.disposition == "answered", end.at, end.id


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

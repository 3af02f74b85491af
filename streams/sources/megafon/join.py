"""The events of a call of MegaFon's virtual PBX.

A call that is transferred goes on under another id. Events of its second part come before the command about the
transfer, and have begun a leg under its own id by then. This leg is closed as an internal one without talk, which is no
call of the figures, and goes on under the id of the first part.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple

import msgspec

from streams.contract import events as contract
from streams.contract.events import QUEUE_PREFIX, EndedBy
from streams.settings.settings import Settings
from streams.sources.gathering import GatheringJoin, LegEvents
from streams.sources.local_moments import settled
from streams.sources.megafon.hook import Event, History, PartOf, Piece, State
from streams.sources.megafon.settings import NAME, MegafonSettings

_CLOSED: Final = 900
"""The count of pieces by which the end of a leg under the id of a second part overrides every other end of it."""


class _Record(NamedTuple):
    """A record with its moments and its receipt; `answered` is 0 for never."""

    said: History
    heard: int
    start: int
    answered: int
    end: int


class MegafonJoin(GatheringJoin[Piece]):
    """A part of a call has a leg of each manager whose telephone rang, and a record of one of them."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(Piece)
        self._default_queue = settings.source(MegafonSettings).default_queue

    def events(self, call: str, pieces: Mapping[Piece, int], now_ms: int) -> Iterator[contract.Event]:  # noqa: ARG002 - it does not wait
        """Yield the events of a part of a call."""
        part = min((one.first for one in pieces if isinstance(one, PartOf)), default="")
        heard = {piece: at for piece, at in pieces.items() if isinstance(piece, Event)}
        first = min(pieces.values())
        records = [_record(piece, at, first) for piece, at in pieces.items() if isinstance(piece, History)]
        records.sort(key=lambda one: (one.start, one.end, one.answered, one.said.manager))  # pushed, and listed
        mine: dict[str, tuple[list[tuple[Event, int]], list[_Record]]] = {}
        for one, at in heard.items():
            mine.setdefault(one.manager, ([], []))[0].append((one, at))
        for record in records:
            mine.setdefault(record.said.manager, ([], []))[1].append(record)
        answers = [(at, one.manager) for one, at in heard.items() if one.state == "accepted"]
        answers += [(record.answered, record.said.manager) for record in records if record.answered]
        answers.sort()
        over = max((record.end for record in records), default=0)
        for manager in sorted(mine.keys() - {""}):
            leg = _Leg(call, manager, *mine[manager], answers, over)
            yield from leg.events(part or call)
            if part:
                yield leg.closed(max(pieces.values()))
        for record in records:
            yield from self._missed(part or call, record)

    def _missed(self, call: str, record: _Record) -> Iterator[contract.Event]:
        """Yield the leg of a queue that missed a call."""
        said = record.said
        if said.outbound or record.answered or (said.manager and not said.group):
            return
        manager = QUEUE_PREFIX + (said.group or self._default_queue)
        maker = LegEvents(
            source=NAME,
            stem=f"{NAME}:{call}:{manager}",
            call=call,
            manager=manager,
            lead=said.lead,
            direction="inbound",
        )
        yield maker.ended(
            record.end, record.start, disposition="failed" if said.disposition == "failed" else "no_answer"
        )


class _Leg:
    """One manager's leg in a part of a call. Moments are 0 where they are not known."""

    def __init__(
        self,
        call: str,
        manager: str,
        mine: list[tuple[Event, int]],
        own: list[_Record],
        answers: list[tuple[int, str]],
        over: int,
    ) -> None:
        """Take the manager's events and records, and of the whole call the answers in order, and its end."""
        self._call = call
        self._manager = manager
        self._over = over
        self._at: dict[State, int] = {}
        for one, at in sorted(mine, key=lambda item: -item[1]):
            self._at[one.state] = at
        # A record of a group that missed a call names one of its managers: it is the group's.
        self._record = next((one for one in own if one.answered or one.said.outbound or not one.said.group), None)
        later = answers[bisect_left(answers, (self._at.get("ringing", 0), "")) :]
        self._taken = next((at for at, other in later if other != manager), 0)
        self._is_named = bool(mine) or self._record is not None
        some: list[Event | History] = [*(record.said for record in own), *(one for one, _ in mine)]
        self._outbound = some[0].outbound
        self._lead = next((one.lead for one in some if one.lead), None)
        self._group = next((one.group for one in some if one.group), "")

    def _maker(self, call: str) -> LegEvents:
        return LegEvents(
            source=NAME,
            stem=f"{NAME}:{self._call}:{self._manager}" + (":of" if call != self._call else ""),
            call=call,
            manager=self._manager,
            lead=self._lead,
            direction="outbound" if self._outbound else "inbound",
            queue=self._group or None,
        )

    def events(self, call: str) -> Iterator[contract.Event]:
        """Yield the events of the leg under the id `call`."""
        if not self._is_named:
            return
        leg = self._maker(call)
        rang, accepted = self._at.get("ringing", 0), self._at.get("accepted", 0)
        if self._record is not None and rang > self._record.heard:
            rang = 0  # it comes late, and the record is more exact
        if rang:
            yield leg.started(rang)
        if accepted:
            yield leg.answered(accepted)
        record = self._record
        if record is not None:
            # A state is dated by its receipt, which may be later than a short call. No start may be later than its end.
            yield leg.ended(
                max(record.end, rang + 1),
                record.start,
                answered_at=record.answered or None,
                talk_ms=record.said.talk_ms,
                disposition=record.said.disposition,
            )
        elif accepted:
            if "completed" in self._at:
                yield leg.ended(
                    max(self._at["completed"], accepted),
                    min(rang or accepted, accepted),
                    answered_at=accepted,
                    ended_by="cdr",
                    pieces=1 + bool(rang),
                )
        else:
            yield from self._unanswered(leg, rang)

    def _unanswered(self, leg: LegEvents, rang: int) -> Iterator[contract.Event]:
        cancelled = self._at.get("cancelled", 0)
        pieces = 1 + bool(rang)
        if self._outbound:
            if cancelled and rang:  # the record will have the reason
                yield leg.ended(max(cancelled, rang), rang, ended_by="cdr")
        elif cancelled or self._taken:
            ended = min(at for at in (cancelled, self._taken) if at)
            # Only the record tells whether the caller gave up or the manager refused.
            ended_by: EndedBy = "hangup" if self._taken else "cdr"
            yield leg.ended(max(ended, rang), rang or None, ended_by=ended_by, pieces=pieces)
        elif rang and self._over:
            yield leg.ended(max(self._over, rang), rang, ended_by="cdr")

    def closed(self, now: int) -> contract.CallEnded:
        """Return the end of the leg under the id of the second part, where it goes on under the first one's."""
        record = self._record
        ends = [now, *self._at.values(), *([] if record is None else [record.end])]
        starts = [at for at in (self._at.get("ringing", 0), self._at.get("accepted", 0)) if at]
        maker = msgspec.structs.replace(self._maker(self._call), internal=True, lead=None)
        end = max(ends)
        return maker.ended(
            end,
            min(starts) if starts else (None if record is None else record.start),
            answered_at=end,
            talk_ms=0,
            pieces=_CLOSED + len(ends),
        )


def _record(said: History, heard: int, first_heard: int) -> _Record:
    start = settled(said.start, min(first_heard, heard - said.wait_ms - said.talk_ms))
    is_answered = said.disposition == "answered"
    answered = start + said.wait_ms if is_answered else 0
    return _Record(said, heard, start, answered, start + said.wait_ms + (said.talk_ms if is_answered else 0))

"""The events of a call of Zadarma, by its notifications and the times of their receipt."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple

from streams.contract.events import QUEUE_PREFIX, Direction, Disposition, EndedBy, Event
from streams.settings.settings import Settings
from streams.sources.gathering import GatheringJoin, LegEvents
from streams.sources.local_moments import settled
from streams.sources.zadarma.hook import Piece
from streams.sources.zadarma.rows import repaired
from streams.sources.zadarma.settings import NAME, ZadarmaSettings
from streams.units import SECOND_MS

_SETTLE_MS: Final = 10 * SECOND_MS


class _Call(NamedTuple):
    """The state of a call. All moments except the beginning are those of the receipt."""

    id: str
    begun: int
    lead: str | None
    rings: Mapping[str, int]
    answers: Mapping[str, int]
    """The managers who answered, in the order of their answers."""
    end: Piece | None
    ended: int
    is_repaired: bool
    """True if the end is concluded from the statistics: a notification that comes later replaces it."""


class ZadarmaJoin(GatheringJoin[Piece]):
    """Each manager whose telephone rang, or who answered, has a leg; an unanswered call is the queue's."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(Piece)
        self._queue = QUEUE_PREFIX + settings.source(ZadarmaSettings).default_queue

    def events(self, call: str, pieces: Mapping[Piece, int], now_ms: int) -> Iterator[Event]:
        """Yield the events of a call."""
        pieces, is_repaired = repaired(pieces)
        if any(piece.what.startswith("out") for piece in pieces):
            yield from _outbound(call, pieces, "cdr" if is_repaired else "hangup")
        elif not call.startswith("out_"):
            yield from self._inbound(_inbound(call, pieces)._replace(is_repaired=is_repaired), now_ms)

    def again_ms(self, call: str, pieces: Mapping[Piece, int], now_ms: int) -> int | None:  # noqa: ARG002 - as in the class above
        """Return the moment from which an unanswered end counts: the notification of the answer may be on its way."""
        ends = [at for piece, at in pieces.items() if piece.what == "end" and not piece.manager]
        return min(ends) + _SETTLE_MS if ends and now_ms < min(ends) + _SETTLE_MS else None

    def _inbound(self, call: _Call, now_ms: int) -> Iterator[Event]:
        yield from _answered_legs(call)
        answered = list(call.answers.values())  # in the order of time
        for manager, rang in call.rings.items():
            if manager in call.answers:
                continue
            leg = _leg(call, manager)
            yield leg.started(rang)
            place = bisect_left(answered, rang)
            after = answered[place] if place < len(answered) else 0
            if after or call.end is not None:
                by: EndedBy = "hangup" if after and not call.is_repaired else "cdr"
                yield leg.ended(after or max(call.ended, rang), rang, ended_by=by)
        end = call.end
        if end is None or call.answers or (end.disposition == "answered" and now_ms < call.ended + _SETTLE_MS):
            return
        missed: Disposition = "failed" if end.disposition == "failed" else "no_answer"
        by = "cdr" if call.is_repaired else "hangup"
        yield _leg(call, self._queue).ended(call.ended, call.begun, disposition=missed, ended_by=by)


def _answered_legs(call: _Call) -> Iterator[Event]:
    """Yield the legs of the managers who answered. A leg ends with the next answer: the call was transferred."""
    end = call.end
    moments = list(call.answers.values())
    for manager, answered in call.answers.items():
        leg = _leg(call, manager)
        later = moments[bisect_right(moments, answered) :][:1]
        rang = min(call.rings.get(manager, answered), answered)
        yield leg.started(rang)
        yield leg.answered(answered)
        if not later and end is None:
            continue
        is_single = len(call.answers) == 1 and end is not None and end.disposition == "answered"
        ended = later[0] if later else max(call.ended, answered)
        is_said = bool(later) or (end is not None and end.manager in {"", manager})
        yield leg.ended(
            ended,
            rang,
            answered_at=answered,
            talk_ms=min(ended - answered, end.duration_ms) if is_single and end is not None else None,
            ended_by="hangup" if is_said and not call.is_repaired else "cdr",
            pieces=len(call.answers) + (manager in call.rings),
        )


def _inbound(call: str, pieces: Mapping[Piece, int]) -> _Call:
    # A duration proves that the call began earlier: of two readings of a local time only the first one may be possible.
    first = min(at - piece.duration_ms for piece, at in pieces.items())
    rings: dict[str, int] = {}
    answers: dict[str, int] = {}
    end, ended = None, 0
    for piece, at in sorted(pieces.items(), key=lambda item: (item[1], item[0].manager)):
        if piece.what == "internal" and piece.manager:
            rings.setdefault(piece.manager, at)
        elif piece.what == "answer" and piece.manager:
            answers.setdefault(piece.manager, at)
        elif piece.what == "end" and end is None:
            end, ended = piece, at
    if end is not None and end.disposition == "answered" and end.manager and not answers:
        answers[end.manager] = max(ended - end.duration_ms, rings.get(end.manager, 0))
    some = next(iter(pieces))
    lead = next((piece.lead for piece in pieces if piece.lead), None)
    return _Call(call, settled(some.begun, first), lead, rings, answers, end, ended, is_repaired=False)


def _outbound(call: str, pieces: Mapping[Piece, int], ended_by: EndedBy) -> Iterator[Event]:
    said = sorted(pieces.items(), key=lambda item: item[1])
    begun = settled(said[0][0].begun, min(at - piece.duration_ms for piece, at in said))
    manager = next((piece.manager for piece, _ in said if piece.manager), "")
    lead = next((piece.lead for piece, _ in said if piece.lead), None)
    leg = _made(call, manager or f"{NAME}:unknown", lead, "outbound")
    started = any(piece.what == "out_start" for piece, _ in said)
    answer = next((at for piece, at in said if piece.what == "answer"), 0)
    if started:
        yield leg.started(begun)
    if answer:
        yield leg.answered(answer)
    end, ended = next(((piece, at) for piece, at in said if piece.what == "out_end"), (None, 0))
    if end is None or end.disposition is None:
        return
    is_answered = end.disposition == "answered"
    yield leg.ended(
        max(ended, begun),
        begun,
        answered_at=(answer or ended - end.duration_ms) if is_answered else None,
        talk_ms=end.duration_ms,
        disposition=end.disposition,
        ended_by=ended_by,
        pieces=1 + bool(answer),
    )


def _leg(call: _Call, manager: str) -> LegEvents:
    return _made(call.id, manager, call.lead, "inbound")


def _made(call: str, manager: str, lead: str | None, direction: Direction) -> LegEvents:
    return LegEvents(
        source=NAME, stem=f"{NAME}:{call}:{manager}", call=call, manager=manager, lead=lead, direction=direction
    )

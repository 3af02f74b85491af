"""The events of a call of Mango Office, by its pieces."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Final

from msgspec.structs import replace

from streams.contract.events import QUEUE_PREFIX, CallEnded, CallTransferred, Disposition, Event
from streams.settings.settings import Settings
from streams.sources.gathering import GatheringJoin, LegEvents
from streams.sources.mango.pieces import NAME, LegState, Piece, State, Summary
from streams.sources.mango.settings import MangoSettings

_REASONS: Final[Mapping[int, Disposition]] = MappingProxyType({1100: "canceled", 4201: "busy"})
"""The disposition of an unanswered outbound leg, by its code; all others are no_answer or failed."""
_FAILED_FROM: Final = 2000
_UNREACHABLE: Final = range(4200, 4300)


class MangoJoin(GatheringJoin[Piece]):
    """A leg is the set of pieces with one `call_id`; a summary adds facts that the other pieces lack."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(Piece)
        own = settings.source(MangoSettings)
        self._queues = own.queues
        self._default_queue = own.default_queue

    def events(self, call: str, pieces: Mapping[Piece, int], now_ms: int) -> Iterator[Event]:  # noqa: ARG002 - all moments are in the pieces
        """Yield the events of a call."""
        states = sorted((one for one in pieces if isinstance(one, State)), key=lambda one: (one.leg, one.seq, one.at))
        summaries = sorted(
            (one for one in pieces if isinstance(one, Summary)), key=lambda one: (one.listed, -one.ended, one.manager)
        )
        summary = summaries[0] if summaries else None
        legs: dict[str, list[State]] = {}
        for state in states:
            if not state.first_of_two:
                legs.setdefault(state.leg, []).append(state)
        after: dict[str, list[State]] = {}
        for leg in legs.values():
            if leg[0].taken_from:
                after.setdefault(leg[0].taken_from, []).append(leg[0])
        talked = any(one.state == "Connected" and one.manager and not one.colleague for one in states)
        for leg in legs.values():
            if leg[0].manager:
                yield from self._leg(leg, legs, after.get(leg[0].leg, []), summary, talked=talked)
        reported = {leg[0].manager for leg in legs.values() if not leg[0].colleague} | {""}
        for one in summaries:
            if one.manager not in reported:
                reported.add(one.manager)
                yield _only_summarised(one)
        if summary is not None:
            yield from self._missed(summary, states, talked=talked)

    def _leg(
        self,
        leg: list[State],
        legs: Mapping[str, list[State]],
        after: Sequence[State],
        summary: Summary | None,
        *,
        talked: bool,
    ) -> Iterator[Event]:
        first = leg[0]
        connected, disconnected = _first(leg, "Connected"), _first(leg, "Disconnected")
        # A leg of an attended transfer begins with a talk.
        begun = _first(leg, "Appeared") or next((one.at for one in leg if one.state == "Connected" and one.seq == 1), 0)
        answered, ended = connected, disconnected
        if summary is not None and not first.colleague:
            ended = ended or summary.ended
            if not talked and summary.manager == first.manager:
                answered = summary.answered
        for maker in self._makers(first, legs):
            if begun:
                yield maker.started(begun)
            if connected:
                yield maker.answered(connected)
            yield from _transfers(maker, first, after)
            if ended:
                yield maker.ended(
                    ended,
                    begun or answered or None,
                    answered_at=answered or None,
                    disposition=_meaning(leg[-1].reason) if maker.direction == "outbound" else "no_answer",
                    ended_by="hangup" if disconnected else "cdr",
                    pieces=1 + bool(begun) + sum(one.state == "Connected" for one in leg),
                )

    def _makers(self, first: State, legs: Mapping[str, list[State]]) -> Iterator[LegEvents]:
        """Yield the makers of the events of a leg: one, or two for a leg between colleagues."""
        before = legs.get(first.taken_from) if first.transfer else None
        outbound = first.outbound or (before is not None and before[0].outbound)
        maker = LegEvents(
            source=NAME,
            stem=f"{NAME}:{first.entry}:{first.leg}",
            call=first.entry,
            manager=first.manager,
            lead=first.lead,
            direction="outbound" if outbound else "inbound",
            queue=self._queue(first.group) if first.group else None,
        )
        if not first.colleague:
            yield maker
            return
        within = replace(maker, call=f"{first.entry[:60]}:{first.leg}", internal=True)
        yield replace(within, stem=f"{maker.stem}:from", direction="outbound")
        yield replace(within, stem=f"{maker.stem}:to", manager=first.colleague, direction="inbound")

    def _missed(self, summary: Summary, states: list[State], *, talked: bool) -> Iterator[CallEnded]:
        """Yield the end of an unanswered call to a group, or to no employee."""
        if summary.outbound or summary.answered or talked:
            return
        group = next((one.group for one in states if one.group), "" if summary.manager else summary.extension)
        if group or not summary.manager:
            name = QUEUE_PREFIX + self._queue(group)
            yield _summarised(summary, "queue", name).ended(summary.ended, summary.started)

    def _queue(self, group: str) -> str:
        return self._queues.get(group) or group or self._default_queue


def _summarised(summary: Summary, kind: str, manager: str) -> LegEvents:
    return LegEvents(
        source=NAME,
        stem=f"{NAME}:{summary.entry}:{kind}",
        call=summary.entry,
        manager=manager,
        lead=summary.lead,
        direction="outbound" if summary.outbound else "inbound",
    )


def _only_summarised(summary: Summary) -> CallEnded:
    """Return the end of a leg without other pieces."""
    return _summarised(summary, f"summary:{summary.manager}", summary.manager).ended(
        summary.ended,
        summary.rang,
        answered_at=summary.answered or None,
        disposition=_meaning(summary.reason) if summary.outbound else "no_answer",
        ended_by="cdr",
        pieces=2 - summary.listed,
    )


def _transfers(maker: LegEvents, first: State, after: Sequence[State]) -> Iterator[CallTransferred]:
    """Yield the transfer by which a leg gave its call away, concluded from the beginnings of the legs after it."""
    for begin in after:
        # A call that comes back (return_blind) was not given away by a manager.
        is_begin = begin.seq <= 1 and begin.transfer in {"blind", "consultative"} and begin.manager != first.manager
        if is_begin and not (begin.colleague or first.colleague):
            yield maker.transferred(begin.at, begin.manager, attended=begin.transfer == "consultative")


def _first(leg: list[State], state: LegState) -> int:
    """Return the first moment at which a leg came to a state, 0 for never."""
    return min((one.at for one in leg if one.state == state), default=0)


def _meaning(reason: int) -> Disposition:
    """Return the disposition of an unanswered call, by the class of its code."""
    if reason in _REASONS:
        return _REASONS[reason]
    return "failed" if reason >= _FAILED_FROM and reason not in _UNREACHABLE else "no_answer"

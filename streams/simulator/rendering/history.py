"""A history, read from contract events that are complete and in order: legs of calls, and presence."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Literal, TypeAlias, TypeVar, assert_never

import msgspec
from msgspec import UNSET, Struct

from streams.contract.decoding import Decoder
from streams.contract.events import (
    CallAnswered,
    CallEnded,
    CallsEvent,
    CallStarted,
    CallTransferred,
    Direction,
    Disposition,
    Event,
    Kind,
    ManagerPresence,
    PresenceState,
    Rejection,
)
from streams.simulator.telephony.legs import TOPIC, Record

_Event = TypeVar("_Event", bound=Event)


class Leg(Struct, kw_only=True):
    """One manager's part in a call. Moments and spans in milliseconds.

    `transfer_at`, `to` and `how` are those of its transfer. `internal`: between colleagues. `has_start`: its beginning
    is an event of its own.
    """

    call: str
    manager: str
    direction: Direction
    started_at: int
    ended_at: int = 0
    disposition: Disposition = "answered"
    talk_ms: int = 0
    answered_at: int | None = None
    lead: str | None = None
    kind: Kind | None = None
    team: str | None = None
    queue: str | None = None
    transfer_at: int | None = None
    to: str = ""
    how: Literal["blind", "attended"] = "blind"
    internal: bool = False
    has_start: bool = True
    has_end: bool = False

    def events(self) -> Iterator[CallsEvent]:
        """Yield the contract events of the leg, in their order."""
        name = f"{self.call}-{self.manager}"
        about: dict[str, Any] = {"v": 1, "source": "pbx", "call": self.call, "manager": self.manager, "lead": self.lead}
        internal = self.internal or UNSET
        if self.has_start:
            yield _of(
                CallStarted, about, id=f"{name}-s", at=self.started_at, direction=self.direction, kind=self.kind,
                team=self.team, queue=self.queue, internal=internal,
            )  # fmt: skip
        if self.answered_at is not None:
            yield _of(CallAnswered, about, id=f"{name}-a", at=self.answered_at)
        if self.transfer_at is not None:
            yield _of(CallTransferred, about, id=f"{name}-t", at=self.transfer_at, to_manager=self.to, how=self.how)
        if self.has_end:
            yield _of(
                CallEnded, about, id=f"{name}-e", at=self.ended_at, direction=self.direction, kind=self.kind,
                started_at=self.started_at, answered_at=self.answered_at, talk_ms=self.talk_ms,
                disposition=self.disposition, internal=internal,
            )  # fmt: skip


class Presence(Struct, kw_only=True):
    """A manager's presence from `at` on, in milliseconds."""

    at: int
    manager: str
    state: PresenceState
    reason: str | None = None

    def event(self) -> ManagerPresence:
        """Return its contract event."""
        id_ = f"presence-{self.manager}-{self.state}-{self.at}"
        return ManagerPresence(
            v=1, id=id_, at=self.at, source="pbx", manager=self.manager, state=self.state, reason=self.reason
        )


Call: TypeAlias = list[Leg]
"""The legs of one call, in the order in which they began."""


class History(Struct):
    """Calls in the order of their beginning, and presence in the order of time."""

    calls: list[Call]
    presences: list[Presence]

    @classmethod
    def of(cls, records: Iterable[Record]) -> History:
        """Return the history in the records of topic `calls`: those of `simulate` without faults.

        Raises ValueError for an event that is refused, or of an unknown leg.
        """
        decoder: Decoder[CallsEvent] = Decoder(TOPIC)
        legs: dict[tuple[str, str], Leg] = {}
        presences: list[Presence] = []
        for record in records:
            if record.topic != TOPIC:
                continue
            event = decoder.decode(record.value)
            if isinstance(event, Rejection):
                raise ValueError(f"a record without faults is expected: {event.detail}")  # noqa: TRY004 - a wrong value
            if isinstance(event, ManagerPresence):
                presences.append(Presence(at=event.at, manager=event.manager, state=event.state, reason=event.reason))
            else:
                _note(legs, event)
        calls: dict[str, Call] = {}
        for leg in legs.values():
            calls.setdefault(leg.call, []).append(leg)
        ordered = sorted(calls.values(), key=lambda call: (call[0].started_at, call[0].call))
        return cls(ordered, sorted(presences, key=lambda presence: presence.at))

    def until(self, at_ms: int) -> History:
        """Return the calls that had ended and the presences that had begun at a moment."""
        calls = [call for call in self.calls if all(leg.ended_at <= at_ms for leg in call)]
        return History(calls, [presence for presence in self.presences if presence.at <= at_ms])

    def events(self) -> list[CallsEvent]:
        """Return the contract events of the history, in the order of time."""
        events: list[CallsEvent] = [event for call in self.calls for leg in call for event in leg.events()]
        events += [presence.event() for presence in self.presences]
        return sorted(events, key=lambda event: event.at)

    def legs(self) -> Iterator[Leg]:
        """Yield all legs."""
        for call in self.calls:
            yield from call


def _of(of: type[_Event], about: dict[str, Any], /, **fields: Any) -> _Event:
    return of(**about, **fields)


def _note(legs: dict[tuple[str, str], Leg], event: CallStarted | CallAnswered | CallTransferred | CallEnded) -> None:
    """Add the contents of an event to its leg."""
    key = event.call, event.manager
    match event:
        case CallStarted():
            legs[key] = Leg(
                call=event.call,
                manager=event.manager,
                direction=event.direction,
                started_at=event.at,
                lead=event.lead,
                kind=event.kind,
                team=event.team,
                queue=event.queue,
                internal=event.internal is True,
            )
        case CallEnded():
            leg = legs.get(key)
            if leg is None:  # a call that no manager answered has only an end
                leg = legs[key] = Leg(
                    call=event.call,
                    manager=event.manager,
                    direction=event.direction,
                    started_at=event.started_at,
                    lead=event.lead,
                    kind=event.kind,
                    internal=event.internal is True,
                    has_start=False,
                )
            leg.ended_at, leg.disposition, leg.talk_ms = event.at, event.disposition, event.talk_ms
            leg.has_end = True
        case CallAnswered():
            _known(legs, key).answered_at = event.at
        case CallTransferred():
            leg = _known(legs, key)
            leg.transfer_at, leg.to, leg.how = event.at, event.to_manager, event.how
            if not leg.has_end:
                leg.ended_at = event.at
                leg.talk_ms = event.at - (leg.answered_at or event.at)
        case _:
            assert_never(event)


def _known(legs: dict[tuple[str, str], Leg], key: tuple[str, str]) -> Leg:
    leg = legs.get(key)
    if leg is None:
        raise ValueError("an event of a leg that did not begin: a history without faults is expected")
    return leg


def copied(history: History) -> History:
    """Return a copy that can be changed."""
    return msgspec.convert(msgspec.to_builtins(history), History)

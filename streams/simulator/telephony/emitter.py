"""The emitter: makes the events of a leg and passes them to the delivery, unless they are lost."""

from __future__ import annotations

from msgspec import UNSET

from streams.contract.events import (
    CallAnswered,
    CallEnded,
    CallStarted,
    CallTransferred,
    ManagerPresence,
    PresenceState,
)
from streams.simulator.faults.injection import Delivery
from streams.simulator.telephony.legs import ANSWER, CDR, END, START, TRANSFER, Presence, SimulatedLeg
from streams.units import SECOND_MS


class Emitter:
    """The telephony source, the CDR export and the agent desktop in one.

    `name` makes ids differ from those of other runs.
    """

    def __init__(self, delivery: Delivery, name: str) -> None:
        self._delivery = delivery
        self._name = name
        self._presences = 0

    def presence(self, manager: str, at: int, state: PresenceState, reason: str | None = None) -> None:
        """Emit a change of the manager's presence."""
        self._presences += 1
        presence = Presence(manager, at, state, f"{self._name}-p{self._presences}")
        event = ManagerPresence(
            v=1, id=presence.id, at=at, source="desktop", manager=manager, state=state, reason=reason
        )
        self._delivery.presence(presence, event)

    def started(self, leg: SimulatedLeg, team: str) -> None:
        """Emit the start of the leg."""
        if self._delivery.loses(START):
            return
        event = CallStarted(
            v=1,
            id=f"{leg.call}-{leg.manager}-s",
            at=leg.started_at,
            source="pbx",
            call=leg.call,
            manager=leg.manager,
            lead=leg.lead,
            direction=leg.direction,
            kind=leg.kind,
            team=team,
            queue=leg.queue,
            internal=True if leg.internal else UNSET,
        )
        self._delivery.piece(leg, START, event)

    def answered(self, leg: SimulatedLeg, at: int) -> None:
        """Emit the answer of the leg at `at`."""
        leg.answered_at = at
        if self._delivery.loses(ANSWER):
            return
        event = CallAnswered(
            v=1,
            id=f"{leg.call}-{leg.manager}-a",
            at=at,
            source="pbx",
            call=leg.call,
            manager=leg.manager,
            lead=leg.lead,
        )
        self._delivery.piece(leg, ANSWER, event)

    def transferred(self, leg: SimulatedLeg, to: SimulatedLeg, at: int) -> None:
        """Emit the transfer of the call from `leg` to `to`."""
        leg.transfer_at = at
        leg.to, to.by = to, leg
        if self._delivery.loses(TRANSFER):
            return
        event = CallTransferred(
            v=1,
            id=f"{leg.call}-{leg.manager}-t",
            at=at,
            source="pbx",
            call=leg.call,
            manager=leg.manager,
            lead=leg.lead,
            to_manager=to.manager,
            how=leg.how,
        )
        self._delivery.piece(leg, TRANSFER, event)

    def ended(self, leg: SimulatedLeg, at: int) -> None:
        """Emit the end of the leg: by the telephony source, by a CDR row, by both or not at all."""
        leg.ended_at = at
        leg.settled = True
        lost = self._delivery.loses(END)
        second = self._delivery.cdr(lost=lost)
        if not lost:
            self._delivery.piece(leg, END, _end(leg), alone=not second and leg.to is None)
        if second:
            # CDR rows have whole seconds: the end is rounded up, the talk down.
            leg.cdr_at = -(-at // SECOND_MS) * SECOND_MS
            leg.cdr_talk_ms = leg.talk_ms // SECOND_MS * SECOND_MS
            self._delivery.piece(leg, CDR, _end(leg, cdr=True), alone=lost and leg.to is None)


def _end(leg: SimulatedLeg, *, cdr: bool = False) -> CallEnded:
    return CallEnded(
        v=1,
        id=f"{leg.call}-{leg.manager}-{'c' if cdr else 'e'}",
        at=leg.cdr_at if cdr else leg.ended_at,
        source="cdr" if cdr else "pbx",
        call=leg.call,
        manager=leg.manager,
        lead=leg.lead,
        direction=leg.direction,
        kind=leg.kind,
        started_at=leg.started_at,
        answered_at=leg.answered_at,
        talk_ms=leg.cdr_talk_ms if cdr else leg.talk_ms,
        disposition=leg.disposition,
        ended_by="cdr" if cdr else "hangup",
        internal=True if leg.internal else UNSET,
    )

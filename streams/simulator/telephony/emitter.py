"""Says what happened: makes the events of a leg and hands them to the post, unless they are lost."""

from __future__ import annotations

from streams.contract.events import (
    CallAnswered,
    CallEnded,
    CallStarted,
    CallTransferred,
    ManagerPresence,
    PresenceState,
)
from streams.simulator.faults.injection import Post
from streams.simulator.telephony.legs import ANSWER, CDR, END, START, TRANSFER, Leg, Presence
from streams.units import SECOND_MS


class Teller:
    """The telephony source, the CDR export and the agent desktop in one.

    `name` makes ids unlike those of other runs.
    """

    def __init__(self, post: Post, name: str) -> None:
        self._post = post
        self._name = name
        self._presences = 0

    def presence(self, manager: str, at: int, state: PresenceState, reason: str | None = None) -> None:
        """Say that the manager's presence changed."""
        self._presences += 1
        presence = Presence(manager, at, state, f"{self._name}-p{self._presences}")
        event = ManagerPresence(
            v=1, id=presence.id, at=at, source="desktop", manager=manager, state=state, reason=reason
        )
        self._post.presence(presence, event)

    def started(self, leg: Leg, team: str) -> None:
        """Say that the leg began."""
        if self._post.loses(START):
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
        )
        self._post.piece(leg, START, event)

    def answered(self, leg: Leg, at: int) -> None:
        """Say that the leg was answered at `at`."""
        leg.answered_at = at
        if self._post.loses(ANSWER):
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
        self._post.piece(leg, ANSWER, event)

    def transferred(self, leg: Leg, to: Leg, at: int) -> None:
        """Say that the call was handed from `leg` to `to`."""
        leg.transfer_at = at
        leg.to, to.by = to, leg
        if self._post.loses(TRANSFER):
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
        self._post.piece(leg, TRANSFER, event)

    def ended(self, leg: Leg, at: int) -> None:
        """Say that the leg is over: by the telephony source, by a CDR row, by both or not at all."""
        leg.ended_at = at
        leg.settled = True
        lost = self._post.loses(END)
        second = self._post.cdr(lost=lost)
        if not lost:
            self._post.piece(leg, END, _end(leg), alone=not second and leg.to is None)
        if second:
            # CDR rows know whole seconds: the end is rounded up, the talk down.
            leg.cdr_at = -(-at // SECOND_MS) * SECOND_MS
            leg.cdr_talk_ms = leg.talk_ms // SECOND_MS * SECOND_MS
            self._post.piece(leg, CDR, _end(leg, cdr=True), alone=lost and leg.to is None)


def _end(leg: Leg, *, cdr: bool = False) -> CallEnded:
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
    )

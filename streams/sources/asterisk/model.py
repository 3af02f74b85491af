"""Conversations and legs, and how they are written down as contract events.

A conversation is what keeps one call id: all channels of one Linkedid, and what is joined to them later. A leg is one
manager's part in it, over any number of that manager's channels.
"""

from __future__ import annotations

import re
from typing import Final, Literal

from streams.contract.events import (
    EARLIEST_MS,
    LATEST_MS,
    LONGEST_MS,
    CallAnswered,
    CallEnded,
    CallStarted,
    CallTransferred,
    Direction,
    Disposition,
    EndedBy,
    Event,
)
from streams.sources.asterisk.channels import Channel
from streams.sources.asterisk.mapping import Directory

_AGE: Final = re.compile(r"(\d+)\.(\d+)$")


class Leg:
    """One manager's part in a conversation. `connected_since` is set while the manager can talk with somebody."""

    __slots__ = (
        "answered_at",
        "channels",
        "connected_since",
        "conversation",
        "direction",
        "first",
        "manager",
        "queue",
        "started_at",
        "talk_ms",
    )

    def __init__(
        self, conversation: Conversation, manager: str, direction: Direction, first: Channel, started_at: int
    ) -> None:
        self.conversation = conversation
        self.manager = manager
        self.direction = direction
        self.first = first
        self.channels: dict[str, Channel] = {first.uid: first}
        self.started_at = started_at
        self.answered_at: int | None = None
        self.connected_since: int | None = None
        self.talk_ms = 0
        self.queue: str | None = None


class Handover:
    """A transfer whose receiver is not known yet: who answers, or else who was rung first, has received the call."""

    __slots__ = ("at", "candidates", "channel", "how", "lead", "manager")

    def __init__(self, leg: Leg, at: int, how: Literal["blind", "attended"]) -> None:
        self.manager = leg.manager
        self.channel = leg.first
        self.lead = leg.conversation.lead
        self.at = at
        self.how = how
        self.candidates: list[str] = []


class Conversation:
    """Everything that belongs to one call id. `first` holds whom an originate rang first: they are the callers."""

    __slots__ = (
        "channels",
        "first",
        "handover",
        "id",
        "joined",
        "lead",
        "legs",
        "linkedids",
        "originated",
        "queue",
        "voicemail",
    )

    def __init__(self, linkedid: str) -> None:
        self.id = linkedid
        self.linkedids = [linkedid]
        self.channels: dict[str, Channel] = {}
        self.legs: dict[str, Leg] = {}
        self.originated = False
        self.first: dict[str, None] = {}
        self.lead: str | None = None
        self.queue: str | None = None
        self.voicemail = False
        self.handover: Handover | None = None
        self.joined: list[str] = []

    @property
    def age(self) -> tuple[int, int]:
        """Order conversations by when they began; a Linkedid ends in `second.serial`."""
        found = _AGE.search(self.id)
        return (int(found[1]), int(found[2])) if found else (1 << 62, 0)


class Scribe:
    """Writes contract events. An id is made of Uniqueid, event and occurrence, so a replay gives the same ids."""

    def __init__(self, directory: Directory) -> None:
        self._directory = directory
        self._source = directory.mapping.source
        self.events: list[Event] = []

    def take(self) -> list[Event]:
        """Return what was written since the last time."""
        taken, self.events = self.events, []
        return taken

    def started(self, leg: Leg) -> None:
        """Write that a leg began."""
        self.events.append(
            CallStarted(
                v=1,
                id=self._id(leg.first, "started"),
                at=moment(leg.started_at),
                source=self._source,
                call=self._call(leg.conversation),
                manager=leg.manager,
                lead=leg.conversation.lead,
                direction=leg.direction,
                queue=None if leg.queue is None else self._directory.public(leg.queue),
            )
        )

    def answered(self, leg: Leg) -> None:
        """Write that the manager can talk with somebody for the first time."""
        self.events.append(
            CallAnswered(
                v=1,
                id=self._id(leg.first, "answered"),
                at=moment(leg.answered_at or leg.started_at),
                source=self._source,
                call=self._call(leg.conversation),
                manager=leg.manager,
                lead=leg.conversation.lead,
            )
        )

    def ended(self, leg: Leg, at: int, disposition: Disposition, ended_by: EndedBy = "hangup") -> None:
        """Write that a leg is over."""
        at = max(at, leg.started_at, leg.answered_at or 0)
        if leg.connected_since is not None:
            leg.talk_ms += max(0, at - leg.connected_since)
            leg.connected_since = None
        self.events.append(
            CallEnded(
                v=1,
                # An end that was only concluded leaves the id of the real end free: the real one may still come.
                id=self._id(leg.first, "ended" if ended_by == "hangup" else ended_by),
                at=moment(at),
                source=self._source,
                call=self._call(leg.conversation),
                manager=leg.manager,
                lead=leg.conversation.lead,
                direction=leg.direction,
                started_at=moment(leg.started_at),
                answered_at=None if leg.answered_at is None else moment(leg.answered_at),
                talk_ms=min(leg.talk_ms, LONGEST_MS),
                disposition=disposition,
                ended_by=ended_by,
            )
        )

    def transferred(self, conversation: Conversation, handover: Handover, to_manager: str) -> None:
        """Write who handed the call over to whom."""
        self.events.append(
            CallTransferred(
                v=1,
                id=self._id(handover.channel, "transferred"),
                at=moment(handover.at),
                source=self._source,
                call=self._call(conversation),
                manager=handover.manager,
                lead=handover.lead or conversation.lead,
                to_manager=to_manager,
                how=handover.how,
            )
        )

    def missed(self, caller: Channel, lead: str | None, at: int) -> None:
        """Write the leg of the pseudo-manager that has the inbound calls which nobody answered."""
        conversation = caller.conversation
        leg = Leg(conversation, self._directory.queue_name(conversation.queue), "inbound", caller, caller.at)
        leg.queue = conversation.queue
        conversation.lead = lead
        self.started(leg)
        self.ended(leg, at, "voicemail" if conversation.voicemail else "no_answer")

    def _call(self, conversation: Conversation) -> str:
        return self._directory.call_name(conversation.id)

    def _id(self, channel: Channel, event: str) -> str:
        uid = self._directory.call_name(channel.uid)
        return f"{self._source}:{uid}:{event}:{channel.occurrence(event)}"


def moment(ms: int) -> int:
    """Return a moment that the contract accepts: a clock that is far off must not make an unreadable event."""
    return min(max(ms, EARLIEST_MS), LATEST_MS)

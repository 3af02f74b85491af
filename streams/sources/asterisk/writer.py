"""Contract events of legs: start, answer, transfer and end."""

from __future__ import annotations

from msgspec import UNSET

from streams.contract.events import (
    EARLIEST_MS,
    LATEST_MS,
    LONGEST_MS,
    CallAnswered,
    CallEnded,
    CallStarted,
    CallTransferred,
    Disposition,
    EndedBy,
    Event,
)
from streams.sources.asterisk.mapping import Directory
from streams.sources.asterisk.model import Channel, Conversation, Handover, PbxLeg


class EventWriter:
    """Writes contract events. An id consists of Uniqueid, event and occurrence, so a replay gives the same ids."""

    def __init__(self, directory: Directory, seen: EndedBy = "hangup") -> None:
        """`seen` is the `ended_by` of ends that were observed."""
        self._directory = directory
        self._seen = seen
        self._source = directory.mapping.source
        self.events: list[Event] = []

    def take(self) -> list[Event]:
        """Return the events since the last call."""
        taken, self.events = self.events, []
        return taken

    def started(self, leg: PbxLeg) -> None:
        """Write the start of a leg."""
        self.events.append(
            CallStarted(
                v=1,
                id=self._id(leg.first, "started"),
                at=clamp_time(leg.started_at),
                source=self._source,
                call=self.call_name(leg.conversation),
                manager=leg.manager,
                lead=leg.lead,
                direction=leg.direction,
                internal=leg.is_internal or UNSET,
                queue=None if leg.queue is None else self._directory.public(leg.queue),
            )
        )

    def answered(self, leg: PbxLeg) -> None:
        """Write the answer of a leg: the manager is connected for the first time."""
        self.events.append(
            CallAnswered(
                v=1,
                id=self._id(leg.first, "answered"),
                at=clamp_time(leg.answered_at or leg.started_at),
                source=self._source,
                call=self.call_name(leg.conversation),
                manager=leg.manager,
                lead=leg.lead,
            )
        )

    def ended(self, leg: PbxLeg, at: int, disposition: Disposition, ended_by: EndedBy = "hangup") -> None:
        """Write the end of a leg."""
        ended_by = self._seen if ended_by == "hangup" else ended_by
        at = max(at, leg.started_at, leg.answered_at or 0)
        if leg.connected_since is not None:
            leg.talk_ms += max(0, at - leg.connected_since)
            leg.connected_since = None
        uncertain = leg.uncertain and ended_by != "timeout"
        # An end that was not seen, or not in full, leaves the id of the real end free, which may still come.
        name = "uncertain" if uncertain else "ended" if ended_by == "hangup" else ended_by
        self.events.append(
            CallEnded(
                v=1,
                id=self._id(leg.first, name),
                at=clamp_time(at),
                source=self._source,
                call=self.call_name(leg.conversation),
                manager=leg.manager,
                lead=leg.lead,
                direction=leg.direction,
                started_at=clamp_time(leg.started_at),
                answered_at=None if leg.answered_at is None else clamp_time(leg.answered_at),
                talk_ms=min(leg.talk_ms, LONGEST_MS),
                disposition=disposition,
                ended_by=ended_by,
                internal=leg.ends_internal or UNSET,
                uncertain=uncertain or UNSET,
            )
        )

    def transferred(self, conversation: Conversation, handover: Handover, to_manager: str) -> None:
        """Write a transfer to `to_manager`."""
        self.events.append(
            CallTransferred(
                v=1,
                id=self._id(handover.channel, "transferred"),
                at=clamp_time(handover.at),
                source=self._source,
                call=self.call_name(conversation),
                manager=handover.manager,
                lead=handover.lead or conversation.lead,
                to_manager=to_manager,
                how=handover.how,
            )
        )

    def missed(self, caller: Channel, lead: str | None, at: int, ended_by: EndedBy) -> None:
        """Write the leg of the queue's pseudo-manager for an inbound call without an answer."""
        conversation = caller.conversation
        leg = PbxLeg(conversation, self._directory.queue_name(conversation.queue), "inbound", caller, caller.at)
        leg.queue = conversation.queue
        conversation.lead = lead
        self.started(leg)
        self.ended(leg, at, "voicemail" if conversation.voicemail else "no_answer", ended_by)

    def call_name(self, conversation: Conversation) -> str:
        """Return the name of a conversation's call in events."""
        return self._directory.call_name(conversation.id)

    def is_plain(self, call: str) -> bool:
        """Return whether the name of a call in events is the Linkedid itself, and no hash of it."""
        return self._directory.call_name(call) == call

    def _id(self, channel: Channel, event: str) -> str:
        uid = self._directory.call_name(channel.uid)
        return f"{self._source}:{uid}:{event}:{channel.occurrence(event)}"


def clamp_time(ms: int) -> int:
    """Return a time within the limits of the contract, so that a wrong clock makes no invalid event."""
    return min(max(ms, EARLIEST_MS), LATEST_MS)

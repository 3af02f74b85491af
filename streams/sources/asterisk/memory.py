"""The state of a listener before a restart, read from the contract events that it had stored.

Asterisk lists its channels, but neither the beginnings of talks nor the legs of managers. The stored events have them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

from msgspec import UNSET

from streams.contract.events import (
    LONGEST_MS,
    CallAnswered,
    CallEnded,
    CallStarted,
    Event,
    ManagerPresence,
    PresenceState,
)
from streams.sources.asterisk.model import Channel, PbxLeg
from streams.sources.asterisk.writer import EventWriter, clamp_time

_TIMEOUT: Final = "timeout"


class OpenLeg(NamedTuple):
    """A leg that began and did not end. `uid` is that of its first channel, as it stands in the event's id."""

    start: CallStarted
    uid: str
    answered_at: int | None = None


class Memory:
    """The legs that are open after `events`, which are those of one source in the order in which they were stored.

    Legs and numbers of occurrences are removed when their channels occur again.
    """

    def __init__(self, source: str, events: Iterable[Event] = ()) -> None:
        self._source = source
        self._legs: dict[tuple[str, str], OpenLeg] = {}
        self._occurrences: dict[str, dict[str, int]] = {}
        self._answered: set[str] = set()
        self.presences: dict[str, tuple[PresenceState, str]] = {}
        for event in events:
            self._learn(event)

    def __len__(self) -> int:
        """Return the number of open legs."""
        return len(self._legs)

    def _learn(self, event: Event) -> None:
        if event.source != self._source:
            return
        if isinstance(event, ManagerPresence):
            self.presences[event.manager] = event.state, event.reason or ""
            return
        uid, name, occurrence = self._parts(event.id)
        if not uid:
            return
        counts = self._occurrences.setdefault(uid, {})
        counts[name] = max(counts.get(name, 0), occurrence)
        if isinstance(event, CallStarted):
            self._legs[event.call, event.manager] = OpenLeg(event, uid)
        elif isinstance(event, CallAnswered):
            self._answered.add(event.call)
            leg = self._legs.get((event.call, event.manager))
            if leg is not None:
                self._legs[event.call, event.manager] = leg._replace(answered_at=event.at)
        elif isinstance(event, CallEnded):
            self._legs.pop((event.call, event.manager), None)

    def _parts(self, event_id: str) -> tuple[str, str, int]:
        parts = event_id.removeprefix(f"{self._source}:").rsplit(":", 2)
        if len(parts) != 3 or not parts[2].isdecimal() or len(parts[2]) > 9:  # noqa: PLR2004 - three parts, nine digits
            return "", "", 0
        return parts[0], parts[1], int(parts[2])

    def occurrences(self, uid: str) -> Mapping[str, int]:
        """Remove and return the number of events of each name of a channel."""
        return self._occurrences.pop(uid, {})

    def has_talked(self, call: str) -> bool:
        """Return whether a call was answered."""
        return call in self._answered

    def find(self, manager: str, call: str, uids: Iterable[str]) -> OpenLeg | None:
        """Return the open leg of a manager, by its call, or by its first channel if the call has another id now."""
        known = set(uids)
        for (leg_call, leg_manager), leg in self._legs.items():
            if leg_manager == manager and (leg_call == call or leg.uid in known):
                return leg
        return None

    def take(self, leg: OpenLeg) -> None:
        """Remove an open leg, which continues."""
        del self._legs[leg.start.call, leg.start.manager]

    def legs(self) -> list[OpenLeg]:
        """Return the open legs that were not taken."""
        return list(self._legs.values())

    def close(self, now: int) -> list[CallEnded]:
        """Return an end by timeout for each open leg that was not taken, and clear the memory."""
        ends = [self._end(leg, now) for leg in self._legs.values()]
        self._legs.clear()
        self._occurrences.clear()
        self._answered.clear()
        return ends

    def _end(self, leg: OpenLeg, now: int) -> CallEnded:
        start, answered_at = leg.start, leg.answered_at
        number = self._occurrences.get(leg.uid, {}).get(_TIMEOUT, 0) + 1
        at = clamp_time(max(now, start.at, answered_at or 0))
        return CallEnded(
            v=1,
            id=f"{self._source}:{leg.uid}:{_TIMEOUT}:{number}",
            at=at,
            source=self._source,
            call=start.call,
            manager=start.manager,
            lead=start.lead,
            direction=start.direction,
            started_at=start.at,
            answered_at=answered_at,
            talk_ms=0 if answered_at is None else min(at - answered_at, LONGEST_MS),
            disposition="no_answer" if answered_at is None else "answered",
            ended_by="timeout",
            internal=start.internal or UNSET,
        )


def resumed(memory: Memory, channel: Channel, manager: str, writer: EventWriter) -> PbxLeg | None:
    """Return the leg that a manager had before the start, in the conversation of one of its channels.

    None if there was none. The conversation gets the id that its call had then.
    """
    conversation = channel.conversation
    known = memory.find(manager, writer.call_name(conversation), conversation.channels)
    if known is None:
        return None
    start = known.start
    if writer.call_name(conversation) != start.call:
        if conversation.legs or not writer.is_plain(start.call):
            return None  # its other legs have begun under another id
        conversation.id = start.call
        conversation.linkedids.append(start.call)
    memory.take(known)
    first = conversation.channels.get(known.uid, channel)
    leg = PbxLeg(conversation, manager, start.direction, first, start.at)
    leg.answered_at = leg.resumes_at = known.answered_at
    leg.is_internal = start.internal is True
    leg.queue, conversation.lead = start.queue, start.lead or conversation.lead
    conversation.legs[manager] = leg
    for mine in {first.uid: first, channel.uid: channel}.values():
        leg.channels[mine.uid] = mine
        mine.leg = leg
    return leg

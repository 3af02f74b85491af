"""Channels, bridges and dials as Asterisk reports them, and who can hear whom: the facts, before any idea of a call.

Two halves of a Local channel (`;1` and `;2`) are one wire. Parties can talk when bridges and such wires connect them;
that, and not a dial status, is what an answered call is made of.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from streams.sources.asterisk.model import Conversation, Leg

RINGING: Final = 5
UP: Final = 6
# Channels that Asterisk makes for itself; nobody is at their end.
_MACHINES: Final = frozenset(
    (
        *("announcer", "asyncgoto", "audiosocket", "bridge", "cbann", "cbrec", "message"),
        *("multicastrtp", "parked", "recorder", "snoop", "surrogate", "unicastrtp"),
    )
)
_SERIAL: Final = re.compile(r"-[0-9a-fA-F]+$")
_HALF: Final = re.compile(r"(Local/.+);([12])", re.IGNORECASE)
_BLANK: Final = frozenset(("", "<unknown>", "unknown", "anonymous", "unavailable", "restricted"))


class Channel:
    """One channel. `dialled_by` is the Uniqueid of the channel that dials it, "" for an originate, None for nobody."""

    __slots__ = (
        "account",
        "at",
        "bridge",
        "conversation",
        "dial_status",
        "dial_string",
        "dialled_by",
        "dialling_since",
        "done",
        "endpoint",
        "exten",
        "first_context",
        "first_number",
        "inner_status",
        "is_local",
        "is_machine",
        "leg",
        "linked_now",
        "linkedid",
        "manager",
        "member",
        "name",
        "number",
        "occurrences",
        "other_half",
        "outer_status",
        "own_status",
        "resolved",
        "seen_up",
        "state",
        "talked",
        "uid",
    )

    def __init__(self, uid: str, name: str, linkedid: str, at: int) -> None:
        self.uid = uid
        self.linkedid = self.linked_now = linkedid  # the first one tells who began the conversation
        self.at = at
        self.rename(name)
        self.state = 0
        self.seen_up = False
        self.talked = False  # was connected with somebody at some time
        self.account = self.exten = self.first_context = self.number = self.first_number = ""
        self.other_half: str | None = None
        self.bridge: str | None = None
        self.dialled_by: str | None = None
        self.dial_string = ""
        self.dial_status = ""  # how being dialled ended
        self.outer_status = ""  # how the dial ended that this one is a part of, in front of a Local channel
        self.own_status = ""  # how dialling others ended, the last time
        self.inner_status = ""  # the same, behind a Local channel
        self.dialling_since: int | None = None
        self.member: tuple[str, ...] = ()
        self.manager: str | None = None
        self.resolved = False
        self.leg: Leg | None = None
        self.done = False  # handed its call over: it takes no further part
        self.occurrences: dict[str, int] = {}
        self.conversation: Conversation

    def rename(self, name: str) -> None:
        """Take on a name; Asterisk marks channels that are about to go with `<ZOMBIE>` and the like."""
        self.name = name.partition("<")[0]
        technology, _, rest = self.name.partition("/")
        self.is_local = technology.casefold() == "local"
        self.is_machine = technology.casefold() in _MACHINES
        device = _SERIAL.sub("", rest)
        # DAHDI and PRI channels carry the number behind the span: DAHDI/i1/0123456-1.
        self.endpoint = device.partition("/")[0]

    @property
    def is_party(self) -> bool:
        """Whether somebody is at the end of the channel."""
        return not self.is_local and not self.is_machine

    def occurrence(self, event: str) -> int:
        """Count one more `event` of this channel; the first one is 1."""
        self.occurrences[event] = number = self.occurrences.get(event, 0) + 1
        return number


class Switch:
    """The channels that are there now, and how they hang together."""

    def __init__(self) -> None:
        self.channels: dict[str, Channel] = {}
        self.bridges: dict[str, dict[str, None]] = {}
        # By name and Linkedid: names are unique in a PBX, but not among several that are read as one.
        self._halves: dict[tuple[str, str], str] = {}

    def add(self, channel: Channel) -> None:
        """Let a channel in. The halves of a Local channel find each other by their names."""
        self.channels[channel.uid] = channel
        found = _HALF.fullmatch(channel.name)
        if found is not None:
            self._halves[channel.name, channel.linkedid] = channel.uid
            other = self._halves.get((f"{found[1]};{'2' if found[2] == '1' else '1'}", channel.linkedid))
            if other is not None:
                self.join_halves(channel, self.channels[other])

    def clear(self) -> None:
        """Forget everything."""
        self.channels.clear()
        self.bridges.clear()
        self._halves.clear()

    def rename(self, channel: Channel, name: str) -> None:
        """Let a channel go on under another name."""
        self._forget_half(channel)
        channel.rename(name)

    def join_halves(self, one: Channel, two: Channel) -> None:
        """Note that two channels are the halves of one Local channel."""
        one.other_half, two.other_half = two.uid, one.uid

    def remove(self, channel: Channel) -> None:
        """Let a channel go."""
        self.leave(channel)
        del self.channels[channel.uid]
        self._forget_half(channel)
        if channel.other_half is not None and (other := self.channels.get(channel.other_half)) is not None:
            other.other_half = None

    def enter(self, channel: Channel, bridge: str) -> None:
        """Put a channel into a bridge; it leaves the one it was in."""
        if channel.bridge != bridge:
            self.leave(channel)
            channel.bridge = bridge
        self.bridges.setdefault(bridge, {})[channel.uid] = None

    def leave(self, channel: Channel) -> None:
        """Take a channel out of its bridge."""
        if channel.bridge is None:
            return
        members = self.bridges.get(channel.bridge, {})
        members.pop(channel.uid, None)
        if not members:
            self.bridges.pop(channel.bridge, None)
        channel.bridge = None

    def parties(self, channel: Channel) -> list[Channel]:
        """Return the parties that a channel is connected with, itself among them."""
        seen = {channel.uid: channel}
        waiting = [channel]
        while waiting:
            here = waiting.pop()
            neighbours = list(self.bridges.get(here.bridge, ())) if here.bridge is not None else []
            if here.other_half is not None:
                neighbours.append(here.other_half)
            for uid in neighbours:
                if uid not in seen and uid in self.channels:
                    seen[uid] = self.channels[uid]
                    waiting.append(seen[uid])
        return [found for found in seen.values() if found.is_party]

    def top(self, channel: Channel) -> Channel:
        """Return where the dials that led to `channel` begin: a party, or a Local half that nobody is known to dial."""
        for _ in range(len(self.channels)):
            above = self._above(channel) if channel.is_local else None
            if above is None:
                break
            channel = above
        return channel

    def caller(self, channel: Channel) -> Channel | None:
        """Return the party on whose behalf `channel` dials: itself, or who is behind its Local channels.

        None: nobody, the PBX itself placed the call (an originate), or the beginning was not seen.
        """
        top = self.top(channel)
        return top if top.is_party else None

    def dial_chain(self, channel: Channel) -> Iterator[Channel]:
        """Yield a dialled channel and the Local halves through which it was dialled, from the inside out."""
        for _ in range(len(self.channels) + 1):
            yield channel
            source = self.channels.get(channel.dialled_by or "")
            if source is None or not source.is_local or source.other_half is None:
                return
            half = self.channels.get(source.other_half)
            if half is None:
                return
            channel = half

    def _forget_half(self, channel: Channel) -> None:
        if self._halves.get((channel.name, channel.linkedid)) == channel.uid:
            del self._halves[channel.name, channel.linkedid]

    def _above(self, local: Channel) -> Channel | None:
        for half in (local, self.channels.get(local.other_half or "")):
            if half is not None and half.dialled_by:
                return self.channels.get(half.dialled_by)
        return None


def known_number(text: str) -> str:
    """Return a caller id number, or "" for the words that stand for none."""
    return "" if text.casefold() in _BLANK else text

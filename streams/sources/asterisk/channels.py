"""The present channels, bridges and dials, and the parties that can hear each other.

Two halves of a Local channel (`;1` and `;2`) are one connection. Parties can talk when bridges and such connections
link them. An answered call is defined by that, and not by a dial status.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from streams.sources.asterisk.model import Channel

_HALF: Final = re.compile(r"(Local/.+);([12])", re.IGNORECASE)


class ChannelRegistry:
    """The current channels, their bridges, and the Local channels that link them."""

    def __init__(self) -> None:
        self.by_uid: dict[str, Channel] = {}
        self.bridges: dict[str, dict[str, None]] = {}
        self.added = 0
        # By name and Linkedid: names are unique in one PBX, but not across several PBXs.
        self._halves: dict[tuple[str, str], str] = {}

    def add(self, channel: Channel) -> None:
        """Add a channel. The halves of a Local channel are paired by their names."""
        self.added += 1
        channel.serial = self.added
        self.by_uid[channel.uid] = channel
        found = _HALF.fullmatch(channel.name)
        if found is not None:
            self._halves[channel.name, channel.linkedid] = channel.uid
            other = self._halves.get((f"{found[1]};{'2' if found[2] == '1' else '1'}", channel.linkedid))
            if other is not None:
                self.join_halves(channel, self.by_uid[other])

    def miss(self) -> None:
        """Note a gap: events of the channels, and so of their legs, were missed."""
        for channel in self.by_uid.values():
            channel.unheard = True
            if channel.leg is not None:
                channel.leg.uncertain = True

    def listed(self) -> None:
        """Note that a list has all channels: a later gap concerns only the leg that a channel has by then."""
        for channel in self.by_uid.values():
            if channel.unheard and channel.leg is not None:
                channel.leg.uncertain = True
            channel.unheard = False

    def clear(self) -> None:
        """Remove everything."""
        self.by_uid.clear()
        self.bridges.clear()
        self._halves.clear()

    def rename(self, channel: Channel, name: str) -> None:
        """Change the name of a channel."""
        self._forget_half(channel)
        channel.rename(name)

    def join_halves(self, one: Channel, two: Channel) -> None:
        """Note that two channels are the halves of one Local channel."""
        one.other_half, two.other_half = two.uid, one.uid

    def remove(self, channel: Channel) -> None:
        """Remove a channel."""
        self.leave(channel)
        del self.by_uid[channel.uid]
        self._forget_half(channel)
        if channel.other_half is not None and (other := self.by_uid.get(channel.other_half)) is not None:
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
                if uid not in seen and uid in self.by_uid:
                    seen[uid] = self.by_uid[uid]
                    waiting.append(seen[uid])
        return [found for found in seen.values() if found.is_party]

    def top(self, channel: Channel) -> Channel:
        """Return the origin of the dials that led to `channel`: a party, or a Local half without a known dialler."""
        for _ in range(len(self.by_uid)):
            above = self._above(channel) if channel.is_local else None
            if above is None:
                break
            channel = above
        return channel

    def caller(self, channel: Channel) -> Channel | None:
        """Return the party that dials through `channel`: itself, or the party behind its Local channels.

        None if the PBX placed the call (an originate), or if the beginning was not seen.
        """
        top = self.top(channel)
        return top if top.is_party else None

    def dial_chain(self, channel: Channel) -> Iterator[Channel]:
        """Yield a dialled channel and the Local halves through which it was dialled, from the inside out."""
        for _ in range(len(self.by_uid) + 1):
            yield channel
            source = self.by_uid.get(channel.dialled_by or "")
            if source is None or not source.is_local or source.other_half is None:
                return
            half = self.by_uid.get(source.other_half)
            if half is None:
                return
            channel = half

    def push_status(self, channel: Channel, status: str) -> None:
        """Pass the result of a dial in front of a Local channel on to the channels dialled behind it."""
        waiting = [channel]
        seen: set[str] = set()
        while waiting:
            half = waiting.pop().other_half
            if half is None or half in seen:
                continue
            seen.add(half)
            for other in channel.conversation.channels.values():
                if other.dialled_by == half:
                    other.outer_status = status
                    waiting.append(other)

    def _forget_half(self, channel: Channel) -> None:
        if self._halves.get((channel.name, channel.linkedid)) == channel.uid:
            del self._halves[channel.name, channel.linkedid]

    def _above(self, local: Channel) -> Channel | None:
        for half in (local, self.by_uid.get(local.other_half or "")):
            if half is not None and half.dialled_by:
                return self.by_uid.get(half.dialled_by)
        return None

"""The list of channels that CoreShowChannels and Status return, after a gap or before the first event."""

from __future__ import annotations

from typing import Final, NamedTuple

from streams.sources.asterisk.channels import ChannelRegistry
from streams.sources.asterisk.headers import Ami, age_ms
from streams.sources.asterisk.model import Channel

_DIALLING: Final = frozenset(("dial", "queue", "followme"))
_PARKING: Final = frozenset(("park", "parkandannounce"))
_WAITING: Final = _PARKING | {"bridgewait"}


class Listed(NamedTuple):
    """Uniqueids by a list of channels: those that ended in the gap; all of the list; those not known before."""

    ended: list[str]
    all: list[str]
    new: set[str]


class ChannelListing:
    """Collects a list of channels, and updates each channel by its entry."""

    def __init__(self, channels: ChannelRegistry) -> None:
        self._channels = channels
        self._before: set[str] | None = None
        self._listed: set[str] = set()

    def clear(self) -> None:
        """Drop a list that is not complete."""
        self._before, self._listed = None, set()

    def begin_entry(self, uid: str) -> bool:
        """Note that a channel is listed. Return whether it was unknown."""
        if self._before is None:
            self._before = set(self._channels.by_uid)
            self._listed = set()
        self._listed.add(uid)
        return uid not in self._channels.by_uid

    def entry(self, channel: Channel, ami: Ami, now: int, *, is_new: bool) -> None:
        """Update a channel by its entry in the list."""
        bridge, application = ami.get("bridgeid", ""), ami.get("application", "").lower()
        if is_new:
            channel.at = now - age_ms(ami)
            # Dial and Queue bridge a channel only after an answer, and a party that parks it has talked with it.
            channel.talked |= application in _PARKING or (bridge != "" and application in _DIALLING)
        if bridge and application not in _WAITING:
            self._channels.enter(channel, bridge)
        elif channel.bridge is not None:
            self._channels.leave(channel)
        if is_new and channel.uid == channel.linkedid and application in _DIALLING:
            channel.dialling_since = channel.at

    def complete(self, *, is_whole: bool) -> Listed:
        """Return the result of a complete list. Only a complete list shows ends."""
        before, listed = self._before or set(), self._listed
        if not listed:
            before = set(self._channels.by_uid)
        self.clear()
        return Listed(sorted(before - listed) if is_whole else [], sorted(listed), listed - before)

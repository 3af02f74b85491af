"""Transfers: the leg that ends, and the receiver of the call."""

from __future__ import annotations

from typing import NamedTuple

from streams.sources.asterisk.channels import ChannelRegistry
from streams.sources.asterisk.conversations import Conversations
from streams.sources.asterisk.model import Channel, Handover


class Attended(NamedTuple):
    """An attended transfer: its `kind` (DestType in lower case) and the channels that take part, None if not known.

    `again` is the transferer's second channel.
    """

    kind: str
    by: Channel | None
    again: Channel | None
    transferee: Channel | None
    target: Channel | None


class Transfers:
    """Moves legs to other managers, by the events of transfers."""

    def __init__(self, channels: ChannelRegistry, conversations: Conversations) -> None:
        self._channels = channels
        self._conversations = conversations

    def blind(self, by: Channel, now: int) -> None:
        """End the leg of the transferer. Its receiver is known later."""
        leg = by.leg
        if leg is None and by.is_local:
            legs = [party.leg for party in self._channels.parties(by) if party.leg is not None]
            leg = legs[0] if len(legs) == 1 else None
        if leg is not None:
            self._conversations.hand_over(leg, Handover(leg, now, "blind"), now, None, rings=True)

    def attended(self, parts: Attended, now: int) -> None:
        """Join the calls that take part, and end the leg of the transferer."""
        kind, by, again, transferee, target = parts
        known = [channel for channel in (transferee, by, again, target) if channel is not None]
        transferers = [channel for channel in (by, again) if channel is not None]
        if not transferers:
            return
        handed = into = known[0].conversation
        conversations = dict.fromkeys(channel.conversation for channel in known)
        for other in conversations:
            if other is not into:
                into = self._conversations.survivor(into, other, handed_over=handed)
        self._conversations.join(into, now, *conversations)
        if kind == "threeway":
            return  # the parties that joined stay connected
        leg = next((channel.leg for channel in transferers if channel.leg is not None), None)
        if leg is None:
            return
        # The other telephone still rings, or its queue goes on ringing: the call was not announced (a blonde transfer).
        to_manager = None if kind == "app" else self._conversations.receiver(into, leg.manager, target, transferee)
        rings = kind == "app" or (to_manager is None and target is not None and self._is_ringing(target))
        if to_manager is None and not rings and target is not None:
            to_manager = self._conversations.hand_outside(target, now)
        self._conversations.hand_over(
            leg, Handover(leg, now, "blind" if rings else "attended"), now, to_manager, rings=rings
        )

    def _is_ringing(self, target: Channel) -> bool:
        """Return whether the Local channel that is the target of a transfer leads to no answered party yet."""
        half = self._channels.by_uid.get(target.other_half or "")
        return target.is_local and half is not None and half.bridge is None

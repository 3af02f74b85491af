"""Connections of parties: after an event of a bridge, and after a list of channels."""

from __future__ import annotations

from collections.abc import Iterable
from collections.abc import Set as AbstractSet

from streams.sources.asterisk.channels import ChannelRegistry
from streams.sources.asterisk.conversations import Conversations
from streams.sources.asterisk.model import RINGING, UNSEEN, Channel, Conversation


class Connections:
    """Joins the conversations of parties that are connected, and gives their managers legs."""

    def __init__(self, channels: ChannelRegistry, conversations: Conversations) -> None:
        self._channels = channels
        self._conversations = conversations

    def update(self, channel: Channel, handed_over: Conversation | None, now: int) -> None:
        """Note the parties with which a channel is connected. `handed_over`: the conversation that was transferred."""
        parties = self._channels.parties(channel)
        if len(parties) > 1:
            conversations = dict.fromkeys(party.conversation for party in parties)
            into = parties[0].conversation
            for other in conversations:
                if other is not into:
                    into = self._conversations.survivor(into, other, handed_over=handed_over)
            self._conversations.join(into, now, *conversations)
        self._conversations.meet(parties, now)

    def take_up(self, listed: Iterable[str], new: AbstractSet[str], now: int) -> None:
        """Continue the calls of a list of channels. `new` are those that were not known before it."""
        for uid in listed:
            channel = self._channels.by_uid.get(uid)
            if channel is None:
                continue
            if channel.bridge is not None:
                self.update(channel, None, now)
            elif channel.is_party and channel.state == RINGING and channel.dialled_by == UNSEEN:
                self._conversations.ring(channel, now)
            elif channel.dialling_since is not None and uid in new:
                self._conversations.take_up(
                    channel, [other for other in channel.conversation.channels.values() if other.is_party]
                )
            if channel.leg is not None:
                self._conversations.refresh([channel.leg], now)

    def resume(self, now: int) -> None:
        """Continue the legs of channels that were open before the start, although the list alone gives them no leg.

        After that the list is complete. A manager who was answered, and is not connected now, counts as talking until
        now.
        """
        memory = self._conversations.memory
        for known in memory.legs() if memory is not None else ():
            channel = self._channels.by_uid.get(known.uid)
            if channel is not None and channel.leg is None and not channel.done:
                leg = self._conversations.begin(channel, known.start.manager, known.start.direction, now)
                self._conversations.refresh([leg], now)
        for conversation in self._conversations.by_linkedid.values():
            for leg in conversation.legs.values():
                if leg.resumes_at is not None:
                    leg.talk_ms += max(0, now - leg.resumes_at)
                    leg.resumes_at = None

"""The parties of a call: managers and outside parties, the caller, and the lead."""

from __future__ import annotations

from streams.sources.asterisk.channels import ChannelRegistry
from streams.sources.asterisk.dialled import dialled_number, is_line
from streams.sources.asterisk.mapping import ChannelEnd, Directory
from streams.sources.asterisk.model import Channel, Conversation


class Parties:
    """Finds the parties of a call from the state of `channels` and the settings in `directory`."""

    def __init__(self, directory: Directory, channels: ChannelRegistry) -> None:
        self._directory = directory
        self._channels = channels

    def manager_of(self, channel: Channel) -> str | None:
        """Return the manager at the end of a channel. It is determined once and kept."""
        if not channel.is_party:
            return None
        if not channel.resolved:
            number = "" if channel.dialled_by is None else dialled_number(channel, "")
            member = next((half.member for half in self._channels.dial_chain(channel) if half.member), ())
            end = ChannelEnd(
                channel.endpoint,
                channel.first_context,
                channel.account,
                channel.number,
                number,
                member,
                is_line(channel),
            )
            channel.classified = self._directory.classify(end)
            channel.resolved = True
        return channel.classified.manager

    def has_outside_party(self, conversation: Conversation) -> bool:
        """Return whether an outside party without a leg, such as a customer, takes part."""
        return any(
            channel.is_party and channel.leg is None and self.manager_of(channel) is None
            for channel in conversation.channels.values()
        )

    def lead_of(self, number: str) -> str | None:
        """Return the lead behind a number."""
        return self._directory.numbers.lead(number, self._directory.secret)

    def lead_behind(self, channel: Channel) -> str | None:
        """Return the lead at the end of an outside channel: by its caller id, or by the number that was dialled."""
        return self.lead_of(channel.first_number if channel.dialled_by is None else dialled_number(channel, ""))

    def first_party(self, conversation: Conversation) -> Channel | None:
        """Return the caller of a call that the PBX placed: the party that picked up among those rung first."""
        rung = [self._channels.by_uid[uid] for uid in conversation.first if uid in self._channels.by_uid]
        # Events of two channels may overtake each other: the far end can be dialled before the caller is seen to be up.
        return max(rung, key=lambda channel: channel.state, default=None)

    def caller_of(self, channel: Channel) -> Channel | None:
        """Return the party that dials `channel`, also through Local channels, or None if it is not known."""
        source = self._channels.by_uid.get(channel.dialled_by or "")
        if source is None:
            return None
        top = self._channels.top(source)
        if top.is_party:
            return top if top is not channel else None
        # An originate through a Local channel dials its `;1`. The first party is rung by the `;2`; once it is there,
        # the `;1` goes on in the dialplan and dials the far end, on behalf of the first party.
        if channel.conversation.originated and (top.dialled_by == "" or top.uid == top.linkedid):
            first = self.first_party(channel.conversation)
            return first if first is not channel else None
        return None

    def began_it(self, channel: Channel) -> bool:
        """Return whether a manager's channel began its conversation, and so is the caller in it."""
        conversation = channel.conversation
        if channel.uid != conversation.id and channel.uid not in conversation.first:
            return False
        return not any(
            other.dialled_by is None and other.uid == other.linkedid and self.manager_of(other) is None
            for other in conversation.channels.values()
            if other.is_party
        )

    def is_campaign(self, conversation: Conversation) -> bool:
        """Return whether the PBX called an outside party first, to connect it with a free manager: an outbound call."""
        if not conversation.originated or not conversation.first:
            return False
        rung = [self._channels.by_uid[uid] for uid in conversation.first if uid in self._channels.by_uid]
        if any(self.manager_of(channel) is not None for channel in rung):
            return False
        return conversation.queue is not None or any(channel.standing for channel in conversation.channels.values())

    def is_between_outsiders(self, caller: Channel, channel: Channel) -> bool:
        """Return whether the PBX placed a call to an outside party, and connects it with another outside party."""
        conversation = channel.conversation
        return conversation.originated and caller.uid in conversation.first and self.manager_of(channel) is None

    def is_consultation(self, channel: Channel) -> bool:
        """Return whether a telephone is called on behalf of a manager who put the outside party on hold.

        Asterisk's transfer feature dials through a Local channel that is bridged with the manager.
        """
        source = self._channels.by_uid.get(channel.dialled_by or "")
        if source is None:
            return False
        top = self._channels.top(source)
        if top.is_party or top.dialled_by is not None:
            return False
        asking = self._channels.parties(top)
        return bool(asking) and all(self.manager_of(party) is not None for party in asking)

    def is_internal(self, channel: Channel, manager: str) -> bool:
        """Return whether a leg that begins with `channel` is between colleagues, as far as known yet."""
        if manager == self._directory.mapping.outside_manager:
            return False
        return self.is_consultation(channel) or not self.has_outside_party(channel.conversation)

    def was_missed(self, channel: Channel) -> bool:
        """Return whether a channel is an outside caller that was never connected with a party."""
        return (
            channel.is_party
            and not channel.talked
            and channel.dialled_by is None
            and channel.uid == channel.linkedid
            and self.manager_of(channel) is None
        )

    def find_lead(self, conversation: Conversation, parties: list[Channel]) -> None:
        """Set the lead of a conversation that has none from the first outside party among `parties`."""
        for party in parties:
            if conversation.lead is None and self.manager_of(party) is None and party.leg is None:
                conversation.lead = self.lead_behind(party)

    def identity(self, channel: Channel) -> str:
        """Return the identity of a party: several telephones of one manager are one party."""
        return channel.leg.manager if channel.leg is not None else self.manager_of(channel) or channel.uid

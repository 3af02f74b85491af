"""Who takes part in a call: manager, outside party or nobody; who calls, who is rung first, and whose lead it is."""

from __future__ import annotations

from streams.phone_numbers import lead_key
from streams.sources.asterisk.channels import Channel, Switch
from streams.sources.asterisk.dialled import dialled_number
from streams.sources.asterisk.mapping import Directory
from streams.sources.asterisk.model import Conversation


class Parties:
    """Answers questions about the parties of a call from the facts of `switch` and the settings in `directory`."""

    def __init__(self, directory: Directory, switch: Switch) -> None:
        self._directory = directory
        self._switch = switch

    def manager_of(self, channel: Channel) -> str | None:
        """Return the manager at the end of a channel; the answer is found once and kept."""
        if not channel.is_party:
            return None
        if not channel.resolved:
            number = "" if channel.dialled_by is None else dialled_number(channel, "")
            member = next((half.member for half in self._switch.dial_chain(channel) if half.member), ())
            channel.manager = self._directory.manager_of(channel, number, member)
            channel.resolved = True
        return channel.manager

    def has_outside_party(self, conversation: Conversation) -> bool:
        """Tell whether somebody from outside takes part, as a customer does."""
        return any(
            channel.is_party and channel.leg is None and self.manager_of(channel) is None
            for channel in conversation.channels.values()
        )

    def lead_of(self, number: str) -> str | None:
        """Return the lead behind a number."""
        return lead_key(number, self._directory.secret, self._directory.mapping.region)

    def lead_behind(self, channel: Channel) -> str | None:
        """Return the lead at the end of an outside channel: by its caller id, or by the number that was dialled."""
        return self.lead_of(channel.first_number if channel.dialled_by is None else dialled_number(channel, ""))

    def first_party(self, conversation: Conversation) -> Channel | None:
        """Return the caller of a call that the PBX placed: who picked up of those it rang first."""
        rung = [self._switch.channels[uid] for uid in conversation.first if uid in self._switch.channels]
        # Events of two channels may overtake each other: the far end can be dialled before the caller is seen to be up.
        return max(rung, key=lambda channel: channel.state, default=None)

    def caller_of(self, channel: Channel) -> Channel | None:
        """Return the party that dials `channel`, through whatever Local channels; None where that is not known."""
        source = self._switch.channels.get(channel.dialled_by or "")
        if source is None:
            return None
        top = self._switch.top(source)
        if top.is_party:
            return top if top is not channel else None
        # An originate through a Local channel dials its `;1`. The first party is rung by the `;2`; once it is there,
        # the `;1` goes on in the dialplan and dials the far end, on behalf of the first party.
        if channel.conversation.originated and (top.dialled_by == "" or top.uid == top.linkedid):
            first = self.first_party(channel.conversation)
            return first if first is not channel else None
        return None

    def began_it(self, channel: Channel) -> bool:
        """Tell whether a manager's channel began its conversation, and so is the caller in it."""
        conversation = channel.conversation
        if channel.uid != conversation.id and channel.uid not in conversation.first:
            return False
        return not any(
            other.dialled_by is None and other.uid == other.linkedid and self.manager_of(other) is None
            for other in conversation.channels.values()
            if other.is_party
        )

    def was_missed(self, channel: Channel) -> bool:
        """Tell whether a channel is an outside caller that nobody ever talked with."""
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
        """Return what tells parties apart: several telephones of one manager are one party."""
        return channel.leg.manager if channel.leg is not None else self.manager_of(channel) or channel.uid

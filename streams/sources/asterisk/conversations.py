"""Which conversations there are and which legs they have: begins, answers, moves and ends legs as channels come and go.

Rules of the call id: a conversation is the channels of one Linkedid. When two are joined (a transfer, a pickup, a
bridge), one id survives: the one that has the outside party, if only one has; else the one that was handed over; else
the older. Legs of the other one end there and go on as legs of the surviving id.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from streams.contract.events import Direction, Disposition, EndedBy
from streams.phone_numbers import is_outside_number
from streams.sources.asterisk import dispositions
from streams.sources.asterisk.channels import RINGING, UP, Channel, Switch
from streams.sources.asterisk.dialled import dialled_number
from streams.sources.asterisk.model import Conversation, Handover, Leg, Scribe
from streams.sources.asterisk.parties import Parties

_MANY_LINKEDIDS: Final = 16


class Ledger:
    """The conversations that go on. It reads the facts of `switch` and lets `scribe` write what happens to legs."""

    def __init__(self, outside_manager: str, switch: Switch, parties: Parties, scribe: Scribe) -> None:
        self._outside_manager = outside_manager
        self._parties = parties
        self._switch = switch
        self._scribe = scribe
        self.conversations: dict[str, Conversation] = {}
        """By every Linkedid that belongs to one."""

    # -- conversations

    def place(self, channel: Channel, linkedid: str) -> None:
        """Put a new channel into its conversation."""
        conversation = self.conversations.get(linkedid)
        if conversation is None:
            conversation = self.conversations[linkedid] = Conversation(linkedid)
            # Only an originate begins a conversation with a Local channel; all others inherit their caller's Linkedid.
            conversation.originated = channel.is_local and channel.uid == linkedid
        channel.conversation = conversation
        conversation.channels[channel.uid] = channel

    def relink(self, channel: Channel, linkedid: str, now: int) -> None:
        """Follow a channel whose Linkedid changed: what Asterisk has joined is one conversation."""
        channel.linked_now = linkedid
        conversation = channel.conversation
        if linkedid in conversation.linkedids:
            return
        other = self.conversations.get(linkedid)
        if other is None:
            self.conversations[linkedid] = conversation
            conversation.linkedids.append(linkedid)
        else:
            self.join(self.survivor(conversation, other, handed_over=None), now, conversation, other)

    def survivor(self, one: Conversation, two: Conversation, *, handed_over: Conversation | None) -> Conversation:
        """Return which of two conversations gives its id to both."""
        outside = self._parties.has_outside_party(one)
        if outside != self._parties.has_outside_party(two):
            return one if outside else two
        return handed_over or min(one, two, key=lambda conversation: conversation.age)

    def join(self, into: Conversation, now: int, *others: Conversation) -> None:
        """Make one conversation of several. Legs of the others end and go on under the id of `into`."""
        for other in others:
            if other is into:
                continue
            for linkedid in other.linkedids:
                self.conversations[linkedid] = into
            into.linkedids += other.linkedids
            into.channels |= other.channels
            into.lead = into.lead or other.lead
            into.queue = into.queue or other.queue
            into.voicemail |= other.voicemail
            into.originated |= other.originated
            into.first |= other.first
            legs = list(other.legs.values())
            for leg in legs:
                self.end(leg, now, "answered" if leg.answered_at is not None else "canceled")
            if other.handover is not None:
                self._received(other)
            for channel in other.channels.values():
                channel.conversation = into
            other.channels = {}
            into.joined = []
            for leg in legs:
                self._move(leg, into, now)

    def _move(self, leg: Leg, into: Conversation, now: int) -> None:
        """Let the manager of an ended leg take part in the conversation that theirs was joined to."""
        channels = [channel for channel in leg.channels.values() if channel.uid in into.channels and not channel.done]
        if not channels:
            return
        mine = into.legs.get(leg.manager)
        if mine is None:
            mine = self.begin(channels[0], leg.manager, "inbound", now)
            into.joined.append(leg.manager)
        for channel in channels:
            self.attach(channel, mine)
        self.refresh([mine], now)

    def close(self, conversation: Conversation) -> None:
        """Forget a conversation whose channels are all gone."""
        if conversation.handover is not None:
            self._received(conversation)
        for linkedid in conversation.linkedids:
            if self.conversations.get(linkedid) is conversation:
                del self.conversations[linkedid]

    # -- legs

    def begin(self, channel: Channel, manager: str, direction: Direction, at: int) -> Leg:
        """Begin a leg with its first channel."""
        conversation = channel.conversation
        leg = Leg(conversation, manager, direction, channel, at)
        if direction == "inbound":
            leg.queue = conversation.queue
        conversation.legs[manager] = leg
        channel.leg = leg
        if (
            conversation.handover is not None
            and manager != conversation.handover.manager
            and manager not in conversation.handover.candidates
        ):
            conversation.handover.candidates.append(manager)
        self._scribe.started(leg)
        return leg

    def attach(self, channel: Channel, leg: Leg) -> None:
        """Let another channel of the manager belong to the leg."""
        leg.channels[channel.uid] = channel
        channel.leg = leg

    def dial(self, channel: Channel, now: int) -> None:
        """Note that a party is being dialled: whoever dials a telephone has a leg, before it rings."""
        conversation = channel.conversation
        caller = self._parties.caller_of(channel)
        if caller is None:
            if conversation.originated:
                conversation.first[channel.uid] = None
            return
        manager = self._parties.manager_of(caller)
        if manager is None:
            if caller.leg is None and conversation.lead is None:
                conversation.lead = self._parties.lead_behind(caller)
            return
        if conversation.lead is None and self._parties.manager_of(channel) is None:
            conversation.lead = self._parties.lead_of(dialled_number(channel, caller.exten))
        if caller.leg is None and not caller.done:
            mine = conversation.legs.get(manager)
            if mine is None:
                self.begin(caller, manager, "outbound", caller.dialling_since or now)
            else:
                self.attach(caller, mine)

    def ring(self, channel: Channel, now: int) -> None:
        """Begin the leg of a party whose telephone rings, or that picked up at once."""
        if channel.dialled_by is None or not channel.is_party or channel.state not in (RINGING, UP):
            return
        conversation = channel.conversation
        if channel.leg is not None or channel.done or channel.uid in conversation.first:
            return
        if not channel.dialled_by or (conversation.originated and channel.dialled_by not in self._switch.channels):
            return  # an originate rings whoever is going to call
        manager = self._parties.manager_of(channel)
        if manager is None:
            caller = self._parties.caller_of(channel)
            if caller is None or not self._outside_manager or self._parties.manager_of(caller) is not None:
                return
            if conversation.originated or channel.uid == caller.uid:
                return
            manager = self._outside_manager  # the PBX passes an outside call on to the outside
        mine = conversation.legs.get(manager)
        if mine is None:
            self.begin(channel, manager, "inbound", now)
        else:
            self.attach(channel, mine)

    def meet(self, parties: list[Channel], now: int) -> None:
        """Note that `parties` are connected: managers among them that have no leg yet (a conference, a gap) get one."""
        if len({self._parties.identity(channel) for channel in parties}) > 1:
            for channel in parties:
                channel.talked = True
                self.take_up(channel, parties)
        self.refresh([channel.leg for channel in parties if channel.leg is not None], now)

    def take_up(self, channel: Channel, parties: list[Channel]) -> None:
        """Begin the leg of a manager whose dial was not seen, if any; `parties` are who else is in the call."""
        manager = self._parties.manager_of(channel)
        if manager is None or channel.leg is not None or channel.done:
            return
        self._parties.find_lead(channel.conversation, parties)
        mine = channel.conversation.legs.get(manager)
        if mine is None:
            since = channel.dialling_since or _since(channel, parties)
            self.begin(channel, manager, "outbound" if self._parties.began_it(channel) else "inbound", since)
        else:
            self.attach(channel, mine)

    def refresh(self, legs: Iterable[Leg], now: int) -> None:
        """See which of the legs can talk now; the first time is the answer."""
        for leg in dict.fromkeys(legs):
            connected = any(
                self._parties.identity(other) != leg.manager
                for channel in leg.channels.values()
                if channel.uid in self._switch.channels
                for other in self._switch.parties(channel)
            )
            if connected and leg.connected_since is None:
                leg.connected_since = now
                if leg.answered_at is None:
                    leg.answered_at = max(now, leg.started_at)
                    self._scribe.answered(leg)
                    handover = leg.conversation.handover
                    if handover is not None and leg.manager in handover.candidates:
                        self._received(leg.conversation, leg.manager)
            elif not connected and leg.connected_since is not None:
                leg.talk_ms += max(0, now - leg.connected_since)
                leg.connected_since = None

    def end(self, leg: Leg, now: int, disposition: Disposition, ended_by: EndedBy = "hangup") -> None:
        """End a leg; what still happens on its channels is no part of it any more."""
        for channel in leg.channels.values():
            channel.leg = None
        leg.conversation.legs.pop(leg.manager, None)
        self._scribe.ended(leg, now, disposition, ended_by)

    # -- transfers

    def hand_over(self, leg: Leg, handover: Handover, now: int, to_manager: str | None, *, rings: bool) -> None:
        """End the leg of who transfers.

        `rings`: who receives the call is still to answer, and `to_manager` is not known. Without it, None means that
        nobody of the department received it.
        """
        conversation = leg.conversation
        if conversation.handover is not None:
            self._received(conversation)
        for channel in leg.channels.values():
            channel.done = True
        if to_manager is not None:
            self._scribe.transferred(conversation, handover, to_manager)
        elif rings:
            handover.candidates = [
                manager
                for manager, other in conversation.legs.items()
                if other is not leg and other.answered_at is None
            ]
            conversation.handover = handover
        self.end(leg, now, "answered" if leg.answered_at is not None else "canceled")

    def _received(self, conversation: Conversation, manager: str | None = None) -> None:
        """Write a transfer whose receiver is known now, or never will be better known."""
        handover, conversation.handover = conversation.handover, None
        if handover is not None and (manager is not None or handover.candidates):
            self._scribe.transferred(conversation, handover, manager or handover.candidates[0])

    def receiver(self, into: Conversation, by: str, *parties: Channel | None) -> str | None:
        """Return the manager who has the call after `by` handed it over: one of `parties`, or the last who joined."""
        for party in parties:
            name = self._parties.identity(party) if party is not None and party.is_party else by
            if name != by and name in into.legs:
                return name
        for name in reversed(into.joined):
            if name != by and name in into.legs:
                return name
        others = [leg for leg in into.legs.values() if leg.manager != by and leg.answered_at is not None]
        return max(others, key=lambda leg: leg.started_at).manager if others else None

    def finish(self, now: int) -> None:
        """End every leg that is open: whatever comes after a gap, its real end was not seen."""
        for conversation in list(dict.fromkeys(self.conversations.values())):
            if conversation.handover is not None:
                self._received(conversation)
            for leg in list(conversation.legs.values()):
                self.end(leg, now, "answered" if leg.answered_at is not None else "no_answer", "timeout")
        self.conversations.clear()

    # -- the end of a channel

    def hang_up(self, channel: Channel, cause: int, now: int, ended_by: EndedBy = "hangup") -> None:
        """Take a channel out, and end the leg that has lost its last one with it."""
        conversation = channel.conversation
        met = [party.leg for party in self._switch.parties(channel) if party.leg is not None and party is not channel]
        leg = channel.leg
        if leg is None:
            self._count_failed(channel, cause, now)
        self._switch.remove(channel)
        if leg is not None:
            leg.channels.pop(channel.uid, None)
            if leg.channels:
                self.refresh([leg], now)
            else:
                self.end(leg, now, self._disposition(leg, channel, cause), ended_by)
        elif self._parties.was_missed(channel):
            self._scribe.missed(channel, self._parties.lead_of(channel.first_number), now)
        self.refresh([other for other in met if other is not leg], now)
        conversation.channels.pop(channel.uid, None)
        conversation.first.pop(channel.uid, None)
        if not conversation.channels:
            self.close(conversation)
        elif len(conversation.linkedids) > _MANY_LINKEDIDS:
            self._forget_linkedids(conversation)

    def _forget_linkedids(self, conversation: Conversation) -> None:
        """Drop the Linkedids that no channel has any more: a conference may go on for days with changing members."""
        used = {name for channel in conversation.channels.values() for name in (channel.linkedid, channel.linked_now)}
        used.add(conversation.id)
        for linkedid in conversation.linkedids:
            if linkedid not in used:
                self.conversations.pop(linkedid, None)
        conversation.linkedids = [linkedid for linkedid in conversation.linkedids if linkedid in used]

    def _disposition(self, leg: Leg, channel: Channel, cause: int) -> Disposition:
        if leg.answered_at is not None:
            return "answered"
        if leg.direction == "outbound":
            if leg.conversation.voicemail:
                return "voicemail"
            return dispositions.of_caller(channel.own_status, channel.inner_status, cause)
        return dispositions.of_callee(channel.dial_status, channel.outer_status, cause)

    def _count_failed(self, channel: Channel, cause: int, now: int) -> None:
        """Count a call that a manager tried to place although no telephone was ever dialled for it.

        Asterisk reports no dial where it cannot even make the channel: no trunk, or a telephone that is not there.
        """
        manager = self._parties.manager_of(channel)
        conversation = channel.conversation
        if manager is None or channel.done or channel.talked or channel.dialled_by is not None:
            return
        if manager in conversation.legs or channel.uid != conversation.id or channel.seen_up:
            return
        tried = channel.dialling_since is not None and channel.own_status not in ("", "ANSWER")
        disposition = dispositions.of_caller(channel.own_status, channel.inner_status, cause)
        if not tried:
            disposition = dispositions.of_cause(cause)
            tried = is_outside_number(channel.exten) or (channel.exten.isdigit() and disposition != "canceled")
        if tried:
            conversation.lead = conversation.lead or self._parties.lead_of(channel.exten)
            leg = self.begin(channel, manager, "outbound", channel.dialling_since or channel.at)
            self.end(leg, now, disposition)


def _since(channel: Channel, parties: list[Channel]) -> int:
    """Return when a leg that was noticed late can have begun: not before its channel, nor before anybody else."""
    return max(channel.at, min((other.at for other in parties if other is not channel), default=channel.at))

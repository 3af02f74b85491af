"""Conversations and their legs: begins, answers, moves and ends legs as channels come and go.

Rules of the call id: a conversation holds the channels of one Linkedid. When two are joined (by a transfer, a pickup or
a bridge), one id survives: the one with the outside party, if only one has one; else the transferred one; else the
older. Legs of the other conversation end there and continue as legs of the surviving id.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from streams.contract.events import Direction, Disposition, EndedBy
from streams.phone_numbers import is_outside_number
from streams.sources.asterisk import dispositions
from streams.sources.asterisk.channels import ChannelRegistry
from streams.sources.asterisk.dialled import attempted_number, dialled_number
from streams.sources.asterisk.endings import PendingEnds
from streams.sources.asterisk.memory import Memory, resumed
from streams.sources.asterisk.model import RINGING, UP, Channel, Conversation, Handover, PbxLeg
from streams.sources.asterisk.parties import Parties
from streams.sources.asterisk.writer import EventWriter

_MANY_LINKEDIDS: Final = 16


class Conversations:
    """All current conversations. Reads the state of `channels` and writes the events of legs to `writer`."""

    def __init__(self, outside_manager: str, channels: ChannelRegistry, parties: Parties, writer: EventWriter) -> None:
        self._outside_manager = outside_manager
        self._parties = parties
        self._channels = channels
        self._writer = writer
        self.ends = PendingEnds(channels, writer)
        self.memory: Memory | None = None
        """The memory from before a start, until the first list of channels is complete."""
        self.by_linkedid: dict[str, Conversation] = {}
        """Conversations by each of their Linkedids."""

    # -- conversations

    def place(self, channel: Channel, linkedid: str) -> None:
        """Put a new channel into its conversation."""
        conversation = self.by_linkedid.get(linkedid)
        if conversation is None:
            conversation = self.by_linkedid[linkedid] = Conversation(linkedid)
            # A conversation that begins with a Local channel was originated; other Local channels inherit a Linkedid.
            conversation.originated = channel.is_local and channel.uid == linkedid
        channel.conversation = conversation
        conversation.channels[channel.uid] = channel

    def relink(self, channel: Channel, linkedid: str, now: int) -> None:
        """Follow a changed Linkedid: channels that Asterisk joins are one conversation."""
        if channel.linked_now == linkedid:
            return
        channel.linked_now = linkedid
        conversation = channel.conversation
        if linkedid in conversation.linkedids:
            return
        other = self.by_linkedid.get(linkedid)
        if other is None:
            self.by_linkedid[linkedid] = conversation
            conversation.linkedids.append(linkedid)
        else:
            self.join(self.survivor(conversation, other, handed_over=None), now, conversation, other)

    def survivor(self, one: Conversation, two: Conversation, *, handed_over: Conversation | None) -> Conversation:
        """Return the conversation whose id survives when both are joined."""
        outside = self._parties.has_outside_party(one)
        if outside != self._parties.has_outside_party(two):
            return one if outside else two
        return handed_over or min(one, two, key=lambda conversation: conversation.age)

    def join(self, into: Conversation, now: int, *others: Conversation) -> None:
        """Join conversations. Legs of the others end and continue under the id of `into`."""
        for other in others:
            if other is into:
                continue
            for linkedid in other.linkedids:
                self.by_linkedid[linkedid] = into
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

    def _move(self, leg: PbxLeg, into: Conversation, now: int) -> None:
        """Continue an ended leg in the conversation that its own was joined to."""
        channels = [channel for channel in leg.channels.values() if channel.uid in into.channels and not channel.done]
        if not channels:
            return
        if leg.answered_at is not None and all(len(self._channels.parties(channel)) == 1 for channel in channels):
            return  # ended by the join of the two: it may still be connected again
        mine = into.legs.get(leg.manager)
        if mine is None:
            mine = self.begin(channels[0], leg.manager, "inbound", now)
            into.joined.append(leg.manager)
        for channel in channels:
            self.attach(channel, mine)
        self.refresh([mine], now)

    def close(self, conversation: Conversation) -> None:
        """Remove a conversation without channels."""
        if conversation.handover is not None:
            self._received(conversation)
        for linkedid in conversation.linkedids:
            if self.by_linkedid.get(linkedid) is conversation:
                del self.by_linkedid[linkedid]

    # -- legs

    def begin(
        self, channel: Channel, manager: str, direction: Direction, at: int, *, internal: bool | None = None
    ) -> PbxLeg:
        """Begin a leg with its first channel. `internal`: between colleagues; None: the parties decide."""
        conversation = channel.conversation
        if self.memory is not None and (leg := resumed(self.memory, channel, manager, self._writer)) is not None:
            self.by_linkedid.setdefault(conversation.id, conversation)
            return leg
        self.ends.settle_leg(conversation, manager)
        leg = PbxLeg(conversation, manager, direction, channel, at)
        leg.is_consultation = self._parties.is_consultation(channel)
        leg.is_internal = internal if internal is not None else self._parties.is_internal(channel, manager)
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
        self._writer.started(leg)
        return leg

    def attach(self, channel: Channel, leg: PbxLeg) -> None:
        """Add another channel of the manager to the leg."""
        leg.channels[channel.uid] = channel
        leg.uncertain |= channel.unheard
        channel.leg = leg

    def dial(self, channel: Channel, now: int) -> None:
        """Process a dial: a manager who dials has a leg, before the other telephone rings."""
        conversation = channel.conversation
        caller = self._parties.caller_of(channel)
        channel.caller_uid = "" if caller is None else caller.uid
        if caller is None:
            if conversation.originated:
                conversation.first[channel.uid] = None
            return
        manager = self._parties.manager_of(caller)
        if manager is None and self._parties.is_between_outsiders(caller, channel):
            manager = self._outside_manager or None  # the PBX calls two outside parties: the first one is the caller
        if manager is None:
            if caller.leg is None and conversation.lead is None:
                conversation.lead = self._parties.lead_behind(caller)
            return
        if conversation.lead is None and self._parties.manager_of(channel) is None:
            conversation.lead = self._parties.lead_of(dialled_number(channel, caller.exten))
        if caller.leg is not None and self._parties.manager_of(channel) is None:
            caller.leg.is_internal = False
        if caller.leg is None and not caller.done:
            mine = conversation.legs.get(manager)
            if mine is None:
                internal = self._parties.manager_of(channel) is not None
                self.begin(caller, manager, "outbound", caller.dialling_since or now, internal=internal)
            else:
                self.attach(caller, mine)

    def redial(self, channel: Channel, dial_string: str) -> None:
        """Correct the lead of a call by the dial string of a channel, which was not known before."""
        conversation, caller = channel.conversation, self._channels.by_uid.get(channel.caller_uid)
        exten = "" if caller is None else caller.exten
        before = self._parties.lead_of(dialled_number(channel, exten))
        channel.dial_string = dial_string
        lead = self._parties.lead_of(dialled_number(channel, exten))
        if lead is not None and self._parties.manager_of(channel) is None and conversation.lead in (None, before):
            conversation.lead = lead

    def ring(self, channel: Channel, now: int) -> None:
        """Begin the leg of a party whose telephone rings, or that answered without ringing."""
        if channel.dialled_by is None or not channel.is_party or channel.state not in (RINGING, UP):
            return
        conversation = channel.conversation
        if channel.leg is not None or channel.done or channel.uid in conversation.first:
            return
        if not channel.dialled_by or (conversation.originated and channel.dialled_by not in self._channels.by_uid):
            return  # an originate rings the caller first
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
            direction: Direction = "outbound" if self._parties.is_campaign(conversation) else "inbound"
            self.begin(channel, manager, direction, now)
        else:
            self.attach(channel, mine)

    def meet(self, parties: list[Channel], now: int) -> None:
        """Process a connection of `parties`. Managers without a leg (a conference, a gap) get one."""
        if len({self._parties.identity(channel) for channel in parties}) > 1:
            for channel in parties:
                channel.talked = True
                self.take_up(channel, parties)
        self.refresh([channel.leg for channel in parties if channel.leg is not None], now)

    def take_up(self, channel: Channel, parties: list[Channel]) -> None:
        """Begin the leg of a manager whose dial was not seen. `parties` are the parties of the call."""
        manager = self._parties.manager_of(channel)
        if manager is None or channel.leg is not None or channel.done:
            return
        self._parties.find_lead(channel.conversation, parties)
        mine = channel.conversation.legs.get(manager)
        if mine is None:
            since = channel.dialling_since or _since(channel, parties)
            outbound = self._parties.began_it(channel) or self._parties.is_campaign(channel.conversation)
            self.begin(channel, manager, "outbound" if outbound else "inbound", since)
        else:
            self.attach(channel, mine)

    def refresh(self, legs: Iterable[PbxLeg], now: int) -> None:
        """Update whether the legs are connected. The first connection is the answer."""
        for leg in dict.fromkeys(legs):
            others = [
                other
                for channel in leg.channels.values()
                if channel.uid in self._channels.by_uid
                for other in self._channels.parties(channel)
                if self._parties.identity(other) != leg.manager
            ]
            connected = bool(others)
            if leg.is_internal and any(self._parties.manager_of(other) is None for other in others):
                leg.is_internal = False
            if connected and leg.connected_since is None:
                leg.connected_since, leg.resumes_at = now if leg.resumes_at is None else leg.resumes_at, None
                if leg.answered_at is None:
                    leg.answered_at = max(now, leg.started_at)
                    self._writer.answered(leg)
                    handover = leg.conversation.handover
                    if handover is not None and leg.manager in handover.candidates:
                        self._received(leg.conversation, leg.manager)
            elif not connected and leg.connected_since is not None:
                leg.talk_ms += max(0, now - leg.connected_since)
                leg.connected_since = None

    def end(self, leg: PbxLeg, now: int, disposition: Disposition, ended_by: EndedBy = "hangup") -> None:
        """End a leg. Later events of its channels do not belong to it."""
        self._detach(leg)
        self._writer.ended(leg, now, disposition, ended_by)

    def _detach(self, leg: PbxLeg) -> None:
        for channel in leg.channels.values():
            channel.leg = None
        leg.conversation.legs.pop(leg.manager, None)

    # -- standing agents

    def release_waiting(self, conversation: Conversation, now: int) -> None:
        """Release the standing agents who are alone in a call whose outside party is gone."""
        for leg in list(conversation.legs.values()):
            if leg.connected_since is None and leg.is_standing and not self._parties.has_outside_party(conversation):
                self.release(leg, now)

    def release(self, leg: PbxLeg, now: int) -> None:
        """End the leg of a standing agent, who waits for the next call in a conversation of their own."""
        old, channels = leg.conversation, list(leg.channels.values())
        self.end(leg, now, "answered" if leg.answered_at is not None else "canceled")
        linkedid = channels[0].linkedid
        if old.id == linkedid:
            if all(channel.standing for channel in old.channels.values()):
                old.lead = old.queue = None
            return
        new = Conversation(linkedid)
        if linkedid in old.linkedids:
            old.linkedids.remove(linkedid)
        self.by_linkedid[linkedid] = new
        for channel in channels:
            old.channels.pop(channel.uid, None)
            new.channels[channel.uid] = channel
            channel.conversation = new
        if not old.channels:
            self.close(old)

    # -- transfers

    def hand_over(self, leg: PbxLeg, handover: Handover, now: int, to_manager: str | None, *, rings: bool) -> None:
        """End the leg of the transferer.

        `rings`: the receiver has not answered yet, so `to_manager` is not known. Without `rings`, None means that no
        manager received the call.
        """
        conversation = leg.conversation
        if conversation.handover is not None:
            self._received(conversation)
        for channel in leg.channels.values():
            channel.done = True
        if to_manager is not None:
            self._writer.transferred(conversation, handover, to_manager)
        elif rings:
            handover.candidates = [
                manager
                for manager, other in conversation.legs.items()
                if other is not leg and other.answered_at is None
            ]
            conversation.handover = handover
        self.end(leg, now, "answered" if leg.answered_at is not None else "canceled")

    def hand_outside(self, target: Channel, now: int) -> str | None:
        """Give the call to an outside party that a manager consulted. Return the manager of outside parties.

        None if the target is no other outside party than the lead of the call.
        """
        manager, conversation = self._outside_manager, target.conversation
        if not manager or not target.is_party or self._parties.manager_of(target) is not None:
            return None
        if target.leg is not None or self._parties.lead_behind(target) == conversation.lead:
            return None
        if manager not in conversation.legs:
            self.refresh([self.begin(target, manager, "inbound", now, internal=False)], now)
        return manager

    def _received(self, conversation: Conversation, manager: str | None = None) -> None:
        """Write a pending transfer. Its receiver is `manager`, or else the first one that rang."""
        handover, conversation.handover = conversation.handover, None
        if handover is not None and (manager is not None or handover.candidates):
            self._writer.transferred(conversation, handover, manager or handover.candidates[0])

    def receiver(self, into: Conversation, by: str, *parties: Channel | None) -> str | None:
        """Return the receiver of a transfer by `by`: a manager among `parties`, or else the last one that joined."""
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
        """End all open legs by timeout, because their real end was not seen."""
        self.ends.settle_all()
        for conversation in list(dict.fromkeys(self.by_linkedid.values())):
            if conversation.handover is not None:
                self._received(conversation)
            for leg in list(conversation.legs.values()):
                self.end(leg, now, "answered" if leg.answered_at is not None else "no_answer", "timeout")
        self.by_linkedid.clear()

    # -- the end of a channel

    def hang_up(self, channel: Channel, cause: int, now: int, ended_by: EndedBy = "hangup") -> None:
        """Remove a channel. End its leg if this was the last channel of the leg."""
        conversation = channel.conversation
        self.ends.channel_gone(channel.uid, now)
        met = [party.leg for party in self._channels.parties(channel) if party.leg is not None and party is not channel]
        leg = channel.leg
        if leg is None and ended_by == "hangup":  # only the hangup tells why a call failed
            self._count_failed(channel, cause, now)
        channel.end_cause = cause
        self._channels.remove(channel)
        if leg is not None:
            leg.channels.pop(channel.uid, None)
            if leg.channels:
                self.refresh([leg], now)
            else:
                self._end_by_hangup(leg, channel, cause, now, ended_by)
        elif self._parties.was_missed(channel):
            self._writer.missed(channel, self._parties.lead_of(channel.first_number), now, ended_by)
        self.refresh([other for other in met if other is not leg], now)
        conversation.channels.pop(channel.uid, None)
        conversation.first.pop(channel.uid, None)
        self.release_waiting(conversation, now)
        if not conversation.channels:
            self.close(conversation)
        elif len(conversation.linkedids) > _MANY_LINKEDIDS:
            self._forget_linkedids(conversation)

    def _end_by_hangup(self, leg: PbxLeg, channel: Channel, cause: int, now: int, ended_by: EndedBy) -> None:
        disposition = self._disposition(leg, channel, cause)
        if disposition is not None:
            self.end(leg, now, disposition, ended_by)
            return
        self._detach(leg)
        self.ends.add(leg, channel, now, ended_by)

    def _forget_linkedids(self, conversation: Conversation) -> None:
        """Drop unused Linkedids. A conference may last for days with changing members."""
        used = {name for channel in conversation.channels.values() for name in (channel.linkedid, channel.linked_now)}
        used.add(conversation.id)
        for linkedid in conversation.linkedids:
            if linkedid not in used:
                self.by_linkedid.pop(linkedid, None)
        conversation.linkedids = [linkedid for linkedid in conversation.linkedids if linkedid in used]

    def _disposition(self, leg: PbxLeg, channel: Channel, cause: int) -> Disposition | None:
        if leg.answered_at is not None:
            return "answered"
        if leg.direction == "outbound":
            return "voicemail" if leg.conversation.voicemail else dispositions.of_caller(channel.own_dials, cause)
        return dispositions.of_callee(channel.dial, channel.outer_status, cause)

    def _count_failed(self, channel: Channel, cause: int, now: int) -> None:
        """Write a failed leg for a call of a manager that dialled no telephone.

        Asterisk reports no dial if it cannot create the channel: no trunk, or an unknown telephone.
        """
        manager = self._parties.manager_of(channel)
        conversation = channel.conversation
        if manager is None or channel.done or channel.talked or channel.dialled_by is not None:
            return
        if manager in conversation.legs or channel.uid != conversation.id or channel.seen_up:
            return
        dialled = channel.own_dialled
        tried = channel.dialling_since is not None and dialled is not None and dialled.dial_status not in ("", "ANSWER")
        disposition = dispositions.of_caller(channel.own_dials, cause)
        if not tried:
            disposition = dispositions.of_cause(cause)
            tried = is_outside_number(channel.exten) or (channel.exten.isdigit() and disposition != "canceled")
        if tried:
            conversation.lead = conversation.lead or self._parties.lead_of(attempted_number(channel))
            internal = not is_outside_number(attempted_number(channel))
            leg = self.begin(channel, manager, "outbound", channel.dialling_since or channel.at, internal=internal)
            self.end(leg, now, disposition)


def _since(channel: Channel, parties: list[Channel]) -> int:
    """Return the start of a leg that was noticed late: not before its channel, nor before all other parties."""
    return max(channel.at, min((other.at for other in parties if other is not channel), default=channel.at))

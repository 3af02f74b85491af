"""The translator: a pure state machine from AMI events to contract events.

It has no clock. The time of an event is its `Timestamp` header, or else the time of receipt that the caller passes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Final, TypeAlias

from streams.contract.events import EndedBy, Event
from streams.sources.asterisk.channels import ChannelRegistry
from streams.sources.asterisk.checks import RecordingChecks
from streams.sources.asterisk.connections import Connections
from streams.sources.asterisk.conversations import Conversations
from streams.sources.asterisk.headers import Ami, cause_of, event_time
from streams.sources.asterisk.listing import ChannelListing
from streams.sources.asterisk.mapping import AsteriskMapping, Directory
from streams.sources.asterisk.memory import Memory
from streams.sources.asterisk.model import RINGING, UNSEEN, Channel, known_number
from streams.sources.asterisk.parties import Parties
from streams.sources.asterisk.presence import EVENTS as PRESENCE_EVENTS
from streams.sources.asterisk.presence import LIST_EVENTS, PresenceTracker
from streams.sources.asterisk.repeats import RepeatFilter
from streams.sources.asterisk.transfers import Attended, Transfers
from streams.sources.asterisk.writer import EventWriter
from streams.sources.people import People

_Handler: TypeAlias = Callable[["Asterisk", Ami, int], None]

_HUNG_UP_KEPT: Final = 10_000


class Asterisk:
    """Turns the AMI events of one PBX into contract events. Pure: the same events give the same events and ids."""

    def __init__(
        self,
        mapping: AsteriskMapping,
        secret: bytes,
        checks: RecordingChecks | None = None,
        people: People | None = None,
        *,
        ended_by: EndedBy = "hangup",
    ) -> None:
        """Raise ValueError for a mapping that cannot be used. `secret` keys the hash of telephone numbers.

        `checks` takes all events and channels of a recording. `people` has the identities of the roster. `ended_by` is
        that of observed ends: "cdr" for events made of records, which a live hangup overrides.
        """
        self._checks = checks
        self._directory = Directory(mapping, secret, people)
        self._writer = EventWriter(self._directory, ended_by)
        self._channels = ChannelRegistry()
        self._presences = PresenceTracker(self._directory)
        self._parties = Parties(self._directory, self._channels)
        self._conversations = Conversations(mapping.outside_manager, self._channels, self._parties, self._writer)
        # Uniqueids are never reused, so an event of a channel after its hangup is a repeat or late.
        self._hung_up: dict[str, None] = {}
        self._listing = ChannelListing(self._channels)
        self._connections = Connections(self._channels, self._conversations)
        self._transfers = Transfers(self._channels, self._conversations)
        self._repeats = RepeatFilter()

    def feed(self, event: Ami, received_at_ms: int) -> list[Event]:
        """Process one AMI event and return the contract events that it causes. Never raises."""
        ami = {name.lower(): value for name, value in event.items()}
        if self._checks is not None:
            self._checks.event(ami, event_time(ami, received_at_ms))
        handler = _HANDLERS.get(ami.get("event", "").lower())
        if handler is None or self._repeats.is_repeat(ami):
            return []
        now = event_time(ami, received_at_ms)
        if "timestamp" in ami:  # estimated times of a recording are no evidence of the time for which a caller stayed
            self._conversations.ends.settle(now)
        handler(self, ami, now)
        return self._writer.take()

    def settle(self, now_ms: int) -> list[Event]:
        """Return the ends that have waited for a second for an event of their caller, at the PBX's time `now_ms`.

        Every event with a `Timestamp` has the same effect. Call this while none comes.
        """
        self._conversations.ends.settle(now_ms)
        return self._writer.take()

    def recall(self, events: Iterable[Event]) -> None:
        """Continue from the end of an earlier listener. Call it before the first event.

        `events` are those of this source that were stored, in their order, as far back as a leg may have been open.
        Open legs continue if the first list of channels shows them; the others end by timeout.
        """
        memory = Memory(self._directory.mapping.source, events)
        self._conversations.memory = memory
        self._presences.recall(memory.presences)

    def begin_connection(self) -> None:
        """Note a gap: ends of open legs are uncertain.

        Lists that an earlier connection did not complete are dropped.
        """
        self._channels.miss()
        self._listing.clear()
        self._presences.begin_list()

    def finish(self, now_ms: int) -> list[Event]:
        """Return an end by timeout for each open leg, and clear all state.

        For the end of a recording, or for a gap after which nothing is known. A call that continues is found again by
        CoreShowChannels or by its next event. Its real end, under the same call and manager, then replaces this one.
        """
        for channel in self._channels.by_uid.values():
            self._check(channel)
        self._conversations.finish(now_ms)
        self._channels.clear()
        self._listing.clear()
        return self._writer.take()

    # -- channels

    def _channel(self, ami: Ami, now: int, prefix: str = "", *, relink: bool = True) -> Channel | None:
        """Return the channel that an event describes under `prefix`, added or updated."""
        uid = ami.get(f"{prefix}uniqueid", "")
        if not uid or uid in self._hung_up:
            return None
        name, linkedid = ami.get(f"{prefix}channel", ""), ami.get(f"{prefix}linkedid", "") or uid
        channel = self._channels.by_uid.get(uid)
        begun = ami["event"].lower() == "newchannel"
        if channel is None:
            if not name:
                return None
            channel = Channel(uid, name, linkedid, now)
            channel.unheard = not begun
            if not begun and uid != linkedid:
                channel.dialled_by = UNSEEN
            self._channels.add(channel)
            self._conversations.place(channel, linkedid)
            self._remember(channel)
        elif begun:
            return channel  # a repeat of an older state
        elif relink:
            self._conversations.relink(channel, linkedid, now)
        state = ami.get(f"{prefix}channelstate", "")
        if state.isdecimal() and len(state) < 3:  # noqa: PLR2004  states are single digits
            channel.state = int(state)
            channel.seen_up |= state == "6"
        channel.number = known_number(ami.get(f"{prefix}calleridnum", "")) or channel.number
        channel.first_number = channel.first_number or channel.number
        channel.exten = channel.exten or ami.get(f"{prefix}exten", "")
        channel.account = channel.account or ami.get(f"{prefix}accountcode", "")
        channel.first_context = channel.first_context or ami.get(f"{prefix}context", "")
        return channel

    def _remember(self, channel: Channel) -> None:
        """Continue the ids of events of a channel that an earlier listener knew."""
        memory = self._conversations.memory
        if memory is not None:
            uid = self._directory.call_name(channel.uid)
            channel.occurrences |= memory.occurrences(uid)
            channel.talked |= memory.has_talked(uid)

    def _snapshot(self, ami: Ami, now: int) -> None:
        channel = self._channel(ami, now)
        if channel is not None and (channel.dialled_by != UNSEEN or channel.state == RINGING):
            self._conversations.ring(channel, now)

    def _update(self, ami: Ami, now: int) -> None:
        # Asterisk sends these even after the hangup, so they must not add a channel.
        if ami.get("uniqueid", "") in self._channels.by_uid:
            self._channel(ami, now)

    def _rename(self, ami: Ami, _now: int) -> None:
        channel = self._channels.by_uid.get(ami.get("uniqueid", ""))
        if channel is not None and ami.get("newname"):
            self._channels.rename(channel, ami["newname"])

    def _extension(self, ami: Ami, now: int) -> None:
        channel = self._channel(ami, now)
        if channel is None:
            return
        if self._directory.is_voicemail(ami.get("application", "")):
            channel.conversation.voicemail = True
        if ami.get("application", "").lower() == "dial":
            channel.attempt = ami.get("appdata", "")

    def _local_bridge(self, ami: Ami, now: int) -> None:
        one, two = self._channel(ami, now, "localone"), self._channel(ami, now, "localtwo")
        if one is not None and two is not None:
            self._channels.join_halves(one, two)

    def _hangup_request(self, ami: Ami, _now: int) -> None:
        channel = self._channels.by_uid.get(ami.get("uniqueid", ""))
        if channel is not None:
            channel.hangup_requested = True
            if ami["event"].lower() == "hanguprequest":  # of the far end; a soft one is of the PBX itself
                channel.request_cause = channel.request_cause or cause_of(ami)

    def _ring_no_answer(self, ami: Ami, now: int) -> None:
        member = self._channel(ami, now, "dest")
        if member is not None and not member.dial_status:
            member.dial_status = "NOANSWER"
            self._channels.push_status(member, "NOANSWER")

    def _hangup(self, ami: Ami, now: int) -> None:
        self._gone(ami.get("uniqueid", ""), cause_of(ami), now)

    def _gone(self, uid: str, cause: int, now: int, ended_by: EndedBy = "hangup") -> None:
        if not uid or uid in self._hung_up:
            return
        self._hung_up[uid] = None
        if len(self._hung_up) > _HUNG_UP_KEPT:
            del self._hung_up[next(iter(self._hung_up))]
        channel = self._channels.by_uid.get(uid)
        if channel is not None:
            self._check(channel)
            self._conversations.hang_up(channel, cause, now, ended_by)

    def _check(self, channel: Channel) -> None:
        if self._checks is not None and channel.is_party:
            self._parties.manager_of(channel)
            self._checks.channel(channel)

    # -- dials

    def _dial_begin(self, ami: Ami, now: int) -> None:
        source, channel = self._channel(ami, now), self._channel(ami, now, "dest")
        if channel is not None:
            self._dialled(source, channel, ami, now)

    def _dialled(self, source: Channel | None, channel: Channel, ami: Ami, now: int) -> None:
        if source is None and "uniqueid" not in ami:
            source = self._pager(channel)
        by = source.uid if source is not None else ("" if "uniqueid" not in ami else UNSEEN)
        if channel.dialled_by == by or (by == UNSEEN and channel.dialled_by is not None):
            return
        channel.dialled_by, channel.dial_status = by, ""
        channel.dial_string = ami.get("dialstring", "") or channel.dial_string
        self._channels.push_status(channel, "")
        if not by:
            channel.conversation.originated = True
            if channel.is_party:
                channel.conversation.first[channel.uid] = None
            return
        if source is not None:
            if source.conversation is not channel.conversation:
                self._conversations.join(source.conversation, now, channel.conversation)
            caller = self._channels.caller(source)
            if caller is not None and caller.dialling_since is None:
                caller.dialling_since = now
        if channel.is_party:
            self._conversations.dial(channel, now)
            if channel.dialled_by != UNSEEN:
                self._conversations.ring(channel, now)

    def _pager(self, channel: Channel) -> Channel | None:
        """Return the party in whose call a channel is dialled without a source, as the Page application does."""
        head = self._channels.by_uid.get(channel.conversation.id)
        if head is None or head is channel or not head.is_party or head.dialled_by is not None:
            return None
        return head

    def _dial_end(self, ami: Ami, now: int) -> None:
        source, channel = self._channel(ami, now), self._channel(ami, now, "dest")
        status = ami.get("dialstatus", "").upper()
        if channel is not None:
            if channel.dialled_by in (None, UNSEEN):
                self._dialled(source, channel, ami, now)  # its DialBegin was not seen
            if source is None or channel.dialled_by in (source.uid, None):
                # At a time limit, app_queue reports NOANSWER and then CANCEL for the same dial.
                channel.dial_status = channel.dial_status or status
                self._channels.push_status(channel, channel.dial_status)
        if source is None or channel is None:
            return
        caller = self._channels.caller(source)
        outermost = caller is source
        if caller is None and source.conversation.originated:
            caller, outermost = self._parties.first_party(source.conversation), self._channels.top(source) is source
        if caller is None or caller is channel:
            return
        if outermost:
            caller.own_dialled = channel
        else:
            caller.inner_dialled = channel

    # -- bridges

    def _bridge_enter(self, ami: Ami, now: int) -> None:
        channel, bridge = self._channel(ami, now, relink=False), ami.get("bridgeuniqueid", "")
        if channel is None or not bridge:
            return
        swapped = self._channels.by_uid.get(ami.get("swapuniqueid", ""))
        before = self._channels.parties(channel)
        if ami.get("bridgetechnology", "").lower() == "holding_bridge":
            # A parking lot or a waiting room: the channels in it get music and are not connected with each other.
            self._channels.leave(channel)
            self._stand(channel)
        else:
            self._channels.enter(channel, bridge)
            if ami.get("bridgetechnology", "").lower() == "softmix" and len(self._channels.parties(channel)) == 1:
                self._stand(channel)  # alone in a conference
        # A party that replaces another party was transferred by it.
        handed = channel.conversation if swapped is not None and swapped.is_party and channel.is_party else None
        self._connections.update(channel, handed, now)
        self._conversations.refresh([party.leg for party in before if party.leg is not None], now)
        if channel.standing and channel.bridge is None and channel.leg is not None:
            self._conversations.release(channel.leg, now)  # back in the pool

    def _stand(self, channel: Channel) -> None:
        """Note that a manager's channel waits for calls: it is alone in its conversation and never talked."""
        if channel.talked or self._parties.manager_of(channel) is None:
            return
        channel.standing = not any(
            other.is_party and other is not channel for other in channel.conversation.channels.values()
        )

    def _bridge_leave(self, ami: Ami, now: int) -> None:
        channel = self._channels.by_uid.get(ami.get("uniqueid", ""))
        if channel is None or channel.bridge is None or channel.bridge != ami.get("bridgeuniqueid"):
            return
        before = self._channels.parties(channel)
        self._channels.leave(channel)
        self._conversations.refresh([party.leg for party in before if party.leg is not None], now)

    # -- transfers and pickup

    def _blind_transfer(self, ami: Ami, now: int) -> None:
        by = self._channel(ami, now, "transferer")
        if by is not None and ami.get("result", "success").lower() == "success":
            self._channel(ami, now, "transferee")
            self._transfers.blind(by, now)

    def _attended_transfer(self, ami: Ami, now: int) -> None:
        kind = ami.get("desttype", "").lower()
        if ami.get("result", "success").lower() != "success" or kind == "fail":
            return
        parts = Attended(
            kind,
            *(
                self._channel(ami, now, prefix)
                for prefix in ("origtransferer", "secondtransferer", "transferee", "transfertarget")
            ),
        )
        self._transfers.attended(parts, now)

    def _pickup(self, ami: Ami, now: int) -> None:
        channel, target = self._channel(ami, now), self._channel(ami, now, "target")
        if channel is None or target is None:
            return
        if channel.conversation is not target.conversation:
            self._conversations.join(target.conversation, now, channel.conversation)
        if channel.dialled_by is None and target.dialled_by:
            channel.dialled_by = target.dialled_by
            self._conversations.ring(channel, now)

    # -- queues

    def _queue(self, ami: Ami, now: int) -> None:
        channel, queue = self._channel(ami, now), ami.get("queue", "")
        if channel is not None and queue:
            channel.conversation.queue = queue
        member = self._channel(ami, now, "dest")
        names = tuple(name for name in (ami.get("membername", ""), ami.get("interface", "")) if name)
        if member is not None and names and not member.member:
            member.member = names
            for other in member.conversation.channels.values():
                if other.leg is None:
                    other.resolved = False  # a rule may map the queue member to a manager

    def _presence(self, ami: Ami, now: int) -> None:
        name = ami["event"].lower()
        channel = self._channels.by_uid.get(ami.get("uniqueid", ""))
        if channel is not None and name in ("agentlogin", "agentlogoff"):
            channel.standing = name == "agentlogin"
        self._writer.events.extend(self._presences.take(ami, now))

    def _queue_list_complete(self, _ami: Ami, now: int) -> None:
        self._writer.events.extend(self._presences.list_complete(now))

    # -- gaps

    def _list_channel(self, ami: Ami, now: int) -> None:
        is_new = self._listing.begin_entry(ami.get("uniqueid", ""))
        channel = self._channel(ami, now)
        if channel is not None:
            self._listing.entry(channel, ami, now, is_new=is_new)

    def _list_complete(self, ami: Ami, now: int) -> None:
        """Update connections after a list. Channels that are missing in it ended in the gap."""
        is_whole = ami.get("event", "").lower() == "coreshowchannelscomplete"
        listed = self._listing.complete(is_whole=is_whole)
        for uid in listed.ended:
            self._gone(uid, 0, now, "timeout")
        self._connections.take_up(listed.all, listed.new, now)
        memory = self._conversations.memory
        if memory is not None and is_whole:
            self._connections.resume(now)
            self._conversations.memory = None
            self._writer.events.extend(memory.close(now))
        if is_whole:
            self._channels.listed()

    def _queue_entry(self, ami: Ami, _now: int) -> None:
        channel = self._channels.by_uid.get(ami.get("uniqueid", ""))
        if channel is not None and ami.get("queue"):
            channel.conversation.queue = ami["queue"]

    def _shutdown(self, _ami: Ami, now: int) -> None:
        self._conversations.finish(now)
        self._channels.clear()


_HANDLERS: Final[Mapping[str, _Handler]] = {
    name: getattr(Asterisk, method)
    for method, names in {
        "_snapshot": "newchannel newstate",
        "_update": "newcallerid newconnectedline newaccountcode",
        "_rename": "rename",
        "_extension": "newexten",
        "_local_bridge": "localbridge",
        "_hangup_request": "hanguprequest softhanguprequest",
        "_hangup": "hangup",
        "_ring_no_answer": "agentringnoanswer",
        "_dial_begin": "dialbegin",
        "_dial_end": "dialend",
        "_bridge_enter": "bridgeenter",
        "_bridge_leave": "bridgeleave",
        "_blind_transfer": "blindtransfer",
        "_attended_transfer": "attendedtransfer",
        "_pickup": "pickup",
        "_queue": "queuecallerjoin queuecallerabandon queuecallerleave agentcalled agentconnect",
        "_queue_entry": "queueentry",
        "_presence": " ".join((*PRESENCE_EVENTS, *LIST_EVENTS)),
        "_queue_list_complete": "queuestatuscomplete",
        "_list_channel": "coreshowchannel status",
        "_list_complete": "coreshowchannelscomplete statuscomplete",
        "_shutdown": "shutdown",
    }.items()
    for name in names.split()
}
HANDLED: Final = frozenset(name.encode() for name in _HANDLERS)
"""The events that `Asterisk.feed` does not ignore, in lower case as bytes."""

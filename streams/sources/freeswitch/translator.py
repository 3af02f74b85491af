"""The live translator: events of the event socket in, contract events out.

Starts and answers are written when they happen. The end of a leg is made of the last event of its channel, which has
the variables that a record of mod_json_cdr has, by the same code: so both give the same ids, and each repairs the
other.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from typing import Final

from msgspec import UNSET
from msgspec.structs import replace

from streams.contract.events import CallEnded, CallStarted, Direction, Event
from streams.sources.frame import Refused, Translation, UnreadableError
from streams.sources.freeswitch.channels import LiveChannel, LiveChannels, moment_of
from streams.sources.freeswitch.legs import Legs
from streams.sources.freeswitch.open_legs import OpenLegs
from streams.sources.freeswitch.parties import Parties
from streams.sources.freeswitch.recent import Recent
from streams.sources.freeswitch.record import Record, moment_ms
from streams.sources.freeswitch.session import Listed, Unread
from streams.sources.freeswitch.wire import Event as Message

_LATE_MS: Final = 3_000
"""The longest delay of the last event of a channel after its hangup."""
_QUIET_MS: Final = 1_000
_RINGING: Final = frozenset(("CHANNEL_PROGRESS", "CHANNEL_PROGRESS_MEDIA", "CHANNEL_ANSWER"))


class FreeSwitch:
    """The state of one PBX, over all connections to it. It never raises."""

    def __init__(self, parties: Parties) -> None:
        self._parties = parties
        self._legs = Legs(parties)
        self._channels = LiveChannels()
        self._done: Recent[str, bool] = Recent()
        self._open = OpenLegs(parties)
        self._core = ""

    def __len__(self) -> int:
        """Return the number of channels that are up."""
        return len(self._channels)

    def recall(self, events: Iterable[Event]) -> None:
        """Continue the legs that an earlier listener had stored without their ends."""
        self._open.recall(events)

    def begin_connection(self) -> None:
        """Note that a connection begins: its list of channels shows which of the known ones still exist."""
        for channel in self._channels:
            channel.is_old = True

    def take(self, heard: Message | Listed | Unread, now_ms: int) -> Translation:
        """Take a message. `now_ms` is the PBX's time."""
        if isinstance(heard, Unread):
            return Translation(refused=[Refused(reason="invalid_field", detail=heard.detail)])
        if isinstance(heard, Listed):
            return Translation(events=self._open.note(self._listed(heard, now_ms)))
        events: list[Event] = []
        try:
            for event in self._event(heard, now_ms):
                events += self._open.note((event,))
        except UnreadableError as error:
            return Translation(events=events, refused=[Refused(reason=error.reason, detail=str(error))])
        except ValueError:
            refused = Refused(reason="invalid_time", detail="its moments cannot be in this order")
            return Translation(events=events, refused=[refused])
        return Translation(events=events, ignored=0 if events else 1)

    def settle(self, now_ms: int) -> list[Event]:
        """Return the ends of channels that hung up some time ago and whose last event has not come."""
        events: list[Event] = []
        for channel in self._channels:
            if channel.hung_up_at and now_ms - channel.hung_up_at > _LATE_MS:
                with contextlib.suppress(ValueError):  # an unreadable channel has no end here
                    events += self._open.note(map(_uncertain, self._over(channel)))
        return events

    def finish(self, now_ms: int) -> list[Event]:
        """Return the ends of all open legs, as timeouts: the PBX started anew, or no more events will come."""
        events = self._open.note(self._open.ends(lambda _: True, now_ms))
        self._channels.clear()
        return events

    # -- events

    def _event(self, event: Message, now_ms: int) -> Iterator[Event]:
        at_us = moment_of(event)
        core = event.get("Core-UUID", "")
        if core and core != self._core:
            if self._core:
                yield from self.finish(moment_ms(at_us))
            self._core = core
        if not event["Event-Name"].startswith("CHANNEL_"):
            return
        uuid = event.get("Unique-ID", "").strip()
        if not uuid:
            raise UnreadableError("missing_field", "`Unique-ID` is missing")
        if self._done.get(uuid):
            return
        is_new = self._channels.get(uuid) is None
        channel = self._channels.add(uuid)
        channel.update(event, at_us)
        channel.heard_at = now_ms
        yield from self._of_channel(channel, event, at_us, is_new=is_new)

    def _of_channel(self, channel: LiveChannel, event: Message, at_us: str, *, is_new: bool) -> Iterator[Event]:
        kind = event["Event-Name"]
        if kind == "CHANNEL_CREATE" and is_new:
            self._name_each_other(channel)
            yield from self._created(channel)
        elif kind in _RINGING:
            yield from self._rings(channel)
        elif kind == "CHANNEL_BRIDGE":
            yield from self._bridged(channel, event, at_us)
        elif kind in ("CHANNEL_HANGUP", "CHANNEL_HANGUP_COMPLETE"):
            channel.variables.setdefault("end_uepoch", at_us)
            channel.hung_up_at = channel.heard_at
            if kind == "CHANNEL_HANGUP_COMPLETE":
                yield from self._over(channel)

    def _over(self, channel: LiveChannel) -> Iterator[Event]:
        self._channels.remove(channel.uuid)
        self._done.put(channel.uuid, value=True)
        record = channel.record()
        for event in self._legs.take(record):
            yield self._open.exact(event)
        yield from self._open.rest_of(self._parties.public_id(channel.uuid), record.ended_at)

    def _name_each_other(self, channel: LiveChannel) -> None:
        """Note the name of the channel that dialled this one, and there the name of this one.

        A short number may be an extension or a service outside: before a bridge only the other channel decides.
        """
        held = channel.variables
        asking = self._channels.get(held.get("originator") or held.get("cc_member_session_uuid", ""))
        for one, other in ((channel, asking), (asking, channel)):
            name = "" if other is None else other.variables.get("channel_name", "")
            if one is not None and name and self._parties.of_name(name).role != "machine":
                one.other_name = one.other_name or name

    def _created(self, channel: LiveChannel) -> Iterator[Event]:
        """Yield the start of the leg of the telephone on whose behalf a channel was dialled."""
        asking = self._channels.get(channel.variables.get("originator", ""))
        if asking is None:
            return
        record, dialled = asking.record(), channel.record()
        party = self._parties.of(record)
        if party.role != "manager" or self._parties.of(dialled).role == "machine":
            return
        if record.is_originated and (record.originator or record.member):
            return
        at = dialled.started_at if record.is_originated else record.started_at
        lead = self._parties.lead(record.dialled, dialled.dialled)
        internal = lead is None and self._parties.of(dialled).role == "manager"
        yield from self._started(record, party.manager, at, "outbound", lead, internal=internal)

    def _rings(self, channel: LiveChannel) -> Iterator[Event]:
        """Yield the start of the leg of a telephone that is rung, and the answer if it is connected already."""
        record = channel.record()
        party = self._parties.of(record)
        if party.role == "manager" and record.is_originated and (record.originator or record.member):
            lead = self._parties.lead(record.caller)
            internal = lead is None and self._legs.is_colleague(record, record.caller)
            yield from self._started(record, party.manager, record.started_at, "inbound", lead, internal=internal)
        if channel.peer is not None:
            yield from self._connected(channel, channel.peer)

    def _started(
        self, record: Record, manager: str, at: int, direction: Direction, lead: str | None, *, internal: bool
    ) -> Iterator[Event]:
        key = self._parties.public_id(record.uuid)
        if self._open.is_open(key):
            return
        yield CallStarted(
            v=1,
            id=f"{self._parties.source}:{key}:started",
            at=at,
            source=self._parties.source,
            call=self._parties.public_id(record.member or record.call),
            manager=manager,
            lead=None if internal else lead,
            direction=direction,
            internal=internal or UNSET,
            queue=self._parties.queue(record.queue) if record.queue and direction == "inbound" else None,
        )

    def _bridged(self, channel: LiveChannel, event: Message, at_us: str) -> Iterator[Event]:
        first = event.get("Bridge-A-Unique-ID", "") or channel.uuid
        second = event.get("Bridge-B-Unique-ID", "") or event.get("Other-Leg-Unique-ID", "")
        other = self._channels.get(second if first == channel.uuid else first)
        if other is None or other is channel:
            return
        received = self._received(channel, other, at_us) or self._received(other, channel, at_us)
        channel.bridge(other, at_us)
        if received is not None:
            yield from received
        else:
            yield from self._connected(channel, other)

    def _connected(self, channel: LiveChannel, other: LiveChannel, since_ms: int = 0) -> Iterator[Event]:
        """Yield the answers of the legs of two channels that are bridged, once both are answered."""
        if not (channel.answered or channel.is_up) or not (other.answered or other.is_up):
            return
        for one, peer in ((channel, other), (other, channel)):
            start = self._open.started(self._parties.public_id(one.uuid))
            if start is not None:
                moments = [moment_ms(held.variables.get("answer_uepoch", "0")) for held in (one, peer)]
                at = max(*moments, moment_ms(one.variables.get("bridge_uepoch", "0")), start.at, since_ms)
                yield self._open.answer(start, at)

    def _received(self, outside: LiveChannel, inside: LiveChannel, at_us: str) -> list[Event] | None:
        """Return the start and the answer of the leg of a colleague who gets an outside party by a transfer."""
        record, telephone = outside.record(), inside.record()
        party = self._parties.of(telephone)
        if party.role != "manager" or self._parties.of(record).role != "outside":
            return None
        is_same = (telephone.member or telephone.call) == record.call or inside.peer is outside
        if is_same or not inside.bridged or not outside.bridged:
            return None
        place = max(1, len(record.transfers)) - 1
        key = f"{self._parties.public_id(record.uuid)}:received:{place}"
        if self._open.is_open(key):
            return []
        start = CallStarted(
            v=1,
            id=f"{self._parties.source}:{key}:started",
            at=moment_ms(at_us),
            source=self._parties.source,
            call=self._parties.public_id(record.call),
            manager=party.manager,
            lead=self._parties.lead(record.dialled if record.is_originated else record.caller),
            direction="inbound",
        )
        return [start, self._open.answer(start, start.at)]

    # -- the list of channels

    def _listed(self, listed: Listed, now_ms: int) -> Iterator[Event]:
        """Yield the ends of legs whose channels are gone, and the beginnings of unknown legs."""
        rows = {str(row.get("uuid", "")): row for row in listed.rows}
        rows.pop("", None)
        for channel in self._channels:
            is_quiet = channel.is_old or channel.heard_at < listed.asked_at_ms - _QUIET_MS
            if channel.uuid not in rows and is_quiet:
                self._channels.remove(channel.uuid)
        there = {self._parties.public_id(uuid) for uuid in rows}
        there |= {self._parties.public_id(channel.uuid) for channel in self._channels}
        yield from self._open.ends(lambda key: key.partition(":")[0] not in there, now_ms)
        new = []
        for uuid, row in rows.items():
            if self._channels.get(uuid) is None and not self._done.get(uuid):
                channel = self._channels.add(uuid)
                channel.take_row(row, now_ms)
                channel.heard_at = now_ms
                new.append(channel)
        for channel in new:
            yield from self._taken_up(channel, new, now_ms)

    def _taken_up(self, channel: LiveChannel, new: list[LiveChannel], now_ms: int) -> Iterator[Event]:
        """Yield the beginning of the leg of a channel that only the list names; an unreadable channel is left out."""
        try:
            yield from self._created(channel)
            yield from self._rings(channel)
            asking = self._channels.get(channel.variables.get("originator", ""))
            if asking is not None and channel.is_up and asking.is_up and asking in new and not asking.bridged:
                channel.bridge(asking)
                yield from self._connected(channel, asking, now_ms)
        except ValueError:
            return


def _uncertain(event: Event) -> Event:
    """Return an end without the last event of its channel. Its id leaves that of a record free."""
    if not isinstance(event, CallEnded):
        return event
    return replace(event, id=event.id.removesuffix(":ended") + ":hangup", uncertain=True)

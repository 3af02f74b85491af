"""CEL as contract events: each row becomes the events of the manager interface that it stands for.

CEL records channels, their answers, bridges, transfers and hangups with causes. It has no events for a ringing
telephone, the target of a dial, or the result of a dial. The first follows from an end that is no immediate refusal,
the second from the channels of the call, the third from the side that hung up. Facts that cannot be concluded are left
out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final, TypeAlias

from streams.contract.events import EndedBy, Event
from streams.phone_numbers import is_outside_number
from streams.sources.asterisk.mapping import AsteriskMapping
from streams.sources.asterisk.model import UNSEEN
from streams.sources.asterisk.records.cel import CelRow
from streams.sources.asterisk.records.cel_feed import AmiFeed, RecordedAsterisk, dial_string, is_of_queue, names
from streams.sources.asterisk.records.cel_state import DIALLING, HOLDING, INNER, CelCall, CelCalls, CelChannel
from streams.sources.people import People
from streams.units import HOUR_MS

_WAIT_MS: Final = 1_000
"""Hangups of one moment come in any order; see `endings.py`."""
_AT_ONCE_MS: Final = 1_000
_PERHAPS_RANG: Final = frozenset((0, 16, 18, 19, 26, 31, 102, 127))
"""Hangup causes of a dial that was given up or reached its limit. With others, a telephone refused the call."""
_DIALLED: Final = frozenset(("appdial", "appdial2", "appqueue"))
"""The application that CEL names for a dialled channel, until it runs one itself."""
_MOST_CHANNELS: Final = 20_000
_LOOK_EVERY: Final = 256
_AFTER_AN_END: Final = frozenset(("HANGUP", "CHAN_END", "BRIDGE_EXIT", "LINKEDID_END", "APP_END"))

_Handler: TypeAlias = Callable[["CelEvents", CelRow, CelChannel, CelCall], None]


class CelEvents:
    """Turns the rows of one PBX into contract events. Pure: the same rows give the same events and ids.

    Calls that began before the first row are left out. `place` of a row is any number that grows with the rows.
    """

    def __init__(
        self,
        mapping: AsteriskMapping,
        secret: bytes,
        people: People | None = None,
        ended_by: EndedBy = "cdr",
        longest_call_ms: int = 12 * HOUR_MS,
        queues: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        """Raise ValueError for a mapping that cannot be used. `queues` has the names of queues by extension.

        With `ended_by` "cdr", another source reports calls live. Then a missed call is left out if CEL does not name
        its queue: under another name it would count twice.
        """
        self._longest_call_ms = longest_call_ms
        self._queues = queues
        self._must_know_queue = ended_by == "cdr"
        self._calls = CelCalls()
        self._ami = AmiFeed(RecordedAsterisk(mapping, secret, people=people, ended_by=ended_by), self._calls)
        self._rings: list[CelChannel] = []
        self._held: list[tuple[CelChannel, CelCall]] = []
        self._completed: dict[CelCall, int] = {}
        self._rows = 0
        self.knows_applications = False  # true if a row has the start of an application, Queue among them
        self.given_up = 0
        """Calls whose end was never written."""

    @property
    def oldest(self) -> int | None:
        """The place of the first row that is needed again after a restart; None if no call is open."""
        return self._calls.oldest

    @property
    def channels(self) -> int:
        """The number of channels of open calls."""
        return len(self._calls)

    def take(self, row: CelRow, place: int) -> list[Event]:
        """Process a row and return the contract events that it causes. Never raises."""
        self._rows += 1
        self._calls.begin_reading(row.at)
        self._pass_time(row)
        call = self._call(row, place)
        if call is not None:
            channel = self._calls.by_uid.get(row.uniqueid)
            if channel is None:
                channel = self._begin(row, call)
            elif row.linkedid != channel.linkedid:
                self._calls.move(channel, row.linkedid)
                call = self._calls.of(row.linkedid) or call
            handler = _HANDLERS.get(row.event)
            if channel is not None and (channel.ended_at is None or row.event == "LINKEDID_END"):
                self._application(row, channel, call)
                if handler is not None:
                    handler(self, row, channel, call)
            if call.is_over and not any(one is call for _, one in self._held):
                self._completed.pop(call, None)
                self._calls.close(call)
        if self._rows % _LOOK_EVERY == 0 or len(self._calls) > _MOST_CHANNELS:
            self._give_up(row.at)
        return self._ami.take()

    def quiet(self, now_ms: int) -> list[Event]:
        """Return the events that waited for the next row, because none has come for seconds."""
        for call in dict.fromkeys(call for _, call in self._held):
            self._release(call)
        self._end_completed(max(self._completed.values(), default=0) + 2 * _WAIT_MS)
        self._show_rings(now_ms + _WAIT_MS)
        for call in list(self._calls.all()):
            if call.is_over:
                self._calls.close(call)
        return self._ami.take()

    # -- calls and channels

    def _call(self, row: CelRow, place: int) -> CelCall | None:
        call = self._calls.of(row.linkedid)
        if call is not None:
            return call
        known = self._calls.by_uid.get(row.uniqueid)
        if known is not None:
            return self._calls.of(known.linkedid)
        if row.event == "CHAN_START" and (row.uniqueid == row.linkedid or self._calls.begins(row.linkedid)):
            return self._calls.open(row.linkedid, place, row.at)
        return None

    def _begin(self, row: CelRow, call: CelCall) -> CelChannel | None:
        if row.event != "CHAN_START":
            return None
        channel = CelChannel(row.uniqueid, row.channel, row.linkedid, row.at)
        channel.exten = row.exten
        self._calls.add(call, channel)
        self._ami.feed("Newchannel", row.at, self._ami.of(row, channel) | {"ChannelState": "0"})
        if row.uniqueid != row.linkedid and not channel.is_pseudo and channel.half != INNER:
            dialler = call.dialler(channel)
            talking = any(one.bridge for one in call.channels.values())
            if channel.half == 0 or (dialler is not None and (dialler.is_dialling or not talking)):
                self._dial(channel, dialler, row.at)
        return channel

    def _dial(self, channel: CelChannel, dialler: CelChannel | None, at: int) -> None:
        """Feed the beginning of a dial. Without a dialler, it is one whose beginning was not seen."""
        channel.by = UNSEEN if dialler is None else dialler.uid
        channel.ring_at = at
        self._rings.append(channel)
        source = {"Uniqueid": UNSEEN} if dialler is None else names("", dialler)
        string = ""
        if dialler is not None:
            string = dial_string(dialler, channel) if dialler.app.casefold() in DIALLING else ""
            if not string and dialler.by == "" and is_outside_number(dialler.exten_now):
                string = dialler.exten_now  # the PBX rang the caller first, who then dials this extension
        self._ami.feed("DialBegin", at, source | names("Dest", channel) | {"DialString": string})

    def _application(self, row: CelRow, channel: CelChannel, call: CelCall) -> None:
        """Note the application that a channel runs."""
        if row.event == "APP_START":
            call.knows_applications = self.knows_applications = True
        if row.exten:
            channel.exten_now = row.exten
        app = row.app.casefold()
        if row.event == "APP_END":
            channel.app = channel.appdata = ""
        elif app and (app, row.appdata) != (channel.app.casefold(), channel.appdata):
            channel.app, channel.appdata = row.app, row.appdata
            if app in _DIALLED:
                self._was_dialled(app, row, channel, call)
            elif app == "queue":
                self._in_queue(row, channel, call, row.appdata.partition(",")[0])
            else:
                headers = {"Application": row.app, "AppData": row.appdata}
                self._ami.feed("Newexten", row.at, self._ami.of(row, channel) | headers)
                for child in call.children(channel.uid) if app in DIALLING else ():
                    self._ami.asterisk.learn_dial_string(child.uid, dial_string(channel, child))

    def _was_dialled(self, app: str, row: CelRow, channel: CelChannel, call: CelCall) -> None:
        """Note that a channel was dialled: by another one, or by the PBX itself."""
        if channel.by is None and app == "appdial2":
            if row.event != "HANGUP":
                channel.by = ""
                self._ami.feed("DialBegin", row.at, names("Dest", channel))
        elif channel.by is None and channel.uid not in call.linkedids:
            self._dial(channel, call.dialler(channel), row.at)
        if app == "appqueue" and row.exten in self._queues:
            self._in_queue(row, channel, call, self._queues[row.exten])

    def _in_queue(self, row: CelRow, channel: CelChannel, call: CelCall, queue: str) -> None:
        call.knows_applications = True
        self._ami.feed("QueueCallerJoin", row.at, names("", channel) | {"Queue": queue})

    # -- waiting events

    def _pass_time(self, row: CelRow) -> None:
        if self._held:
            goes_on = row.event not in _AFTER_AN_END
            due = [
                call
                for call in dict.fromkeys(call for _, call in self._held)
                if (goes_on and row.linkedid in call.linkedids)
                or any(row.at - (held.held_at or 0) > _WAIT_MS for held, of in self._held if of is call)
            ]
            for call in due:
                self._release(call)
        if self._completed:
            self._end_completed(row.at, row)
        self._show_rings(row.at)
        self._ami.feed("NewCallerid", row.at, {})  # ends that waited for a second are due, whosever row this is

    def _show_rings(self, now: int) -> None:
        if self._rings:
            for channel in [one for one in self._rings if one.ring_at is None or now - one.ring_at > _AT_ONCE_MS]:
                self._ring(channel)

    def _ring(self, channel: CelChannel) -> None:
        """Feed that a telephone has begun to ring, after a row that proves it."""
        at, channel.ring_at = channel.ring_at, None
        if channel in self._rings:
            self._rings.remove(channel)
        if at is not None and channel.ended_at is None:
            self._ami.feed("Newstate", at, names("", channel) | {"ChannelState": "5"})

    def _release(self, call: CelCall) -> None:
        """Feed the hangups that waited, with the ends of the dials to these channels: those in front first."""
        held = [channel for channel, of in self._held if of is call]
        self._held = [one for one in self._held if one[1] is not call]
        at = max((channel.held_at or 0 for channel in held), default=0)
        for channel in sorted(held, key=call.depth):
            dialler = call.channels.get(channel.by or "")
            if dialler is not None and not channel.answered:
                self._ami.dial_end(dialler, channel, call.status_of(channel, dialler), at)
        for channel in held:
            self._gone(channel, call, channel.held_at or at)

    def _gone(self, channel: CelChannel, call: CelCall, at: int) -> None:
        channel.held_at, channel.ended_at = None, at
        before = len(self._ami.events)
        self._ami.feed("Hangup", at, names("", channel) | {"Cause": str(channel.cause)})
        if self._must_know_queue and not call.knows_applications:
            new = [event for event in self._ami.events[before:] if not is_of_queue(event)]
            self._ami.events[before:] = new

    def _give_up(self, now: int) -> None:
        """End calls that are open for too long, or the oldest ones if there are too many."""
        due = self._calls.begun_before(now - self._longest_call_ms)
        if len(self._calls) > _MOST_CHANNELS:
            due = [call for call, _ in zip(self._calls.all(), range(_MOST_CHANNELS // 20), strict=False)]
        for call in due:
            self.given_up += 1
            self._completed.pop(call, None)
            self._held = [held for held in self._held if held[1] is not call]
            self._rings = [ring for ring in self._rings if ring.uid not in call.channels]
            left = [channel.uid for channel in call.channels.values() if channel.ended_at is None]
            self._ami.events += self._ami.asterisk.lost(left, now)
            self._calls.close(call)

    # -- rows

    def _answer(self, row: CelRow, channel: CelChannel, _call: CelCall) -> None:
        self._ring(channel)
        channel.answered = True
        self._ami.feed("Newstate", row.at, self._ami.of(row, channel) | {"ChannelState": "6"})
        dialler = self._calls.by_uid.get(channel.by or "")
        if dialler is not None:
            self._ami.dial_end(dialler, channel, "ANSWER", row.at)

    def _enter(self, row: CelRow, channel: CelChannel, _call: CelCall) -> None:
        self._ring(channel)
        bridge, technology = row.extra.get("bridge_id", ""), row.extra.get("bridge_technology", "")
        channel.bridge = "" if technology == HOLDING else bridge
        headers = {"BridgeUniqueid": bridge, "BridgeTechnology": technology}
        self._ami.feed("BridgeEnter", row.at, self._ami.of(row, channel) | headers)

    def _exit(self, row: CelRow, channel: CelChannel, _call: CelCall) -> None:
        bridge = row.extra.get("bridge_id", "")
        if channel.bridge == bridge:
            channel.bridge = ""
        self._ami.feed("BridgeLeave", row.at, self._ami.of(row, channel) | {"BridgeUniqueid": bridge})

    def _hangup(self, row: CelRow, channel: CelChannel, call: CelCall) -> None:
        if not channel.is_there:
            return
        channel.cause = cause = row.cause
        channel.status, channel.source = row.extra.get("dialstatus", ""), row.extra.get("hangupsource", "")
        if channel.source == channel.name:
            self._ami.feed("HangupRequest", row.at, names("", channel) | {"Cause": str(cause)})
        if channel.ring_at is not None:
            if cause in _PERHAPS_RANG or row.at - channel.ring_at > _AT_ONCE_MS:
                self._ring(channel)
            else:
                channel.ring_at = None
                self._rings.remove(channel)
        if channel.by == "" and is_outside_number(channel.exten_now):
            for child in call.children(channel.uid):
                if not child.answered:
                    self._ami.asterisk.learn_dial_string(child.uid, channel.exten_now)
        channel.held_at = row.at
        self._held.append((channel, call))
        waits = call.waits_for(channel)
        if not waits:
            self._release(call)

    def _blind_transfer(self, row: CelRow, channel: CelChannel, _call: CelCall) -> None:
        self._ami.blind_transfer(row, channel)

    def _attended_transfer(self, row: CelRow, channel: CelChannel, _call: CelCall) -> None:
        self._ami.attended_transfer(row, channel)

    def _pickup(self, row: CelRow, channel: CelChannel, _call: CelCall) -> None:
        self._ring(channel)
        channel.picked = True
        self._ami.pickup(row, channel)

    def _complete(self, row: CelRow, _channel: CelChannel, call: CelCall) -> None:
        self._completed[call] = row.at

    def _end_completed(self, now: int, row: CelRow | None = None) -> None:
        """End the channels of complete calls whose hangup was lost.

        A call is complete, too, when its last channel joins another call. So this waits for a second, and a channel in
        a bridge goes on.
        """
        for call, at in list(self._completed.items()):
            if row is not None and row.uniqueid in call.channels and row.event not in _AFTER_AN_END:
                del self._completed[call]
            elif now - at > _WAIT_MS:
                del self._completed[call]
                left = [one for one in call.channels.values() if one.is_there]
                if any(one.bridge for one in left):
                    continue
                self._release(call)
                for one in left:
                    self._ring(one)
                    self._gone(one, call, at)
                self._calls.close(call)


_HANDLERS: Final[Mapping[str, _Handler]] = {
    name: getattr(CelEvents, method)
    for method, names in {
        "_answer": "ANSWER",
        "_enter": "BRIDGE_ENTER",
        "_exit": "BRIDGE_EXIT",
        "_hangup": "HANGUP CHAN_END",
        "_complete": "LINKEDID_END",
        "_blind_transfer": "BLINDTRANSFER",
        "_attended_transfer": "ATTENDEDTRANSFER",
        "_pickup": "PICKUP",
    }.items()
    for name in names.split()
}

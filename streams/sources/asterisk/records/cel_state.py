"""The state of calls from the rows of CEL: channels, their dials and ends, and the open calls."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Final

from streams.sources.asterisk.model import is_pseudo

_HALF: Final = re.compile(r"Local/.+;([12])", re.IGNORECASE)
_SECOND: Final = re.compile(r"(\d{9,10})\.\d+$")
DIALLING: Final = frozenset(("dial", "queue", "followme", "page", "retrydial"))
HOLDING: Final = "holding_bridge"
_STATUSES: Final = frozenset(("BUSY", "NOANSWER", "CANCEL", "CHANUNAVAIL", "CONGESTION"))
_BUSY: Final = frozenset((17, 21))
INNER: Final = 2


class CelChannel:
    """One channel, as far as CEL has it. `by` is the channel that dials it, "" for an originate, None if unknown."""

    __slots__ = (
        "answered", "app", "appdata", "at", "bridge", "by", "cause", "ended_at", "exten", "exten_now", "half",
        "held_at", "is_pseudo", "linkedid", "name", "picked", "ring_at", "source", "status", "uid",
    )  # fmt: skip

    def __init__(self, uid: str, name: str, linkedid: str, at: int) -> None:
        self.uid = uid
        self.name = name
        self.linkedid = linkedid
        self.at = at
        self.exten = self.exten_now = self.app = self.appdata = self.bridge = ""
        self.answered = False
        self.picked = False  # another telephone picked it up while it rang
        self.by: str | None = None
        self.ring_at: int | None = None  # may have begun to ring, without proof so far
        self.held_at: int | None = None  # hung up; the hangup was not yet fed to the state machine
        self.cause = 0
        self.ended_at: int | None = None
        self.status = ""  # DIALSTATUS at its end
        self.source = ""  # the side that hung up
        found = _HALF.match(name)
        self.half = int(found[1]) if found is not None else 0
        self.is_pseudo = is_pseudo(name.partition("/")[0])

    @property
    def is_there(self) -> bool:
        """True if it has not been hung up."""
        return self.held_at is None and self.ended_at is None

    @property
    def is_dialling(self) -> bool:
        """True if it runs an application that calls others, and has no talk."""
        return self.is_there and not self.bridge and self.app.casefold() in DIALLING

    @property
    def device(self) -> str:
        """The technology and the endpoint, as a dial string names them."""
        return self.name.rpartition("-")[0] or self.name


class CelCall:
    """The channels of one call. `place` is that of its first row."""

    __slots__ = ("at", "channels", "knows_applications", "linkedids", "place")

    def __init__(self, linkedid: str, place: int, at: int) -> None:
        self.linkedids = {linkedid}
        self.channels: dict[str, CelChannel] = {}
        self.place = place
        self.at = at
        self.knows_applications = False  # rows have the starts of applications, Queue among them

    @property
    def is_over(self) -> bool:
        """True if all its channels have ended, and their ends were fed to the state machine."""
        return all(channel.ended_at is not None for channel in self.channels.values())

    def children(self, uid: str) -> Iterator[CelChannel]:
        """Yield the channels that a channel dials or dialled and that have not ended."""
        return (one for one in self.channels.values() if one.by == uid and one.ended_at is None)

    def other_half(self, channel: CelChannel) -> CelChannel | None:
        """Return the other half of a Local channel."""
        if not channel.half:
            return None
        name = f"{channel.name[:-1]}{3 - channel.half}"
        return next((one for one in self.channels.values() if one.name == name), None)

    def above(self, channel: CelChannel) -> CelChannel | None:
        """Return the channel that dials a channel: for the inner half of a Local channel, the outer half."""
        if channel.half == INNER:
            return self.other_half(channel)
        return self.channels.get(channel.by or "")

    def depth(self, channel: CelChannel) -> int:
        """Return the number of channels through which a dial went."""
        found, above = 0, self.above(channel)
        while above is not None and found <= len(self.channels):
            found, above = found + 1, self.above(above)
        return found

    def waits_for(self, channel: CelChannel) -> bool:
        """Return whether the end of a channel is to be read together with one that is still to come.

        An unanswered channel waits for the one that dials it, and a channel that dials for those that it dials.
        """
        if not channel.answered:
            above = self.above(channel)
            for _ in range(len(self.channels)):
                if above is None or (above.answered and above.half):
                    break
                if above.is_there:
                    return True
                above = self.above(above)
        return any(one.is_there and not one.answered and not one.half for one in self.children(channel.uid))

    def status_of(self, channel: CelChannel, dialler: CelChannel) -> str:
        """Return the result of the dial to an unanswered channel that has hung up; "" where the caller's end decides.

        The status of the last Dial is known from the dialler's hangup. It is that of all channels that were dialled at
        once, so the cause of each decides its meaning. A caller in a queue has no status of the queue: it is that of an
        older Dial, so the side that hung up decides.
        """
        siblings = [one for one in self.channels.values() if one.by == dialler.uid]
        if dialler.is_there:
            taken = dialler.bridge or any((one.answered and one is not channel) or one.picked for one in siblings)
            return "CANCEL" if taken else "NOANSWER"
        app = channel.app or next((one.app for one in siblings if one.app), "")
        if app.casefold() != "appqueue":
            if dialler.status == "BUSY" and channel.cause not in _BUSY:
                return "NOANSWER"
            if dialler.status in _STATUSES:
                return dialler.status
            if any(one.answered and (one.ended_at or one.held_at or channel.at + 1) > channel.at for one in siblings):
                return "CANCEL"
        return "" if dialler.source in ("", dialler.name) else "NOANSWER"

    def dialler(self, channel: CelChannel) -> CelChannel | None:
        """Return the channel that dials `channel`, as far as the rows so far reveal it.

        The one that runs Dial or Queue; else a Local half that has dialled no channel yet; else the first channel of
        the call, or a remaining one, unless it is in a talk.
        """
        others = [one for one in self.channels.values() if one is not channel and one.is_there and not one.is_pseudo]
        dialling = [one for one in others if one.is_dialling and one.half != 1]
        named = [one for one in dialling if channel.device.casefold() in one.appdata.casefold()]
        if named:
            return named[-1]
        halves = [one for one in others if one.half == INNER and not one.bridge and not one.answered]
        if halves and channel.half == 0:
            fitting = [one for one in halves if one.exten and one.exten in channel.device]
            idle = [one for one in halves if next(self.children(one.uid), None) is None]
            if fitting or idle or not dialling:
                return (fitting or idle or halves)[0]
        if dialling:
            return dialling[-1]
        free = [one for one in others if not one.bridge and one.half == 0 and (one.by is None or one.answered)]
        heads = [one for one in free if one.uid in self.linkedids]
        if heads or free:
            return (heads or free)[0]
        return halves[-1] if halves else None


class CelCalls:
    """The open calls by their Linkedids. Calls that are joined become one."""

    def __init__(self) -> None:
        self._by_linkedid: dict[str, CelCall] = {}
        self.by_uid: dict[str, CelChannel] = {}
        self._first_second: int | None = None

    def __len__(self) -> int:
        """Return the number of channels."""
        return len(self.by_uid)

    def begin_reading(self, at: int) -> None:
        """Note the time of the first row that is read."""
        if self._first_second is None:
            self._first_second = at // 1000

    def of(self, linkedid: str) -> CelCall | None:
        """Return the call of a Linkedid."""
        return self._by_linkedid.get(linkedid)

    def begins(self, linkedid: str) -> bool:
        """Return whether an unknown call began after the first row: half a call would give wrong figures."""
        found = _SECOND.search(linkedid)
        return found is not None and self._first_second is not None and int(found[1]) > self._first_second

    def open(self, linkedid: str, place: int, at: int) -> CelCall:
        """Return the call of a Linkedid, a new one if there is none."""
        call = self._by_linkedid.get(linkedid)
        if call is None:
            call = self._by_linkedid[linkedid] = CelCall(linkedid, place, at)
        return call

    def add(self, call: CelCall, channel: CelChannel) -> None:
        """Add a channel to its call."""
        call.channels[channel.uid] = self.by_uid[channel.uid] = channel

    def move(self, channel: CelChannel, linkedid: str) -> None:
        """Follow a changed Linkedid: the calls are joined from now on."""
        here = self._by_linkedid.get(channel.linkedid)
        channel.linkedid = linkedid
        there = self._by_linkedid.get(linkedid)
        if here is None or here is there:
            return
        if there is None:
            here.linkedids.add(linkedid)
            self._by_linkedid[linkedid] = here
            return
        for known in here.linkedids:
            self._by_linkedid[known] = there
        there.linkedids |= here.linkedids
        there.channels |= here.channels
        there.place = min(there.place, here.place)
        there.at = min(there.at, here.at)

    def close(self, call: CelCall) -> None:
        """Remove a call."""
        for linkedid in call.linkedids:
            self._by_linkedid.pop(linkedid, None)
        for uid in call.channels:
            self.by_uid.pop(uid, None)

    @property
    def oldest(self) -> int | None:
        """The place of the first row of the oldest open call."""
        return min((call.place for call in self._by_linkedid.values()), default=None)

    def begun_before(self, at: int) -> list[CelCall]:
        """Return the open calls that began before `at`, each once."""
        return list({id(call): call for call in self._by_linkedid.values() if call.at < at}.values())

    def all(self) -> Iterable[CelCall]:
        """Return the open calls, each once, the oldest first."""
        return sorted({id(call): call for call in self._by_linkedid.values()}.values(), key=lambda call: call.place)

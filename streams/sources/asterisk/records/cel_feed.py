"""The events of the manager interface that rows of CEL stand for, given to the state machine."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from streams.contract.events import QUEUE_PREFIX, CallEvent, Event
from streams.sources.asterisk.records.cel import CelRow
from streams.sources.asterisk.records.cel_state import CelCalls, CelChannel
from streams.sources.asterisk.translator import Asterisk


class RecordedAsterisk(Asterisk):
    """The state machine, for records: the dial of a channel may become known late, and its end may be missing."""

    def lost(self, uids: Iterable[str], now_ms: int) -> list[Event]:
        """End channels whose end is missing, and return the contract events."""
        for uid in uids:
            self._gone(uid, 0, now_ms, "timeout")
        return self._writer.take()

    def learn_dial_string(self, uid: str, dial_string: str) -> None:
        """Note the dial of a channel: the lead may become known."""
        channel = self._channels.by_uid.get(uid)
        if channel is not None and dial_string:
            self._conversations.redial(channel, dial_string)


class AmiFeed:
    """Feeds a state machine, and collects the contract events that it makes. `calls` are the calls that are open."""

    def __init__(self, asterisk: RecordedAsterisk, calls: CelCalls) -> None:
        self.asterisk = asterisk
        self.events: list[Event] = []
        self._calls = calls

    def take(self) -> list[Event]:
        """Return the events since the last call."""
        taken, self.events = self.events, []
        return taken

    def feed(self, event: str, at: int, headers: Mapping[str, str]) -> None:
        """Feed one event."""
        self.events += self.asterisk.feed({"Event": event, "Timestamp": f"{at / 1000:.3f}", **headers}, at)

    def of(self, row: CelRow, channel: CelChannel) -> dict[str, str]:
        """Return the headers that describe a row's channel."""
        return names("", channel) | {
            "CallerIDNum": "" if channel.by == "" else row.number,  # of a call by the PBX: the PBX's own number
            "Exten": row.exten,
            "Context": row.context,
            "AccountCode": row.account,
        }

    def dial_end(self, dialler: CelChannel, channel: CelChannel, status: str, at: int) -> None:
        """Feed the end of a dial, if its status is known."""
        if status:
            self.feed("DialEnd", at, names("", dialler) | names("Dest", channel) | {"DialStatus": status})

    def blind_transfer(self, row: CelRow, channel: CelChannel) -> None:
        """Feed a blind transfer by `channel`."""
        described = names("Transferer", channel) | self._other("Transferee", row, "transferee_channel")
        self.feed("BlindTransfer", row.at, described | {"Result": "Success"})

    def attended_transfer(self, row: CelRow, channel: CelChannel) -> None:
        """Feed an attended transfer by `channel`."""
        described = names("OrigTransferer", channel) | self._other("SecondTransferer", row, "channel2")
        described |= self._other("Transferee", row, "transferee_channel")
        described |= self._other("TransferTarget", row, "transfer_target_channel")
        kind = "App" if row.extra.get("app") else "Bridge"
        if row.extra.get("channel2_uniqueid") == channel.uid and channel.bridge:
            kind = "Threeway"  # a transferer by a feature code has left the bridge, unless all three stay connected
        self.feed("AttendedTransfer", row.at, described | {"Result": "Success", "DestType": kind})

    def pickup(self, row: CelRow, channel: CelChannel) -> None:
        """Feed that another telephone picked up the call that rings at `channel`."""
        picker = self._other("", row, "pickup_channel")
        if picker:
            self.feed("Pickup", row.at, picker | names("Target", channel))

    def _other(self, prefix: str, row: CelRow, field: str) -> dict[str, str]:
        """Return the headers of another channel that a row names in `extra`, {} if it is not known."""
        channel = self._calls.by_uid.get(row.extra.get(f"{field}_uniqueid", ""))
        return {} if channel is None or channel.ended_at is not None else names(prefix, channel)


def names(prefix: str, channel: CelChannel) -> dict[str, str]:
    """Return the headers that name a channel."""
    return {
        f"{prefix}Uniqueid": channel.uid,
        f"{prefix}Channel": channel.name,
        f"{prefix}Linkedid": channel.linkedid,
    }


def dial_string(dialler: CelChannel, channel: CelChannel) -> str:
    """Return the part of the dialler's arguments that names the endpoint of `channel`, "" if none does."""
    technology, _, endpoint = channel.device.partition("/")
    targets = dialler.appdata.partition(",")[0].split("&")
    named = [target for target in targets if endpoint and endpoint in target]
    return (named[0] if named else "").removeprefix(f"{technology}/")


def is_of_queue(event: Event) -> bool:
    """Return whether an event is of the leg that stands for a missed call."""
    return isinstance(event, CallEvent) and event.manager.startswith(QUEUE_PREFIX)

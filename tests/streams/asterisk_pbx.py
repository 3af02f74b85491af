"""A small PBX for tests: writes the AMI events of Asterisk 16 to 22 for the actions of a test."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import count
from typing import Any

from streams.contract.events import CallEnded, Event
from streams.phone_numbers import lead_key
from streams.sources.asterisk import Asterisk
from tests.streams.asterisk_sessions import SECRET, assert_sound, is_idle, translator_of

Ami = dict[str, str]
TRUNK = "PJSIP/provider-trunk"
CUSTOMER = "+31612345678"
LEAD = lead_key(CUSTOMER, SECRET)
STATES = {0: "Down", 4: "Ring", 5: "Ringing", 6: "Up"}


@dataclass
class Ch:
    """A channel of the test's PBX."""

    name: str
    uid: str
    linkedid: str
    state: int = 0
    num: str = "<unknown>"
    exten: str = "s"
    context: str = "default"
    account: str = ""
    bridge: str = ""

    def fields(self, prefix: str = "") -> Ami:
        return {
            f"{prefix}{key}": value
            for key, value in {
                "Channel": self.name,
                "ChannelState": str(self.state),
                "ChannelStateDesc": STATES[self.state],
                "CallerIDNum": self.num,
                "CallerIDName": "<unknown>",
                "ConnectedLineNum": "<unknown>",
                "AccountCode": self.account,
                "Context": self.context,
                "Exten": self.exten,
                "Priority": "1",
                "Uniqueid": self.uid,
                "Linkedid": self.linkedid,
            }.items()
        }


@dataclass
class Pbx:
    """Time moves only with `wait`. Events carry `Timestamp` (`timestampevents=yes`) unless it is switched off."""

    now: float = 1_700_000_000.0
    timestamps: bool = True
    events: list[Ami] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._serial = count(1)

    def wait(self, seconds: float) -> None:
        self.now += seconds

    def emit(self, event: str, *parts: Ami, **fields: str) -> None:
        sent = {"Event": event, "Privilege": "call,all"}
        if self.timestamps:
            sent["Timestamp"] = f"{self.now:.6f}"
        for part in parts:
            sent |= part
        self.events.append(sent | fields)

    def channel(
        self,
        device: str,
        *,
        parent: Ch | None = None,
        state: int = 0,
        num: str = "<unknown>",
        exten: str = "s",
        **more: str,
    ) -> Ch:
        serial = next(self._serial)
        uid = f"{int(self.now)}.{serial}"
        name = device if device.startswith("Local/") else f"{device}-{serial:08x}"
        made = Ch(name, uid, parent.linkedid if parent else uid, state, num, exten, **more)
        self.emit("Newchannel", made.fields())
        return made

    def local(self, target: str, parent: Ch | None = None) -> tuple[Ch, Ch]:
        serial = next(self._serial)
        one = self.channel(f"Local/{target}-{serial:08x};1", parent=parent)
        two = self.channel(f"Local/{target}-{serial:08x};2", parent=parent or one, state=4)
        self.emit("LocalBridge", one.fields("LocalOne"), two.fields("LocalTwo"), LocalOptimization="Yes")
        return one, two

    def state(self, channel: Ch, state: int) -> None:
        channel.state = state
        self.emit("Newstate", channel.fields())

    def caller(self, device: str, exten: str, num: str, **more: Any) -> Ch:
        made = self.channel(device, num=num, exten=exten, **more)
        self.state(made, 4)
        return made

    def dial(self, source: Ch | None, target: Ch, dial_string: str = "") -> None:
        self.emit("DialBegin", source.fields() if source else {}, target.fields("Dest"), DialString=dial_string)

    def ring(self, source: Ch, device: str, *, num: str = "", dial_string: str = "") -> Ch:
        """Dial a device, which rings at once."""
        target = self.channel(device, parent=source, num=num or source.exten)
        self.dial(source, target, dial_string)
        self.state(target, 5)
        return target

    def end_dial(self, source: Ch | None, target: Ch, status: str) -> None:
        self.emit("DialEnd", source.fields() if source else {}, target.fields("Dest"), DialStatus=status)

    def hold(self, channel: Ch) -> None:
        """Let a channel wait in a holding bridge: a parking lot, or a pool of agents."""
        self.enter(channel, "holding", technology="holding_bridge")

    def enter(self, channel: Ch, bridge: str, swap: Ch | None = None, *, technology: str = "simple_bridge") -> None:
        channel.bridge = bridge
        more = {"BridgeTechnology": technology} | ({"SwapUniqueid": swap.uid} if swap else {})
        self.emit("BridgeEnter", channel.fields(), BridgeUniqueid=bridge, BridgeNumChannels="1", **more)

    def leave(self, channel: Ch) -> None:
        self.emit("BridgeLeave", channel.fields(), BridgeUniqueid=channel.bridge)
        channel.bridge = ""

    def answer(self, source: Ch, target: Ch, bridge: str = "") -> str:
        """Let the dialled telephone pick up, and put both into a bridge."""
        bridge = bridge or f"bridge-{next(self._serial)}"
        self.state(target, 6)
        self.end_dial(source, target, "ANSWER")
        if source.state != 6:
            self.state(source, 6)
        self.enter(target, bridge)
        self.enter(source, bridge)
        return bridge

    def hangup(self, *channels: Ch, cause: int = 16) -> None:
        for channel in channels:
            if channel.bridge:
                self.leave(channel)
            self.emit("Hangup", channel.fields(), Cause=str(cause), **{"Cause-txt": "text"})

    def blind(self, by: Ch, transferee: Ch, exten: str) -> None:
        """Transfer blindly: the transferee goes on in the dialplan at `exten`."""
        self.emit(
            "BlindTransfer",
            by.fields("Transferer"),
            transferee.fields("Transferee"),
            Result="Success",
            IsExternal="Yes",
            Extension=exten,
            BridgeUniqueid=by.bridge,
        )
        self.leave(by)
        self.leave(transferee)
        self.hangup(by)
        transferee.exten = exten

    def attended(self, by: Ch, again: Ch, kind: str, *, transferee: Ch | None = None, target: Ch | None = None) -> None:
        self.emit(
            "AttendedTransfer",
            by.fields("OrigTransferer"),
            again.fields("SecondTransferer"),
            transferee.fields("Transferee") if transferee else {},
            target.fields("TransferTarget") if target else {},
            Result="Success",
            DestType=kind,
        )

    def listing(self, *channels: Ch, application: str = "AppDial") -> None:
        """Answer CoreShowChannels."""
        for channel in channels:
            self.emit(
                "CoreShowChannel",
                channel.fields(),
                BridgeId=channel.bridge,
                Application=application,
                Duration=_duration(self.now - float(channel.uid.rpartition(".")[0])),
            )
        self.emit("CoreShowChannelsComplete", EventList="Complete", ListItems=str(len(channels)))

    def play(self, translator: Asterisk, since: int = 0) -> list[Event]:
        """Feed the events since the one at `since`."""
        return [found for event in self.events[since:] for found in translator.feed(event, int(self.now * 1000))]


def _duration(seconds: float) -> str:
    whole = int(seconds)
    return f"{whole // 3600:02}:{whole // 60 % 60:02}:{whole % 60:02}"


def played(pbx: Pbx, **settings: object) -> list[Event]:
    """Play the whole session; the translator must be empty after it, and every leg must have ended once."""
    translator = translator_of(**settings)
    events = pbx.play(translator)
    assert is_idle(translator)
    assert_sound(events)
    return events


def ends(events: list[Event]) -> dict[str, CallEnded]:
    return {event.manager: event for event in events if isinstance(event, CallEnded)}


def queue_call(pbx: Pbx, queue: str = "sales") -> Any:
    customer = pbx.caller(TRUNK, "0201234567", CUSTOMER)
    pbx.state(customer, 6)
    pbx.emit("QueueCallerJoin", customer.fields(), Queue=queue, Position="1", Count="1")
    return customer


def talking(pbx: Pbx) -> Any:
    customer = pbx.caller(TRUNK, "0201234567", CUSTOMER)
    phone = pbx.ring(customer, "PJSIP/101")
    pbx.answer(customer, phone)
    pbx.wait(30)
    return customer, phone

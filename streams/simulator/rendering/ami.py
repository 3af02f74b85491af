"""The manager interface: the bytes that an Asterisk with `timestampevents = yes` sends to a listener."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from streams.simulator.rendering.pbx_facts import NOBODY, Channel, PbxFact

GREETING: Final = b"Asterisk Call Manager/9.0.0\r\n"
_STATES: Final = {0: "Down", 4: "Ring", 5: "Ringing", 6: "Up", 7: "Busy"}
_CAUSES: Final = {
    0: "Unknown",
    16: "Normal Clearing",
    17: "User busy",
    19: "User alerting, no answer",
    34: "Circuit/channel congestion",
    127: "Interworking, unspecified",
}
_UNKNOWN: Final = "<unknown>"
_PREFIXES: Final = {
    "dest": "Dest",
    "transferer": "Transferer",
    "transferee": "Transferee",
    "second": "SecondTransferer",
    "target": "TransferTarget",
}
_CALL: Final = "call,all"
_AGENT: Final = "agent,all"

Headers = dict[str, str]


def write(facts: Iterable[PbxFact]) -> Iterator[bytes]:
    """Yield the greeting, and the events of each fact."""
    yield GREETING
    for fact in facts:
        for headers in events(fact):
            yield frame(headers)


def frame(headers: Mapping[str, str]) -> bytes:
    """Return one message."""
    return "".join(f"{name}: {value}\r\n" for name, value in headers.items()).encode() + b"\r\n"


def events(fact: PbxFact) -> Iterator[Headers]:
    """Yield the events of a fact, as headers."""
    stamp = f"{fact.at_us // 1_000_000}.{fact.at_us % 1_000_000:06d}"
    for name, privilege, headers in _events(fact):
        yield {"Event": name, "Privilege": privilege, "Timestamp": stamp} | headers


def channel(of: Channel, prefix: str = "") -> Headers:
    """Return the headers that describe a channel."""
    return {
        f"{prefix}Channel": of.name,
        f"{prefix}ChannelState": str(of.state),
        f"{prefix}ChannelStateDesc": _STATES[of.state],
        f"{prefix}CallerIDNum": of.number or _UNKNOWN,
        f"{prefix}CallerIDName": of.person or _UNKNOWN,
        f"{prefix}ConnectedLineNum": of.connected or _UNKNOWN,
        f"{prefix}ConnectedLineName": _UNKNOWN,
        f"{prefix}Language": "en",
        f"{prefix}AccountCode": of.account,
        f"{prefix}Context": of.context,
        f"{prefix}Exten": of.exten,
        f"{prefix}Priority": "1",
        f"{prefix}Uniqueid": of.uid,
        f"{prefix}Linkedid": of.linkedid,
    }


def _bridge(id_: str, prefix: str = "", channels: int = 1) -> Headers:
    return {
        f"{prefix}BridgeUniqueid": id_,
        f"{prefix}BridgeType": "basic",
        f"{prefix}BridgeTechnology": "simple_bridge",
        f"{prefix}BridgeCreator": _UNKNOWN,
        f"{prefix}BridgeName": _UNKNOWN,
        f"{prefix}BridgeNumChannels": str(channels),
        f"{prefix}BridgeVideoSourceMode": "none",
    }


def _events(fact: PbxFact) -> Iterator[tuple[str, str, Headers]]:
    """Yield the events of one channel; those of several are in `_call_events` and `_queue_events`."""
    about, mine = fact.about, channel(fact.channel)
    match fact.what:
        case "new":
            yield "Newchannel", _CALL, mine
        case "app":
            ran = {"Extension": fact.channel.exten, "Application": fact.channel.app, "AppData": fact.channel.data}
            yield "Newexten", "dialplan,all", mine | ran
        case "state":
            yield "Newstate", _CALL, mine
        case "enter":
            swap = {"SwapUniqueid": fact.others["swap"].uid} if "swap" in fact.others else {}
            yield "BridgeEnter", _CALL, _bridge(fact.channel.bridge) | mine | swap
        case "leave":
            yield "BridgeLeave", _CALL, _bridge(fact.channel.bridge, channels=0) | mine
        case "request":
            yield "HangupRequest", _CALL, mine | {"Cause": about["cause"]}
        case "hangup":
            yield "Hangup", _CALL, mine | {"Cause": about["cause"], "Cause-txt": _CAUSES[int(about["cause"])]}
        case _:
            yield from _call_events(fact, mine)


def _call_events(fact: PbxFact, mine: Headers) -> Iterator[tuple[str, str, Headers]]:
    about = fact.about
    dest = channel(fact.others["dest"], "Dest") if "dest" in fact.others else {}
    match fact.what:
        case "dial":
            yield "DialBegin", _CALL, mine | dest | {"DialString": about["string"]}
        case "dialled":
            yield "DialEnd", _CALL, mine | dest | {"DialStatus": about["status"]}
        case "blind":
            yield "BlindTransfer", _CALL, _blind(fact)
        case "attended":
            yield "AttendedTransfer", _CALL, _attended(fact)
        case _:
            yield from _queue_events(fact, mine | dest)


def _blind(fact: PbxFact) -> Headers:
    other = fact.others["transferee"]
    return {
        "Result": "Success",
        **channel(fact.channel, "Transferer"),
        **channel(other, "Transferee"),
        **_bridge(fact.channel.bridge, channels=2),
        "IsExternal": "Yes",
        "Context": "from-internal",
        "Extension": fact.about["exten"],
    }


def _attended(fact: PbxFact) -> Headers:
    others = fact.others
    return {
        "Result": "Success",
        **channel(fact.channel, "OrigTransferer"),
        **_bridge(fact.about["first_bridge"], "Orig"),
        **channel(others["second"], "SecondTransferer"),
        **_bridge(fact.about["second_bridge"], "Second", 2),
        **channel(others["transferee"], "Transferee"),
        **channel(others["target"], "TransferTarget"),
        "IsExternal": "Yes",
        "DestType": "Bridge",
        "DestBridgeUniqueid": fact.about["second_bridge"],
    }


def _queue_events(fact: PbxFact, who: Headers) -> Iterator[tuple[str, str, Headers]]:
    about = fact.about
    queue = {"Queue": about["queue"]} if "queue" in about else {}
    member = {"Interface": about["device"], "MemberName": about["member"]} if "device" in about else {}
    match fact.what:
        case "join":
            yield "QueueCallerJoin", _AGENT, who | queue | {"Position": "1", "Count": "1"}
        case "abandon":
            place = {"Position": "1", "OriginalPosition": "1", "HoldTime": about["hold"]}
            yield "QueueCallerAbandon", _AGENT, who | queue | place
        case "left":
            yield "QueueCallerLeave", _AGENT, channel(fact.channel) | queue | {"Position": "1", "Count": "0"}
        case "call_agent":
            yield "AgentCalled", _AGENT, who | queue | member
        case "connect":
            yield "AgentConnect", _AGENT, who | queue | member | {"RingTime": about["ring"], "HoldTime": about["hold"]}
        case "complete":
            times = {"HoldTime": about["hold"], "TalkTime": about["talk"], "Reason": about["by"]}
            yield "AgentComplete", _AGENT, who | queue | member | times
        case "member_added" | "member_removed" | "member_paused" | "member_unpaused":
            yield _MEMBER[fact.what], _AGENT, queue | member_headers(about)
        case _:  # facts that only records have
            return


_MEMBER: Final = {
    "member_added": "QueueMemberAdded",
    "member_removed": "QueueMemberRemoved",
    "member_paused": "QueueMemberPause",
    "member_unpaused": "QueueMemberPause",
}


def member_headers(about: Mapping[str, str]) -> Headers:
    """Return the headers that describe a member of a queue."""
    return {
        "MemberName": about["member"],
        "Interface": about["device"],
        "StateInterface": about["device"],
        "Membership": "dynamic",
        "Penalty": "0",
        "CallsTaken": "0",
        "LastCall": "0",
        "LastPause": "0",
        "InCall": "0",
        "Status": "1",
        "Paused": about["paused"],
        "PausedReason": about["reason"],
        "Ringinuse": "0",
        "Wrapuptime": "0",
    }


class State:
    """The channels and the members of queues at one moment: the lists of `CoreShowChannels` and `QueueStatus`."""

    def __init__(self) -> None:
        self._channels: dict[str, Channel] = {}
        self._members: dict[tuple[str, str], Mapping[str, str]] = {}

    def take(self, fact: PbxFact) -> None:
        """Follow the facts."""
        for one in (fact.channel, *fact.others.values()):
            if one.uid in self._channels or fact.what == "new":
                self._channels[one.uid] = one
        if fact.what == "hangup":
            self._channels.pop(fact.channel.uid, None)
        if fact.what == "leave":
            self._channels[fact.channel.uid].bridge = ""
        if fact.what.startswith("member_"):
            place = fact.about["queue"], fact.about["device"]
            if fact.what == "member_removed":
                self._members.pop(place, None)
            else:
                self._members[place] = fact.about
        self._channels.pop(NOBODY.uid, None)

    def lists(self, at_ms: int) -> bytes:
        """Return the answers to both actions at a moment."""
        sent = [{"Response": "Success", "ActionID": "1", "EventList": "start", "Message": "Channels will follow"}]
        for one in self._channels.values():
            age = max(0, at_ms - one.at_ms) // 1000
            about = {
                "Application": one.app,
                "ApplicationData": one.data,
                "Duration": f"{age // 3600:02d}:{age // 60 % 60:02d}:{age % 60:02d}",
                "BridgeId": one.bridge,
            }
            sent.append({"Event": "CoreShowChannel", "ActionID": "1", **channel(one), **about})
        count = str(len(self._channels))
        sent.append({"Event": "CoreShowChannelsComplete", "ActionID": "1", "EventList": "Complete", "ListItems": count})
        sent.append(
            {"Response": "Success", "ActionID": "2", "EventList": "start", "Message": "Queue status will follow"}
        )
        for (queue, device), member in self._members.items():
            listed = {"Queue": queue, "Name": member["member"], "Location": device, **member_headers(member)}
            del listed["MemberName"], listed["Interface"]
            sent.append({"Event": "QueueMember", "ActionID": "2", **listed})
        count = str(len(self._members))
        sent.append({"Event": "QueueStatusComplete", "ActionID": "2", "EventList": "Complete", "ListItems": count})
        return b"".join(map(frame, sent))

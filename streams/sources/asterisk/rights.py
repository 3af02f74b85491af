"""Missing rights of an account of manager.conf, concluded from its events and the lists that it may request.

Asterisk does not name the classes of events that an account may read. The events of calls reveal them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from collections.abc import Set as AbstractSet
from typing import Final

from msgspec import Struct

_CALL_EVENTS: Final = frozenset(("newchannel", "newstate", "hangup", "dialbegin", "dialend", "bridgeenter"))
_QUEUE_EVENTS: Final = frozenset(("queuecallerjoin", "agentcalled", "agentconnect", "queuememberstatus"))


class Missing(Struct, frozen=True):
    """A missing right: `what` is missing, its `cost`, and the `line` of manager.conf."""

    what: str
    cost: str
    line: str


class HeardEvents:
    """Counts the events that an account gets. `take` needs header names in lower case."""

    def __init__(self) -> None:
        self.names: dict[str, int] = {}
        self.unstamped = 0
        self.ended = 0
        self.queued = 0
        self.listed = 0

    def take(self, ami: Mapping[str, str]) -> None:
        """Take an event."""
        name = ami.get("event", "").lower()
        self.names[name] = self.names.get(name, 0) + 1
        if name in _CALL_EVENTS:
            self.unstamped += "timestamp" not in ami
            self.queued += name == "newstate" and ami.get("application", "").lower() == "queue"
        self.ended += name == "hangup" and "newchannel" in self.names
        self.queued += name == "newexten" and ami.get("application", "").lower() == "queue"
        self.listed += name == "coreshowchannel"

    def any_of(self, names: AbstractSet[str]) -> bool:
        """Return whether one of these events has come."""
        return not names.isdisjoint(self.names)


def missing(heard: HeardEvents, denied: AbstractSet[str], new_calls: int | None) -> Iterator[Missing]:
    """Yield the rights that are certainly missing.

    `denied` are the lists that it may not request. `new_calls` is the number of calls that the PBX counted meanwhile,
    None if unknown.
    """
    if "CoreShowChannels" in denied:
        yield Missing(
            "write = reporting",
            "the list of channels: calls in progress at a start, and calls that end while the link is down, stay open "
            "until thresholds.max_call",
            "write = reporting",
        )
    has_calls = heard.any_of(_CALL_EVENTS)
    if new_calls and not has_calls:
        yield Missing("read = call", "all calls: the PBX counted some, and sent none", "read = call,agent,dialplan")
    if has_calls and heard.ended and not heard.any_of(frozenset(("newexten",))):
        yield Missing(
            "read = dialplan",
            "voicemail, and the numbers of calls that found no trunk",
            "read = call,agent,dialplan",
        )
    if heard.queued and not heard.any_of(_QUEUE_EVENTS):
        yield Missing("read = agent", "queues, and the presence of their members", "read = call,agent,dialplan")
    if heard.unstamped:
        yield Missing(
            "timestampevents = yes",
            "exact times: events are dated when they arrive, and the dispositions of canceled calls are less certain",
            "timestampevents = yes   (in [general])",
        )


def not_seen(heard: HeardEvents) -> list[str]:
    """Return the classes of `read` without any event: it is unknown whether the account has them."""
    classes = {
        "call": _CALL_EVENTS,
        "dialplan": frozenset(("newexten",)),
        "agent": _QUEUE_EVENTS | {"queuememberpause", "queuememberadded", "queuememberremoved"},
    }
    return [name for name, events in classes.items() if not heard.any_of(events)]

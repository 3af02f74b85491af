"""The channels that are up, by the event socket and the list of channels."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from streams.sources.frame import UnreadableError
from streams.sources.freeswitch.record import Record, moment_ms, read_record
from streams.sources.freeswitch.wire import Event

_VARIABLE: Final = "variable_"
_FIRST: Final[Mapping[str, str]] = {
    "Channel-Call-UUID": "call_uuid",
    "Call-Direction": "direction",
    "Channel-Name": "channel_name",
    "Caller-Caller-ID-Number": "caller_id_number",
    "Caller-Destination-Number": "destination_number",
    "Caller-Context": "context",
    "Caller-Channel-Created-Time": "start_uepoch",
}
"""Headers whose first value counts: a transfer changes some of them."""
_WHEN_SAID: Final[Mapping[str, str]] = {
    "Caller-Channel-Answered-Time": "answer_uepoch",
    "Caller-Channel-Hangup-Time": "end_uepoch",
    "Hangup-Cause": "hangup_cause",
}
_ROW: Final[Mapping[str, str]] = {
    "direction": "direction",
    "name": "channel_name",
    "cid_num": "caller_id_number",
    "dest": "destination_number",
    "context": "context",
    "call_uuid": "call_uuid",
}
_KEPT: Final = frozenset(
    (
        *("cc_queue", "cc_cause", "cc_agent", "cc_member_session_uuid", "cc_member_cid_number", "transfer_history"),
        *("sip_auth_username", "user_name", "dialed_user", "sip_gateway_name", "sip_gateway", "originate_disposition"),
        *("originator", "originated_legs", "last_app", "bridge_uepoch", "progress_uepoch", "progress_media_uepoch"),
        *("start_uepoch", "answer_uepoch", "end_uepoch", "last_bridge_to", "bridge_channel", "hangup_cause"),
    )
)
"""The variables on which a leg depends."""
_ACTIVE: Final = frozenset(("ACTIVE", "HELD"))
_MOST: Final = 50_000


class LiveChannel:
    """One channel. `variables` holds the known ones, by the names of `read_record`."""

    __slots__ = (
        *(
            "answered",
            "bridged",
            "created",
            "heard_at",
            "hung_up_at",
            "is_old",
            "is_up",
            "last_us",
            "other_name",
            "peer",
        ),
        *("uuid", "variables"),
    )

    def __init__(self, uuid: str) -> None:
        self.uuid = uuid
        self.variables: dict[str, str] = {"uuid": uuid}
        self.answered = False
        self.created = False  # all of its events came
        self.is_up = False  # it is answered, at a moment that the list does not have
        self.peer: LiveChannel | None = None
        self.bridged = False
        self.other_name = ""  # that of the channel that dialled it, or of the first one that it dialled
        self.heard_at = 0
        self.is_old = False  # no event of it came on this connection
        self.hung_up_at = 0
        self.last_us = "0"  # the moment of the youngest event, by the PBX

    def update(self, event: Event, at_us: str) -> None:
        """Apply an event of this channel. `at_us` is its moment."""
        held = self.variables
        self.is_old = False
        self.last_us = max(self.last_us, at_us, key=int)
        for header, name in _FIRST.items():
            if (value := event.get(header)) and name not in held:
                held[name] = value
        for header, name in _WHEN_SAID.items():
            if (value := event.get(header)) and value != "0":
                held[name] = value
        if event.get("Other-Type") == "originator" and "originator" not in held:
            held["originator"] = event.get("Other-Leg-Unique-ID", "")
        for name, value in event.items():
            if name.startswith(_VARIABLE) and (short := name.removeprefix(_VARIABLE)) in _KEPT and value:
                held[short] = value
        kind = event["Event-Name"]
        if kind.startswith("CHANNEL_PROGRESS"):
            held.setdefault("progress_uepoch", at_us)
        elif kind == "CHANNEL_ANSWER":
            held.setdefault("answer_uepoch", at_us)
        self.created |= kind == "CHANNEL_CREATE"
        held.setdefault("start_uepoch", at_us)
        self.answered = held.get("answer_uepoch", "0") != "0"

    def bridge(self, peer: LiveChannel, at_us: str = "") -> None:
        """Connect two channels. Without `at_us`, the beginning of the connection is unknown."""
        for one, other in ((self, peer), (peer, self)):
            if at_us and one.variables.get("bridge_uepoch", "0") == "0":
                one.variables["bridge_uepoch"] = at_us
            one.variables["last_bridge_to"] = other.uuid
            one.variables["bridge_channel"] = other.variables.get("channel_name", "")
            one.bridged, one.peer = True, other

    def take_row(self, row: Mapping[str, object], now_ms: int) -> None:
        """Apply an entry of the list of channels to a new channel."""
        for column, name in _ROW.items():
            if isinstance(value := row.get(column), str) and value:
                self.variables[name] = value
        created = row.get("created_epoch")
        seconds = created if isinstance(created, str) and created.isascii() and created.isdigit() else ""
        self.variables["start_uepoch"] = self.last_us = f"{seconds or now_ms // 1000}000000"
        call = self.variables.get("call_uuid", "")
        if self.variables.get("direction") == "outbound" and call not in ("", self.uuid):
            self.variables["originator"] = call
        self.is_up = row.get("callstate") in _ACTIVE

    def record(self) -> Record:
        """Return the record of the channel. If its end is unknown, the record ends with its newest event.

        Raises UnreadableError.
        """
        held = self.variables
        ended = held.get("end_uepoch", "0")
        known = held | ({"end_uepoch": self.last_us} if ended == "0" else {})
        if not self.bridged:
            known = {name: value for name, value in known.items() if name not in ("last_bridge_to", "bridge_channel")}
            known["bridge_channel"] = self.other_name  # a party without an answer is inside or outside, too
            if "bridge_uepoch" not in held and self.created:
                known["bridge_uepoch"] = "0"
        return read_record(known, (), held.get("context", ""))


class LiveChannels:
    """All channels that are up, the oldest first. Bounded, whatever is sent."""

    def __init__(self) -> None:
        self._held: dict[str, LiveChannel] = {}

    def __len__(self) -> int:
        """Return the number of channels."""
        return len(self._held)

    def __iter__(self) -> Iterator[LiveChannel]:
        """Yield the channels."""
        return iter(list(self._held.values()))

    def get(self, uuid: str) -> LiveChannel | None:
        """Return a channel, or None."""
        return self._held.get(uuid)

    def add(self, uuid: str) -> LiveChannel:
        """Return a channel, a new one if it is unknown."""
        found = self._held.get(uuid)
        if found is None:
            if len(self._held) >= _MOST:
                del self._held[next(iter(self._held))]
            found = self._held[uuid] = LiveChannel(uuid)
        return found

    def remove(self, uuid: str) -> None:
        """Forget a channel."""
        found = self._held.pop(uuid, None)
        if found is not None and found.peer is not None and found.peer.peer is found:
            found.peer.peer = None

    def clear(self) -> None:
        """Forget all channels."""
        self._held.clear()


def moment_of(event: Event) -> str:
    """Return the moment of an event, in microseconds. Raises UnreadableError."""
    text = event.get("Event-Date-Timestamp", "")
    if not text:
        raise UnreadableError("missing_field", "`Event-Date-Timestamp` is missing")
    try:
        found = moment_ms(text)
    except ValueError as error:
        raise UnreadableError("invalid_time", f"`Event-Date-Timestamp` {error}") from None
    if not found:
        raise UnreadableError("invalid_time", "`Event-Date-Timestamp` is 0")
    return text

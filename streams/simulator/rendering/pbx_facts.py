"""Facts about the channels of an Asterisk, in the order of time."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import count
from types import MappingProxyType
from typing import Final, Literal, TypeAlias

import msgspec
from msgspec import Struct

from streams.simulator.rendering.phone_book import PhoneBook

TRUNK: Final = "PJSIP/trunk-carrier"
INSIDE: Final = "from-internal"
OUTSIDE: Final = "from-trunk"
DOWN: Final = 0
RING: Final = 4
RINGING: Final = 5
UP: Final = 6

What: TypeAlias = Literal[
    "new",  # a channel begins
    "app",  # it runs an application of the dialplan
    "app_end",
    "state",
    "dial",  # `channel` dials `dest`
    "dialled",  # that dial has ended, with a status
    "enter",  # enters a bridge, and perhaps takes the place of `swap`
    "leave",
    "request",  # the telephone at the end of the channel hangs up
    "hangup",
    "over",  # the last channel of a call has ended
    "join",  # a caller enters a queue
    "abandon",
    "left",
    "call_agent",
    "connect",
    "complete",
    "blind",
    "attended",
    "member_added",
    "member_removed",
    "member_paused",
    "member_unpaused",
]


class Channel(Struct):
    """The state of a channel at one moment.

    `number` and `person` are its caller id, `connected` is the connected party.
    """

    name: str
    uid: str
    linkedid: str
    at_ms: int
    context: str
    exten: str
    number: str = ""
    person: str = ""
    account: str = ""
    connected: str = ""
    state: int = DOWN
    app: str = ""
    data: str = ""
    bridge: str = ""
    dial_status: str = ""

    @property
    def device(self) -> str:
        """Technology and endpoint: the name without its serial number."""
        return self.name.rpartition("-")[0]


NOBODY: Final = Channel("", "", "", 0, "", "")
_NO_CHANNELS: Final[Mapping[str, Channel]] = MappingProxyType({})
_NOTHING: Final[Mapping[str, str]] = MappingProxyType({})


class PbxFact(Struct, frozen=True):
    """A fact about `channel` at `at_us`, in microseconds since epoch. `others` are further channels of the fact."""

    at_us: int
    what: What
    channel: Channel
    others: Mapping[str, Channel]
    about: Mapping[str, str]


class Recorder:
    """Notes facts. Facts of one millisecond are a microsecond apart."""

    def __init__(self, book: PhoneBook) -> None:
        self.book = book
        self._serials = count(1)
        self._bridges = count(1)
        self._facts: list[PbxFact] = []
        self._us = 0

    def go_to(self, at_ms: int) -> None:
        """Go on to a moment. Later facts have no earlier moment than those already noted."""
        self._us = max(self._us, at_ms * 1000) if self._facts else at_ms * 1000

    def take(self) -> list[PbxFact]:
        """Return the facts since the last call."""
        taken, self._facts = self._facts, []
        return taken

    def add(
        self,
        what: What,
        channel: Channel = NOBODY,
        others: Mapping[str, Channel] = _NO_CHANNELS,
        about: Mapping[str, str] = _NOTHING,
    ) -> None:
        """Note a fact, with its channels as they are now."""
        copies = {part: msgspec.structs.replace(other) for part, other in others.items()}
        self._facts.append(PbxFact(self._us, what, msgspec.structs.replace(channel), copies, about))
        self._us += 1

    def channel(self, device: str, context: str, exten: str, parent: Channel | None = None) -> Channel:
        """Return a new channel, of its own call or of that of `parent`."""
        serial = next(self._serials)
        at_ms = self._us // 1000
        uid = f"{at_ms // 1000}.{serial}"
        return Channel(f"{device}-{serial:08x}", uid, uid if parent is None else parent.linkedid, at_ms, context, exten)

    def bridge(self) -> str:
        """Return the id of a new bridge."""
        return f"00000000-0000-4000-8000-{next(self._bridges):012x}"

"""The state of calls: channels, legs and conversations.

A conversation is everything under one call id: all channels of one Linkedid, and what is joined to them later. A leg
is one manager's part in it, over any number of that manager's channels.
"""

from __future__ import annotations

import re
from typing import Final, Literal

from streams.contract.events import Direction
from streams.sources.asterisk.dispositions import Dial
from streams.sources.asterisk.mapping import Classified

RINGING: Final = 5
UP: Final = 6
UNSEEN: Final = "?"
"""The dialling channel, if the beginning of the dial was not seen."""
# Channels that Asterisk makes for itself, without a party at their end.
_PSEUDO_TECHNOLOGIES: Final = frozenset(
    (
        *("announcer", "asyncgoto", "audiosocket", "bridge", "cbann", "cbrec", "message"),
        *("multicastrtp", "parked", "recorder", "snoop", "surrogate", "unicastrtp", "websocket"),
    )
)
_SERIAL: Final = re.compile(r"-[0-9a-fA-F]+$")
_BLANK: Final = frozenset(("", "<unknown>", "unknown", "anonymous", "unavailable", "restricted"))
UNKNOWN: Final = Classified("outside", None, "not classified")
_AGE: Final = re.compile(r"(\d+)\.(\d+)$")


class Channel:
    """One channel.

    `dialled_by` is the Uniqueid of the channel that dials it, "" for an originate, None without a dial.
    """

    __slots__ = (
        "account",
        "at",
        "attempt",
        "bridge",
        "caller_uid",
        "classified",
        "conversation",
        "dial_status",
        "dial_string",
        "dialled_by",
        "dialling_since",
        "done",
        "end_cause",
        "endpoint",
        "exten",
        "first_context",
        "first_number",
        "hangup_requested",
        "inner_dialled",
        "is_local",
        "is_pseudo",
        "leg",
        "linked_now",
        "linkedid",
        "member",
        "name",
        "number",
        "occurrences",
        "other_half",
        "outer_status",
        "own_dialled",
        "request_cause",
        "resolved",
        "seen_up",
        "serial",
        "standing",
        "state",
        "talked",
        "uid",
        "unheard",
    )

    def __init__(self, uid: str, name: str, linkedid: str, at: int) -> None:
        self.uid = uid
        self.linkedid = self.linked_now = linkedid  # the first one identifies the conversation
        self.at = at
        self.rename(name)
        self.state = 0
        self.seen_up = False
        self.standing = False  # an agent who stays connected and waits for calls
        self.serial = 0  # order of channels in the registry
        self.talked = False  # was connected with another party at some time
        self.account = self.exten = self.first_context = self.number = self.first_number = ""
        self.other_half: str | None = None
        self.bridge: str | None = None
        self.dialled_by: str | None = None
        self.dial_string = ""
        self.attempt = ""  # arguments of the last Dial application that this channel ran
        self.dial_status = ""  # result of the dial to this channel: the first status decides
        self.request_cause = 0  # cause of the far end that requested the hangup
        self.end_cause = 0  # cause of the hangup
        self.hangup_requested = False
        self.caller_uid = ""  # the party that dials this channel, also through Local channels
        self.outer_status = ""  # result of the dial in front of the Local channel that leads to this one
        self.own_dialled: Channel | None = None  # the last channel whose dial by this one ended
        self.inner_dialled: Channel | None = None  # the same, behind a Local channel
        self.dialling_since: int | None = None
        self.member: tuple[str, ...] = ()
        self.classified = UNKNOWN
        self.resolved = False
        self.leg: PbxLeg | None = None
        self.done = False  # transferred its call: it takes no further part
        self.unheard = False  # an event of it may have been missed, and no list of channels has come since
        self.occurrences: dict[str, int] = {}
        self.conversation: Conversation

    def rename(self, name: str) -> None:
        """Set the name. Asterisk marks channels that are about to end with `<ZOMBIE>` and similar suffixes."""
        self.name = name.partition("<")[0]
        technology, _, rest = self.name.partition("/")
        self.is_local = technology.casefold() == "local"
        self.is_pseudo = is_pseudo(technology)
        device = _SERIAL.sub("", rest)
        # DAHDI and PRI channels carry the number behind the span: DAHDI/i1/0123456-1.
        self.endpoint = device.partition("/")[0]

    @property
    def dial(self) -> Dial:
        """The end of the dial to this channel, with the cause that its far end gave."""
        return Dial(self.dial_status, self.request_cause)

    @property
    def own_dials(self) -> tuple[Dial, ...]:
        """The ends of the last dials by this channel: its own, and the one behind a Local channel."""
        return tuple(
            Dial(dialled.dial_status, dialled.request_cause or dialled.end_cause)
            for dialled in (self.own_dialled, self.inner_dialled)
            if dialled is not None
        )

    @property
    def is_party(self) -> bool:
        """True if a person can be at the end of the channel."""
        return not self.is_local and not self.is_pseudo

    def occurrence(self, event: str) -> int:
        """Count one more `event` of this channel; the first one is 1."""
        self.occurrences[event] = number = self.occurrences.get(event, 0) + 1
        return number


class PbxLeg:
    """One manager's part in a conversation. `connected_since` is set while the manager is connected with a party."""

    __slots__ = (
        "answered_at",
        "channels",
        "connected_since",
        "conversation",
        "direction",
        "first",
        "is_consultation",
        "is_internal",
        "manager",
        "queue",
        "resumes_at",
        "started_at",
        "talk_ms",
        "uncertain",
    )

    def __init__(
        self, conversation: Conversation, manager: str, direction: Direction, first: Channel, started_at: int
    ) -> None:
        self.conversation = conversation
        self.manager = manager
        self.direction = direction
        self.first = first
        self.channels: dict[str, Channel] = {first.uid: first}
        self.started_at = started_at
        self.answered_at: int | None = None
        self.connected_since: int | None = None
        self.resumes_at: int | None = None  # beginning of its talk, if it was answered before the start of the listener
        self.talk_ms = 0
        self.queue: str | None = None
        self.is_consultation = False  # within the call of a customer who waits
        self.is_internal = False  # between colleagues: no outside party takes part, and it has no lead
        self.uncertain = first.unheard  # some of its events may have been missed

    @property
    def lead(self) -> str | None:
        """The lead of the conversation, if the outside party takes part in the leg."""
        return None if self.is_internal else self.conversation.lead

    @property
    def ends_internal(self) -> bool:
        """True if the leg is internal at its end.

        A consultation without an answer is not: the same telephone may ring again in this call, for the customer.
        """
        return self.is_internal and not (self.is_consultation and self.answered_at is None)

    @property
    def is_standing(self) -> bool:
        """True if it is the leg of an agent who stays connected and waits for calls."""
        return all(channel.standing for channel in self.channels.values())


class Handover:
    """A transfer without a known receiver yet: the first manager that answers, or else the first one that rang."""

    __slots__ = ("at", "candidates", "channel", "how", "lead", "manager")

    def __init__(self, leg: PbxLeg, at: int, how: Literal["blind", "attended"]) -> None:
        self.manager = leg.manager
        self.channel = leg.first
        self.lead = leg.conversation.lead
        self.at = at
        self.how = how
        self.candidates: list[str] = []


class Conversation:
    """All channels and legs of one call id. `first` holds the channels that an originate rang first: the callers."""

    __slots__ = (
        "channels",
        "first",
        "handover",
        "id",
        "joined",
        "lead",
        "legs",
        "linkedids",
        "originated",
        "queue",
        "voicemail",
    )

    def __init__(self, linkedid: str) -> None:
        self.id = linkedid
        self.linkedids = [linkedid]
        self.channels: dict[str, Channel] = {}
        self.legs: dict[str, PbxLeg] = {}
        self.originated = False
        self.first: dict[str, None] = {}
        self.lead: str | None = None
        self.queue: str | None = None
        self.voicemail = False
        self.handover: Handover | None = None
        self.joined: list[str] = []

    @property
    def age(self) -> tuple[int, int]:
        """The order of conversations by start: a Linkedid ends in `second.serial`."""
        found = _AGE.search(self.id)
        return (int(found[1]), int(found[2])) if found else (1 << 62, 0)


def is_pseudo(technology: str) -> bool:
    """Return whether Asterisk makes channels of a technology for itself, without a party at their end."""
    return technology.casefold() in _PSEUDO_TECHNOLOGIES


def known_number(text: str) -> str:
    """Return a caller id number, or "" for texts such as `<unknown>`."""
    return "" if text.casefold() in _BLANK else text

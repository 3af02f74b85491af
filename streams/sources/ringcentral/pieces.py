"""Pieces of a call of RingCentral: the state of a party, or a leg of the call log."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Final, Literal, TypeAlias

from msgspec import Struct, field
from msgspec.structs import replace

from streams.contract.events import LONGEST_MS, Disposition
from streams.settings.settings import Settings
from streams.sources.frame import UnreadableError
from streams.sources.gathering import checked_id, decoded
from streams.sources.numbers import Numbers
from streams.sources.people import Heard, People
from streams.sources.ringcentral.settings import NAME, RingCentralSettings
from streams.sources.times import TimeError, Times, Written
from streams.units import DAY_MS, MINUTE_MS, SECOND_MS

Code: TypeAlias = Literal["ringing", "answered", "held", "voicemail", "gone", "disconnected"]
_CODES: Final[Mapping[str, Code]] = MappingProxyType(
    {
        "setup": "ringing",
        "proceeding": "ringing",
        "tds": "ringing",
        "answered": "answered",
        "hold": "held",
        "parked": "held",
        "voicemail": "voicemail",
        "voicemailscreening": "voicemail",
        "vmscreening": "voicemail",
        "gone": "gone",
        "disconnected": "disconnected",
    }
)
_FAX: Final = "faxreceive"
ATTENDED: Final = "attendedtransfer"
TRANSFERS: Final = frozenset((ATTENDED, "blindtransfer", "rcctransfer", "dtmftransfer"))
"""Reasons of a party that gave its call to another one."""
REASONS: Final[Mapping[str, Disposition]] = MappingProxyType(
    {
        "targetbusy": "busy",
        "cancelled": "canceled",
        "noanswer": "no_answer",
        "timeout": "no_answer",
        "rejected": "no_answer",
        "internalerror": "failed",
        "invalidnumber": "failed",
        "internationaldisabled": "failed",
        "destinationblocked": "failed",
        "notenoughfunds": "failed",
        "nosuchuser": "failed",
    }
)
"""The disposition of an unanswered leg, by its reason."""
TAKEN: Final = frozenset(("agentanswered", "pickup"))
"""Reasons of a leg whose call another party answered."""
_RESULTS: Final[Mapping[str, Disposition]] = MappingProxyType(
    {
        "accepted": "answered",
        "call connected": "answered",
        "connected": "answered",
        "busy": "busy",
        "hang up": "canceled",
        "abandoned": "canceled",
        "stopped": "canceled",
        "no answer": "no_answer",
        "missed": "no_answer",
        "voicemail": "no_answer",
        "answered not accepted": "no_answer",
        "declined": "no_answer",
        "rejected": "no_answer",
        "reply": "no_answer",
    }
)
"""The dispositions by the result in the call log; all others are failures."""
_GOES_ON: Final = "in progress"
_AHEAD_MS: Final = 5 * MINUTE_MS
_ISO: Final = Times("iso")

_Id: TypeAlias = str | int | None


class _Side(Struct, rename="camel"):
    phone_number: object = None
    extension_id: _Id = None


class _Peer(Struct, rename="camel"):
    telephony_session_id: str = ""


class _Status(Struct, rename="camel"):
    code: str
    reason: str | None = None
    peer_id: _Peer | None = None


class _Shown(Struct):
    type: str = ""
    value: str | None = None


class _CallInfo(Struct):
    primary: _Shown | None = None


class _Party(Struct, kw_only=True, rename="camel"):
    id: str
    status: _Status
    direction: Literal["Inbound", "Outbound"]
    extension_id: _Id = None
    from_: _Side | None = field(name="from", default=None)
    to: _Side | None = None
    missed_call: bool = False
    queue_call: bool = False
    ui_call_info: _CallInfo | None = None


class _Body(Struct, kw_only=True, rename="camel"):
    telephony_session_id: str
    sequence: int = 0
    parties: list[_Party] = []


class _Notification(Struct, kw_only=True):
    timestamp: Written
    body: _Body


class _Extension(Struct):
    id: _Id = None


class _Leg(Struct, kw_only=True, rename="camel"):
    start_time: Written
    direction: Literal["Inbound", "Outbound"]
    duration: int = 0
    duration_ms: int | None = None
    result: str = ""
    extension: _Extension | None = None


class _Record(_Leg, kw_only=True, rename="camel"):
    telephony_session_id: str
    type: str = "Voice"
    from_: _Side | None = field(name="from", default=None)
    to: _Side | None = None
    legs: list[_Leg] = []


class State(Struct, frozen=True, kw_only=True, omit_defaults=True, tag="state"):
    """A party came to a state at the moment `at`. "" stands for a missing value.

    `manager` has the party; "" is a queue. `colleague`: the other side is of the department, too. `missed`: it was not
    answered. `is_elsewhere`: the party went on in another session.
    """

    party: str
    sequence: int
    at: int
    code: Code
    outbound: bool
    manager: str = ""
    reason: str = ""
    lead: str | None = None
    colleague: bool = False
    queued: bool = False
    queue: str = ""
    missed: bool = False
    is_elsewhere: bool = False


class Logged(Struct, frozen=True, kw_only=True, omit_defaults=True, tag="logged"):
    """An extension's part in a call, by the call log. `manager` is "" for the part of a queue."""

    manager: str
    outbound: bool
    started: int
    ended: int
    disposition: Disposition
    queue: str = ""
    lead: str | None = None


Piece: TypeAlias = State | Logged


class Reader:
    """Reads notifications and records by the settings."""

    def __init__(self, settings: Settings) -> None:
        own = settings.source(RingCentralSettings)
        self._secret = settings.privacy.lead_secret.reveal().encode()
        self.people = People.of(settings, self._secret)
        self._numbers = Numbers(own.numbers, settings.privacy.region)
        self._queues = own.queues

    def pushed(self, body: bytes, now_ms: int) -> Iterator[tuple[str, State]]:
        """Yield the states of a notification, each with the id of its session. Raises UnreadableError."""
        try:
            body.decode()
        except UnicodeDecodeError:
            raise UnreadableError("not_utf8", "is not UTF-8") from None
        said = decoded(body, _Notification)
        session = checked_id(said.body.telephony_session_id, "telephonySessionId")
        at = self._at(said.timestamp, "timestamp", now_ms)
        for party in said.body.parties:
            state = self._state(session, party, said.body.sequence, at)
            if state is not None:
                yield session, state

    def logged(self, row: bytes, now_ms: int) -> tuple[str, Sequence[Logged]] | None:
        """Return the pieces of a record of the call log; None for a fax, an open call, or one between colleagues.

        Raises UnreadableError.
        """
        record = decoded(row, _Record)
        session = checked_id(record.telephony_session_id, "telephonySessionId")
        outbound = record.direction == "Outbound"
        other = record.to if outbound else record.from_
        if record.type != "Voice" or record.result.casefold() == _GOES_ON or _id(other):
            return None
        parts: dict[str, list[_Leg]] = {}
        for leg in record.legs or [record]:
            extension = leg.extension or record.extension
            if extension is not None and extension.id is not None:
                parts.setdefault(str(extension.id), []).append(leg)
        if not parts and outbound:
            return None
        if not parts:
            parts[""] = [record]
        number = _number(other)
        found = [self._logged(one, legs, record.direction, now_ms) for one, legs in parts.items()]
        lead = self._numbers.lead(number, self._secret)
        return session, [replace(one, lead=lead) for one in found]

    def _logged(self, extension: str, legs: list[_Leg], direction: str, now_ms: int) -> Logged:
        # A call to a user has a leg of the user and legs of the telephones, which have the user's extension, too.
        own = [leg for leg in legs if leg.direction == direction] or legs
        spans = [self._span(leg, now_ms) for leg in own]
        results = [_RESULTS.get(leg.result.casefold(), "failed") for leg in own]
        is_queue = not extension or extension in self._queues
        return Logged(
            manager="" if is_queue else self._manager(extension),
            outbound=direction == "Outbound",
            started=min(started for started, _ in spans),
            ended=max(ended for _, ended in spans),
            disposition="answered" if "answered" in results else results[0],
            queue=self._queues.get(extension, ""),
        )

    def _span(self, leg: _Leg, now_ms: int) -> tuple[int, int]:
        started = self._at(leg.start_time, "startTime", now_ms)
        lasted = leg.duration * SECOND_MS if leg.duration_ms is None else leg.duration_ms
        if not 0 <= lasted <= LONGEST_MS:
            raise UnreadableError("invalid_field", "`duration` is no span of at most 7 days")
        return started, started + lasted

    def _state(self, session: str, party: _Party, sequence: int, at: int) -> State | None:
        """Return the state of a party; None for one that is of no extension, or a fax."""
        code = party.status.code.casefold()
        if code == _FAX:
            return None
        if code not in _CODES:
            raise UnreadableError("unknown_type", "`status.code` is none that is known")
        outbound = party.direction == "Outbound"
        own, other = (party.from_, party.to) if outbound else (party.to, party.from_)
        extension = _text(party.extension_id) or _id(own)
        if not extension:
            return None
        called = "" if outbound else _id(party.to)
        is_queue = extension in self._queues
        is_colleague = bool(_id(other)) and _id(other) != extension
        reason, peer = (party.status.reason or "").casefold(), party.status.peer_id
        return State(
            party=checked_id(party.id, "parties.id"),
            sequence=sequence,
            at=at,
            code=_CODES[code],
            outbound=outbound,
            manager="" if is_queue else self._manager(extension),
            reason=reason if reason in REASONS or reason in TRANSFERS or reason in TAKEN else "",
            lead=None if is_colleague else self._numbers.lead(_number(other), self._secret),
            colleague=is_colleague,
            queued=is_queue or party.queue_call or called not in {"", extension},
            queue=self._queue(extension if is_queue else called, party),
            missed=party.missed_call,
            is_elsewhere=peer is not None and peer.telephony_session_id not in {"", session},
        )

    def _queue(self, extension: str, party: _Party) -> str:
        if extension in self._queues:
            return self._queues[extension]
        shown = None if party.ui_call_info is None else party.ui_call_info.primary
        is_named = party.queue_call and shown is not None and shown.type == "QueueName" and shown.value
        return self.people.public(shown.value) if is_named and shown is not None and shown.value else ""

    def _manager(self, extension: str) -> str:
        return self.people.resolve(NAME, Heard(user=extension)).manager

    def _at(self, text: Written, name: str, now_ms: int) -> int:
        try:
            at = _ISO.moment(text)
        except TimeError as error:
            raise UnreadableError("invalid_time", f"`{name}` {error}") from None
        if at > now_ms + DAY_MS:
            raise UnreadableError("invalid_time", f"`{name}` is days ahead")
        if at > now_ms + _AHEAD_MS:
            raise UnreadableError("future", f"`{name}` is later than the receipt")
        return at


def _text(value: _Id) -> str:
    return "" if value is None else str(value).strip()


def _id(side: _Side | None) -> str:
    return "" if side is None else _text(side.extension_id)


def _number(side: _Side | None) -> str:
    number = None if side is None else side.phone_number
    return str(number) if isinstance(number, str | int) else ""

"""Statements about one call of Twilio, by a callback or an entry of the list of calls, without any number.

Twilio's word *call* is a leg of callpulse or less: a call of a customer and the call to the salesperson's telephone are
two, a parent and its child. `root` is the parent's id, for a parent its own.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Final, Literal, TypeAlias, get_args

import msgspec
from msgspec import Meta, Struct

from streams.contract.events import LATEST_MS, Disposition
from streams.sources.frame import Statement, UnreadableError
from streams.sources.numbers import Numbers
from streams.sources.people import Heard, People
from streams.sources.times import TimeError, Times, span
from streams.sources.twilio.settings import NAME, TwilioSettings

Status: TypeAlias = Literal[
    "queued", "initiated", "ringing", "in-progress", "completed", "busy", "failed", "no-answer", "canceled"
]
STATUSES: Final[frozenset[str]] = frozenset(get_args(Status))
ENDS: Final[Mapping[str, Disposition]] = {
    "completed": "answered",
    "busy": "busy",
    "failed": "failed",
    "no-answer": "no_answer",
    "canceled": "canceled",
}
"""The disposition of each status that ends a call."""
_CLIENT: Final = "client:"
_SIP: Final = ("sip:", "sips:")
_LONGEST_ID: Final = 100
_SPELLED_ZONE: Final = re.compile(r"\s*(?:etc/utc|utc|gmt)$", re.IGNORECASE)
_WEEKDAY: Final = re.compile(r"^[A-Za-z]{3},\s*")
_RFC_2822: Final = Times("%d %b %Y %H:%M:%S %z")
_ISO: Final = Times("iso")

Id: TypeAlias = Annotated[str, Meta(max_length=_LONGEST_ID)]


class Party(Struct, frozen=True, omit_defaults=True):
    """One end of a call. `manager` is set for a salesperson, `lead` for a number that is not of the department.

    `phone` is the id under which a number counts as a salesperson's telephone, if it turns out to be one.
    """

    manager: str = ""
    lead: str = ""
    phone: str = ""
    own: bool = False


class Said(Struct, frozen=True, omit_defaults=True, kw_only=True):
    """One statement. Moments are in milliseconds since epoch; `talk_ms` counts from the answer."""

    sid: str
    root: str
    status: Status
    at: int
    direction: str = ""
    caller: Party = Party()
    callee: Party = Party()
    talk_ms: int | None = None
    machine: bool = False
    created: int | None = None
    listed: bool = False
    """True if it comes from the list of calls, which has all children of a parent."""

    @property
    def is_root(self) -> bool:
        """True if the call is a parent, or has neither parent nor child."""
        return self.sid == self.root

    def statement(self) -> Statement:
        """Return its stored form."""
        return Statement(call=self.root, body=msgspec.json.encode(self))


class Listed(Struct, kw_only=True):
    """A call in the list of calls. Moments are in RFC 2822; `duration` is in whole seconds, from the answer on."""

    sid: str = ""
    parent_call_sid: str | None = None
    caller: str | None = msgspec.field(name="from", default=None)
    to: str | None = None
    status: str = ""
    direction: str | None = None
    start_time: str | None = None
    end_time: str | None = None
    date_created: str | None = None
    duration: str | None = None
    answered_by: str | None = None


class Reader:
    """Reads callbacks and the list of calls, by the settings."""

    def __init__(self, settings: TwilioSettings, people: People, secret: bytes, region: str | None = None) -> None:
        self._settings = settings
        self._people = people
        self._secret = secret
        self._numbers = Numbers(settings.numbers, region)
        self._own = {self._numbers.read(number) for number in settings.own_numbers} - {None}

    def callback(self, fields: Mapping[str, str], latest_ms: int) -> Said:
        """Return the statement in the fields of a callback.

        A moment after `latest_ms` is refused. Raises UnreadableError.
        """
        for name in ("CallSid", "CallStatus", "Timestamp"):
            if not fields.get(name):
                raise UnreadableError("missing_field", f"{name} is missing")
        sid, parent, status = fields["CallSid"], fields.get("ParentCallSid") or "", fields["CallStatus"]
        if not (_is_id(sid) and _is_id(parent)):
            raise UnreadableError("invalid_field", "an id is too long, or has characters that none has")
        if status not in STATUSES:
            raise UnreadableError("unknown_type", "CallStatus is none that is known")
        account = self._settings.account_sid
        if account and fields.get("AccountSid", account) != account:
            raise UnreadableError("invalid_field", "AccountSid is another account's")
        return Said(
            sid=sid,
            root=parent or sid,
            status=status,  # type: ignore[arg-type]  # it is in STATUSES
            at=_moment_before(latest_ms, fields["Timestamp"]),
            direction=_direction(fields.get("Direction", "")),
            caller=self.party(fields.get("From", "")),
            callee=self.party(fields.get("To", "")),
            talk_ms=_talk(fields.get("CallDuration", "")),
            machine=_is_machine(fields.get("AnsweredBy", "")),
        )

    def listed(self, call: Listed) -> Said:
        """Return the statement of an entry of the list: of a call in progress its parties, else all.

        Raises UnreadableError.
        """
        created = call.date_created or call.start_time or call.end_time
        is_over = call.status in ENDS
        at = (call.end_time or created) if is_over else created
        fields = {
            "CallSid": call.sid,
            "ParentCallSid": call.parent_call_sid,
            "CallStatus": call.status if is_over else "initiated",
            "Timestamp": at,
            "Direction": call.direction,
            "From": call.caller,
            "To": call.to,
            "CallDuration": call.duration if call.status == "completed" else None,
            "AnsweredBy": call.answered_by,
        }
        said = self.callback({name: value for name, value in fields.items() if value}, LATEST_MS)
        if not is_over:
            return said
        try:
            return msgspec.structs.replace(said, created=moment(created or ""), listed=True)
        except TimeError:
            return said

    def party(self, text: str) -> Party:
        """Return the party behind an address: `client:NAME`, `sip:NAME@HOST`, a number, or none."""
        address = text.strip()
        folded = address.casefold()
        if folded.startswith(_CLIENT):
            name = address[len(_CLIENT) :]
            prefixed = self._people.identified(NAME, Heard(user=address))  # the roster may have it with the prefix
            return Party(manager=(prefixed or self._people.resolve(NAME, Heard(user=name, login=name))).manager)
        if not address:
            return Party()
        is_sip = folded.startswith(_SIP)
        name = address.partition(":")[2].partition("@")[0] if is_sip else ""
        heard = Heard(user=address, endpoint=address, extension=name) if is_sip else Heard(number=address)
        if (person := self._people.find(NAME, heard)) is not None:
            return Party(manager=person.manager)
        number = self._numbers.read(address)
        if number is None:
            return Party(manager=self._people.resolve(NAME, heard).manager) if is_sip else Party()
        if number in self._own:
            return Party(own=True)
        phone = self._people.resolve(NAME, Heard(number=number)).manager
        return Party(lead=self._numbers.lead(address, self._secret) or "", phone=phone)


def moment(text: str) -> int:
    """Return a moment as Twilio (RFC 2822) or a dialect (ISO 8601) writes it. Raises TimeError."""
    plain = _SPELLED_ZONE.sub(" +0000", text[:64].strip())
    if plain[:1].isalpha() or plain[:2].strip().isdigit():
        try:
            return _RFC_2822.moment(_WEEKDAY.sub("", plain))
        except TimeError:
            if plain[:1].isalpha():
                raise
    return _ISO.moment(plain)


def _moment_before(latest_ms: int, text: str) -> int:
    try:
        at_ms = moment(text)
    except TimeError as error:
        raise UnreadableError("invalid_time", f"Timestamp {error}") from None
    if at_ms > latest_ms:
        raise UnreadableError("future", "Timestamp is later than the receipt")
    return at_ms


def _talk(text: str) -> int | None:
    try:
        return span(text, "seconds") if text else None
    except TimeError as error:
        raise UnreadableError("invalid_field", f"CallDuration {error}") from None


def _is_id(text: str) -> bool:
    return len(text) <= _LONGEST_ID and text.isprintable() and text.isascii()


def _is_machine(answered_by: str) -> bool:
    """Return whether an answering machine or a fax answered; `unknown` and `human` are people."""
    return answered_by.startswith(("machine", "fax"))


def _direction(text: str) -> str:
    return text if text in ("inbound", "outbound-api", "outbound-dial") else ""

"""Pieces of a call of Aircall: an event of a webhook, or an entry of the list of calls."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, Literal, TypeAlias

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType

from streams.settings.settings import Settings
from streams.sources.aircall.settings import NAME, AircallSettings
from streams.sources.frame import UnreadableError
from streams.sources.gathering import checked_id, decoded
from streams.sources.numbers import Numbers
from streams.sources.people import Heard, People
from streams.sources.times import TimeError, Times, Written
from streams.units import DAY_MS, MINUTE_MS

Kind: TypeAlias = Literal[
    "created", "ringing", "declined", "answered", "transferred", "external", "returned", "hungup", "ended", "listed"
]
_VOICEMAIL: Final = "call.voicemail_left"
_KINDS: Final[Mapping[str, Kind]] = MappingProxyType(
    {
        "call.created": "created",
        "call.ringing_on_agent": "ringing",
        "call.agent_declined": "declined",
        "call.answered": "answered",
        "call.transferred": "transferred",
        "call.external_transferred": "external",
        "call.unsuccessful_transfer": "returned",
        "call.hungup": "hungup",
        "call.ended": "ended",
        _VOICEMAIL: "ended",
    }
)
FINAL: Final = frozenset(("hungup", "ended", "listed"))
"""The kinds of a call that is over."""
_OVER: Final = "done"
_OTHER: Final = ("call", "user", "number", "contact", "message", "conversation_intelligence", "integration")
"""Resources whose other events concern no figure."""
_AHEAD_MS: Final = 5 * MINUTE_MS
_SECONDS: Final = Times("unix")

_Id: TypeAlias = int | str | None


class _User(Struct):
    """A user, or a team that a call was transferred to."""

    id: _Id = None
    email: str | None = None
    direct_link: str | None = None


class _Number(Struct):
    id: _Id = None


class _Call(Struct, kw_only=True):
    id: int | str
    direction: Literal["inbound", "outbound"]
    status: str = ""
    started_at: Written
    answered_at: Written | None = None
    ended_at: Written | UnsetType | None = UNSET
    raw_digits: object = None
    user: _User | None = None
    number: _Number | None = None
    transferred_by: _User | None = None
    transferred_to: _User | None = None


class _Envelope(Struct, kw_only=True):
    event: str
    resource: str = ""
    timestamp: Written
    data: Raw = Raw(b"null")


class Said(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The state of a call at the moment `at`. Moments are in milliseconds, 0 for an unknown one.

    `user` has the call, or its telephone rings; `by` transferred it to `to`, as far as they are users, else "".
    """

    kind: Kind
    at: int
    outbound: bool
    started: int
    answered: int = 0
    ended: int = 0
    user: str = ""
    by: str = ""
    to: str = ""
    number: str = ""
    lead: str | None = None

    @property
    def moved(self) -> bool:
        """True if the call was transferred, or came back."""
        return self.kind in {"transferred", "external", "returned"}


class Reader:
    """Reads calls by the settings."""

    def __init__(self, settings: Settings) -> None:
        own = settings.source(AircallSettings)
        self._secret = settings.privacy.lead_secret.reveal().encode()
        self.people = People.of(settings, self._secret)
        self._numbers = Numbers(own.numbers, settings.privacy.region)

    def pushed(self, body: bytes, now_ms: int) -> tuple[str, Said] | None:
        """Return the id of the call and the piece of an event; None for one that concerns no figure.

        Raises UnreadableError.
        """
        try:
            body.decode()
        except UnicodeDecodeError:
            raise UnreadableError("not_utf8", "is not UTF-8") from None
        envelope = decoded(body, _Envelope)
        kind = _KINDS.get(envelope.event)
        if kind is None:
            if envelope.resource in _OTHER and envelope.event.startswith(f"{envelope.resource}."):
                return None
            raise UnreadableError("unknown_type", "`event` is none that is known")
        call = decoded(bytes(envelope.data), _Call)
        if envelope.event == _VOICEMAIL and not call.ended_at:
            return None
        return self._said(call, kind, self._at(envelope.timestamp, "timestamp", now_ms), now_ms)

    def listed(self, row: bytes, now_ms: int) -> tuple[str, Said] | None:
        """Return the id of a call and its piece in the list; None while it goes on. Raises UnreadableError."""
        call = decoded(row, _Call)
        return self._said(call, "listed", 0, now_ms) if call.status == _OVER else None

    def _said(self, call: _Call, kind: Kind, at: int, now_ms: int) -> tuple[str, Said]:
        if kind in FINAL and call.ended_at is UNSET:
            raise UnreadableError("missing_field", "`ended_at` is missing")
        if kind in FINAL and call.ended_at is None:
            raise UnreadableError("invalid_time", "`ended_at` of a call that is over is null")
        started, answered, ended = (
            0 if moment is None or moment is UNSET else self._at(moment, name, now_ms)
            for name, moment in (
                ("started_at", call.started_at),
                ("answered_at", call.answered_at),
                ("ended_at", call.ended_at),
            )
        )
        if (answered and answered < started) or (ended and ended < max(started, answered)):
            raise UnreadableError("invalid_time", "its moments cannot be in this order")
        number = "" if call.number is None or call.number.id is None else str(call.number.id)
        digits = call.raw_digits
        return checked_id(str(call.id), "id"), Said(
            kind=kind,
            at=at or ended,
            outbound=call.direction == "outbound",
            started=started,
            answered=answered,
            ended=ended if kind in FINAL else 0,
            user=self._user(call.user),
            by=self._user(call.transferred_by),
            to=self._user(call.transferred_to),
            number=self.people.public(number) if number else "",
            lead=self._numbers.lead(str(digits), self._secret) if isinstance(digits, str | int) else None,
        )

    def _at(self, seconds: Written, field: str, now_ms: int) -> int:
        try:
            at = _SECONDS.moment(seconds)
        except TimeError as error:
            raise UnreadableError("invalid_time", f"`{field}` {error}") from None
        if at > now_ms + DAY_MS:
            raise UnreadableError("invalid_time", f"`{field}` is days ahead")
        if at > now_ms + _AHEAD_MS:
            raise UnreadableError("future", f"`{field}` is later than the receipt")
        return at

    def _user(self, user: _User | None) -> str:
        if user is None or user.id in {None, ""}:
            return ""
        link = user.direct_link or ""
        if not user.email and "/teams/" in link:
            return ""
        return self.people.resolve(NAME, Heard(user=str(user.id), email=user.email or "")).manager


def token_of(body: bytes) -> str:
    """Return the token of a request, "" for none."""
    try:
        return msgspec.json.decode(body, type=_Token).token
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return ""


class _Token(Struct):
    token: str = ""

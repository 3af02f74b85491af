"""The hook of MegaFon's virtual PBX: commands as pieces of a call."""

from __future__ import annotations

import hmac
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Final, Literal, TypeAlias

from msgspec import Struct

from streams.contract.events import Disposition
from streams.settings.settings import Settings
from streams.sources.forms import MOST_FIELDS, FormError, fields, text
from streams.sources.frame import Answers, Request, UnreadableError
from streams.sources.gathering import GatheringHook, checked_id
from streams.sources.local_moments import LocalTimes, Readings, settled
from streams.sources.megafon.settings import NAME, MegafonSettings
from streams.sources.numbers import Numbers
from streams.sources.people import Heard, People
from streams.sources.times import TimeError, span
from streams.units import DAY_MS, MINUTE_MS

State: TypeAlias = Literal["ringing", "accepted", "completed", "cancelled"]
_STATES: Final[Mapping[str, State]] = MappingProxyType(
    {
        "INCOMING": "ringing",
        "OUTGOING": "ringing",
        "ACCEPTED": "accepted",
        "COMPLETED": "completed",
        "CANCELLED": "cancelled",
    }
)
_TRANSFERRED: Final = "TRANSFERRED"
STATUSES: Final[Mapping[str, Disposition]] = MappingProxyType(
    {
        "success": "answered",
        "missed": "no_answer",
        "notavailable": "no_answer",
        "cancel": "canceled",
        "busy": "busy",
        "notallowed": "failed",
        "notfound": "failed",
    }
)
_AHEAD_MS: Final = 5 * MINUTE_MS


class Event(Struct, frozen=True, kw_only=True, tag="event"):
    """A part of a call came to a state. `manager` is "" without one."""

    state: State
    manager: str
    lead: str | None
    outbound: bool
    group: str


class History(Struct, frozen=True, kw_only=True, tag="history"):
    """The record of a part of a call."""

    manager: str
    lead: str | None
    outbound: bool
    group: str
    disposition: Disposition
    start: Readings
    wait_ms: int
    talk_ms: int


class PartOf(Struct, frozen=True, kw_only=True, tag="part"):
    """A call is the second part of the call `first`, which was transferred."""

    first: str


Piece: TypeAlias = Event | History | PartOf


class MegafonHook(GatheringHook[Piece]):
    """Reads the commands of the PBX. `contact` requests a name: the answer has none."""

    answers = Answers(done=200, refused=200, unauthenticated=401, unavailable=503)
    most_fields = MOST_FIELDS
    cannot_know = (
        "moments of states: they are dated by their receipt until the record of the call comes",
        "who refused a call in a group, the kind of a transfer, consultations, answering machines",
    )

    def __init__(self, settings: Settings) -> None:
        own = settings.source(MegafonSettings)
        self._own = own
        self._token = own.crm_token.reveal().encode()
        self._secret = settings.privacy.lead_secret.reveal().encode()
        self._people = People.of(settings, self._secret)
        self._numbers = Numbers(own.numbers, settings.privacy.region)
        form = "%Y%m%dT%H%M%S%z" if own.timezone is None else "%Y%m%dT%H%M%S"
        self._times = LocalTimes(form, own.timezone)

    def is_authentic(self, request: Request) -> bool:
        """Return whether the key of the CRM is in the body."""
        try:
            given = fields(request.body).get("crm_token", b"")
        except FormError:
            return False
        return bool(self._token) and hmac.compare_digest(given, self._token)

    def shown(self, request: Request) -> bytes:
        """Return the body without the key."""
        return b"&".join(part for part in request.body.split(b"&") if not part.startswith(b"crm_token"))

    def pieces(self, request: Request) -> Sequence[tuple[str, Piece]]:
        """Return the piece of a command. Raises UnreadableError."""
        try:
            form = {name: text(value) for name, value in fields(request.body).items()}
        except FormError as error:
            raise UnreadableError("not_utf8", f"the form {error}") from None
        command = form.get("cmd", "")
        if command == "contact":
            return []
        if command not in {"event", "history"}:
            reason, detail = (
                ("unknown_type", "`cmd` is none that is known") if command else ("missing_field", "no `cmd`")
            )
            raise UnreadableError("unknown_type" if reason == "unknown_type" else "missing_field", detail)
        call = checked_id(form.get("callid", ""), "callid")
        if command == "history":
            return [(call, self.history(form, request.received_at_ms))]
        type_ = form.get("type", "").upper()
        if type_ == _TRANSFERRED:
            return [(checked_id(form.get("second_callid", ""), "second_callid"), PartOf(first=call))]
        if type_ not in _STATES:
            raise UnreadableError("unknown_type", "`type` is none that is known")
        return [(call, self._event(form, type_))]

    def _event(self, form: Mapping[str, str], type_: str) -> Event:
        outbound = type_ == "OUTGOING" or form.get("direction") == "out"
        return Event(
            state=_STATES[type_],
            manager=self._manager(form),
            lead=self._numbers.lead(form.get("phone", ""), self._secret),
            outbound=outbound,
            group=self._group(form),
        )

    def history(self, form: Mapping[str, str], now_ms: int) -> History:
        """Return a record of a part of a call. Raises UnreadableError."""
        if form.get("type") not in {"in", "out"}:
            raise UnreadableError("invalid_field", "`type` is neither in nor out")
        disposition = STATUSES.get(form.get("status", "").strip().casefold())
        if disposition is None:
            raise UnreadableError("invalid_field", "`status` is none that is known")
        wait_ms = _span(form, "wait")
        duration_ms = _span(form, "duration")
        if self._own.duration == "total":
            duration_ms = max(0, duration_ms - wait_ms)
        return History(
            manager=self._manager(form),
            lead=self._numbers.lead(form.get("phone", ""), self._secret),
            outbound=form["type"] == "out",
            group=self._group(form),
            disposition=disposition,
            start=self._start(form.get("start"), now_ms),
            wait_ms=wait_ms,
            talk_ms=duration_ms,
        )

    def _start(self, written: str | None, now_ms: int) -> Readings:
        if written is None:
            raise UnreadableError("missing_field", "`start` is missing")
        try:
            readings = self._times.readings(written if self._own.timezone is None else written.removesuffix("Z"))
        except TimeError as error:
            raise UnreadableError("invalid_time", f"`start` {error}") from None
        ahead_ms = settled(readings, now_ms) - now_ms
        if ahead_ms > DAY_MS:
            raise UnreadableError("invalid_time", "`start` is days ahead")
        if ahead_ms > _AHEAD_MS:
            raise UnreadableError("future", "`start` is ahead of its receipt; perhaps timezone has to be set")
        return readings

    def _manager(self, form: Mapping[str, str]) -> str:
        heard = Heard(user=form.get("user", ""), extension=form.get("ext", ""))
        return self._people.resolve(NAME, heard).manager if heard.user.strip() or heard.extension.strip() else ""

    def _group(self, form: Mapping[str, str]) -> str:
        name = form.get("groupRealName", "").strip()
        return self._people.public(name) if name else ""


def _span(form: Mapping[str, str], name: str) -> int:
    try:
        return span(form.get(name) or "0", "seconds")
    except TimeError as error:
        raise UnreadableError("invalid_field", f"`{name}` {error}") from None

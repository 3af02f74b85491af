"""The hook of Zadarma: notifications as pieces of a call."""

from __future__ import annotations

import base64
import hmac
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Final, Literal, TypeAlias

from msgspec import Struct

from streams.contract.events import Disposition
from streams.settings.settings import Settings
from streams.sources.forms import MOST_FIELDS, FormError, fields, text
from streams.sources.frame import Answers, Reply, Request, UnreadableError
from streams.sources.gathering import GatheringHook, checked_id
from streams.sources.local_moments import LocalTimes, Readings, settled
from streams.sources.numbers import Numbers
from streams.sources.people import Heard, People
from streams.sources.times import TimeError, span
from streams.sources.zadarma.settings import NAME, ZadarmaSettings
from streams.units import DAY_MS, MINUTE_MS

_INBOUND: Final = ("caller_id", "called_did", "call_start")
_OUTBOUND: Final = ("internal", "destination", "call_start")
_SIGNED: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "NOTIFY_START": _INBOUND,
        "NOTIFY_INTERNAL": _INBOUND,
        "NOTIFY_IVR": _INBOUND,
        "NOTIFY_END": _INBOUND,
        "NOTIFY_ANSWER": ("caller_id", "destination", "call_start"),
        "NOTIFY_OUT_START": _OUTBOUND,
        "NOTIFY_OUT_END": _OUTBOUND,
        "NOTIFY_RECORD": ("pbx_call_id", "call_id_with_rec"),
    }
)
"""The fields that the signature of each event covers, in their order."""
_IGNORED: Final = ("NOTIFY_RECORD", "NOTIFY_IVR")
DISPOSITIONS: Final[Mapping[str, Disposition]] = MappingProxyType(
    {
        "answered": "answered",
        "busy": "busy",
        "cancel": "canceled",
        "no answer": "no_answer",
        "failed": "failed",
        "call failed": "failed",
        "no money": "failed",
        "no money, no limit": "failed",
        "no limit": "failed",
        "no day limit": "failed",
        "line limit": "failed",
        "unallocated number": "failed",
    }
)
What: TypeAlias = Literal["start", "internal", "answer", "end", "out_start", "out_end", "row", "out_row"]
FORM: Final = "%Y-%m-%d %H:%M:%S"
"""Of local times."""
_LONGEST_ECHO: Final = 256
_EARLIEST_MS: Final = DAY_MS
_AHEAD_MS: Final = 5 * MINUTE_MS


class Piece(Struct, frozen=True, kw_only=True):
    """A notification, or a row of the statistics. `manager` is "" for one that names none.

    `disposition` is that of an end, and of a row.
    """

    what: What
    begun: Readings
    manager: str
    lead: str | None
    duration_ms: int = 0
    disposition: Disposition | None = None


class ZadarmaHook(GatheringHook[Piece]):
    """Reads the notifications, and answers the test of the URL: `GET ?zd_echo=TEXT` requires the text as the answer."""

    answers = Answers(done=200, refused=200, unauthenticated=401, unavailable=503)
    most_fields = MOST_FIELDS
    methods = ("GET", "POST")
    cannot_know = (
        "moments other than the beginning of a call: answers and ends are dated by their receipt",
        "queues, the kind of a transfer, who refused a call, internal calls, answering machines",
        "whether the duration of an outbound call counts its ringing",
    )

    def __init__(self, settings: Settings) -> None:
        own = settings.source(ZadarmaSettings)
        self._key = own.secret.reveal().encode()
        self._secret = settings.privacy.lead_secret.reveal().encode()
        self._people = People.of(settings, self._secret)
        self._numbers = Numbers(own.numbers, settings.privacy.region)
        self._times = LocalTimes(FORM, own.timezone)

    def handshake(self, request: Request) -> Reply | None:
        """Return the text that a test of the URL requires. Every GET is such a test."""
        if request.method != "GET":
            return None
        try:
            echo = fields(request.query.encode()).get("zd_echo")
        except FormError:
            echo = None
        return Reply(status=405, headers={"Allow": "POST"}) if echo is None else Reply(body=echo[:_LONGEST_ECHO])

    def is_authentic(self, request: Request) -> bool:
        """Return whether the body is signed: Base64 of the hex digits of an HMAC-SHA1 of some of its fields."""
        try:
            form = fields(request.body)
        except FormError:
            return False
        names = _SIGNED.get(form.get("event", b"").decode("ascii", "replace"))
        if names is None or not self._key:
            return False
        signed = hmac.new(self._key, b"".join(form.get(name, b"") for name in names), "sha1").hexdigest()
        given = request.headers.get("signature", "").encode("utf-8", "replace")
        return hmac.compare_digest(base64.b64encode(signed.encode()), given)

    def pieces(self, request: Request) -> Sequence[tuple[str, Piece]]:
        """Return the notification. Raises UnreadableError."""
        try:
            form = {name: text(value) for name, value in fields(request.body).items()}
        except FormError as error:
            raise UnreadableError("not_utf8", f"the form {error}") from None
        event = form["event"]
        if event in _IGNORED:
            return []
        call = checked_id(form.get("pbx_call_id", ""), "pbx_call_id")
        is_outbound = "OUT" in event
        is_end = event.endswith("END")
        outside = form.get("destination" if is_outbound else "caller_id", "")
        return [
            (
                call,
                Piece(
                    what=_what(event),
                    begun=self._begun(form.get("call_start", ""), request.received_at_ms),
                    manager=self._manager(form.get("internal") or self._answering(event, call, form)),
                    lead=self._numbers.lead(outside, self._secret) if call[:4] != "out_" or is_outbound else None,
                    duration_ms=duration_of(form.get("duration", "")) if is_end else 0,
                    disposition=disposition_of(form.get("disposition", "")) if is_end else None,
                ),
            )
        ]

    def _begun(self, written: str, now_ms: int) -> Readings:
        if not written:
            raise UnreadableError("missing_field", "`call_start` is missing")
        try:
            readings = self._times.readings(written)
        except TimeError as error:
            raise UnreadableError("invalid_time", f"`call_start` {error}") from None
        if not now_ms - _EARLIEST_MS <= settled(readings, now_ms) <= now_ms + _AHEAD_MS:
            raise UnreadableError("invalid_time", "`call_start` is no time of today; perhaps timezone is another one")
        return readings

    def _manager(self, extension: str) -> str:
        return self._people.resolve(NAME, Heard(extension=extension)).manager if extension.strip() else ""

    @staticmethod
    def _answering(event: str, call: str, form: Mapping[str, str]) -> str:
        """Return the extension that answered an inbound call, where only `destination` has it."""
        return form.get("destination", "") if event == "NOTIFY_ANSWER" and not call.startswith("out_") else ""


def _what(event: str) -> What:
    found: dict[str, What] = {
        "NOTIFY_START": "start",
        "NOTIFY_INTERNAL": "internal",
        "NOTIFY_ANSWER": "answer",
        "NOTIFY_END": "end",
        "NOTIFY_OUT_START": "out_start",
        "NOTIFY_OUT_END": "out_end",
    }
    return found[event]


def duration_of(written: str) -> int:
    """Return a span of seconds in milliseconds. Raises UnreadableError."""
    try:
        return span(written, "seconds")
    except TimeError as error:
        raise UnreadableError("invalid_field", f"`duration` {error}") from None


def disposition_of(written: str) -> Disposition:
    """Return the contract's word for a word of Zadarma. Raises UnreadableError."""
    found = DISPOSITIONS.get(" ".join(written.casefold().split()))
    if found is None:
        raise UnreadableError("invalid_field", "`disposition` is none that is known")
    return found

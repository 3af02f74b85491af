"""The status callbacks of Twilio: each becomes a statement about a call. `join.py` makes events of them."""

from __future__ import annotations

from typing import Final

from streams.settings.settings import Settings
from streams.sources.frame import Answers, Hook, Request, Translation, UnreadableError
from streams.sources.people import People
from streams.sources.twilio.settings import TwilioSettings
from streams.sources.twilio.signature import FORM, MOST_FIELDS, Fields, fields_of, is_signed
from streams.sources.twilio.statements import Reader, Said

_HEADERS: Final = {"twilio": "x-twilio-signature", "signalwire": "x-signalwire-signature"}
_BEGINS: Final = ("initiated", "ringing")
_USED: Final = frozenset(
    ("CallSid", "ParentCallSid", "AccountSid", "CallStatus", "Direction", "From", "To", "Timestamp", "CallDuration")
)


class TwilioHook(Hook):
    """Reads `/hooks/twilio/TOKEN`.

    Twilio tries again after an error of the connection, or by the rule in its URL (`#rp=`).
    """

    answers = Answers(done=200, refused=200, unauthenticated=403, unavailable=503)
    most_fields = MOST_FIELDS

    def __init__(self, settings: Settings) -> None:
        own = settings.source(TwilioSettings)
        secret = settings.privacy.lead_secret.reveal().encode()
        self._own = own
        self._key = own.auth_token.reveal()
        self._header = _HEADERS.get(own.dialect)
        self._future_ms = settings.thresholds.future_ms
        self._reader = Reader(own, People.of(settings, secret), secret, settings.privacy.region)

    def is_authentic(self, request: Request) -> bool:
        """Return whether the request has its signature. Telnyx has another one: there the token in the URL decides."""
        if self._header is None:
            return True
        if request.headers.get("content-type", "").partition(";")[0].strip().casefold() != FORM:
            return False
        fields = fields_of(request.body)
        return fields is not None and is_signed(
            request.headers.get(self._header, ""), self._key, self._url(request), fields
        )

    def translate(self, request: Request) -> Translation:
        """Return the statement of a callback."""
        try:
            said = self._read(request)
        except UnreadableError as error:
            return Translation(refused=[error.refused(request.body)])
        # Only the list of calls in progress has the salesperson of an outbound call that begins here.
        is_nobodys = not said.is_root and not said.callee.manager and said.status in _BEGINS
        return Translation(statements=[said.statement()], ring=is_nobodys)

    def _read(self, request: Request) -> Said:
        fields = fields_of(request.body)
        if fields is None:
            raise UnreadableError("invalid_field", "not a form, or one with too many fields")
        if _is_ambiguous(fields):
            raise UnreadableError("invalid_field", "a field stands twice, with two values")
        return self._reader.callback(dict(fields), request.received_at_ms + self._future_ms)

    def _url(self, request: Request) -> str:
        """Return the URL as Twilio wrote it."""
        if self._own.public_url:
            has_query = "?" in self._own.public_url
            base = self._own.public_url
        else:
            has_query, base = False, request.url
        return base if has_query or not request.query else f"{base}?{request.query}"


def _is_ambiguous(fields: Fields) -> bool:
    used = [field for field in set(fields) if field[0] in _USED]
    return len(used) != len({name for name, _ in used})

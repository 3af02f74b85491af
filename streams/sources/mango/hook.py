"""The hook of Mango Office."""

from __future__ import annotations

import hmac
from collections.abc import Sequence
from hashlib import sha256
from typing import Final

from streams.settings.settings import Settings
from streams.sources.forms import MOST_FIELDS, FormError, fields
from streams.sources.frame import Answers, Request, UnreadableError
from streams.sources.gathering import GatheringHook
from streams.sources.mango.pieces import Piece, PieceReader
from streams.sources.mango.settings import MangoSettings

_PATH: Final = "/events/"
_IGNORED: Final = frozenset(("dtmf", "recognized", "record", "recording", "sms"))
"""The first parts of the paths of events that concern no figure, such as `/events/record/added`."""


class MangoHook(GatheringHook[Piece]):
    """Reads `/events/call` and `/events/summary` below the URL of the hook. Other known events are ignored."""

    answers = Answers(done=200, refused=200, unauthenticated=401, unavailable=503)
    most_fields = MOST_FIELDS
    has_subpaths = True
    cannot_know = (
        "whether a machine answered",
        "busy, refused, canceled and timed out apart with certainty: only classes of its codes are documented",
        "fractions of seconds",
    )

    def __init__(self, settings: Settings) -> None:
        own = settings.source(MangoSettings)
        self._key, self._salt = own.api_key.reveal().encode(), own.api_salt.reveal().encode()
        self._reader = PieceReader(settings)

    def is_authentic(self, request: Request) -> bool:
        """Return whether the body is signed: SHA-256 of the key, the JSON as it was sent, and the salt."""
        try:
            form = fields(request.body)
        except FormError:
            return False
        signed = sha256(self._key + form.get("json", b"") + self._salt).hexdigest().encode()
        is_own = hmac.compare_digest(form.get("vpbx_api_key", b""), self._key)
        return bool(self._key and self._salt) and is_own and hmac.compare_digest(form.get("sign", b""), signed)

    def shown(self, request: Request) -> bytes:
        """Return the JSON of the form."""
        return fields(request.body).get("json", b"")

    def pieces(self, request: Request) -> Sequence[tuple[str, Piece]]:
        """Return the pieces of a request, by the end of its path. Raises UnreadableError."""
        body = self.shown(request)
        _, found, more = f"{request.url}/".rpartition(_PATH)
        kind = more.strip("/") if found else ""
        if kind.partition("/")[0] in _IGNORED:
            return []
        if kind not in {"", "call", "summary"}:
            raise UnreadableError("unknown_type", "the URL ends with no event that is known")
        if kind == "summary" or (not kind and b'"create_time"' in body):
            summary = self._reader.summary(body, request.received_at_ms)
            return [] if summary is None else [(summary.entry, summary)]
        state = self._reader.state(body, request.received_at_ms)
        return [(state.entry, state)]

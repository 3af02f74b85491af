"""The hook of Aircall."""

from __future__ import annotations

import hmac
from collections.abc import Sequence

from streams.settings.settings import Settings
from streams.sources.aircall.pieces import Reader, Said, token_of
from streams.sources.aircall.settings import AircallSettings
from streams.sources.frame import Answers, Request
from streams.sources.gathering import GatheringHook


class AircallHook(GatheringHook[Said]):
    """Reads the webhooks of calls. Aircall switches a webhook off that is not answered with 200."""

    answers = Answers(done=200, refused=200, unauthenticated=401, unavailable=503)
    cannot_know = (
        "why an outbound call was not answered, and whether a machine answered",
        "the kind of a transfer, and when its receiver answered unless call.answered says it",
        "when the telephone of one user stopped ringing while others went on",
        "calls between colleagues, presence, fractions of seconds",
    )

    def __init__(self, settings: Settings) -> None:
        self._token = settings.source(AircallSettings).webhook_token.reveal().encode()
        self._reader = Reader(settings)

    def is_authentic(self, request: Request) -> bool:
        """Return whether the token of the webhook is in the body."""
        given = token_of(request.body).encode("utf-8", "replace")
        return bool(self._token) and hmac.compare_digest(given, self._token)

    def shown(self, request: Request) -> bytes:
        """Return the body without the token."""
        return request.body.replace(self._token, b"")

    def pieces(self, request: Request) -> Sequence[tuple[str, Said]]:
        """Return the piece in a request. Raises UnreadableError."""
        found = self._reader.pushed(request.body, request.received_at_ms)
        return [] if found is None else [found]

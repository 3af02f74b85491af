"""The hook of RingCentral."""

from __future__ import annotations

import hmac
from collections.abc import Sequence
from typing import Final

from streams.settings.settings import Settings
from streams.sources.frame import Answers, Reply, Request
from streams.sources.gathering import GatheringHook
from streams.sources.ringcentral.pieces import Piece, Reader
from streams.sources.ringcentral.settings import RingCentralSettings

_VALIDATION: Final = "validation-token"
_HEADERS: Final = ("verification-token", _VALIDATION)


class RingCentralHook(GatheringHook[Piece]):
    """Reads notifications of telephony sessions.

    RingCentral requires exactly 200, and otherwise ends the subscription.
    """

    answers = Answers(done=200, refused=200, unauthenticated=401, unavailable=503)
    cannot_know = (
        "exact moments: notifications are dated by when RingCentral sent them",
        "whether a machine answered",
        "the talk of a call of which only the call log tells: it may hold the ringing",
        "presence, deals",
    )

    def __init__(self, settings: Settings) -> None:
        self._token = settings.source(RingCentralSettings).verification_token.reveal().encode()
        self._reader = Reader(settings)

    def handshake(self, request: Request) -> Reply | None:
        """Return the token of a request that tests the URL: one without a body. Notifications may have it, too."""
        token = request.headers.get(_VALIDATION, "")
        if request.body or not token or not token.isprintable():
            return None
        return Reply(headers={"Validation-Token": token})

    def is_authentic(self, request: Request) -> bool:
        """Return whether a header has the token of the subscription."""
        given = [request.headers.get(name, "").encode("utf-8", "replace") for name in _HEADERS]
        return bool(self._token) and any(hmac.compare_digest(one, self._token) for one in given)

    def pieces(self, request: Request) -> Sequence[tuple[str, Piece]]:
        """Return the states of the parties in a notification. Raises UnreadableError."""
        return list(self._reader.pushed(request.body, request.received_at_ms))

"""The contact events of Amazon Connect: each becomes a statement. `join.py` makes events of them."""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from streams.contract.events import Reason
from streams.settings.settings import Settings
from streams.sources.amazon_connect.settings import ConnectSettings
from streams.sources.amazon_connect.statements import Reader
from streams.sources.frame import Answers, Hook, Request, Translation, UnreadableError
from streams.sources.people import People

_REASONS: Final[Mapping[type[Exception], Reason]] = {UnicodeDecodeError: "not_utf8", RecursionError: "too_deep"}


class ConnectHook(Hook):
    """Reads `/hooks/amazon_connect/TOKEN`. EventBridge tries again for a day after any answer but a 2xx."""

    answers = Answers(done=200, refused=200, unauthenticated=403, unavailable=503)

    def __init__(self, settings: Settings) -> None:
        own = settings.source(ConnectSettings)
        secret = settings.privacy.lead_secret.reveal().encode()
        self._key = own.api_key.reveal().encode()
        self._header = own.api_key_header.lower()
        self._future_ms = settings.thresholds.future_ms
        self._reader = Reader(own, People.of(settings, secret), secret, settings.privacy.region)

    def is_authentic(self, request: Request) -> bool:
        """Return whether the API key is the right one. Without one in the settings the token in the URL decides."""
        if request.headers.get("content-type", "").partition(";")[0].strip().casefold() != "application/json":
            return False
        given = request.headers.get(self._header, "").encode("utf-8", "surrogateescape")
        return not self._key or hmac.compare_digest(given, self._key)

    def translate(self, request: Request) -> Translation:
        """Return the statement of an event. Chats, tasks and changes of data are none."""
        try:
            said = self._reader.read(_decoded(request.body), request.received_at_ms + self._future_ms)
        except UnreadableError as error:
            return Translation(refused=[error.refused(request.body)])
        return Translation(ignored=1) if said is None else Translation(statements=[said.statement()])


def _decoded(body: bytes) -> dict[str, Any]:
    try:
        return msgspec.json.decode(body, type=dict[str, Any])
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise UnreadableError(_REASONS.get(type(error), "not_json"), "not one JSON object") from None

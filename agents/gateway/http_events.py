"""`POST /v1/events`: one event, an array, lines, or CloudEvents; the answer has a result for each event."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from aiohttp import web

from agents.gateway.http_problems import ProblemError
from agents.gateway.http_receiver import Receiver, certificate_names, lowered, not_stored
from agents.gateway.http_senders import Senders
from agents.gateway.sink import NotStoredError
from agents.web.addresses import client_of
from streams.contract.events import Event
from streams.sources.http.batch import (
    FORMS,
    MOST_EVENTS,
    BatchReader,
    Form,
    Part,
    TooManyError,
    Unread,
    form_of,
    results,
)

_REFUSED_STATUSES = (401, 403)


class EventsEndpoint:
    """Takes events of the senders in the settings."""

    def __init__(self, receiver: Receiver, senders: Senders) -> None:
        self._receiver = receiver
        self._senders = senders
        self._reader = BatchReader(receiver.acceptance)

    async def __call__(self, request: web.BaseRequest) -> web.Response:
        """Answer a request. Raise ProblemError for one that is refused whole."""
        headers = lowered(request)
        receiver = self._receiver
        origin = receiver.origin(request, headers)
        certificate = certificate_names(request)
        known = ""
        try:
            sender = self._senders.identified(headers, origin.address, certificate)
            known = "" if sender is None else sender.name
            form = _form(headers)
            key = known or f"address {client_of(origin.address)}"
            with receiver.admitted(request, key, known=bool(known)) as ticket:
                body = await receiver.body(request, ticket)
                at_ms = receiver.clock()
                sender = self._senders.signed(sender, headers, body, at_ms, origin.address, certificate)
                known = sender.name
                body = receiver.decoded(request, body, ticket)
                return await self._answer(form, headers, body, known, at_ms)
        except ProblemError as problem:
            if problem.status in _REFUSED_STATUSES:
                receiver.meters.unauthenticated(*filter(None, [problem.source or known]))
            raise

    async def _answer(self, form: Form, headers: dict[str, str], body: bytes, sender: str, at_ms: int) -> web.Response:
        try:
            parts = self._reader.read(form, headers, body, sender=sender, received_at_ms=at_ms)
        except TooManyError:
            raise ProblemError("too-many-events", f"at most {MOST_EVENTS} events are taken at once") from None
        events = [part for part in parts if not isinstance(part, Unread)]
        refused = [part.refused for part in parts if isinstance(part, Unread)]
        try:
            outcomes = await self._receiver.store(sender, events, refused)
        except NotStoredError as error:
            raise not_stored(error) from None
        answer = _summary(parts, events, outcomes)
        if refused and not events:
            raise ProblemError("none-accepted", members=answer)
        return web.Response(status=202, body=msgspec.json.encode(answer), content_type="application/json")


def _form(headers: dict[str, str]) -> Form:
    form = form_of(headers)
    if form is None:
        raise ProblemError(
            "unsupported-media-type", f"one of {', '.join(FORMS)}, in UTF-8", headers={"Accept-Post": ", ".join(FORMS)}
        )
    return form


def _summary(parts: Sequence[Part], events: Sequence[Event], outcomes: Sequence[str]) -> dict[str, Any]:
    duplicates = sum(outcome == "duplicate" for outcome in outcomes)
    return {
        "accepted": len(events) - duplicates,
        "duplicates": duplicates,
        "rejected": len(parts) - len(events),
        "results": results(parts, outcomes),
    }

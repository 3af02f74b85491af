"""The steps that all requests with events share: their origin, their body, and the storing of their events."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Protocol

from aiohttp import web

from agents.gateway.http_addresses import Origin, Proxies
from agents.gateway.http_admission import Admission, Ticket
from agents.gateway.http_bodies import BodyReader
from agents.gateway.http_problems import ProblemError
from agents.gateway.sink import NotStoredError, StatementSink, Stored
from streams.contract.events import Event
from streams.sources.frame import Refused, Statement
from streams.sources.http.acceptance import Acceptance

Clock = Callable[[], int]
_HTTPS = "https"


class Meters(Protocol):
    """Counts requests that are refused, and events that are not stored. The sink counts those stored or rejected."""

    def unauthenticated(self, source: str = ...) -> None:
        """Note a request that may not send. Without a source: the request names no sender of the settings."""
        ...

    def not_stored(self, source: str, count: int) -> None:
        """Count events whose sender got the answer that they are not stored."""
        ...


def clock_ms() -> int:
    """Return the time of receipt, in milliseconds since epoch."""
    return time.time_ns() // 1_000_000


class Receiver:
    """The parts of a gateway that the endpoints use."""

    def __init__(
        self,
        sink: StatementSink,
        meters: Meters,
        *,
        admission: Admission,
        bodies: BodyReader,
        proxies: Proxies,
        acceptance: Acceptance,
        public_url: str = "",
        clock: Clock = clock_ms,
    ) -> None:
        self.sink = sink
        self.meters = meters
        self.acceptance = acceptance
        self.clock = clock
        self._admission = admission
        self._bodies = bodies
        self._proxies = proxies
        self._public_url = public_url

    def origin(self, request: web.BaseRequest, headers: dict[str, str]) -> Origin:
        """Return the sender's address, and the scheme and host that the sender used."""
        return self._proxies.origin(request.remote, request.scheme, headers.get("host", ""), headers)

    def url(self, request: web.BaseRequest, origin: Origin) -> str:
        """Return the URL that the sender used, without its query."""
        base = self._public_url or f"{origin.scheme}://{origin.host}"
        return base + request.raw_path.partition("?")[0]

    def admitted(self, request: web.BaseRequest, key: str, *, known: bool) -> AbstractContextManager[Ticket]:
        """Hold a request in flight. Raise ProblemError for one that announces too much, or is one too many."""
        return self._admission.admitted(key, self._bodies.announced(request), known=known)

    async def body(self, request: web.BaseRequest, ticket: Ticket) -> bytes:
        """Return the body as it was sent. Raise ProblemError where it does not arrive."""
        return await self._bodies.read(request, ticket.take)

    def decoded(self, request: web.BaseRequest, body: bytes, ticket: Ticket) -> bytes:
        """Return the body without its encoding. Raise ProblemError where that cannot be."""
        plain = self._bodies.decoded(request, body)
        if plain is not body:
            ticket.take(len(plain))
        return plain

    async def store(
        self,
        source: str,
        events: Sequence[Event],
        refused: Sequence[Refused],
        statements: Sequence[Statement] = (),
    ) -> list[Stored]:
        """Store events and statements, then the refusals beside them, within the deadline of the sink.

        Return a result per event.

        Raises:
            NotStoredError: they are not stored, or it is not known.
        """
        waiting = len(events) + len(statements)
        results: list[Stored] = []
        try:
            if events:
                results = await self.sink.store(source, events)
                waiting -= len(events)
            if statements:
                await self.sink.keep(source, statements)
        except NotStoredError:
            self.meters.not_stored(source, waiting)
            raise
        if refused:
            await self.sink.refuse(source, refused)
        return results


def lowered(request: web.BaseRequest) -> dict[str, str]:
    """Return the headers with names in lower case; the values of a repeated name are joined."""
    made: dict[str, str] = {}
    for name, value in request.headers.items():
        key = name.lower()
        made[key] = f"{made[key]}, {value}" if key in made else value
    return made


def certificate_names(request: web.BaseRequest) -> tuple[str, ...]:
    """Return the common names and DNS names of the client certificate; none without one."""
    transport = request.transport
    certificate = transport.get_extra_info("peercert") if transport is not None and request.scheme == _HTTPS else None
    if not certificate:
        return ()
    names = [value for part in certificate.get("subject", ()) for key, value in part if key == "commonName"]
    names += [value for key, value in certificate.get("subjectAltName", ()) if key == "DNS"]
    return tuple(names)


def not_stored(error: NotStoredError) -> ProblemError:
    """Return the problem for events that the sink did not take."""
    if error.maybe:
        return ProblemError(
            "maybe-stored",
            "some of the events may be stored; send them again with the same ids",
            retry_after_s=error.retry_after_s,
        )
    return ProblemError("not-stored", retry_after_s=error.retry_after_s)

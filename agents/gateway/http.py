"""The HTTP way in, put together from the settings: `create` returns its server and its hooks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib.metadata import version
from typing import TypeVar

from agents.gateway.http_addresses import Proxies
from agents.gateway.http_admission import Admission
from agents.gateway.http_bodies import BodyReader
from agents.gateway.http_events import EventsEndpoint
from agents.gateway.http_hooks import Hooked, HooksEndpoint, Ring, no_ring
from agents.gateway.http_receiver import Clock, Meters, Receiver, clock_ms
from agents.gateway.http_senders import Senders
from agents.gateway.http_server import HttpServer, Page
from agents.gateway.sink import StatementSink
from agents.web.paths import OPENAPI
from streams.settings.access import Access
from streams.settings.settings import Settings
from streams.sources.frame import Hook, Join
from streams.sources.http.acceptance import Acceptance
from streams.sources.http.openapi import document_text
from streams.sources.registry import HOOKS, MakeHook, MakeJoin
from streams.sources.senders import HttpSender
from streams.units import SECOND_MS

_M = TypeVar("_M")
_MARGIN_S = 5.0
"""Time that an answer may take beyond the sink's own deadline."""


class HttpGateway:
    """The server, and the hooks that it calls."""

    def __init__(self, server: HttpServer, hooks: Mapping[str, Hook]) -> None:
        self.server = server
        self.hooks = hooks

    async def close(self) -> None:
        """Finish the requests in flight."""
        await self.server.close()


def create(
    settings: Settings,
    sink: StatementSink,
    meters: Meters,
    pages: Mapping[str, Page],
    *,
    hooks: Mapping[str, MakeHook] = HOOKS,
    ring: Ring = no_ring,
    clock: Clock = clock_ms,
) -> HttpGateway:
    """Return the HTTP way in. It does not listen yet. `pages` are further paths to read: metrics, health.

    `ring` starts a poll of a source whose hook is a doorbell.
    """
    gateway = settings.gateway
    http = gateway.http
    deadline_s = gateway.deadline_ms / SECOND_MS + _MARGIN_S
    receiver = Receiver(
        sink,
        meters,
        admission=Admission(http.max_requests, http.max_request_bytes),
        bodies=BodyReader(http.max_body_bytes, http.body_deadline_ms / SECOND_MS),
        proxies=Proxies(http.trusted_proxies, http.forwarded),
        acceptance=Acceptance(settings.thresholds.future_ms),
        public_url=http.public_url,
        clock=clock,
    )
    document = document_text(version("callpulse")).encode()
    made = hooked(settings, hooks)
    server = HttpServer(
        http,
        host=gateway.http_host,
        port=gateway.http_port,
        events=EventsEndpoint(receiver, Senders(settings.named("http", HttpSender))),
        hooks=HooksEndpoint(receiver, made, ring),
        pages={OPENAPI: lambda: (200, "application/json", document), **pages},
        answer_s=deadline_s,
    )
    return HttpGateway(server, {name: one.hook for name, one in made.items()})


def hooked(settings: Settings, hooks: Mapping[str, MakeHook]) -> dict[str, Hooked]:
    """Return the hooks whose sources have tokens: these tokens are in the URLs of the hooks."""
    return {name: Hooked(make(settings), access) for name, make, access in _with_tokens(settings, hooks)}


def joined(settings: Settings, joins: Mapping[str, MakeJoin]) -> dict[str, Join]:
    """Return the joins of the sources that have tokens."""
    return {name: make(settings) for name, make, _ in _with_tokens(settings, joins)}


def _with_tokens(settings: Settings, makers: Mapping[str, _M]) -> Iterator[tuple[str, _M, Access]]:
    for name, make in makers.items():
        access = getattr(settings.sources, name, None)
        if isinstance(access, Access) and access.tokens:
            yield name, make, access

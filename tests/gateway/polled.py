"""A poller in the test's own process, on a sink of the test, and an HTTP server with answers from a test.

Waits take no time: `Time` is a clock that a wait moves.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from email.utils import formatdate
from functools import cache
from typing import Any
from unittest import mock

import msgspec
from aiohttp import web

from agents.gateway.metrics import GatewayMetrics
from agents.gateway.poll_client import PollClient, session
from agents.gateway.poller import Poller, cursor_key
from streams.settings.polls import GatewayPolls
from streams.sources.http.acceptance import Acceptance
from streams.sources.polls import Polled
from streams.units import MINUTE_MS
from tests.gateway.served import MemorySink

Handler = Callable[[web.Request], web.Response | Awaitable[web.Response]]


_context = cache(ssl.create_default_context)
"""Shared, because reading the authorities of the machine takes 30 ms."""

BODY = web.RequestKey("body", bytes)
"""The key of the body in the request of a handler."""


class Time:
    """A clock that moves with each wait, and when a test sets it."""

    def __init__(self, now_ms: int) -> None:
        self.now_ms = now_ms
        self.waits: list[float] = []

    def __call__(self) -> int:
        return self.now_ms

    def monotonic(self) -> float:
        return self.now_ms / 1000

    async def sleep(self, seconds: float) -> None:
        self.waits.append(seconds)
        self.now_ms += round(seconds * 1000)
        await asyncio.sleep(0)


class MemoryCursors:
    """Cursors that survive a poller."""

    def __init__(self) -> None:
        self.held: dict[str, bytes] = {}

    def get(self, key: str) -> bytes | None:
        return self.held.get(key)

    async def put(self, key: str, value: bytes) -> None:
        self.held[key] = value


class Api:
    """A server on the loopback. `handler` answers; `answers` come before it, one for each request.

    A handler finds the body of the request in `request[BODY]`. Answers have the moment of `clock` as their Date.
    Without it they have none, because the clock of the machine is not that of the test.
    """

    def __init__(self, handler: Handler, clock: Callable[[], int] | None = None) -> None:
        self.handler = handler
        self.clock = clock
        self.answers: list[Handler | web.Response] = []
        self.requests: list[tuple[str, dict[str, str], bytes]] = []
        self.url = ""

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        request[BODY] = await request.read()
        self.requests.append((request.path_qs, dict(request.headers), request[BODY]))
        said = self.answers.pop(0) if self.answers else self.handler
        made = said if isinstance(said, web.Response) else said(request)
        sent = made if isinstance(made, web.Response) else await made
        sent.headers.setdefault("Date", "" if self.clock is None else formatdate(self.clock() / 1000, usegmt=True))
        return sent

    @contextlib.asynccontextmanager
    async def serving(self) -> AsyncIterator[Api]:
        app = web.Application(client_max_size=1 << 24)
        app.router.add_route("*", "/{path:.*}", self._answer)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        host, port = runner.addresses[0][:2]
        self.url = f"http://{host}:{port}"
        try:
            yield self
        finally:
            await runner.cleanup()


class Polling:
    """A poller and the parts around it."""

    def __init__(self, poller: Poller, sink: MemorySink, cursors: MemoryCursors, metrics: GatewayMetrics) -> None:
        self.poller = poller
        self.sink = sink
        self.cursors = cursors
        self.metrics = metrics

    @property
    def cursor(self) -> bytes | None:
        return self.cursors.get(cursor_key(self.poller.name))

    def value(self, name: str, **labels: str) -> float | None:
        return self.metrics.registry.get_sample_value(
            f"callpulse_source_{name}", {"source": self.poller.name, **labels}
        )


@contextlib.asynccontextmanager
async def polling(
    name: str,
    source: Polled,
    time: Time,
    *,
    sink: MemorySink | None = None,
    cursors: MemoryCursors | None = None,
    is_pushed: bool = False,
    polls: GatewayPolls | None = None,
    **more: Any,
) -> AsyncIterator[Polling]:
    """A poller for `source`. Call `await polling.poller.once()`."""
    metrics = GatewayMetrics(clock=lambda: time.now_ms / 1000)
    meters = metrics.polls
    meters.began(name, source.every_ms / 1000)
    sink, cursors, polls = sink or MemorySink(), cursors or MemoryCursors(), polls or GatewayPolls()
    with mock.patch.object(ssl, "create_default_context", _context):
        made = session(polls)
    async with made as http:
        client = PollClient(name, source, http, polls, meters, sleep=time.sleep, monotonic=time.monotonic, now_ms=time)
        poller = Poller(
            *(name, source, client, sink, cursors, Acceptance(5 * MINUTE_MS), meters),
            is_pushed=is_pushed,
            sleep=time.sleep,
            now_ms=time,
            **more,
        )
        yield Polling(poller, sink, cursors, metrics)


def answer(body: Any, status: int = 200, **headers: str) -> web.Response:
    """An answer of JSON."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return web.Response(status=status, body=msgspec.json.encode(body), content_type="application/json", headers=named)

"""A gateway's HTTP server in the test's own process, on a sink of the test, and requests to it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

import aiohttp
import msgspec

from agents.gateway.http import HttpGateway, create
from agents.gateway.http_hooks import Ring, no_ring
from agents.gateway.http_receiver import Clock, clock_ms
from agents.gateway.http_server import metrics_page, state_pages
from agents.gateway.sink import NotStoredError, Stored
from streams.contract.events import Event
from streams.settings.access import hashed
from streams.settings.settings import Settings, load
from streams.sources.frame import Refused, Statement
from streams.sources.registry import HOOKS, SOURCES, MakeHook

TOKEN = "a-token-of-the-tests"  # noqa: S105 - it protects nothing
OTHER_TOKEN = "another-token"  # noqa: S105 - as above
SETTINGS = f"""
[gateway]
http_port = 0
[sources.http.crm]
tokens = ["{hashed(TOKEN)}"]
[sources.http.other]
tokens = ["{hashed(OTHER_TOKEN)}"]
"""


class MemorySink:
    """Keeps events in memory, with their ids. `hold` lets it wait, `error` is raised instead."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.sources: list[str] = []
        self.refused: list[Refused] = []
        self.statements: list[Statement] = []
        self.error: NotStoredError | None = None
        self.hold = asyncio.Event()
        self.hold.set()
        self.waiting = 0
        self._ids: set[str] = set()

    async def store(self, source: str, events: Sequence[Event]) -> list[Stored]:
        self.waiting += 1
        await self.hold.wait()
        self.waiting -= 1
        if self.error is not None:
            raise self.error
        words: list[Stored] = []
        for event in events:
            words.append("duplicate" if event.id in self._ids else "accepted")
            if event.id not in self._ids:
                self._ids.add(event.id)
                self.events.append(event)
                self.sources.append(source)
        return words

    async def keep(self, source: str, statements: Sequence[Statement]) -> None:
        assert source
        if self.error is not None:
            raise self.error
        self.statements += statements

    async def refuse(self, source: str, refused: Sequence[Refused]) -> None:
        assert source
        self.refused += refused


class Counts:
    """Records the calls that would count in the metrics."""

    def __init__(self) -> None:
        self.strangers: list[str] = []
        self.lost: list[tuple[str, int]] = []

    def not_stored(self, source: str, count: int) -> None:
        self.lost.append((source, count))

    def unauthenticated(self, source: str = "") -> None:
        self.strangers.append(source)


class Answer(msgspec.Struct):
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return msgspec.json.decode(self.body)

    @property
    def problem(self) -> str:
        assert self.headers["Content-Type"] == "application/problem+json"
        assert self.json["status"] == self.status
        return str(self.json["type"]).removeprefix("urn:callpulse:problem:")


class Served:
    """A server that listens, and a client."""

    def __init__(self, gateway: HttpGateway, sink: MemorySink, counts: Counts, session: aiohttp.ClientSession) -> None:
        self.gateway = gateway
        self.sink = sink
        self.counts = counts
        self.session = session

    @property
    def url(self) -> str:
        return self.gateway.server.url

    async def ask(self, method: str, path: str, data: bytes = b"", **headers: str) -> Answer:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        skip = {"Content-Type", "Accept-Encoding", "User-Agent"}
        async with self.session.request(
            method, self.url + path, data=data, headers=named, skip_auto_headers=skip
        ) as answer:
            return Answer(answer.status, dict(answer.headers), await answer.read())

    async def post(self, data: bytes, path: str = "/v1/events", *, token: str = TOKEN, **headers: str) -> Answer:
        given = {"Content_Type": "application/json"} | headers
        if token:
            given["Authorization"] = f"Bearer {token}"
        return await self.ask("POST", path, data, **given)


@contextlib.asynccontextmanager
async def serving(
    text: str = SETTINGS,
    *,
    hooks: Mapping[str, MakeHook] = HOOKS,
    sources: Mapping[str, Any] = SOURCES,
    clock: Clock = clock_ms,
    ring: Ring = no_ring,
    verify: Any = True,
) -> AsyncIterator[Served]:
    """A gateway by the settings, whose sink is a `MemorySink`."""
    settings: Settings = load(text, {}, sources)
    sink, counts = MemorySink(), Counts()
    gateway = create(
        settings,
        sink,
        counts,
        state_pages(lambda: ["stopping"] if gateway.server.is_stopping else [])
        | metrics_page(lambda: b"a_metric 1\n", settings.gateway.http),
        hooks=hooks,
        ring=ring,
        clock=clock,
    )
    await gateway.server.open()
    connector = aiohttp.TCPConnector(ssl=verify, limit=0)
    async with aiohttp.ClientSession(connector=connector, auto_decompress=False) as session:
        try:
            yield Served(gateway, sink, counts, session)
        finally:
            sink.hold.set()
            await gateway.close()


def ended(number: int = 1, *, at: int | None = None, **more: Any) -> dict[str, Any]:
    """A call of a moment ago."""
    at = clock_ms() - 60_000 if at is None else at
    return {
        "v": 1,
        "id": f"call-{number}",
        "type": "call.ended",
        "at": at,
        "source": "pbx",
        "call": f"c-{number}",
        "manager": "anna",
        "lead": "crm-1",
        "direction": "outbound",
        "started_at": at - 100_000,
        "answered_at": at - 90_000,
        "talk_ms": 90_000,
        "disposition": "answered",
    } | more


def encoded(value: Any) -> bytes:
    return msgspec.json.encode(value)

"""The worker's HTTP port: metrics, liveness, readiness, and a page with links to them."""

from __future__ import annotations

import asyncio
import html
import socket
import time
import zlib
from collections.abc import Callable, Coroutine
from importlib.metadata import version
from ipaddress import ip_address
from typing import Any, Final

import msgspec
import orjson
from aiohttp import web

from agents.exit import Fail
from agents.suspension import SuspensionDetector
from agents.telemetry.attention import AttentionList, Query, QueryError, as_csv
from agents.telemetry.connections import Connections, request_logger
from agents.telemetry.exposition import CONTENT_TYPE, Exposition
from agents.telemetry.health import Health
from agents.telemetry.port import open_port
from agents.web.guard import Guard, Handler
from agents.web.paths import ATTENTION, HEALTHY, INDEX, METRICS, READY
from streams.settings.settings import Worker

_GZIP: Final = 31  # zlib: write the header of a gzip file
_PAGES: Final = (
    (METRICS, "the figures of the managers that this worker owns, for Prometheus"),
    (
        ATTENTION,
        "leads of all managers that need help now; ?manager= ?team= ?why= ?limit= ?offset= ?format=csv",
    ),
    (HEALTHY, "200 while folding makes progress"),
    (READY, "200 once partitions are assigned and tables restored"),
)


class Server:
    """A worker's HTTP server, and the watches that run while it listens: health, suspension and `watch_lag`."""

    def __init__(
        self,
        settings: Worker,
        *,
        exposition: Exposition,
        attention: AttentionList,
        health: Health,
        suspension: SuspensionDetector,
        watch_lag: Callable[[], Coroutine[Any, Any, None]],
        fail: Fail,
    ) -> None:
        self._settings = settings
        self.exposition = exposition
        self.attention = attention
        self.health = health
        self.suspension = suspension
        self._watch_lag = watch_lag
        self._fail = fail
        self._runner: web.AppRunner | None = None
        self._guard: Guard | None = None
        self._scrape: asyncio.Task[bytes] | None = None
        self._watching: list[asyncio.Task[None]] = []
        self.url = ""

    async def open(self) -> None:
        """Listen. Raise OSError, with the setting to change, for a port or a web file that cannot be used."""
        connections = Connections()
        self._guard = guard = Guard(self._settings.web_config, "worker.web_config")
        app = web.Application(middlewares=[connections.middleware, guard.middleware, self._awake])
        app.router.add_get(INDEX, self._index)
        app.router.add_get(METRICS, self._metrics)
        app.router.add_get(ATTENTION, self._attention)
        app.router.add_get(HEALTHY, self._healthy)
        app.router.add_get(READY, self._ready)
        self._runner = web.AppRunner(app, logger=request_logger(), access_log_class=connections.access_log())
        await self._runner.setup()
        http_server = self._runner.server
        assert http_server is not None  # noqa: S101 - there is one after setup
        host, port, context = self._settings.http_host, self._settings.http_port, guard.context
        bound = await open_port(self._runner, host, port, "worker.http_port", ssl_context=context)
        self.url = bound.url("http" if context is None else "https")
        self.attention.own_url = self._settings.advertised_url or _reachable(self.url, *bound)
        self.suspension.start()
        watches = (self.health.watch(), self._watch_lag(), connections.watch(http_server))
        self._watching = [asyncio.create_task(work) for work in watches]
        for task in self._watching:
            task.add_done_callback(self._ended)

    async def close(self) -> None:
        """Finish the answers in progress and stop listening."""
        self.suspension.stop()
        if self._runner is not None:
            await self._runner.cleanup()
        if self._guard is not None:
            self._guard.close()
        tasks = [*self._watching, *([self._scrape] if self._scrape is not None else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _ended(self, task: asyncio.Task[None]) -> None:
        """End the worker if a watch fails: without it the worker would look healthy for ever."""
        if not task.cancelled() and (error := task.exception()) is not None:
            self._fail(error)

    @web.middleware
    async def _awake(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Answer with 503 after a suspension: another worker may own the partitions."""
        response = await handler(request)
        if not self.suspension.beat():
            return web.Response(status=503, text="the process stood still; its partitions may be another worker's\n")
        return response

    async def _metrics(self, request: web.Request) -> web.Response:
        body = await self._text()
        headers = {"Content-Type": CONTENT_TYPE, "Vary": "Accept-Encoding"}
        if _accepts_gzip(request.headers.get("Accept-Encoding", "")):
            # aiohttp's own compression ignores `q=0` and takes level 6, three times as long for the same tenth.
            # The text becomes a tenth in size, and zlib releases the interpreter lock meanwhile.
            body = await asyncio.to_thread(zlib.compress, body, 1, _GZIP)
            headers["Content-Encoding"] = "gzip"
        return web.Response(body=body, headers=headers)

    async def _text(self) -> bytes:
        """Return the text of a scrape. Requests that come while one is written share it, to leave time for folding."""
        if self._scrape is None or self._scrape.done():
            self._scrape = asyncio.create_task(self.exposition.text(time.time_ns() // 1_000_000))
        return await self._scrape

    async def _attention(self, request: web.Request) -> web.Response:
        parameters = request.query
        try:
            query = Query.read(parameters)
        except QueryError as error:
            return web.Response(status=400, text=f"{error}\n")
        if query.local:
            return web.Response(
                body=msgspec.json.encode(await self.attention.local(query)), content_type="application/json"
            )
        page = await self.attention.page(query)
        if query.csv:
            missing = ",".join(map(str, page.missing_partitions))
            headers = {"X-Missing-Partitions": missing, "Content-Disposition": 'attachment; filename="leads.csv"'}
            return web.Response(
                text=as_csv(page, linked=bool(self.attention.links.lead)), content_type="text/csv", headers=headers
            )
        return web.Response(body=msgspec.json.encode(page), content_type="application/json")

    async def _healthy(self, _: web.Request) -> web.Response:
        answer = self.health.liveness()
        return _json(answer, ok=answer["healthy"])

    async def _ready(self, _: web.Request) -> web.Response:
        answer = self.health.readiness()
        return _json(answer, ok=answer["ready"])

    async def _index(self, _: web.Request) -> web.Response:
        worker = html.escape(self._settings.id)
        links = "".join(f'<li><a href="{path}">{path}</a>: {text}</li>' for path, text in _PAGES)
        page = (
            f'<!doctype html><html lang="en"><meta charset="utf-8"><title>callpulse {worker}</title>'
            f"<h1>callpulse {version('callpulse')}, worker {worker}</h1><ul>{links}</ul></html>\n"
        )
        return web.Response(text=page, content_type="text/html")


def _reachable(url: str, host: str, port: int) -> str:
    """Return the URL at which other machines may reach the server at `url`."""
    scheme = url.partition(":")[0]
    return f"{scheme}://{socket.gethostname()}:{port}" if ip_address(host).is_unspecified else url


def _accepts_gzip(header: str) -> bool:
    for offer in header.lower().split(","):
        coding, _, weight = offer.partition(";")
        if coding.strip() in {"gzip", "*"}:
            return weight.strip() not in {"q=0", "q=0.0", "q=0.00", "q=0.000"}
    return False


def _json(answer: dict[str, Any], *, ok: bool) -> web.Response:
    return web.Response(
        status=200 if ok else 503,
        body=orjson.dumps(answer, option=orjson.OPT_APPEND_NEWLINE),
        content_type="application/json",
    )

"""The worker's HTTP port: metrics, liveness, readiness, and a page with links to them."""

from __future__ import annotations

import asyncio
import html
import socket
import time
import zlib
from collections.abc import Awaitable, Callable
from importlib.metadata import version
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any, Final

import msgspec
import orjson
from aiohttp import web

from agents.suspension import Pulse
from agents.telemetry import attention
from agents.telemetry.exposition import CONTENT_TYPE, Exposition
from agents.telemetry.health import Health
from streams.settings.settings import Settings

if TYPE_CHECKING:
    from agents.core import Core

_GZIP: Final = 31  # zlib's way to say: with the head of a gzip file
_PAGES: Final = (
    ("/metrics", "every figure of the managers that this worker owns, for Prometheus"),
    (
        attention.PATH,
        "leads of all managers that need help now; ?manager= ?team= ?why= ?limit= ?offset= ?format=csv",
    ),
    ("/-/healthy", "200 while folding makes progress"),
    ("/-/ready", "200 once partitions are assigned and tables restored"),
)

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Server:
    """A worker's HTTP server and what it watches. Use `serve`."""

    def __init__(self, core: Core, settings: Settings) -> None:
        self._core = core
        self._settings = settings
        self.exposition = Exposition(core)
        self.attention = attention.AttentionList(core, self.exposition.managers)
        self.health = Health(core, self.exposition.lag, self.exposition.restore)
        kafka = settings.kafka
        # The membership runs from the last heartbeat that arrived, and that may have been one interval ago.
        self.pulse = Pulse((kafka.session_timeout_ms - kafka.heartbeat_interval_ms) / 1000, core.fail)
        self._runner: web.AppRunner | None = None
        self._scrape: asyncio.Task[bytes] | None = None
        self._watching: list[asyncio.Task[None]] = []
        self.url = ""

    async def open(self) -> None:
        """Listen. Raise OSError, with what to change, for a port that cannot be had."""
        app = web.Application(middlewares=[self._awake])
        app.router.add_get("/", self._index)
        app.router.add_get("/metrics", self._metrics)
        app.router.add_get(attention.PATH, self._attention)
        app.router.add_get("/-/healthy", self._healthy)
        app.router.add_get("/-/ready", self._ready)
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        host, port = self._settings.worker.http_host, self._settings.worker.http_port
        try:
            await web.TCPSite(self._runner, host, port).start()
        except OSError as error:
            await self._runner.cleanup()
            raise OSError(
                error.errno,
                f"cannot listen on {host}:{port}: {error.strerror}. Set worker.http_port to another port "
                "(0: any free one), or end what listens there",
            ) from error
        bound_host, bound_port = self._runner.addresses[0][:2]
        self.url = f"http://{f'[{bound_host}]' if ':' in bound_host else bound_host}:{bound_port}"
        self.attention.own_url = self._settings.worker.advertised_url or _reachable(self.url, bound_host, bound_port)
        self.pulse.start()
        self._watching = [asyncio.create_task(work) for work in (self.health.watch(), self.exposition.lag.ask())]
        for task in self._watching:
            task.add_done_callback(self._ended)

    async def close(self) -> None:
        """Answer what is under way and cease to listen."""
        self.pulse.stop()
        if self._runner is not None:
            await self._runner.cleanup()
        tasks = [*self._watching, *([self._scrape] if self._scrape is not None else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _ended(self, task: asyncio.Task[None]) -> None:
        """End the worker with a watch that broke: unwatched it would look healthy for ever."""
        if not task.cancelled() and (error := task.exception()) is not None:
            self._core.fail(error)

    @web.middleware
    async def _awake(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Answer nothing that another worker may know better."""
        response = await handler(request)
        if not self.pulse.beat():
            return web.Response(status=503, text="the process stood still; its partitions may be another worker's\n")
        return response

    async def _metrics(self, request: web.Request) -> web.Response:
        body = await self._text()
        headers = {"Content-Type": CONTENT_TYPE, "Vary": "Accept-Encoding"}
        if _accepts_gzip(request.headers.get("Accept-Encoding", "")):
            # The text becomes a tenth of what it was, and zlib lets other threads go on meanwhile.
            body = await asyncio.to_thread(zlib.compress, body, 1, _GZIP)
            headers["Content-Encoding"] = "gzip"
        return web.Response(body=body, headers=headers)

    async def _text(self) -> bytes:
        """Return the text of a scrape. Whoever asks while one is being written gets that one: folding comes first."""
        if self._scrape is None or self._scrape.done():
            self._scrape = asyncio.create_task(self.exposition.text(time.time_ns() // 1_000_000))
        return await self._scrape

    async def _attention(self, request: web.Request) -> web.Response:
        parameters = request.query
        try:
            query = attention.Query.read(parameters)
        except attention.QueryError as error:
            return web.Response(status=400, text=f"{error}\n")
        if query.local:
            return web.Response(
                body=msgspec.json.encode(await self.attention.local(query)), content_type="application/json"
            )
        page = await self.attention.page(query)
        if query.csv:
            missing = ",".join(map(str, page.missing_partitions))
            headers = {"X-Missing-Partitions": missing, "Content-Disposition": 'attachment; filename="leads.csv"'}
            return web.Response(text=attention.as_csv(page), content_type="text/csv", headers=headers)
        return web.Response(body=msgspec.json.encode(page), content_type="application/json")

    async def _healthy(self, _: web.Request) -> web.Response:
        told = self.health.liveness()
        return _json(told, ok=told["healthy"])

    async def _ready(self, _: web.Request) -> web.Response:
        told = self.health.readiness()
        return _json(told, ok=told["ready"])

    async def _index(self, _: web.Request) -> web.Response:
        worker = html.escape(self._settings.worker.id)
        links = "".join(f'<li><a href="{path}">{path}</a>: {says}</li>' for path, says in _PAGES)
        page = (
            f'<!doctype html><html lang="en"><meta charset="utf-8"><title>callpulse {worker}</title>'
            f"<h1>callpulse {version('callpulse')}, worker {worker}</h1><ul>{links}</ul></html>\n"
        )
        return web.Response(text=page, content_type="text/html")


async def serve(core: Core, settings: Settings) -> Server:
    """Return the server of a worker, listening. Raise OSError, with what to change, for a port that cannot be had."""
    server = Server(core, settings)
    await server.open()
    return server


def _reachable(url: str, host: str, port: int) -> str:
    """Return the URL under which other machines may find what listens at `url`."""
    return f"http://{socket.gethostname()}:{port}" if ip_address(host).is_unspecified else url


def _accepts_gzip(header: str) -> bool:
    for offer in header.lower().split(","):
        coding, _, weight = offer.partition(";")
        if coding.strip() in {"gzip", "*"}:
            return weight.strip() not in {"q=0", "q=0.0", "q=0.00", "q=0.000"}
    return False


def _json(told: dict[str, Any], *, ok: bool) -> web.Response:
    return web.Response(
        status=200 if ok else 503,
        body=orjson.dumps(told, option=orjson.OPT_APPEND_NEWLINE),
        content_type="application/json",
    )

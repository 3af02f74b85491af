"""The process of every long-running command of the way in: signals, a port for its state, and an orderly end."""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import ExitStack
from types import TracebackType
from typing import Any, Final, Self

import orjson
from aiohttp import web
from prometheus_client import generate_latest

from agents.exit import Fail, abort
from agents.gateway.kafka_sink import KafkaSink
from agents.gateway.metrics import GatewayMetrics
from agents.gc_tuning import without_the_start
from agents.telemetry.connections import Connections, request_logger
from agents.telemetry.exposition import CONTENT_TYPE
from agents.telemetry.port import open_port
from agents.web.guard import Guard
from agents.web.paths import HEALTHY, METRICS, READY
from streams.settings.settings import Settings

log = logging.getLogger("callpulse")

_LOOP_LATE_S: Final = 30.0
_BEAT_S: Final = 1.0
_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)

Why = Callable[[], list[str]]
Stop = Callable[[], Awaitable[None]]


class Service:
    """A process of the way in: `async with Service(settings, "ami") as service`, then `await service.run()`.

    `name` is the folder of its spool; two processes with one name cannot run at the same time. On the port of its state
    it answers /metrics, /-/healthy and /-/ready.

    At the end the service is no longer ready, calls the functions given to `at_stop` (the last one first), stores the
    events in flight, and leaves. `fail` is called with the error of background work that broke.

    Raises FolderError, and OSError for a port or a web file that cannot be used, with the setting to change.
    """

    def __init__(self, settings: Settings, name: str, *, fail: Fail = abort) -> None:
        self.settings = settings
        self.metrics = GatewayMetrics()
        self.sink = KafkaSink(settings, name, metrics=self.metrics, fail=fail)
        self.url = ""
        self._fail = fail
        self._stop = asyncio.Event()
        self._reasons: list[Why] = [self.sink.why_not_ready]
        self._at_stop: list[Stop] = []
        self._tasks: list[asyncio.Task[None]] = []
        self._runner: web.AppRunner | None = None
        self._guard: Guard | None = None
        self._beat = 0.0
        self._collecting = ExitStack()

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        for number in _SIGNALS:
            loop.add_signal_handler(number, self.stop)
        await self.sink.__aenter__()
        try:
            await self._listen()
        except BaseException:
            await self.sink.__aexit__(None, None, None)
            raise
        self.background(self._watch_loop())
        self._collecting.enter_context(without_the_start())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stop.set()
        try:
            for stop in reversed(self._at_stop):
                await stop()
            await self.sink.__aexit__(None, None, None)
        finally:
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
            if self._runner is not None:
                await self._runner.cleanup()
            if self._guard is not None:
                self._guard.close()
            self._collecting.close()
            for number in _SIGNALS:
                asyncio.get_running_loop().remove_signal_handler(number)

    def stop(self) -> None:
        """End the service, as a signal does."""
        self._stop.set()

    def not_ready_while(self, why: Why) -> None:
        """Be ready only while `why` returns no reasons, in words, against it."""
        self._reasons.append(why)

    def at_stop(self, stop: Stop) -> None:
        """Call `stop` at the end, so that no further events come in. Events in flight are stored after that."""
        self._at_stop.append(stop)

    def background(self, work: Coroutine[Any, Any, None]) -> None:
        """Do work until the end of the service. An error in it ends the process."""
        task = asyncio.create_task(work)
        task.add_done_callback(self._ended)
        self._tasks.append(task)

    async def run(self) -> None:
        """Wait until a signal, or `stop`, ends the service."""
        await self._stop.wait()
        log.info("stopping: events in flight are stored first")

    def why_not_ready(self) -> list[str]:
        """Return in words the reasons why the service is not ready; an empty list when it is."""
        if self._stop.is_set():
            return ["the process is being stopped"]
        return [reason for why in self._reasons for reason in why()]

    def metrics_text(self) -> bytes:
        """Return all metrics, for a scrape."""
        self.sink.refresh()
        return generate_latest(self.metrics.registry)

    async def _listen(self) -> None:
        connections = Connections()
        gateway = self.settings.gateway
        self._guard = guard = Guard(gateway.status_web_config, "gateway.status_web_config")
        app = web.Application(middlewares=[connections.middleware, guard.middleware])
        app.router.add_get(METRICS, self._metrics)
        app.router.add_get(HEALTHY, self._healthy)
        app.router.add_get(READY, self._ready)
        self._runner = web.AppRunner(app, logger=request_logger(), access_log_class=connections.access_log())
        await self._runner.setup()
        http_server = self._runner.server
        assert http_server is not None  # noqa: S101 - there is one after setup
        host, port, context = gateway.status_host, gateway.status_port, guard.context
        bound = await open_port(self._runner, host, port, "gateway.status_port", ssl_context=context)
        self.url = bound.url("http" if context is None else "https")
        self.background(connections.watch(http_server))

    async def _watch_loop(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            self._beat = loop.time()
            await asyncio.sleep(_BEAT_S)

    def _ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            self._fail(error)

    async def _metrics(self, _: web.Request) -> web.Response:
        return web.Response(body=self.metrics_text(), headers={"Content-Type": CONTENT_TYPE})

    async def _healthy(self, _: web.Request) -> web.Response:
        late_s = asyncio.get_running_loop().time() - self._beat
        return _json({"healthy": late_s < _LOOP_LATE_S}, ok=late_s < _LOOP_LATE_S)

    async def _ready(self, _: web.Request) -> web.Response:
        why = self.why_not_ready()
        return _json({"ready": not why, "waiting_for": why}, ok=not why)


def _json(answer: dict[str, Any], *, ok: bool) -> web.Response:
    return web.Response(
        status=200 if ok else 503,
        body=orjson.dumps(answer, option=orjson.OPT_APPEND_NEWLINE),
        content_type="application/json",
    )

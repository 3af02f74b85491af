"""Limits for connections to the worker's HTTP port: one that does not finish its request or read its answer is closed.

aiohttp has no limit for the time that a request takes to arrive, nor for the number of connections.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Any, Final, NamedTuple

from aiohttp import web
from aiohttp.abc import AbstractAccessLogger
from aiohttp.http import HttpProcessingError

FIRST_REQUEST_S: Final = 10.0
"""Seconds that a new connection may take to send its first request."""
IDLE_S: Final = 90.0
"""Seconds that a connection may wait for another request. Prometheus keeps one between its scrapes."""
ANSWER_S: Final = 60.0
"""Seconds that a request may take from its head to the end of its answer."""
MOST: Final = 100
"""Most connections that may wait for a request. Beyond that, those that wait longest are closed."""
_LOOK_EVERY_S: Final = 0.5

Clock = Callable[[], float]


class Limits(NamedTuple):
    """Limits of the time of a connection, in seconds, and of the number of connections that wait for a request."""

    first_request_s: float
    idle_s: float
    answer_s: float
    most: int


class Connections:
    """Watches the connections of a server. `began` or `middleware` notes a request, `access_log` its end."""

    def __init__(self, clock: Clock = time.monotonic, limits: Limits | None = None) -> None:
        self._clock = clock
        self._limits = limits
        self._answering: dict[Any, float] = {}
        self._waiting: dict[Any, float] = {}
        self._served: set[Any] = set()

    @web.middleware
    async def middleware(self, request: web.Request, handler: Callable[[web.Request], Any]) -> web.StreamResponse:
        """Note when a request begins to be answered."""
        self.began(request.protocol)
        response: web.StreamResponse = await handler(request)
        return response

    def began(self, connection: Any) -> None:
        """Note that a request of a connection begins to be answered."""
        self._answering[connection] = self._clock()
        self._waiting.pop(connection, None)

    def answered(self, connection: Any) -> None:
        """Note that the answer of a connection is written."""
        self._answering.pop(connection, None)
        self._served.add(connection)
        self._waiting[connection] = self._clock()

    def access_log(self) -> type[AbstractAccessLogger]:
        """Return a class for aiohttp's `access_log_class`: it is called when an answer is written."""
        answered = self.answered

        class Answered(AbstractAccessLogger):
            def log(self, request: web.BaseRequest, response: web.StreamResponse, time: float) -> None:  # noqa: ARG002 - aiohttp's signature
                answered(request.protocol)

        return Answered

    def overdue(self, connections: list[Any]) -> list[Any]:
        """Return the `connections` that are to be closed."""
        now = self._clock()
        limits = self._limits or Limits(FIRST_REQUEST_S, IDLE_S, ANSWER_S, MOST)
        for gone in (self._answering.keys() | self._waiting.keys()).difference(connections):
            self._answering.pop(gone, None)
            self._waiting.pop(gone, None)
            self._served.discard(gone)
        late: list[Any] = []
        waiting: list[tuple[float, int, Any]] = []
        for connection in connections:
            begun = self._answering.get(connection)
            if begun is not None:
                if now - begun > limits.answer_s:
                    late.append(connection)
                continue
            since = self._waiting.setdefault(connection, now)
            if now - since > (limits.idle_s if connection in self._served else limits.first_request_s):
                late.append(connection)
            else:
                waiting.append((since, len(waiting), connection))
        for _, _, connection in sorted(waiting)[: max(0, len(waiting) - limits.most)]:
            late.append(connection)
        return late

    async def watch(self, server: web.Server) -> None:
        """Close connections that are overdue, for as long as the worker lives."""
        while True:
            for connection in self.overdue(list(server.connections)):
                connection.force_close()
            await asyncio.sleep(_LOOK_EVERY_S)


class _Quiet(logging.Filter):
    """Drops the tracebacks of malformed requests: they hold the bytes of the request."""

    def filter(self, record: logging.LogRecord) -> bool:
        error = record.exc_info[1] if isinstance(record.exc_info, tuple) else None
        return not isinstance(error, HttpProcessingError)


def request_logger() -> logging.Logger:
    """Return the logger of the HTTP server, which leaves malformed requests out."""
    logger = logging.getLogger("callpulse.http")
    if not any(isinstance(each, _Quiet) for each in logger.filters):
        logger.addFilter(_Quiet())
    return logger

"""The gateway's HTTP server: its routes, its limits for connections, TLS, and an orderly end.

It is a plain server of aiohttp, without its application: every answer is then made here, errors of the protocol among
them, and none quotes what came.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
import traceback
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

import msgspec
from aiohttp import web
from aiohttp.http_exceptions import LineTooLong

from agents.gateway.http_hooks import HooksEndpoint
from agents.gateway.http_problems import ProblemError, allow_only, response
from agents.telemetry.connections import Connections, Limits, request_logger
from agents.telemetry.exposition import CONTENT_TYPE
from agents.telemetry.port import open_port
from agents.web.guard import Guard
from agents.web.paths import HEALTHY, METRICS, READY
from streams.settings.gateway_http import GatewayHttp

log = logging.getLogger("callpulse")

EVENTS: Final = "/v1/events"
CLOUDEVENTS: Final = "/v1/cloudevents"
HOOKS: Final = "/hooks/"
_LINGER_S: Final = 2.0
"""Time for which the rest of a refused body is read: without it the sender might not receive the answer."""
_READ_BYTES: Final = 1 << 16
_SECOND_MS: Final = 1000

Endpoint = Callable[[web.BaseRequest], Awaitable[web.Response]]
Page = Callable[[], tuple[int, str, bytes]]
"""A function that returns the status, content type and body of a page."""


class HttpServer:
    """Listens on `host` and `port`. `events` answers `/v1/events`, `pages` the paths that are read.

    `answer_s` is the longest that a request may take, from its head to the end of its answer.
    """

    def __init__(
        self,
        settings: GatewayHttp,
        *,
        host: str,
        port: int,
        events: Endpoint,
        hooks: HooksEndpoint,
        pages: Mapping[str, Page],
        answer_s: float,
    ) -> None:
        self._settings = settings
        self._address = host, port
        self._events = events
        self._hooks = hooks
        self._pages = pages
        self._answer_s = answer_s
        self._runner: web.ServerRunner | None = None
        self._connections = Connections(
            limits=Limits(
                settings.header_deadline_ms / _SECOND_MS,
                settings.idle_deadline_ms / _SECOND_MS,
                settings.body_deadline_ms / _SECOND_MS + answer_s,
                settings.max_connections,
            )
        )
        self._watch: asyncio.Task[None] | None = None
        self._guard: Guard | None = None
        self.is_stopping = False
        self.url = ""

    async def open(self) -> None:
        """Listen. Raise OSError, with the setting to change, for a port or a file that cannot be used."""
        self._guard = Guard(self._settings.web_config, "gateway.http.web_config")
        context = self._guard.context or _tls(self._settings)
        server = _Server(
            self._handle,
            logger=request_logger(),
            access_log_class=self._connections.access_log(),
            keepalive_timeout=self._settings.idle_deadline_ms / _SECOND_MS,
            max_line_size=self._settings.max_header_bytes,
            max_field_size=self._settings.max_header_bytes,
            max_headers=64,
            lingering_time=_LINGER_S,
            read_bufsize=_READ_BYTES,
            auto_decompress=False,
        )
        self._runner = web.ServerRunner(server, shutdown_timeout=self._answer_s)
        await self._runner.setup()
        bound = await open_port(
            self._runner,
            *self._address,
            "gateway.http_port",
            otherwise=", or set gateway.http.reuse_port for several gateways on one port",
            ssl_context=context,
            reuse_port=self._settings.reuse_port or None,
            backlog=1024,
        )
        self.url = bound.url("http" if context is None else "https")
        self._watch = asyncio.create_task(self._connections.watch(server))

    async def close(self) -> None:
        """Make `/-/ready` answer 503, stop listening, and finish the requests in flight."""
        self.is_stopping = True
        if self._runner is None:
            return
        await asyncio.sleep(self._settings.stop_delay_ms / _SECOND_MS)
        await self._runner.cleanup()
        if self._guard is not None:
            self._guard.close()
        if self._watch is not None:
            self._watch.cancel()
            await asyncio.gather(self._watch, return_exceptions=True)

    async def _handle(self, request: web.BaseRequest) -> web.Response:
        self._connections.began(request.protocol)
        try:
            refused = await self._refusal(request)
            answer = await self._route(request) if refused is None else refused
        except ProblemError as problem:
            answer = response(problem)
        except (ConnectionError, asyncio.CancelledError):
            raise
        except Exception as error:  # noqa: BLE001 - whatever a defect raises; its text may quote what came
            place = traceback.extract_tb(error.__traceback__)[-1]
            log.error("a defect: %s in %s, line %s", type(error).__name__, place.name, place.lineno)  # noqa: TRY400 - as above
            answer = response(ProblemError("internal-error", close=True))
        answer.headers["Server"] = "callpulse"
        if self._guard is not None:
            self._guard.add_headers(answer)
        if self.is_stopping:
            answer.force_close()
        return answer

    async def _refusal(self, request: web.BaseRequest) -> web.Response | None:
        """Return the answer to a client that may not read a page. Senders have tokens and signatures of their own."""
        is_senders = request.path in {EVENTS, CLOUDEVENTS} or request.path.startswith(HOOKS)
        return None if self._guard is None else await self._guard.refusal(request, open_to_all=is_senders)

    async def _route(self, request: web.BaseRequest) -> web.Response:
        path, method = request.path, request.method
        if path in {EVENTS, CLOUDEVENTS}:
            allow_only(request, "POST")
            return await self._events(request)
        if path.startswith(HOOKS):
            name, token, more = [*path.removeprefix(HOOKS).split("/", 2), "", ""][:3]
            if name and token:
                return await self._hooks(request, name, token, more)
        page = self._pages.get(path)
        if page is None:
            raise ProblemError("not-found")
        allow_only(request, "GET", "HEAD")
        status, content_type, body = page()
        headers = {"Content-Type": content_type}
        if method == "HEAD":
            headers["Content-Length"] = str(len(body))
            body = b""
        return web.Response(status=status, body=body, headers=headers)


class _Protocol(web.RequestHandler):
    """Answers malformed HTTP with a problem like all other errors; aiohttp's own text would quote the request."""

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,  # noqa: ARG002 - aiohttp's signature
    ) -> web.StreamResponse:
        if request.writer.output_size > 0 or isinstance(exc, ConnectionError):
            raise ConnectionError("a part of the answer is sent, or nobody reads it")
        if status >= 500:  # noqa: PLR2004 - a server's error
            log.error("a defect of the HTTP server: %s", type(exc).__name__)
            return response(ProblemError("internal-error", close=True))
        return response(
            ProblemError("headers-too-large" if isinstance(exc, LineTooLong) else "malformed-request", close=True)
        )


class _Server(web.Server):
    def __call__(self) -> web.RequestHandler:
        return _Protocol(self, loop=self._loop, **self._kwargs)


def json_page(answer: Mapping[str, Any], *, ok: bool = True) -> tuple[int, str, bytes]:
    """Return a page of JSON: 200, or 503."""
    return 200 if ok else 503, "application/json", msgspec.json.encode(answer) + b"\n"


def state_pages(why_not_ready: Callable[[], list[str]]) -> dict[str, Page]:
    """Return the pages of liveness and readiness. `why_not_ready` returns reasons in words."""

    def ready() -> tuple[int, str, bytes]:
        why = why_not_ready()
        return json_page({"ready": not why, "waiting_for": why}, ok=not why)

    return {HEALTHY: lambda: json_page({"healthy": True}), READY: ready}


def metrics_page(text: Callable[[], bytes], settings: GatewayHttp) -> dict[str, Page]:
    """Return the page of metrics, where the settings want it on this port, too."""
    return {METRICS: lambda: (200, CONTENT_TYPE, text())} if settings.metrics else {}


def _tls(settings: GatewayHttp) -> ssl.SSLContext | None:
    """Return the TLS of the settings; None: plain HTTP. Raise OSError with the setting that has to change."""
    if settings.tls_certfile is None:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    try:
        # Without a password a key that has one would ask at the terminal.
        context.load_cert_chain(settings.tls_certfile, settings.tls_keyfile, settings.tls_password.reveal)
    except (OSError, ssl.SSLError) as error:
        raise OSError(error.errno, f"gateway.http.tls_certfile cannot be used: {error.strerror or error}") from error
    if settings.tls_client_cafile is not None:
        try:
            context.load_verify_locations(settings.tls_client_cafile)
        except (OSError, ssl.SSLError) as error:
            raise OSError(
                error.errno, f"gateway.http.tls_client_cafile cannot be used: {error.strerror or error}"
            ) from error
        context.verify_mode = ssl.CERT_OPTIONAL
    return context

"""`/hooks/SOURCE/TOKEN`: systems that push in their own form. A source declares its methods and status codes."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import NamedTuple

from aiohttp import web

from agents.gateway.http_addresses import Network, is_within, networks_of
from agents.gateway.http_problems import ProblemError, allow_only
from agents.gateway.http_receiver import Receiver, lowered
from agents.gateway.http_senders import Tokens
from agents.gateway.sink import NotStoredError
from streams.settings.access import Access
from streams.sources.forms import has_more
from streams.sources.frame import Hook, Refused, Reply, Request, Translation

log = logging.getLogger("callpulse")

_UNAVAILABLE = (429, 503)


class Hooked(NamedTuple):
    """A source with a hook, and the access to it."""

    hook: Hook
    access: Access


Ring = Callable[[str], None]
"""A function that starts a poll of a source, by its name. It returns at once."""


def no_ring(_: str) -> None:
    """Start no poll: this process has no polls."""


class _Source(NamedTuple):
    name: str
    hook: Hook
    networks: tuple[Network, ...]


class HooksEndpoint:
    """Takes the requests of other systems, by the hooks of their sources. `ring` is called for each doorbell."""

    def __init__(self, receiver: Receiver, hooks: Mapping[str, Hooked], ring: Ring = no_ring) -> None:
        self._receiver = receiver
        self._ring = ring
        self._tokens = {name: Tokens({name: one.access}) for name, one in hooks.items()}
        self._sources = {name: _Source(name, one.hook, networks_of(one.access.networks)) for name, one in hooks.items()}

    async def __call__(self, request: web.BaseRequest, name: str, token: str, more: str) -> web.Response:
        """Answer a request; `more` is the part of its path behind the token.

        Raise ProblemError where no source is known, so that no source's table of answers applies.
        """
        source = self._sources.get(name)
        if source is None or self._tokens[name].owner(token) is None:
            if source is not None:
                self._receiver.meters.unauthenticated(name)
            raise ProblemError("not-found")
        if more and not source.hook.has_subpaths:
            raise ProblemError("not-found")
        allow_only(request, *source.hook.methods)
        answers = source.hook.answers
        try:
            return await self._received(request, source)
        except NotStoredError as error:
            return _answer(answers.unavailable, retry_after_s=error.retry_after_s)
        except ProblemError as problem:
            if problem.status in _UNAVAILABLE:
                return _answer(answers.unavailable, retry_after_s=problem.retry_after_s)
            raise

    async def _received(self, request: web.BaseRequest, source: _Source) -> web.Response:
        receiver, hook = self._receiver, source.hook
        headers = lowered(request)
        origin = receiver.origin(request, headers)
        if source.networks and not is_within(origin.address, source.networks):
            return self._unauthenticated(source)
        if headers.get("content-encoding", "").strip().lower() not in ("", "identity"):
            raise ProblemError("unsupported-encoding", "no hook takes an encoded body")
        with receiver.admitted(request, source.name, known=True) as ticket:
            body = await receiver.body(request, ticket)
            if hook.most_fields is not None and has_more(body, hook.most_fields):
                raise ProblemError("body-too-large", f"at most {hook.most_fields} fields are taken")
            received = Request(
                method=request.method,
                url=receiver.url(request, origin),
                query=request.raw_path.partition("?")[2],
                headers=headers,
                body=body,
                received_at_ms=receiver.clock(),
            )
            read = _read(source, received)
            if read is None:
                return self._unauthenticated(source)
            if isinstance(read, Reply):
                return _replied(source, read)
            events, refused = receiver.acceptance.all(read, received.received_at_ms)
            await receiver.store(source.name, events, refused, read.statements)
            if read.ring:
                self._ring(source.name)
        is_understood = bool(events or read.statements or not refused)
        return _answer(hook.answers.done if is_understood else hook.answers.refused)

    def _unauthenticated(self, source: _Source) -> web.Response:
        self._receiver.meters.unauthenticated(source.name)
        return _answer(source.hook.answers.unauthenticated)


def _read(source: _Source, received: Request) -> Translation | Reply | None:
    """Return the source's translation of a request, or its answer to a handshake; None if it is not its sender's.

    A defect of an adapter costs its request and nothing else. The text of an error may hold a value: it is not logged.
    """
    try:
        reply = source.hook.handshake(received)
        if reply is not None:
            return reply
        return source.hook.translate(received) if source.hook.is_authentic(received) else None
    except Exception as error:  # noqa: BLE001 - a defect may raise anything
        log.error("source %s: a defect of its adapter: %s", source.name, type(error).__name__)  # noqa: TRY400 - a traceback may quote values
        detail = f"a defect of the adapter: {type(error).__name__}"
        masked = source.hook.shape(received.body)
        return Translation(refused=[Refused(reason="invalid_field", detail=detail, shape=masked)])


def _replied(source: _Source, reply: Reply) -> web.Response:
    """Return the answer to a handshake. It may repeat parts of the request: no browser may take it for a page."""
    log.info("source %s: its URL was tested, and the test answered", source.name)
    headers = {**reply.headers, "Content-Type": reply.content_type, "X-Content-Type-Options": "nosniff"}
    return web.Response(status=reply.status, body=reply.body, headers=headers)


def _answer(status: int, *, retry_after_s: int | None = None) -> web.Response:
    return web.Response(status=status, headers={} if retry_after_s is None else {"Retry-After": str(retry_after_s)})

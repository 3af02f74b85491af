"""Conducts the conversation of a poll over HTTP: within the limits of the system, with repeats where they help."""

from __future__ import annotations

import asyncio
import logging
import random
import ssl
import time
from collections.abc import Awaitable, Callable
from importlib.metadata import version
from typing import Final, TypeVar

import aiohttp

from agents.gateway.http_receiver import Clock, clock_ms
from agents.gateway.poll_meters import PollMeters
from streams.settings.polls import GatewayPolls
from streams.sources.poll_verdicts import LONGEST_WAIT_S, Bucket, verdict
from streams.sources.polls import Ask, Asking, DeniedError, Found, Pause, Polled, PollError, Renewing, Response, Verdict
from streams.units import SECOND_MS

log = logging.getLogger("callpulse")

T = TypeVar("T")
Sleep = Callable[[float], Awaitable[object]]
OnFound = Callable[[Found], Awaitable[None]]

MOST_REQUESTS: Final = 2_000
"""Most requests of one conversation. More would mean a page that leads to itself."""
_PATIENCE_S: Final = 900.0
_MOST_RETRIES: Final = 4
_FIRST_PAUSE_S: Final = 1.0
_LONGEST_PAUSE_S: Final = 30.0
_CHUNK: Final = 1 << 16


def session(settings: GatewayPolls) -> aiohttp.ClientSession:
    """Return the HTTP client of all polls. Raise OSError for authorities that cannot be read."""
    context = ssl.create_default_context(cafile=settings.cafile)
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(ssl=context, limit=20),
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=aiohttp.ClientTimeout(total=settings.deadline_ms / SECOND_MS),
        headers={"User-Agent": f"callpulse/{version('callpulse')}", "Accept": "application/json"},
    )


class PollClient:
    """Sends the requests to one system. `monotonic` returns seconds, `now_ms` the time of the wall clock."""

    def __init__(
        self,
        name: str,
        source: Polled,
        http: aiohttp.ClientSession,
        settings: GatewayPolls,
        meters: PollMeters,
        *,
        sleep: Sleep = asyncio.sleep,
        monotonic: Callable[[], float] = time.monotonic,
        now_ms: Clock = clock_ms,
    ) -> None:
        self._name = name
        self._source = source
        self._http = http
        self._settings = settings
        self._meters = meters
        self._sleep = sleep
        self._monotonic = monotonic
        self._now_ms = now_ms
        self._bucket = Bucket(source.limits, monotonic())

    async def conduct(self, steps: Asking[T], on_found: OnFound | None = None) -> T:
        """Go through a conversation and return its result. Raises PollError, DeniedError among them."""
        response: Response | None = None
        requests = 0
        try:
            while True:
                step = steps.send(response)
                response = None
                if isinstance(step, Ask):
                    requests += 1
                    if requests > MOST_REQUESTS:
                        raise PollError(f"the poll needs more than {MOST_REQUESTS} requests: its pages do not end")
                    response = await self._answered(step)
                elif isinstance(step, Pause):
                    await self._wait(min(step.seconds, LONGEST_WAIT_S))
                elif on_found is not None:
                    await on_found(step)
        except StopIteration as end:
            result: T = end.value
            return result
        finally:
            steps.close()

    async def _answered(self, ask: Ask) -> Response:
        """Return a good response, after repeats where they are needed."""
        began_s = self._monotonic()
        retries, waits, renewed = 0, 0, False
        while True:
            response, found = await self._attempt(ask)
            if found.kind == "good" and response is not None:
                return response
            if found.kind == "denied" and isinstance(self._source, Renewing) and not renewed:
                renewed = True
                await self._renew(self._source)
            elif found.kind == "wait":
                self._bucket.empty(self._monotonic())
                if self._monotonic() - began_s > _PATIENCE_S:
                    raise PollError(f"the system has refused for {_PATIENCE_S / 60:.0f} min because of its limits")
                waits += 1
                await self._wait(_pause_s(waits) if found.wait_s is None else min(found.wait_s, LONGEST_WAIT_S))
            elif found.kind == "retry" and retries < _MOST_RETRIES:
                retries += 1
                await self._wait(_pause_s(retries))
            elif found.kind == "denied":
                raise DeniedError(found.why)
            else:
                raise PollError(found.why)

    async def _renew(self, source: Renewing) -> None:
        """Let the source renew its access token. A failed request of the renewal starts no further renewal."""
        steps = source.renew()
        response: Response | None = None
        try:
            for _ in range(10):
                step = steps.send(response)
                if isinstance(step, Ask):
                    response, found = await self._attempt(step)
                    if response is None or found.kind != "good":
                        raise DeniedError(f"a new access is refused: {found.why}")
        except StopIteration:
            return
        finally:
            steps.close()

    async def _attempt(self, ask: Ask) -> tuple[Response | None, Verdict]:
        """Send the request once, as soon as the limit allows it."""
        wait_s = self._bucket.take(self._monotonic())
        if wait_s:
            await self._wait(wait_s)
        response: Response | None = None
        try:
            response = await self._send(ask)
        except TimeoutError:
            found = Verdict("retry", why=f"no answer within {self._settings.deadline_ms / SECOND_MS:g} s")
        except (aiohttp.ClientError, OSError, ValueError) as error:
            # The text of such an error may have the address in it, which may be a secret.
            found = Verdict("retry", why=f"no answer: {_words(error)}")
        else:
            found = self._source.verdict(response) or verdict(ask, response)
        self._meters.asked(self._name, 0 if response is None else response.status, self._bucket.left(self._monotonic()))
        return response, found

    async def _send(self, ask: Ask) -> Response:
        headers = {**self._source.headers(), **ask.headers}
        proxy = self._settings.proxy.reveal() or None
        url = self._source.base_url.rstrip("/") + "/" + ask.path.lstrip("/")
        async with self._http.request(
            ask.method,
            url,
            params=dict(ask.query) or None,
            json=ask.json,
            data=None if ask.form is None else dict(ask.form),
            headers=headers,
            allow_redirects=False,
            proxy=proxy,
        ) as answer:
            body = bytearray()
            async for chunk in answer.content.iter_chunked(_CHUNK):
                body += chunk
                if len(body) > self._settings.max_body_bytes:
                    raise PollError(f"an answer is larger than gateway.polls.max_body_bytes ({len(body)} bytes so far)")
            named = {name.lower(): value for name, value in answer.headers.items()}
            return Response(status=answer.status, headers=named, body=bytes(body), at_ms=self._now_ms())

    async def _wait(self, seconds: float) -> None:
        self._meters.waited(self._name, seconds)
        await self._sleep(seconds)


def _pause_s(number: int) -> float:
    """Return a pause that grows, and is not the same for all."""
    longest = min(_LONGEST_PAUSE_S, _FIRST_PAUSE_S * 2.0 ** (number - 1))
    spread: float = random.random()  # noqa: S311 - spreads load, protects nothing
    return longest * (1 - spread / 4)


def _words(error: BaseException) -> str:
    """Return the meaning of an error in words, without its text."""
    if isinstance(error, aiohttp.ClientConnectorCertificateError | ssl.SSLError | aiohttp.ClientConnectorSSLError):
        return "its certificate is not trusted (gateway.polls.cafile)"
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return "the name of its host is not known"
    if isinstance(error, aiohttp.ClientProxyConnectionError | aiohttp.ClientHttpProxyError):
        return "the proxy does not let us through (gateway.polls.proxy)"
    if isinstance(error, aiohttp.ClientConnectorError | ConnectionRefusedError):
        return "nobody answers at its address"
    return f"the connection broke ({type(error).__name__})"

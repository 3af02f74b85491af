"""The demo's CRM: posts events to the gateway in batches, and again until it is answered, as in docs/gateway.md."""

from __future__ import annotations

import asyncio
import io
import random
import time
from collections import deque
from collections.abc import Callable
from http import HTTPStatus
from typing import Any, Final, Self

import aiohttp
import orjson

from agents.cli.common import FAILED, UserError

MOST_EVENTS: Final = 500
MOST_BYTES: Final = 1 << 19
PATIENCE_S: Final = 90.0
"""Time for which a batch is sent again before the demo gives up."""
_MOST_WAITING: Final = 4 * MOST_EVENTS
_ANSWER_S: Final = 20.0
_FIRST_DELAY_S: Final = 0.1
_LONGEST_DELAY_S: Final = 5.0
_AGAIN: Final = (HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_MANY_REQUESTS)
_ANSWERED: Final = (HTTPStatus.ACCEPTED, HTTPStatus.UNPROCESSABLE_ENTITY)
_MOST_SHOWN: Final = 300
_LINES: Final = "application/x-ndjson"
_ONE: Final = "application/json"


class Crm:
    """Sends events to `/v1/events` of a gateway, one batch after the other: the events of a lead keep their order.

    An event that is not one line of text (it is empty, or has a line break in it) goes by itself. A batch that is not
    answered, or answered with 408, 429 or 5xx, is sent again, after `Retry-After` or a growing delay with jitter.
    """

    def __init__(self, url: str, token: str) -> None:
        self._url = url
        self._headers = {"Authorization": f"Bearer {token}"}
        self._waiting: deque[bytes] = deque()
        self._given, self._moved = asyncio.Event(), asyncio.Event()
        self._in_flight = 0
        self._task: asyncio.Task[None] | None = None
        self.acknowledged: set[str] = set()
        """The ids of the events that the gateway has stored."""
        self.posted = self.requests = self.again = self.accepted = self.duplicates = self.rejected = 0

    def counts(self) -> dict[str, int]:
        """Return the counts of events sent and of their answers, for the report."""
        names = ("posted", "requests", "again", "accepted", "duplicates", "rejected")
        return {**{name: getattr(self, name) for name in names}, "acknowledged": len(self.acknowledged)}

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._run())
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def add(self, value: bytes) -> None:
        """Take an event; waits while too many are on their way. Raises UserError if the gateway does not take them."""
        await self._until(lambda: len(self._waiting) < _MOST_WAITING)
        self._waiting.append(value)
        self._given.set()

    async def flush(self) -> None:
        """Wait until the gateway has answered for all events. Raises UserError if it does not take them."""
        await self._until(lambda: not self._waiting and not self._in_flight)

    async def _until(self, condition: Callable[[], bool]) -> None:
        while not condition():
            if self._task is None or self._task.done():
                raise self._why_ended()
            self._moved.clear()
            waiter = asyncio.create_task(self._moved.wait())
            await asyncio.wait({waiter, self._task}, return_when=asyncio.FIRST_COMPLETED)
            waiter.cancel()

    def _why_ended(self) -> BaseException:
        error = None if self._task is None or self._task.cancelled() else self._task.exception()
        return error or RuntimeError("the CRM of the demo does not run")

    async def _run(self) -> None:
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=_ANSWER_S)) as session:
            while True:
                await self._given.wait()
                self._given.clear()
                while self._waiting:
                    batch = self._next()
                    self._in_flight = len(batch)
                    await self._deliver(session, batch)
                    self._in_flight = 0
                    self._moved.set()

    def _next(self) -> list[bytes]:
        batch = [self._waiting.popleft()]
        size = len(batch[0])
        while is_line(batch[0]) and self._waiting and len(batch) < MOST_EVENTS:
            value = self._waiting[0]
            size += len(value) + 1
            if size > MOST_BYTES or not is_line(value):
                break
            batch.append(self._waiting.popleft())
        return batch

    async def _deliver(self, session: aiohttp.ClientSession, batch: list[bytes]) -> None:
        self.posted += len(batch)
        headers = {**self._headers, "Content-Type": _LINES if is_line(batch[0]) else _ONE}
        body = b"\n".join(batch)
        deadline_s = time.monotonic() + PATIENCE_S
        delay_s = _FIRST_DELAY_S
        while True:
            self.requests += 1
            try:
                async with session.post(f"{self._url}/v1/events", data=io.BytesIO(body), headers=headers) as answer:
                    status, reply = answer.status, await answer.read()
                    after = answer.headers.get("Retry-After", "")
            except (aiohttp.ClientError, TimeoutError, OSError) as error:
                status, reply, after = 0, (str(error) or type(error).__name__).encode(), ""
            if status in _ANSWERED:
                self._answered(orjson.loads(reply))
                return
            if len(batch) == 1 and status in {HTTPStatus.BAD_REQUEST, HTTPStatus.REQUEST_ENTITY_TOO_LARGE}:
                self.rejected += 1  # the event was refused with its request
                return
            refused = 0 < status < HTTPStatus.INTERNAL_SERVER_ERROR and status not in _AGAIN
            if refused or time.monotonic() > deadline_s:
                text = f"{status or 'no answer'}: {reply.decode(errors='replace')[:_MOST_SHOWN]}"
                raise UserError(f"the gateway does not take the events of the CRM ({text})", FAILED)
            self.again += 1
            jitter = random.uniform(0.5, 1)  # noqa: S311 - spreads requests over time, protects nothing
            await asyncio.sleep(float(after) if after.isdecimal() else delay_s * jitter)
            delay_s = min(2 * delay_s, _LONGEST_DELAY_S)

    def _answered(self, answer: dict[str, Any]) -> None:
        self.accepted += answer["accepted"]
        self.duplicates += answer["duplicates"]
        self.rejected += answer["rejected"]
        self.acknowledged.update(
            result["id"] for result in answer["results"] if result["status"] in {"accepted", "duplicate"}
        )


def is_line(value: bytes) -> bool:
    """Return whether an event can stand in a batch of lines."""
    return bool(value.strip()) and b"\n" not in value and len(value) < MOST_BYTES

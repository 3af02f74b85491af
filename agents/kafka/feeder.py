"""Feeds the simulated department into Kafka: its history at once, or at a pace, and then what is due now.

`due_ms` is the moment at which a record arrives. Up to the present, records are sent as fast as Kafka takes them, or
`speed` times as fast as they happened, or `rate` of them a second; from the present on, each is sent when it is due.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable
from typing import Final, Generic, Protocol, TypeVar

_TOGETHER: Final = 1000
_NAP_S: Final = 0.1


A = TypeVar("A", bound="Arrival")


class Arrival(Protocol):
    """A record of the simulator."""

    @property
    def topic(self) -> str:
        """The topic, without the prefix of the installation."""

    @property
    def key(self) -> str | None:
        """The key of the record."""

    @property
    def value(self) -> bytes:
        """The value of the record."""

    @property
    def due_ms(self) -> int:
        """Moment at which it arrives, in milliseconds since epoch."""


class Outlet(Protocol):
    """Takes records: Kafka's producer, or another way in."""

    async def add(self, topic: str, key: bytes | None, value: bytes) -> None:
        """Take a record; waits while too many are on their way."""

    async def push(self) -> None:
        """Send the records that are held back."""

    async def flush(self) -> None:
        """Wait until all that was taken is stored."""


class Feeder(Generic[A]):
    """Sends records through an outlet. `sent` counts them; `live` is set when the history is in Kafka.

    `on_sent` is called with each record right after it was handed over, and before the next one is taken.
    """

    def __init__(
        self,
        producer: Outlet,
        *,
        prefix: str = "",
        speed: float | None = None,
        rate: float | None = None,
        on_progress: Callable[[int], None] = lambda _count: None,
        on_sent: Callable[[A], None] = lambda _record: None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Raise ValueError where both a speed and a rate are given, or one that is not above 0."""
        if speed is not None and rate is not None:
            raise ValueError("speed and rate are two ways to pace the history; give one of them")
        if any(pace is not None and not pace > 0 for pace in (speed, rate)):
            raise ValueError("speed and rate are above 0")
        self._producer = producer
        self._prefix = prefix
        self._speed = speed
        self._rate = rate
        self._on_progress = on_progress
        self._on_sent = on_sent
        self._clock = clock
        self.sent = 0
        self.live = asyncio.Event()
        self.stop = asyncio.Event()

    async def run(self, records: Iterable[A], until_ms: int | None = None) -> None:
        """Send `records` until there are no more, `stop` is set, or one is due after `until_ms`, which is not sent."""
        started = self._clock()
        first_ms = None
        for record in records:
            if until_ms is not None and record.due_ms > until_ms:
                break
            first_ms = record.due_ms if first_ms is None else first_ms
            if record.due_ms > self._clock() * 1000 and not self.live.is_set():
                await self._history_sent()
            if not await self._wait(self._leaves_at(record.due_ms, first_ms, started)):
                break
            key = None if record.key is None else record.key.encode()
            await self._producer.add(self._prefix + record.topic, key, record.value)
            self.sent += 1
            self._on_sent(record)
            if not self.live.is_set() and self.sent % _TOGETHER == 0:
                self._on_progress(_TOGETHER)
                await asyncio.sleep(0)
            if self.stop.is_set():
                break
        await self._history_sent()

    async def _history_sent(self) -> None:
        """Wait until all that was sent is stored."""
        await self._producer.flush()
        if not self.live.is_set():
            self._on_progress(self.sent % _TOGETHER)
            self.live.set()

    def _leaves_at(self, due_ms: int, first_ms: int, started: float) -> float:
        """Return the moment at which a record is sent, in seconds since epoch."""
        due = due_ms / 1000
        if due > self._clock():
            return due
        if self._speed is not None:
            return started + (due_ms - first_ms) / 1000 / self._speed
        if self._rate is not None:
            return started + self.sent / self._rate
        return 0.0

    async def _wait(self, leaves_at: float) -> bool:
        """Wait until the moment; false if `stop` was set meanwhile."""
        if leaves_at <= self._clock():
            return True
        await self._producer.push()
        while (left := leaves_at - self._clock()) > 0:
            if self.stop.is_set():
                return False
            await asyncio.sleep(min(left, _NAP_S))
        return True

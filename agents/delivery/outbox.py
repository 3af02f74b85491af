"""The outbox: what a fold tells others leaves the worker in order, in batches, and is known to have arrived.

Adding is a plain call, so a batch of records is folded in one uninterrupted step. A failure to send is never passed
over: it ends the worker before it can commit, and the records are folded again.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable
from typing import Any, Final

_HIGH_WATER: Final = 20_000


class SendError(RuntimeError):
    """Kafka did not take a record that was folded."""


class Outbox:
    """Records on their way to Kafka through an aiokafka producer, which `producer` returns once it has been started."""

    def __init__(self, producer: Callable[[], Any], on_error: Callable[[BaseException], None]) -> None:
        self._on_error = on_error
        self.producer = producer
        self._waiting: defaultdict[tuple[str, int], list[tuple[bytes | None, bytes | None, Any]]] = defaultdict(list)
        self._count = 0
        self._in_flight: set[asyncio.Future[Any]] = set()
        self._sending = asyncio.Lock()
        self._wake = asyncio.Event()
        self._left = asyncio.Event()
        self.failed: BaseException | None = None
        self.watched: frozenset[str] = frozenset()  # topics of which it is known where batches came to lie
        self._lie_at: defaultdict[tuple[str, int], list[tuple[int, int]]] = defaultdict(list)

    def add(
        self,
        topic: str,
        partition: int,
        key: bytes | None,
        value: bytes | None,
        headers: list[tuple[str, bytes]] | None = None,
    ) -> None:
        """Put a record in the queue of its partition."""
        self._waiting[topic, partition].append((key, value, headers))
        self._count += 1
        if self._count == 1:
            self._wake.set()

    def arrived(self, topic: str, partition: int) -> list[tuple[int, int]]:
        """Return where the batches that have arrived in a partition of a watched topic begin, and their lengths.

        In their order, each batch once. An offset of -1 means that Kafka has the batch and does not say where.
        """
        return self._lie_at.pop((topic, partition), [])

    async def ebb(self) -> None:
        """Wait while too many records are waiting to leave."""
        while self._count > _HIGH_WATER and self.failed is None:
            self._left.clear()
            await self._left.wait()

    async def run(self) -> None:
        """Send what is added, for as long as the worker lives."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            await self._send_waiting()

    async def drain(self) -> None:
        """Wait until all that was added before is in Kafka. Raise SendError if some of it is not."""
        await self._send_waiting()
        if self._in_flight:
            await asyncio.wait(set(self._in_flight))
        if self.failed is not None:
            raise SendError(f"Kafka did not take a record: {self.failed!r}") from self.failed

    async def _send_waiting(self) -> None:
        async with self._sending:  # one at a time, or a partition's order is lost
            waiting, self._waiting = self._waiting, defaultdict(list)
            self._count = 0
            self._left.set()
            try:
                # Partitions side by side: the client takes the next batch of one only when the last is sent.
                await asyncio.gather(*(self._send(*where, records) for where, records in waiting.items()))
            except Exception as error:
                self._fail(error)
                raise

    async def _send(self, topic: str, partition: int, records: list[tuple[bytes | None, bytes | None, Any]]) -> None:
        producer = self.producer()
        batch = producer.create_batch()
        begun = 0
        for number, (key, value, headers) in enumerate(records):
            fits = batch.append(key=key, value=value, timestamp=None, headers=headers or [])
            if fits is None:
                await self._enqueue(batch, topic, partition, number - begun)
                batch, begun = producer.create_batch(), number
                batch.append(key=key, value=value, timestamp=None, headers=headers or [])
        await self._enqueue(batch, topic, partition, len(records) - begun)

    async def _enqueue(self, batch: Any, topic: str, partition: int, length: int) -> None:
        future = await self.producer().send_batch(batch, topic, partition=partition)
        self._in_flight.add(future)
        future.add_done_callback(self._arrived)
        if topic in self.watched:
            lie_at = self._lie_at[topic, partition]
            future.add_done_callback(lambda done: lie_at.append((done.result().offset, length)))

    def _arrived(self, future: asyncio.Future[Any]) -> None:
        self._in_flight.discard(future)
        error = future.exception() if not future.cancelled() else asyncio.CancelledError()
        if error is not None:
            self._fail(error)

    def _fail(self, error: BaseException) -> None:
        if self.failed is None:
            self.failed = error
            self._on_error(error)

"""The outbox: sends emitted records in order and in batches, and notes which of them Kafka stored.

Adding is a plain call, so a batch of records is folded in one uninterrupted step. A record that Kafka does not take
ends the worker before it can commit, and the source records are folded again.
"""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Any, Final, Protocol

from agents.kafka.batch_sender import BatchSender, Headers, Record

_HIGH_WATER: Final = 20_000
_SPACING_S: Final = 0.02
"""The least time between two rounds of sending. Under load a round then has several fold steps in one request."""


class RecordQueue(Protocol):
    """The interface of the outbox to the agents."""

    def add(self, topic: str, partition: int, key: bytes | None, value: bytes | None, headers: Headers = None) -> None:
        """Put a record in the queue of its partition."""


class SendError(Exception):
    """Kafka did not take a record that was emitted."""


class Outbox:
    """Records on their way to Kafka through an aiokafka producer, which `producer` returns once it has been started.

    `watched` are the topics for which `acked` is kept.
    """

    def __init__(
        self,
        producer: Callable[[], Any],
        on_error: Callable[[BaseException], None],
        watched: frozenset[str] = frozenset(),
    ) -> None:
        self._on_error = on_error
        self.producer = producer
        self._sender = BatchSender(self._current_producer, on_stored=self._stored, on_failed=self._fail)
        self._waiting: defaultdict[tuple[str, int], list[Record]] = defaultdict(list)
        self._count = 0
        self._sent_at = 0.0
        self._sending = asyncio.Lock()
        self._wake = asyncio.Event()
        self._sent = asyncio.Event()
        self.failed: BaseException | None = None
        self._watched = watched
        self._acked: defaultdict[tuple[str, int], list[tuple[int, int]]] = defaultdict(list)

    def add(
        self,
        topic: str,
        partition: int,
        key: bytes | None,
        value: bytes | None,
        headers: Headers = None,
    ) -> None:
        """Put a record in the queue of its partition."""
        self._waiting[topic, partition].append((key, value, headers, None))
        self._count += 1
        if self._count == 1:
            self._wake.set()

    def add_all(self, topic: str, partition: int, records: Iterable[tuple[bytes, bytes | None]]) -> None:
        """Put records without headers in the queue of their partition."""
        added: list[Record] = [(key, value, None, None) for key, value in records]
        if not added:
            return
        self._waiting[topic, partition] += added
        if self._count == 0:
            self._wake.set()
        self._count += len(added)

    def acked(self, topic: str, partition: int) -> list[tuple[int, int]]:
        """Return first offset and length of the batches that Kafka stored in a partition of a watched topic.

        In their order, each batch once. An offset of -1 means that Kafka has the batch and does not say where.
        """
        return self._acked.pop((topic, partition), [])

    async def wait_for_capacity(self) -> None:
        """Wait while too many records wait to be sent."""
        while self._count > _HIGH_WATER and self.failed is None:
            self._sent.clear()
            await self._sent.wait()

    async def run(self) -> None:
        """Send what is added, for as long as the worker lives: at once after a pause, else in rounds."""
        while True:
            await self._wake.wait()
            soon_s = self._sent_at + _SPACING_S - time.monotonic()
            if soon_s > 0:
                await asyncio.sleep(soon_s)
            self._wake.clear()
            await self._send_waiting()
            self._sent_at = time.monotonic()

    async def drain(self) -> None:
        """Wait until all that was added before is in Kafka. Raise SendError if some of it is not."""
        await self._send_waiting()
        await self._sender.settle()
        if self.failed is not None:
            raise SendError(f"Kafka did not take a record: {self.failed!r}") from self.failed

    async def _send_waiting(self) -> None:
        async with self._sending:  # one at a time, or a partition's order is lost
            waiting, self._waiting = self._waiting, defaultdict(list)
            self._count = 0
            self._sent.set()
            try:
                # Partitions side by side: the client takes the next batch of one only when the last is sent.
                await asyncio.gather(*(self._sender.send(*where, records) for where, records in waiting.items()))
            except Exception as error:
                self._fail(error)
                raise

    def _current_producer(self) -> Any:
        return self.producer()

    def _stored(self, topic: str, partition: int, offset: int, length: int) -> None:
        if topic in self._watched:
            self._acked[topic, partition].append((offset, length))

    def _fail(self, error: BaseException) -> None:
        if self.failed is None:
            self.failed = error
            self._on_error(error)

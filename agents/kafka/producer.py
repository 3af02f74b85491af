"""A fast producer for what is fed in by hand: whole batches, to the partitions that the Java client would choose.

Records of a partition keep their order. The producer is idempotent: a batch that is sent again after a lost answer is
stored once. Faster than `send` for each record by a factor of four to five.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from types import TracebackType
from typing import Any, Final, Self

from aiokafka import AIOKafkaProducer, errors

from agents.kafka.clients import LARGEST_REQUEST, KafkaUnusableError, client_options, connected, put_into_words
from streams.contract import topics
from streams.settings.settings import Kafka

BATCH_BYTES: Final = 1 << 18
_MOST_IN_FLIGHT: Final = 64
_METADATA_DEADLINE_S: Final = 10.0
Headers = Sequence[tuple[str, bytes]]


class BatchProducer:
    """`async with BatchProducer(kafka) as producer: await producer.add(...)`. Everything has arrived when it is left.

    `acknowledged` counts the records that Kafka has stored. Every method raises KafkaUnusableError.
    """

    def __init__(self, kafka: Kafka) -> None:
        self._kafka = kafka
        self._connection: Any = None
        self._producer: Any = None
        self._partitions: dict[str, int] = {}
        self._places: dict[int, Any] = {}
        self._open: dict[tuple[str, int], Any] = {}
        self._in_flight: set[asyncio.Future[Any]] = set()
        self._failed: BaseException | None = None
        self._turn = 0
        self.acknowledged = 0

    async def __aenter__(self) -> Self:
        producer = AIOKafkaProducer(
            **client_options(self._kafka),
            enable_idempotence=True,
            max_batch_size=BATCH_BYTES,
            max_request_size=LARGEST_REQUEST,
            metadata_max_age_ms=60_000,
        )
        self._connection = connected(producer, self._kafka)
        self._producer = await self._connection.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                await self.flush()
        finally:
            await self._connection.__aexit__(kind, error, traceback)

    async def partitions(self, topic: str) -> int:
        """Return how many partitions a topic has. Raises KafkaUnusableError for one that does not exist."""
        known = self._partitions.get(topic)
        if known is None:
            try:
                async with asyncio.timeout(_METADATA_DEADLINE_S):
                    known = len(await self._producer.partitions_for(topic))
            except (TimeoutError, errors.KafkaError) as error:
                if isinstance(error, TimeoutError | errors.UnknownTopicOrPartitionError):
                    told = f"Kafka at {self._kafka.bootstrap} has no topic {topic}: `callpulse topics create` makes it."
                else:
                    told = put_into_words(error, self._kafka)
                raise KafkaUnusableError(told) from None
            self._partitions[topic] = known
        return known

    async def add(
        self,
        topic: str,
        key: bytes | None,
        value: bytes | None,
        headers: Headers = (),
        partition: int | None = None,
    ) -> None:
        """Put a record into the batch of its partition; waits only while too much is on its way.

        The key decides the partition, as in the Java client; records without one take turns.
        """
        if partition is None:
            count = self._partitions.get(topic) or await self.partitions(topic)
            if key is None:
                partition = self._turn = (self._turn + 1) % count
            else:
                place = self._places.get(count) or self._places.setdefault(count, topics.partitioner(count))
                partition = place(key)
        batch = self._open.get((topic, partition))
        if batch is None:
            batch = self._open[topic, partition] = self._producer.create_batch()
        if batch.append(key=key, value=value, timestamp=None, headers=list(headers)) is None:
            await self._send(topic, partition)
            batch = self._open[topic, partition] = self._producer.create_batch()
            batch.append(key=key, value=value, timestamp=None, headers=list(headers))

    async def push(self) -> None:
        """Send what has been added, without waiting for it to arrive."""
        for topic, partition in list(self._open):
            await self._send(topic, partition)

    async def flush(self) -> None:
        """Send what has been added and wait until all of it is stored."""
        await self.push()
        while self._in_flight:
            await asyncio.wait(set(self._in_flight))
        self._check()

    async def _send(self, topic: str, partition: int) -> None:
        batch = self._open.pop((topic, partition))
        while len(self._in_flight) >= _MOST_IN_FLIGHT:
            await asyncio.wait(self._in_flight, return_when=asyncio.FIRST_COMPLETED)
        self._check()
        count = batch.record_count()
        try:
            future = await self._producer.send_batch(batch, topic, partition=partition)
        except (errors.KafkaError, TimeoutError) as error:
            raise KafkaUnusableError(put_into_words(error, self._kafka)) from error
        self._in_flight.add(future)
        future.add_done_callback(lambda done: self._arrived(done, count))

    def _arrived(self, future: asyncio.Future[Any], count: int) -> None:
        self._in_flight.discard(future)
        if future.cancelled():
            return
        error = future.exception()
        if error is None:
            self.acknowledged += count
        else:
            self._failed = self._failed or error

    def _check(self) -> None:
        if self._failed is not None:
            raise KafkaUnusableError(put_into_words(self._failed, self._kafka)) from self._failed

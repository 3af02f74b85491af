"""A fast producer for the commands: whole batches, to the partitions that the Java client would choose.

Records of a partition keep their order. The producer is idempotent: a batch that is sent again after a lost answer is
stored once.
"""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Any, Final, Self

from aiokafka import AIOKafkaProducer, errors

from agents.kafka.batch_sender import BatchSender, Headers, Record
from agents.kafka.clients import LARGEST_REQUEST, KafkaUnusableError, client_options, connected, put_into_words
from streams.contract import topics
from streams.settings.settings import Kafka

BATCH_BYTES: Final = 1 << 18
_FULL_BYTES: Final = BATCH_BYTES - BATCH_BYTES // 8  # room for the overhead of a batch beside keys and values
_RECORD_BYTES: Final = 16
_MOST_IN_FLIGHT: Final = 64
_METADATA_DEADLINE_S: Final = 10.0


class BatchProducer:
    """`async with BatchProducer(kafka) as producer: await producer.add(...)`. At its end all records are stored.

    `acknowledged` counts the records that Kafka has stored. Every method raises KafkaUnusableError.
    """

    def __init__(self, kafka: Kafka) -> None:
        self._kafka = kafka
        self._connection: Any = None
        self._producer: Any = None
        self._partitions: dict[str, int] = {}
        self._partitioners: dict[int, Any] = {}
        self._waiting: dict[tuple[str, int], list[Record]] = {}
        self._bytes: dict[tuple[str, int], int] = {}
        self._sender = BatchSender(
            lambda: self._producer, on_stored=self._stored, on_failed=self._fail, most_in_flight=_MOST_IN_FLIGHT
        )
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
                    text = f"Kafka at {self._kafka.bootstrap} has no topic {topic}: `callpulse topics create` makes it."
                else:
                    text = put_into_words(error, self._kafka)
                raise KafkaUnusableError(text) from None
            self._partitions[topic] = known
        return known

    async def add(
        self,
        topic: str,
        key: bytes | None,
        value: bytes | None,
        headers: Headers = None,
        partition: int | None = None,
        timestamp_ms: int | None = None,
    ) -> None:
        """Add a record to the batch of its partition. Wait only while too many batches are in flight.

        The key decides the partition, as in the Java client. Records without a key are spread over all partitions.
        A `timestamp_ms` is kept by topics that do not stamp records on arrival.
        """
        if partition is None:
            count = self._partitions.get(topic) or await self.partitions(topic)
            if key is None:
                partition = self._turn = (self._turn + 1) % count
            else:
                partition_for = self._partitioners.get(count)
                if partition_for is None:
                    partition_for = self._partitioners[count] = topics.partitioner(count)
                partition = partition_for(key)
        where = topic, partition
        size = _RECORD_BYTES + len(key or b"") + len(value or b"")
        waiting = self._waiting.get(where)
        if waiting is not None and self._bytes[where] + size > _FULL_BYTES:
            await self._send(where)
            waiting = None
        if waiting is None:
            waiting = self._waiting[where] = []
            self._bytes[where] = 0
        waiting.append((key, value, headers, timestamp_ms))
        self._bytes[where] += size

    async def push(self) -> None:
        """Send what has been added, without waiting until it is stored."""
        for where in list(self._waiting):
            await self._send(where)

    async def flush(self) -> None:
        """Send what has been added and wait until all of it is stored."""
        await self.push()
        await self._sender.settle()
        self._check()

    async def _send(self, where: tuple[str, int]) -> None:
        self._check()
        try:
            await self._sender.send(*where, self._waiting.pop(where))
        except (errors.KafkaError, TimeoutError) as error:
            raise KafkaUnusableError(put_into_words(error, self._kafka)) from error
        self._check()

    def _stored(self, _topic: str, _partition: int, _offset: int, length: int) -> None:
        self.acknowledged += length

    def _fail(self, error: BaseException) -> None:
        self._failed = self._failed or error

    def _check(self) -> None:
        if self._failed is not None:
            raise KafkaUnusableError(put_into_words(self._failed, self._kafka)) from self._failed

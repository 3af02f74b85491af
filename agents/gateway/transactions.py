"""Transactions: records and the position that they reach come into Kafka together, or not at all.

A process that opens transactions under an identity fences off the earlier ones, and reads the last position that Kafka
has committed. So after a crash or a lost answer the process can tell exactly which records are in the topics.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import defaultdict
from collections.abc import Iterable
from typing import Any, Final

from aiokafka import AIOKafkaProducer, errors

from agents.gateway import cursors
from agents.gateway.entries import Outgoing
from agents.kafka import admin
from agents.kafka.batch_sender import BatchSender, Record
from agents.kafka.clients import (
    DENIED,
    LARGEST_REQUEST,
    KafkaUnusableError,
    client_options,
    full_name,
    put_into_words,
)
from agents.kafka.producer import BATCH_BYTES
from streams.contract import groups, topics
from streams.settings.settings import Kafka

log = logging.getLogger("callpulse")

TIMEOUT_MS: Final = 5_000
"""Time after which Kafka ends an open transaction. Until then the transaction delays consumers of later records."""
_LONGEST_MS: Final = 20_000
"""Longest time that a transaction gets after an earlier one took too long."""
_REQUEST_TIMEOUT_MS: Final = 10_000
_OPEN_S: Final = 20.0
_LEAVE_S: Final = 2.0
_ERRORS: Final = (errors.KafkaError, OSError, TimeoutError, AssertionError)  # aiokafka asserts its states


class Transactions:
    """Made by `begin`. `committed` is the last position that Kafka has, 0 if it has none.

    After an error it is not known whether Kafka has what was sent last: close it and begin anew. `timeout_ms` is how
    long one may take.
    """

    def __init__(
        self,
        kafka: Kafka,
        identity: str,
        producer: Any,
        partitions: dict[str, int],
        *,
        committed: int,
        timeout_ms: int,
    ) -> None:
        self.timeout_ms = timeout_ms
        self.was_slow = False
        """True once a transaction took too long."""
        self._kafka = kafka
        self._producer = producer
        self._failed: BaseException | None = None
        self._sender = BatchSender(lambda: producer, on_stored=_ignore, on_failed=self._fail)
        self._cursor = _cursor_key(identity)
        self._partition_for = {name: topics.partitioner(count) for name, count in partitions.items()}
        self._names = {topic.name: full_name(kafka, topic) for topic in topics.of_gateway()}
        self.committed = committed

    @classmethod
    async def begin(cls, kafka: Kafka, identity: str, after: Transactions | None = None) -> Transactions:
        """Connect, fence off earlier processes, and read the position. Raises KafkaUnusableError.

        `after` is the earlier object of this process: if a transaction of it took too long, these may take longer.
        """
        timeout_ms = TIMEOUT_MS
        if after is not None and after.was_slow:
            timeout_ms = min(2 * after.timeout_ms, _LONGEST_MS)
        partitions = await admin.partitions(kafka, [topic.name for topic in topics.of_gateway(kafka.topic_prefix)])
        options = client_options(kafka) | {"request_timeout_ms": _REQUEST_TIMEOUT_MS}
        producer = AIOKafkaProducer(
            **options,
            transactional_id=groups.transactional_id(identity, kafka.topic_prefix),
            transaction_timeout_ms=timeout_ms,
            max_batch_size=BATCH_BYTES,
            max_request_size=LARGEST_REQUEST,
            metadata_max_age_ms=60_000,
        )
        try:
            async with asyncio.timeout(_OPEN_S):
                await producer.start()
            held = await cursors.read(kafka, [_cursor_key(identity)])
        except _ERRORS as error:
            await _discard(producer)
            raise KafkaUnusableError(put_into_words(error, kafka)) from None
        except BaseException:
            await _discard(producer)
            raise
        committed = int(held.get(_cursor_key(identity), b"0"))
        return cls(kafka, identity, producer, partitions, committed=committed, timeout_ms=timeout_ms)

    async def send(self, records: Iterable[Outgoing], position: int) -> None:
        """Commit records and the position that they reach, in one transaction. Raises KafkaUnusableError."""
        by_partition: defaultdict[tuple[str, int], list[Record]] = defaultdict(list)
        for topic, key, value, headers in records:
            name = self._names[topic]
            by_partition[name, self._partition_for[name](key)].append((key, value, headers or None, None))
        name = self._names[topics.CURSORS.name]
        by_partition[name, self._partition_for[name](self._cursor)].append(
            (self._cursor, str(position).encode(), None, None)
        )
        try:
            async with asyncio.timeout(self.timeout_ms / 1000):
                await self._producer.begin_transaction()
                await asyncio.gather(*(self._sender.send(*where, part) for where, part in by_partition.items()))
                await self._sender.settle()
                if self._failed is None:
                    await self._producer.commit_transaction()
        except _ERRORS as error:
            self.was_slow = isinstance(error, TimeoutError)
            raise KafkaUnusableError(put_into_words(error, self._kafka)) from error
        if self._failed is not None:
            raise KafkaUnusableError(put_into_words(self._failed, self._kafka)) from self._failed
        self.committed = position

    async def close(self) -> None:
        """Leave, without waiting for a Kafka that does not answer."""
        await _discard(self._producer)

    def _fail(self, error: BaseException) -> None:
        # Without the right to write a topic the transaction fails in the others, too, and these may answer first.
        if self._failed is None or isinstance(error, DENIED):
            self._failed = error


def _cursor_key(identity: str) -> bytes:
    return f"spool:{identity}".encode()


async def _discard(producer: Any) -> None:
    """Stop a producer. aiokafka waits for a coordinator for ever: a second cancellation ends that."""
    with contextlib.suppress(*_ERRORS):
        async with asyncio.timeout(_LEAVE_S):
            await producer.stop()
    with contextlib.suppress(*_ERRORS):
        async with asyncio.timeout(_LEAVE_S):
            await producer.client.close()


def _ignore(_topic: str, _partition: int, _offset: int, _length: int) -> None:
    """Do nothing: a batch counts once its transaction is committed."""

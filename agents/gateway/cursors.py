"""Cursors: how far polls, followed files and spools have come, in the compacted topic `cursors`.

A cursor is put after the events before it are stored. So it is never ahead of them; it may be behind, and events that
are read again have the same ids.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Iterable
from types import TracebackType
from typing import Final, Self

from aiokafka import AIOKafkaConsumer
from aiokafka.structs import TopicPartition

from agents.kafka import admin
from agents.kafka.clients import KafkaUnusableError, client_options, connected, full_name
from agents.kafka.producer import BatchProducer
from streams.contract import topics
from streams.settings.settings import Kafka

log = logging.getLogger("callpulse")

_POLL_MS: Final = 200
_OPEN_TRANSACTIONS_S: Final = 45.0
_WRITE_EVERY_S: Final = 0.2
_AGAIN_S: Final = 2.0


class Cursors:
    """`async with Cursors(kafka) as cursors`. Raises KafkaUnusableError where the topic cannot be read.

    Each key has one writer at a time; one that takes a key over calls `refresh` first. `put` returns at once; the
    cursor is in Kafka a moment later, or once Kafka is back. The end waits for that, at most `leave_s`.
    """

    def __init__(self, kafka: Kafka, *, leave_s: float = 5.0) -> None:
        self._kafka = kafka
        self._leave_s = leave_s
        self._held: dict[str, bytes] = {}
        self._waiting: dict[str, bytes] = {}
        self._wake = asyncio.Event()
        self._written = asyncio.Event()
        self._writing: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._held = {key.decode(): value for key, value in (await read(self._kafka)).items()}
        self._writing = asyncio.create_task(self._write())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            async with asyncio.timeout(self._leave_s):
                await self.flush()
        except TimeoutError:
            log.warning("cursors: %d are not in Kafka; what they stand for is read again", len(self._waiting))
        if self._writing is not None:
            self._writing.cancel()
            await asyncio.gather(self._writing, return_exceptions=True)

    def get(self, key: str) -> bytes | None:
        """Return the cursor that was put last, by this process or by an earlier one."""
        return self._held.get(key)

    async def refresh(self, *keys: str) -> None:
        """Read cursors again that another process may have put. Raises KafkaUnusableError."""
        found = await read(self._kafka, [key.encode() for key in keys])
        for key in keys:
            if key not in self._waiting:
                value = found.get(key.encode())
                if value is None:
                    self._held.pop(key, None)
                else:
                    self._held[key] = value

    async def put(self, key: str, value: bytes) -> None:
        """Keep a cursor. Call it once the events before it are stored."""
        if self._held.get(key) != value:
            self._held[key] = self._waiting[key] = value
            self._wake.set()

    async def flush(self) -> None:
        """Wait until all cursors are in Kafka, however long it is away."""
        while self._waiting:
            self._written.clear()
            await self._written.wait()

    async def _write(self) -> None:
        """Write the cursors that were put. Of several values of a key only the last one is written."""
        topic = full_name(self._kafka, topics.CURSORS)
        while True:
            try:
                async with BatchProducer(self._kafka) as producer:
                    while True:
                        await self._wake.wait()
                        self._wake.clear()
                        part = dict(self._waiting)
                        for key, value in part.items():
                            await producer.add(topic, key.encode(), value)
                        await producer.flush()
                        for key, value in part.items():
                            if self._waiting.get(key) == value:
                                del self._waiting[key]
                        self._written.set()
                        await asyncio.sleep(_WRITE_EVERY_S)
            except KafkaUnusableError as error:
                log.warning("cursors are not written: %s", error)
                self._wake.set()
                await asyncio.sleep(_AGAIN_S)


async def read(kafka: Kafka, keys: Iterable[bytes] | None = None) -> dict[bytes, bytes]:
    """Return the cursors that are committed now, those of `keys` or all. Raises KafkaUnusableError.

    Wait for transactions of other processes that are open at this moment: a record behind one of theirs may be ours.
    """
    name = full_name(kafka, topics.CURSORS)
    count = (await admin.partitions(kafka, [name]))[name]
    wanted = None if keys is None else set(keys)
    partitions = range(count) if wanted is None else {topics.partition_of(key, count) for key in wanted}
    tps = [TopicPartition(name, partition) for partition in partitions]
    async with connected(_consumer(kafka, "read_uncommitted"), kafka) as consumer:
        ends = await consumer.end_offsets(tps)
    found: dict[bytes, bytes] = {}
    deadline = time.monotonic() + _OPEN_TRANSACTIONS_S
    async with connected(_consumer(kafka, "read_committed"), kafka) as consumer:
        consumer.assign(tps)
        await consumer.seek_to_beginning(*tps)
        while behind := [tp for tp in tps if await consumer.position(tp) < ends[tp]]:
            if time.monotonic() > deadline:
                raise KafkaUnusableError(f"{name} cannot be read to its end: a transaction stays open.")
            for records in (await consumer.getmany(*behind, timeout_ms=_POLL_MS)).values():
                for record in records:
                    key = bytes(record.key or b"")
                    if record.value is None:
                        found.pop(key, None)
                    elif wanted is None or key in wanted:
                        found[key] = bytes(record.value)
    return found


def _consumer(kafka: Kafka, isolation: str) -> AIOKafkaConsumer:
    return AIOKafkaConsumer(
        **client_options(kafka),
        group_id=None,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        isolation_level=isolation,
    )

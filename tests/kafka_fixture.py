"""One real Kafka for the whole test session, and small synchronous helpers that fill and read it."""

from __future__ import annotations

import asyncio
import itertools
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeVar

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import (
    GroupCoordinatorNotAvailableError,
    GroupLoadInProgressError,
    NotCoordinatorForGroupError,
)

from agents.embedded import EmbeddedKafka

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterable, Iterator

    from aiokafka.structs import ConsumerRecord

T = TypeVar("T")
SESSION = uuid.uuid4().hex[:6]
COUNTER = itertools.count(1)
COORDINATOR_COMING = (GroupCoordinatorNotAvailableError, GroupLoadInProgressError, NotCoordinatorForGroupError)
"""Errors of the first request about a group on a new broker, which first makes the topic of the offsets."""
LARGEST_VALUE = 3 * 1024 * 1024


@pytest.fixture(scope="session")
def kafka() -> Iterator[EmbeddedKafka]:
    """The broker of the session. Tests share it: take topic and group names from `unique`, and do not harm it."""
    with EmbeddedKafka() as broker:
        yield broker
        broker.kill()  # an orderly end would write the state of a thousand topics for no use


@pytest.fixture
def bootstrap(kafka: EmbeddedKafka) -> str:
    """`host:port` of the session's broker."""
    return kafka.bootstrap


@pytest.fixture
def own_kafka() -> Iterator[EmbeddedKafka]:
    """A broker for one test alone, which may kill and restart it."""
    with EmbeddedKafka() as broker:
        yield broker


def unique(prefix: str) -> str:
    """A name for a topic, group or worker that no other test has."""
    return f"{prefix}-{SESSION}-{next(COUNTER)}"


def eventually(condition: Callable[[], T], *, within_s: float = 30.0, every_s: float = 0.05, what: str = "") -> T:
    """Wait until the condition is true and return its value; fail the test at the deadline, showing the last value.

    The checks become less frequent, up to one in 0.3 s: a check may cost a scrape or a consumer.
    """
    began = time.monotonic()
    while not (value := condition()):
        waited = time.monotonic() - began
        if waited > within_s:
            pytest.fail(f"not within {within_s} s: {what or condition}; last seen: {value!r}")
        time.sleep(max(every_s, min(waited / 10, 0.3)))
    return value


def create_topic(bootstrap: str, name: str, *, partitions: int = 4, **config: str) -> str:
    """Create a topic and return its name; `cleanup_policy="compact"` sets `cleanup.policy`."""

    async def create() -> None:
        admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
        await admin.start()
        try:
            settings = {key.replace("_", "."): value for key, value in config.items()}
            reply = await admin.create_topics([NewTopic(name, partitions, 1, topic_configs=settings)])
            assert [error[1] for error in reply.topic_errors] == [0], reply
        finally:
            await admin.close()

    _run(create())
    return name


def produce(
    bootstrap: str, topic: str, records: Iterable[tuple[bytes | None, bytes | None]], *, partition: int | None = None
) -> list[tuple[int, int]]:
    """Send (key, value) records in order; return the place of each, as (partition, offset).

    Without `partition`, keys decide by the Java client's partitioner.
    """

    async def send() -> list[tuple[int, int]]:
        producer = AIOKafkaProducer(bootstrap_servers=bootstrap, max_request_size=LARGEST_VALUE, linger_ms=5)
        await producer.start()
        try:
            sent = [await producer.send(topic, key=key, value=value, partition=partition) for key, value in records]
            return [(done.partition, done.offset) for done in await asyncio.gather(*sent)]
        finally:
            await producer.stop()

    return _run(send())


def consume(
    bootstrap: str, topic: str, *, at_least: int = 0, committed_only: bool = False, within_s: float = 30.0
) -> list[ConsumerRecord[bytes | None, bytes | None]]:
    """Read the topic from its start to its end, ordered by partition and offset.

    With `at_least`, waits until the topic has this number of records. `committed_only` leaves out aborted transactions.
    """

    async def read() -> list[ConsumerRecord[bytes | None, bytes | None]]:
        consumer = AIOKafkaConsumer(
            bootstrap_servers=bootstrap,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            isolation_level="read_committed" if committed_only else "read_uncommitted",
            max_partition_fetch_bytes=2 * LARGEST_VALUE,
        )
        await consumer.start()
        try:
            tps = await partitions(consumer, topic)
            consumer.assign(tps)
            await consumer.seek_to_beginning(*tps)
            found: list[ConsumerRecord[bytes | None, bytes | None]] = []
            deadline = time.monotonic() + within_s
            while True:
                ends = await consumer.end_offsets(tps)
                positions = {tp: await consumer.position(tp) for tp in tps}
                if len(found) >= at_least and all(positions[tp] >= end for tp, end in ends.items()):
                    return sorted(found, key=lambda record: (record.partition, record.offset))
                if time.monotonic() > deadline:
                    pytest.fail(f"{topic}: {len(found)} records within {within_s} s, {at_least} wanted; ends {ends}")
                for batch in (await consumer.getmany(timeout_ms=200)).values():
                    found.extend(batch)
        finally:
            await consumer.stop()

    return _run(read())


def end_offsets(bootstrap: str, topic: str) -> dict[int, int]:
    """Log end of every partition of a topic."""

    async def look() -> dict[int, int]:
        consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap)
        await consumer.start()
        try:
            ends = await consumer.end_offsets(await partitions(consumer, topic))
            return {tp.partition: end for tp, end in sorted(ends.items())}
        finally:
            await consumer.stop()

    return _run(look())


def committed_offsets(bootstrap: str, group: str, topic: str) -> dict[int, int]:
    """Offsets that a consumer group has committed, by partition; a partition without one is absent."""

    async def look() -> dict[int, int]:
        admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
        await admin.start()
        try:
            deadline = time.monotonic() + 10
            while True:
                try:
                    offsets = await admin.list_consumer_group_offsets(group)
                    break
                except COORDINATOR_COMING:
                    if time.monotonic() > deadline:
                        raise
                    await asyncio.sleep(0.05)
            return {tp.partition: at.offset for tp, at in sorted(offsets.items()) if tp.topic == topic}
        finally:
            await admin.close()

    return _run(look())


async def partitions(consumer: AIOKafkaConsumer, topic: str) -> list[TopicPartition]:
    """All partitions of a topic, as soon as the consumer has them."""
    deadline = time.monotonic() + 10
    while not (numbers := consumer.partitions_for_topic(topic)):
        if time.monotonic() > deadline:
            pytest.fail(f"topic {topic} does not exist")
        await consumer._client.force_metadata_update()  # there is no public way to request them again
        await consumer.topics()
    return [TopicPartition(topic, number) for number in sorted(numbers)]


def _run(work: Coroutine[object, object, T]) -> T:
    """Run on a thread of its own, so that tests with a running event loop can call the helpers too."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, work).result()

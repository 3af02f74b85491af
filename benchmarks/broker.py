"""Topics for the benchmarks: made, filled in batches, measured by their ends."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any, Final

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import TopicAlreadyExistsError

from benchmarks.workload import PARTITIONS, Record
from streams.contract import topics

_BATCH_BYTES: Final = 64 * 1024


def create(bootstrap: str, configs: Mapping[str, Mapping[str, str]], partitions: int = PARTITIONS) -> None:
    """Make topics, name by name with their configuration; an existing topic is not changed."""

    async def make() -> None:
        admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
        await admin.start()
        try:
            wanted = [NewTopic(name, partitions, 1, topic_configs=dict(config)) for name, config in configs.items()]
            reply = await admin.create_topics(wanted)
            for name, code, *_ in reply.topic_errors:
                if code not in (0, TopicAlreadyExistsError.errno):
                    raise RuntimeError(f"topic {name} could not be made: Kafka's error {code}")
        finally:
            await admin.close()

    asyncio.run(make())


def create_calls(bootstrap: str, name: str) -> None:
    """Make a topic of telephony events as callpulse declares it."""
    create(bootstrap, {name: topics.CALLS.config})


def create_installation(bootstrap: str, group: str, prefix: str) -> None:
    """Make every topic of an installation."""
    create(bootstrap, {topic.name: topic.config for topic in topics.declared(group, prefix)})


def fill(bootstrap: str, topic: str, records: Iterable[Record]) -> None:
    """Append records, each to its partition, in their order."""

    async def send() -> None:
        producer = await started_producer(bootstrap)
        try:
            for step in _steps(records):
                await send_batches(producer, topic, step)
            await producer.flush()
        finally:
            await producer.stop()

    asyncio.run(send())


async def started_producer(bootstrap: str) -> AIOKafkaProducer:
    """Return a producer that keeps order and loses no record."""
    producer = AIOKafkaProducer(
        bootstrap_servers=bootstrap,
        acks="all",
        enable_idempotence=True,
        max_batch_size=_BATCH_BYTES,
        max_request_size=4 * 1024 * 1024,
    )
    await producer.start()
    return producer


async def send_batches(producer: Any, topic: str, records: Iterable[Record]) -> None:
    """Pass records to the producer in whole batches: five times faster than one by one."""
    batches: dict[int, Any] = {}
    for partition, key, value in records:
        batch = batches.get(partition)
        if batch is None or batch.append(key=key, value=value, timestamp=None) is None:
            if batch is not None:
                await producer.send_batch(batch, topic, partition=partition)
            batch = batches[partition] = producer.create_batch()
            batch.append(key=key, value=value, timestamp=None)
    for partition, batch in batches.items():
        await producer.send_batch(batch, topic, partition=partition)


def _steps(records: Iterable[Record], size: int = 20_000) -> Iterable[list[Record]]:
    step: list[Record] = []
    for record in records:
        step.append(record)
        if len(step) == size:
            yield step
            step = []
    if step:
        yield step


def records_in(bootstrap: str, topic: str, partitions: int = PARTITIONS) -> int:
    """Return the sum of the log ends of a topic."""

    async def look() -> int:
        consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap)
        await consumer.start()
        try:
            ends = await consumer.end_offsets([TopicPartition(topic, number) for number in range(partitions)])
            return sum(ends.values())
        finally:
            await consumer.stop()

    return asyncio.run(look())


def by_partition(records: Iterable[Record]) -> dict[int, int]:
    """Count records by partition."""
    counts: dict[int, int] = defaultdict(int)
    for partition, _, _ in records:
        counts[partition] += 1
    return dict(counts)

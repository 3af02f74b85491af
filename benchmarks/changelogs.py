"""The contents of a changelog, counted by reading all of it."""

from __future__ import annotations

import asyncio

from aiokafka import AIOKafkaConsumer, TopicPartition
from msgspec import Struct

from benchmarks.workload import PARTITIONS


class Changelog(Struct, frozen=True):
    """The records of a changelog and the bytes of their keys and values."""

    records: int
    size: int


def written(bootstrap: str, topic: str) -> Changelog:
    """Read a changelog and return its contents."""

    async def read() -> Changelog:
        consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, max_partition_fetch_bytes=4 * 1024 * 1024)
        await consumer.start()
        try:
            partitions = [TopicPartition(topic, number) for number in range(PARTITIONS)]
            consumer.assign(partitions)
            await consumer.seek_to_beginning(*partitions)
            ends = await consumer.end_offsets(partitions)
            records = size = 0
            while any([await consumer.position(tp) < ends[tp] for tp in partitions]):
                for some in (await consumer.getmany(timeout_ms=1000)).values():
                    records += len(some)
                    size += sum(len(one.key or b"") + len(one.value or b"") for one in some)
            return Changelog(records, size)
        finally:
            await consumer.stop()

    return asyncio.run(read())

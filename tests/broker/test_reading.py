"""The records of a topic that commands read: from a moment on, up to its present end."""

from __future__ import annotations

import asyncio

import pytest
from aiokafka import AIOKafkaProducer

from agents.kafka.reading import records_to_end
from streams.settings.settings import Kafka
from tests.kafka_fixture import create_topic, unique

pytestmark = [pytest.mark.broker, pytest.mark.timeout(120)]


async def test_records_are_read_from_the_moment_of_their_arrival_on(bootstrap: str) -> None:
    # Without a retention: the broker looks every five minutes for records as old as these.
    topic = await asyncio.to_thread(create_topic, bootstrap, unique("reading"), partitions=1, retention_ms="-1")
    kafka = Kafka(bootstrap=bootstrap)
    async with AIOKafkaProducer(bootstrap_servers=bootstrap) as producer:
        for number in range(10):
            await producer.send_and_wait(topic, b"%d" % number, partition=0, timestamp_ms=1_000_000 + number * 1_000)

    async def read(since_ms: int) -> tuple[list[int], list[int]]:
        totals: list[int] = []
        found = records_to_end(kafka, topic, [0], since_ms=since_ms, on_total=totals.append)
        return [record.offset async for record in found], totals

    assert await read(0) == ([*range(10)], [10])
    assert await read(1_006_500) == ([7, 8, 9], [3])
    assert await asyncio.wait_for(read(1_009_001), 30) == ([], [0])

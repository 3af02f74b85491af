"""The limit: only a fetch with aiokafka and `orjson.loads`."""

from __future__ import annotations

import asyncio

import orjson
from aiokafka import AIOKafkaConsumer

from benchmarks.peers.job import Job, Stopwatch, answer, read


async def run(job: Job) -> None:
    """Read and decode until the last event."""
    consumer = AIOKafkaConsumer(
        job.topic,
        bootstrap_servers=job.bootstrap,
        group_id=job.run,
        auto_offset_reset="earliest",
        enable_auto_commit=False,
    )
    await consumer.start()
    clock = Stopwatch()
    loads = orjson.loads
    seen = 0
    while seen < job.events:
        fetched = await consumer.getmany(timeout_ms=1000)
        for records in fetched.values():
            clock.start()
            for record in records:
                loads(record.value)
            seen += len(records)
    answer(seen, clock.read(), None)


if __name__ == "__main__":
    asyncio.run(run(read()))

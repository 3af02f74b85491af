"""A hand-written aiokafka loop: callpulse's decoder and fold on a plain dict. No state survives it."""

from __future__ import annotations

import asyncio

from aiokafka import AIOKafkaConsumer

from benchmarks.peers import rows as own
from benchmarks.peers.job import Job, Stopwatch, answer, read
from streams.contract.decoding import Decoder
from streams.contract.events import CallsEvent, Rejection
from streams.tables.manager.row import ManagerRow


async def run(job: Job) -> None:
    """Read, decode and fold until the last event."""
    consumer = AIOKafkaConsumer(
        job.topic,
        bootstrap_servers=job.bootstrap,
        group_id=job.run,
        auto_offset_reset="earliest",
        enable_auto_commit=True,
        auto_commit_interval_ms=1000,
    )
    await consumer.start()
    clock = Stopwatch()
    decoder: Decoder[CallsEvent] = Decoder("calls")
    decode, fold = decoder.decode, own.manager_fold().fold
    rows: dict[bytes, ManagerRow] = {}
    seen = 0
    while seen < job.events:
        fetched = await consumer.getmany(timeout_ms=1000)
        for records in fetched.values():
            clock.start()
            for record in records:
                event = decode(record.value)
                if type(event) is Rejection:
                    raise SystemExit(f"rejected: {event}")
                row = rows.get(record.key)
                if row is None:
                    row = rows[record.key] = own.new_row(record.key.decode())
                fold(row, event, record.offset)
            seen += len(records)
    answer(seen, clock.read(), own.totals(rows.values()))


if __name__ == "__main__":
    asyncio.run(run(read()))

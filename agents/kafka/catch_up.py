"""Waits until a group has folded the records in its topics, and counts its progress."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from typing import Final

from aiokafka import AIOKafkaConsumer
from aiokafka.structs import TopicPartition

from agents.kafka.clients import client_options, connected, full_name, reading_options
from streams.contract import topics
from streams.settings.settings import Kafka

_LOOK_S: Final = 0.5
_READ_S: Final = 5.0
# A record of `calls` leads to one of `contacts`, this to others of `contacts`, and these to some of `outcomes`.
_HOPS: Final = 4


async def source_records(kafka: Kafka) -> int:
    """Return the number of records in `calls` and `crm`. Raise KafkaUnusableError."""
    consumer = AIOKafkaConsumer(**client_options(kafka), group_id=None, enable_auto_commit=False)
    async with connected(consumer, kafka):
        tps = _partitions(kafka, (topics.CALLS, topics.CRM))
        begins, ends = await consumer.beginning_offsets(tps), await consumer.end_offsets(tps)
        return sum(ends[tp] - begins[tp] for tp in tps)


async def catch_up(
    kafka: Kafka, check: Callable[[], None], advance: Callable[[int], None] = lambda _count: None
) -> int:
    """Return once the group has folded all records that its topics hold now, and all records that follow from them.

    Return the number of records of `calls` and `crm` that it has folded. `check` is called at each look and may raise.
    `advance` receives the number that were folded since the last look. Raise KafkaUnusableError.

    A group commits the offset behind the last record. Offsets without a record may follow: the gateway writes in
    transactions, and each of them ends with a marker. So offsets that stand still are read.
    """
    consumer = AIOKafkaConsumer(
        **client_options(kafka), group_id=kafka.group, enable_auto_commit=False, isolation_level="read_committed"
    )
    async with connected(consumer, kafka):
        tps = _partitions(kafka, topics.TAKEN_IN)
        sources = _partitions(kafka, (topics.CALLS, topics.CRM))
        begins = await consumer.beginning_offsets(sources)
        seen = 0
        for _ in range(_HOPS):
            ends = await consumer.end_offsets(tps)
            before: dict[TopicPartition, int] = {}
            while True:
                check()
                folded = {tp: await consumer.committed(tp) or 0 for tp in tps}
                done = sum(max(0, folded[tp] - begins[tp]) for tp in sources)
                advance(done - seen)
                seen = done
                behind = {tp: (folded[tp], end) for tp, end in ends.items() if folded[tp] < end}
                still = {tp: span for tp, span in behind.items() if before.get(tp) == folded[tp]}
                if not behind or (len(still) == len(behind) and await _without_records(kafka, still)):
                    break
                before = folded
                await asyncio.sleep(_LOOK_S)
        return seen


async def _without_records(kafka: Kafka, spans: Mapping[TopicPartition, tuple[int, int]]) -> bool:
    """Return whether no partition has a record from its first offset up to its second one, without that.

    False if that is not known within some seconds.
    """
    # A reader of its own each time: the stop of an aiokafka consumer whose assignment has just changed may hang.
    reader = AIOKafkaConsumer(**reading_options(kafka))
    async with connected(reader, kafka):
        left = {tp: end for tp, (_, end) in spans.items()}
        reader.assign(list(left))
        for tp, (begin, _) in spans.items():
            reader.seek(tp, begin)
        deadline = asyncio.get_running_loop().time() + _READ_S
        while left and asyncio.get_running_loop().time() < deadline:
            found = await reader.getmany(*left, timeout_ms=100)
            for tp, end in list(left.items()):
                records = found.get(tp)
                if records and records[0].offset < end:
                    return False
                if records or await reader.position(tp) >= end:
                    del left[tp]
    return not left


def _partitions(kafka: Kafka, some: Iterable[topics.Topic]) -> list[TopicPartition]:
    names = [full_name(kafka, topic) for topic in some]
    return [TopicPartition(name, partition) for name in names for partition in range(kafka.partitions)]

"""Waits until a group has folded the records in its topics, and counts its progress."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import Final

from aiokafka import AIOKafkaConsumer
from aiokafka.structs import TopicPartition

from agents.kafka.clients import client_options, connected, full_name
from streams.contract import topics
from streams.settings.settings import Kafka

_LOOK_S: Final = 0.5
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
    """
    consumer = AIOKafkaConsumer(**client_options(kafka), group_id=kafka.group, enable_auto_commit=False)
    async with connected(consumer, kafka):
        tps = _partitions(kafka, topics.TAKEN_IN)
        sources = _partitions(kafka, (topics.CALLS, topics.CRM))
        consumer.assign(tps)
        begins = await consumer.beginning_offsets(sources)
        seen = 0
        for _ in range(_HOPS):
            ends = await consumer.end_offsets(tps)
            while True:
                check()
                folded = {tp: await consumer.committed(tp) or 0 for tp in tps}
                done = sum(max(0, folded[tp] - begins[tp]) for tp in sources)
                advance(done - seen)
                seen = done
                if all(folded[tp] >= end for tp, end in ends.items()):
                    break
                await asyncio.sleep(_LOOK_S)
        return seen


def _partitions(kafka: Kafka, some: Iterable[topics.Topic]) -> list[TopicPartition]:
    names = [full_name(kafka, topic) for topic in some]
    return [TopicPartition(name, partition) for name in names for partition in range(kafka.partitions)]

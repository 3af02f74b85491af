"""Reads a topic up to its present end, for the commands and for the settings log."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable
from typing import Any, Final

from aiokafka import AIOKafkaConsumer
from aiokafka.structs import TopicPartition

from agents.kafka import admin
from agents.kafka.clients import KafkaUnusableError, connected, reading_options
from agents.kafka.unreadable import locating_errors
from streams.settings.settings import Kafka

_FETCH_BYTES: Final = 8 * 1024 * 1024
_POLL_MS: Final = 500


async def records_to_end(
    kafka: Kafka,
    topic: str,
    partitions: Iterable[int] | None = None,
    *,
    since_ms: int = 0,
    on_total: Callable[[int], None] = lambda _total: None,
) -> AsyncIterator[Any]:
    """Yield the records of a topic up to its present end. Those of a partition come in the order of their offsets.

    `partitions` are the ones to read; None: all. `since_ms` leaves out the records before the first one that arrived at
    that moment or later. `on_total` receives the number of offsets from there to the end, before any is read.
    Records of transactions that were aborted or are open are left out. Raise KafkaUnusableError, also for a topic that
    does not exist.
    """
    consumer = AIOKafkaConsumer(
        *([topic] if partitions is None else []),  # without a group, all its partitions are assigned
        **reading_options(kafka),
        max_partition_fetch_bytes=_FETCH_BYTES,
    )
    async with connected(consumer, kafka):
        if topic not in await consumer.topics():  # asked for its end, aiokafka would wait until the topic is created
            await admin.partitions(kafka, [topic])  # a topic that this client may not describe is not listed either
            raise KafkaUnusableError(
                f"Kafka at {kafka.bootstrap} has no topic {topic}: `callpulse topics create` makes it."
            )
        if partitions is None:
            tps = list(consumer.assignment())
        else:
            tps = [TopicPartition(topic, partition) for partition in partitions]
            consumer.assign(tps)
        ends = await consumer.end_offsets(tps)
        await consumer.seek_to_beginning(*tps)
        if since_ms > 0:
            for tp, first in (await consumer.offsets_for_times(dict.fromkeys(tps, since_ms))).items():
                consumer.seek(tp, ends[tp] if first is None else first.offset)
        on_total(sum([ends[tp] - await consumer.position(tp) for tp in tps]))
        left = {tp for tp in tps if await consumer.position(tp) < ends[tp]}
        while left:
            with locating_errors(consumer):
                fetched = await consumer.getmany(*left, timeout_ms=_POLL_MS)
            for tp, records in fetched.items():
                for record in records:
                    if record.offset < ends[tp]:
                        yield record
            left = {tp for tp in left if await consumer.position(tp) < ends[tp]}

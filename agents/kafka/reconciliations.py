"""The topic `reconciliations`: `callpulse reconcile` stores results in it, and workers follow it."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Iterable
from typing import Final

import msgspec
from aiokafka import AIOKafkaConsumer
from aiokafka.structs import TopicPartition

from agents.kafka import admin
from agents.kafka.clients import KafkaUnusableError, client_options, connected, full_name
from agents.kafka.producer import BatchProducer
from streams.contract import topics
from streams.settings.settings import Kafka
from streams.sources.reconciled import KEPT_DAYS, DayResult, Ledger
from streams.units import DAY_MS

log = logging.getLogger("callpulse")

_AGAIN_S: Final = 30.0
_POLL_MS: Final = 1_000
_WAIT_MS: Final = 5_000
_MOST_AT_ONCE: Final = 500
# A result arrives after the end of its day; the ledger does not keep older ones.
_BACK_MS: Final = (KEPT_DAYS + 2) * DAY_MS


async def store(kafka: Kafka, results: Iterable[DayResult]) -> None:
    """Store results. Raises KafkaUnusableError."""
    async with BatchProducer(kafka) as producer:
        for result in results:
            await producer.add(full_name(kafka, topics.RECONCILIATIONS), result.key, msgspec.json.encode(result))


async def follow(kafka: Kafka, ledger: Ledger) -> None:
    """Bring the ledger up to date until the task is cancelled. Without Kafka, or the topic, it is tried again."""
    logged = ""
    while True:
        try:
            await _follow(kafka, ledger)
        except KafkaUnusableError as error:
            if str(error) != logged:
                logged = str(error)
                log.warning("results of reconciliations are not read: %s", error)
        await asyncio.sleep(_AGAIN_S)


async def _follow(kafka: Kafka, ledger: Ledger) -> None:
    topic = full_name(kafka, topics.RECONCILIATIONS)
    count = (await admin.partitions(kafka, [topic]))[topic]
    tps = [TopicPartition(topic, partition) for partition in range(count)]
    consumer = AIOKafkaConsumer(
        **client_options(kafka),
        group_id=None,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        fetch_max_wait_ms=_WAIT_MS,
    )
    async with connected(consumer, kafka):
        consumer.assign(tps)
        ends = await consumer.end_offsets(tps)
        since_ms = int(time.time() * 1000) - _BACK_MS
        for tp, first in (await consumer.offsets_for_times(dict.fromkeys(tps, since_ms))).items():
            consumer.seek(tp, ends[tp] if first is None else first.offset)
        while True:
            for records in (await consumer.getmany(timeout_ms=_POLL_MS, max_records=_MOST_AT_ONCE)).values():
                for record in records:
                    ledger.take(record.value)

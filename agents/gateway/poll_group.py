"""The division of polled sources among gateways: each polls the sources whose cursors are in its partitions.

The gateways are one consumer group on the topic `cursors`. So each source has one poller at a time without a leader of
ours, a gateway that dies is replaced within the session timeout, and the cursors are in the partitions that are shared.
During a change two may poll the same source for a moment: their events have the same ids.

A doorbell that reaches another gateway than the poller is a record with the key `ring:SOURCE` in the same partition.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection, Iterable
from typing import Final

from aiokafka import AIOKafkaConsumer
from aiokafka.abc import ConsumerRebalanceListener
from aiokafka.structs import TopicPartition

from agents.gateway.poller import cursor_key
from agents.kafka import admin
from agents.kafka.clients import KafkaUnusableError, client_options, connected, full_name
from agents.kafka.producer import BatchProducer
from streams.contract import groups, topics
from streams.settings.settings import Kafka

log = logging.getLogger("callpulse")

_RING: Final = b"ring:"
_RING_APART_S: Final = 1.0
_AGAIN_S: Final = 5.0

OnAssigned = Callable[[Collection[str]], None]
"""A function that takes all sources that this gateway polls from now on."""


class PollGroup:
    """The group's member in this gateway. `ring` reaches the poller of a source, wherever it runs."""

    def __init__(
        self, kafka: Kafka, sources: Iterable[str], on_assigned: OnAssigned, on_ring: Callable[[str], None]
    ) -> None:
        self._kafka = kafka
        self._sources = tuple(sources)
        self._on_assigned = on_assigned
        self._on_ring = on_ring
        self._rung: set[str] = set()
        self._wake = asyncio.Event()
        self._topic = full_name(kafka, topics.CURSORS)

    def ring(self, source: str) -> None:
        """Ring for the gateway that polls a source. Returns at once; many rings become one record."""
        self._rung.add(source)
        self._wake.set()

    async def run(self) -> None:
        """Take part in the group for ever. While Kafka is away, the last assignment holds."""
        ringing = asyncio.create_task(self._pass_rings_on())
        try:
            while True:
                try:
                    await self._take_part()
                except KafkaUnusableError as error:
                    log.warning("who polls which source cannot be settled: %s", error)
                await asyncio.sleep(_AGAIN_S)
        finally:
            ringing.cancel()
            await asyncio.gather(ringing, return_exceptions=True)

    async def _take_part(self) -> None:
        count = (await admin.partitions(self._kafka, [self._topic]))[self._topic]
        where = {name: topics.partition_of(cursor_key(name).encode(), count) for name in self._sources}
        consumer = AIOKafkaConsumer(
            **client_options(self._kafka),
            group_id=groups.polls(self._kafka.group),
            enable_auto_commit=False,
            auto_offset_reset="latest",
            session_timeout_ms=self._kafka.session_timeout_ms,
            heartbeat_interval_ms=self._kafka.heartbeat_interval_ms,
        )
        consumer.subscribe([self._topic], listener=_Listener(lambda parts: self._assigned(where, parts)))
        async with connected(consumer, self._kafka):
            async for record in consumer:
                key = bytes(record.key or b"")
                if key.startswith(_RING):
                    self._on_ring(key.removeprefix(_RING).decode("utf-8", "replace"))

    def _assigned(self, where: dict[str, int], partitions: Collection[int]) -> None:
        mine = [name for name, partition in where.items() if partition in partitions]
        log.info("this gateway polls: %s", ", ".join(mine) or "no source; others do")
        self._on_assigned(mine)

    async def _pass_rings_on(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            rung, self._rung = self._rung, set()
            try:
                count = (await admin.partitions(self._kafka, [self._topic]))[self._topic]
                async with BatchProducer(self._kafka) as producer:
                    for name in rung:
                        partition = topics.partition_of(cursor_key(name).encode(), count)
                        await producer.add(self._topic, _RING + name.encode(), b"", partition=partition)
            except KafkaUnusableError as error:
                # The poll comes at its period, too.
                log.warning("a doorbell is not passed on: %s", error)
            await asyncio.sleep(_RING_APART_S)


class _Listener(ConsumerRebalanceListener):  # type: ignore[misc]  # aiokafka has no types
    """Passes on the partitions of this consumer. Revoked ones count as its own until the next assignment."""

    def __init__(self, assigned: Callable[[Collection[int]], None]) -> None:
        self._assigned = assigned

    async def on_partitions_revoked(self, revoked: Collection[TopicPartition]) -> None:
        """Do nothing: a second poller for a moment is harmless, and none would be a gap."""

    async def on_partitions_assigned(self, assigned: Collection[TopicPartition]) -> None:
        """Take over the assigned partitions, and leave the rest."""
        self._assigned({tp.partition for tp in assigned})

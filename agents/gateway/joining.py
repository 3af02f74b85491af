"""Joins the statements of the topic `statements` into events: one member of a consumer group in each gateway.

Kafka gives each partition to one of the gateways that run, so no leader is needed. A partition is read from the oldest
statement of a call that is not over. What is joined again after a restart has the same ids, so it counts once.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import msgspec
from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener
from aiokafka.errors import CommitFailedError, IllegalStateError, RebalanceInProgressError
from aiokafka.structs import TopicPartition

from agents.gateway.entries import Kept
from agents.gateway.sink import NotStoredError, Sink
from agents.kafka.clients import KafkaUnusableError, client_options, connected, full_name
from streams.contract import topics
from streams.contract.events import Event, Rejection
from streams.settings.settings import Settings
from streams.sources.frame import Join, KeptStatement, Refused
from streams.sources.http.acceptance import Acceptance
from streams.sources.joins import OpenCalls, Ready

log = logging.getLogger("callpulse")

_POLL_MS: Final = 200
_MOST_RECORDS: Final = 2_000
_COMMIT_EVERY_S: Final = 1.0
_AGAIN_S: Final = 2.0
_SESSION_MS: Final = 10_000
_REBALANCED: Final = (CommitFailedError, IllegalStateError, RebalanceInProgressError)

Clock = Callable[[], int]


def clock_ms() -> int:
    """Return the time in milliseconds since epoch."""
    return time.time_ns() // 1_000_000


class Joiner:
    """Reads statements and stores the events that the joins of their sources return."""

    def __init__(self, settings: Settings, joins: Mapping[str, Join], sink: Sink, *, clock: Clock = clock_ms) -> None:
        self._kafka = settings.kafka
        self._topic = full_name(settings.kafka, topics.STATEMENTS)
        self._joins = joins
        self._sink = sink
        self._clock = clock
        self._acceptance = Acceptance(settings.thresholds.future_ms)
        self._open: dict[TopicPartition, OpenCalls] = {}
        self._committed: dict[TopicPartition, int] = {}

    async def run(self) -> None:
        """Join until the task is cancelled."""
        while True:
            try:
                await self._read()
            except KafkaUnusableError as error:
                log.warning("statements are not joined: %s", error)
                await asyncio.sleep(_AGAIN_S)

    async def _read(self) -> None:
        consumer = AIOKafkaConsumer(
            **client_options(self._kafka),
            group_id=f"{self._kafka.topic_prefix}{topics.APP}-joins",
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            isolation_level="read_committed",
            session_timeout_ms=_SESSION_MS,
        )
        self._open.clear()
        self._committed.clear()
        async with connected(consumer, self._kafka):
            consumer.subscribe([self._topic], listener=_Assigned(self._open, self._joins))
            last_s = 0.0
            while True:
                fetched = await consumer.getmany(timeout_ms=_POLL_MS, max_records=_MOST_RECORDS)
                for tp, records in fetched.items():
                    self._take(tp, records)
                await self._join()
                if time.monotonic() - last_s >= _COMMIT_EVERY_S:
                    last_s = time.monotonic()
                    await self._commit(consumer)

    def _take(self, tp: TopicPartition, records: Sequence[Any]) -> None:
        calls = self._open.get(tp)
        if calls is None:  # taken away a moment ago
            return
        for record in records:
            try:
                kept = msgspec.json.decode(record.value or b"", type=Kept)
            except (msgspec.MsgspecError, UnicodeDecodeError):
                continue  # only gateways write here
            calls.take(kept.source, kept.call, record.offset, KeptStatement(record.timestamp, bytes(kept.body)))

    async def _join(self) -> None:
        now_ms = self._clock()
        for calls in list(self._open.values()):
            for ready in list(calls.ready(now_ms)):
                await self._store(ready, now_ms)
                calls.done(ready)
            for source, missing in calls.forget(now_ms):
                await self._sink.refuse(source, [Refused(reason="missing_field", detail=missing, where="a call")])

    async def _store(self, ready: Ready, now_ms: int) -> None:
        events: list[Event] = []
        refused: list[Refused] = []
        for number, made in enumerate(ready.events, 1):
            event = self._acceptance.of(made, now_ms)
            if isinstance(event, Rejection):
                refused.append(Refused(reason=event.reason, detail=event.detail, where=f"event {number}"))
            else:
                events.append(event)
        while events:
            try:
                await self._sink.store(ready.source, events)
            except NotStoredError as error:
                log.warning("joined events of %s wait: %s", ready.source, error)
                await asyncio.sleep(error.retry_after_s)
            else:
                break
        await self._sink.refuse(ready.source, refused)

    async def _commit(self, consumer: AIOKafkaConsumer) -> None:
        """Commit where a restart begins to read."""
        changed: dict[TopicPartition, int] = {}
        with contextlib.suppress(*_REBALANCED):  # another gateway has the partition: it reads from the last commit
            for tp, calls in list(self._open.items()):
                oldest = calls.oldest_offset
                offset = await consumer.position(tp) if oldest is None else oldest
                if self._committed.get(tp) != offset:
                    changed[tp] = offset
            if changed:
                await consumer.commit(changed)
                self._committed |= changed


class _Assigned(ConsumerRebalanceListener):  # type: ignore[misc]  # aiokafka has no types
    """Begins each partition anew, from the offset that is committed."""

    def __init__(self, held: dict[TopicPartition, OpenCalls], joins: Mapping[str, Join]) -> None:
        self._held = held
        self._joins = joins

    async def on_partitions_revoked(self, revoked: Sequence[TopicPartition]) -> None:
        """Forget the partitions. A rebalance takes all of them and gives some back."""
        for tp in revoked:
            self._held.pop(tp, None)

    async def on_partitions_assigned(self, assigned: Sequence[TopicPartition]) -> None:
        """Begin with no calls."""
        for tp in assigned:
            self._held[tp] = OpenCalls(self._joins)

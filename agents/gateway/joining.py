"""Joins the statements of the topic `statements` into events: one member of a consumer group in each gateway.

Kafka gives each partition to one of the gateways that run, so no leader is needed. A partition is read from the oldest
statement of a call that is not over. The committed metadata beside that offset holds the offset up to which statements
were joined, and the moment of that join: the events from before are stored, and are not stored again, however long no
gateway ran.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Final

import msgspec
from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener
from aiokafka.errors import CommitFailedError, IllegalStateError, RebalanceInProgressError
from aiokafka.structs import TopicPartition
from msgspec import Struct

from agents.gateway.entries import Kept
from agents.gateway.http_receiver import Clock, clock_ms
from agents.gateway.sink import NotStoredError, Sink, until_stored
from agents.kafka import admin
from agents.kafka.clients import KafkaUnusableError, client_options, connected, full_name
from streams.contract import groups, topics
from streams.settings.settings import Settings
from streams.sources.frame import Join, KeptStatement, Refused, Translation
from streams.sources.http.acceptance import Acceptance
from streams.sources.joins import MOST_STATEMENTS, OpenCalls, Ready

log = logging.getLogger("callpulse")

_POLL_MS: Final = 200
_MOST_RECORDS: Final = 2_000
_COMMIT_EVERY_S: Final = 1.0
_AGAIN_S: Final = 2.0
_SESSION_MS: Final = 10_000
_REBALANCED: Final = (CommitFailedError, IllegalStateError, RebalanceInProgressError)


class _Reached(Struct, frozen=True):
    """The offset up to which statements are joined, and the moment of that join, in milliseconds since epoch."""

    offset: int
    at_ms: int


class _Partition:
    """The calls of a partition. `reached` is how far an earlier gateway has joined; None: no statement, or recalled."""

    def __init__(self, joins: Mapping[str, Join]) -> None:
        self.calls = OpenCalls(joins)
        self.is_known = False
        self.reached: _Reached | None = None
        self._begin = 0

    def know(self, begin: int, reached: _Reached | None) -> None:
        """Take the committed offset and the join in its metadata."""
        self.is_known = True
        self.reached = reached
        self._begin = begin

    def take(self, records: Sequence[Any]) -> None:
        """Add statements, in their order."""
        for record in records:
            self.catch_up(record.offset)
            try:
                kept = msgspec.json.decode(record.value or b"", type=Kept)
            except (msgspec.MsgspecError, UnicodeDecodeError):
                continue  # only gateways write here
            statement = KeptStatement(record.timestamp, bytes(kept.body))
            self.calls.take(kept.source, kept.call, record.offset, statement)

    def catch_up(self, offset: int) -> None:
        """Note that all statements before an offset are taken. At the offset of the last join, recall its events."""
        if self.reached is None:
            return
        if offset < self._begin:  # the topic was made anew: these are other statements
            self.reached = None
        elif offset >= self.reached.offset:
            self.calls.recall(self.reached.at_ms)
            self.reached = None

    @property
    def is_caught_up(self) -> bool:
        """True once the events of the calls are new ones."""
        return self.is_known and self.reached is None


class Joiner:
    """Reads statements and stores the events that the joins of their sources return.

    `on_left_out` is called with a source and how many of its statements were left out.
    """

    def __init__(
        self,
        settings: Settings,
        joins: Mapping[str, Join],
        sink: Sink,
        *,
        on_left_out: Callable[[str, int], None] = lambda _source, _count: None,
        clock: Clock = clock_ms,
    ) -> None:
        self._kafka = settings.kafka
        self._topic = full_name(settings.kafka, topics.STATEMENTS)
        self._group = groups.joins(settings.kafka.topic_prefix)
        self._joins = joins
        self._sink = sink
        self._on_left_out = on_left_out
        self._clock = clock
        self._acceptance = Acceptance(settings.thresholds.future_ms)
        self._mine: dict[TopicPartition, _Partition] = {}
        self._committed: dict[TopicPartition, tuple[int, int]] = {}
        self._stored: set[TopicPartition] = set()

    async def run(self) -> None:
        """Join until the task is cancelled."""
        for source in self._joins:
            self._on_left_out(source, 0)
        while True:
            try:
                await self._read()
            except KafkaUnusableError as error:
                log.warning("statements are not joined: %s", error)
                await asyncio.sleep(_AGAIN_S)

    async def _read(self) -> None:
        consumer = AIOKafkaConsumer(
            **client_options(self._kafka),
            group_id=self._group,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            isolation_level="read_committed",
            session_timeout_ms=_SESSION_MS,
        )
        self._mine.clear()
        self._committed.clear()
        async with connected(consumer, self._kafka):
            consumer.subscribe([self._topic], listener=_Assigned(self._mine, self._joins))
            last_s = 0.0
            while True:
                fetched = await consumer.getmany(timeout_ms=_POLL_MS, max_records=_MOST_RECORDS)
                await self._take(fetched)
                await self._catch_up(consumer)
                now_ms = self._clock()
                await self._join(now_ms)
                if time.monotonic() - last_s >= _COMMIT_EVERY_S:
                    last_s = time.monotonic()
                    await self._commit(consumer, now_ms)

    async def _take(self, fetched: Mapping[TopicPartition, Sequence[Any]]) -> None:
        held = {tp: self._mine[tp] for tp in fetched if tp in self._mine}
        if new := [tp for tp, one in self._mine.items() if not one.is_known]:
            for tp, place in (await admin.committed(self._kafka, self._group, new)).items():
                if (assigned := self._mine.get(tp)) is not None:
                    assigned.know(place.offset, _reached(place.metadata or ""))
        for tp, one in held.items():
            if self._mine.get(tp) is one:  # not taken away meanwhile
                one.take(fetched[tp])

    async def _catch_up(self, consumer: AIOKafkaConsumer) -> None:
        """Recall the earlier join of partitions without new statements."""
        with contextlib.suppress(*_REBALANCED):
            for tp, one in list(self._mine.items()):
                if not one.is_caught_up:
                    one.catch_up(await consumer.position(tp))

    async def _join(self, now_ms: int) -> None:
        for tp, one in list(self._mine.items()):
            if not one.is_caught_up:
                continue
            self._say_left_out(one.calls)
            for ready in list(one.calls.ready(now_ms)):
                await self._store(ready, now_ms)
                one.calls.done(ready)
                self._stored.add(tp)
            for source, missing in one.calls.forget(now_ms):
                await self._sink.refuse(source, [Refused(reason="missing_field", detail=missing, where="a call")])

    def _say_left_out(self, calls: OpenCalls) -> None:
        for left in calls.left_out():
            self._on_left_out(left.source, left.statements)
            if left.calls:
                log.warning(
                    "source %s: %d calls have more than %d statements each; what comes after them is left out",
                    left.source,
                    left.calls,
                    MOST_STATEMENTS,
                )

    async def _store(self, ready: Ready, now_ms: int) -> None:
        if ready.defect:
            log.error("source %s: %s", ready.source, ready.defect)
            broken = [Refused(reason="invalid_field", detail=ready.defect, where="a call")]
            await self._sink.refuse(ready.source, broken)
            return
        events, refused = self._acceptance.all(Translation(events=ready.events), now_ms)
        if events:
            await until_stored(partial(self._sink.store, ready.source, events), on_wait=_waits)
        await self._sink.refuse(ready.source, refused)

    async def _commit(self, consumer: AIOKafkaConsumer, now_ms: int) -> None:
        """Commit the offset at which a restart begins to read, and the offset up to which all is joined at `now_ms`."""
        changed: dict[TopicPartition, tuple[int, int]] = {}
        with contextlib.suppress(*_REBALANCED):  # another gateway has the partition: it reads from the last commit
            for tp, one in list(self._mine.items()):
                if not one.is_caught_up:
                    continue
                position = await consumer.position(tp)
                oldest = one.calls.oldest_offset
                place = (position if oldest is None else oldest, position)
                if self._committed.get(tp) != place or tp in self._stored:
                    changed[tp] = place
            if changed:
                await consumer.commit({tp: (place[0], _text(place[1], now_ms)) for tp, place in changed.items()})
                self._committed |= changed
                self._stored.clear()


def _waits(error: NotStoredError) -> None:
    log.warning("joined events wait: %s", error)


def _text(offset: int, at_ms: int) -> str:
    return msgspec.json.encode(_Reached(offset, at_ms)).decode()


def _reached(text: str) -> _Reached | None:
    """Return the join in the metadata of a committed offset. None: there is none, or one of another release."""
    try:
        return msgspec.json.decode(text, type=_Reached)
    except msgspec.MsgspecError:
        return None


class _Assigned(ConsumerRebalanceListener):  # type: ignore[misc]  # aiokafka has no types
    """Begins each partition anew, from the offset that is committed."""

    def __init__(self, mine: dict[TopicPartition, _Partition], joins: Mapping[str, Join]) -> None:
        self._mine = mine
        self._joins = joins

    async def on_partitions_revoked(self, revoked: Sequence[TopicPartition]) -> None:
        """Forget the partitions. A rebalance takes all of them and gives some back."""
        for tp in revoked:
            self._mine.pop(tp, None)

    async def on_partitions_assigned(self, assigned: Sequence[TopicPartition]) -> None:
        """Begin with no calls."""
        for tp in assigned:
            self._mine[tp] = _Partition(self._joins)

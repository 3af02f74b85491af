"""Copies the topics that sources write into new ones with more partitions, so that the history is kept.

The records of all partitions of a topic are copied in the order in which the broker took them in, with key, value,
headers and timestamp, each to the partition of its key. So a group that reads the copy folds the events in the order of
the original. Rerouting alone would not do: copies that come hours of event time late are dropped as too late.

A misrouted record is copied at its own place in time. The copy that a worker sent on is left out. So are the legs that
workers add to `speech`: the new group's calls agent sends them anew.

Each record carries its place in the old topic. A copy that was interrupted reads these places and copies what is
missing, and so does a second run after sources wrote more: nothing is lost, nothing is copied twice.
"""

from __future__ import annotations

import heapq
from collections import defaultdict, deque
from collections.abc import AsyncIterator, Callable, Mapping
from hashlib import blake2b
from typing import Any, Final, NamedTuple

from aiokafka import AIOKafkaConsumer
from aiokafka.structs import TopicPartition

from agents.kafka import admin
from agents.kafka.clients import connected, full_name, reading_options
from agents.kafka.producer import BatchProducer
from agents.kafka.reading import records_to_end
from agents.kafka.unreadable import locating_errors
from streams.contract import origin, topics
from streams.contract.features import HEADER
from streams.settings.settings import Kafka

COPIED: Final = "callpulse-copied"
"""The header of a copied record: `TOPIC/PARTITION/OFFSET` in the old topic."""
GROWN: Final = (topics.CALLS, topics.CRM, topics.SPEECH)
"""The topics that sources write. Facts are made anew, and dead letters stay where they are."""
_FETCH_BYTES: Final = 4 * 1024 * 1024
_POLL_MS: Final = 500


class Grown(NamedTuple):
    """The result for the records of one topic."""

    topic: str
    copied: int
    copied_before: int
    left_out: int


async def source_records(kafka: Kafka) -> int:
    """Return the number of records in the topics to be copied. Raise KafkaUnusableError."""
    counts = await admin.partitions(kafka, [full_name(kafka, topic) for topic in GROWN])
    tps = [TopicPartition(name, partition) for name, count in counts.items() for partition in range(count)]
    async with connected(_consumer(kafka), kafka) as consumer:
        begins, ends = await consumer.beginning_offsets(tps), await consumer.end_offsets(tps)
    return sum(ends[tp] - begins[tp] for tp in tps)


async def grow(kafka: Kafka, new: Kafka, advance: Callable[[int], None] = lambda _count: None) -> list[Grown]:
    """Copy the topics of `kafka` into those of `new`, which differ in prefix and number of partitions.

    `advance` receives the number of records read since the last call. Raise KafkaUnusableError.
    """
    others = (topics.REJECTED, topics.CURSORS, topics.STATEMENTS, topics.RECONCILIATIONS)
    names = [topic.name for topic in (*topics.SOURCES, *others)]
    declared = [topic for topic in topics.declared(new.group, new.topic_prefix) if topic.name in _named(new, names)]
    await admin.create(new, declared)
    copies = [topic for topic in declared if topic.name in _named(new, [topic.name for topic in GROWN])]
    await admin.configure(new, [topics.keeping_time(topic) for topic in copies])
    grown = [await _Copy(kafka, new, topic).run(advance) for topic in GROWN]
    await admin.configure(new, copies)
    return grown


def _named(kafka: Kafka, names: list[str]) -> set[str]:
    return {kafka.topic_prefix + name for name in names}


class _Copy:
    """The copy of one topic."""

    def __init__(self, kafka: Kafka, new: Kafka, topic: topics.Topic) -> None:
        self._kafka = kafka
        self._new = new
        self._old_name = full_name(kafka, topic)
        self._new_name = full_name(new, topic)
        self._home = topics.partitioner(kafka.partitions)
        self._place = topics.partitioner(new.partitions)
        self._begins: Mapping[int, int] = {}
        # The highest offset that is copied, by the new partition and the old one.
        self._copied: dict[tuple[int, int], int] = {}
        self._misrouted: set[bytes] = set()

    async def run(self, advance: Callable[[int], None]) -> Grown:
        """Copy the records that are not copied yet."""
        await self._read_copied()
        partitions = (await admin.partitions(self._kafka, [self._old_name]))[self._old_name]
        copied = before = left_out = 0
        async with BatchProducer(self._new) as producer, connected(_consumer(self._kafka), self._kafka) as consumer:
            tps = [TopicPartition(self._old_name, partition) for partition in range(partitions)]
            begins = await consumer.beginning_offsets(tps)
            self._begins = {tp.partition: offset for tp, offset in begins.items()}
            async for record in _by_time(consumer, tps):
                advance(1)
                key = record.key
                place = record.partition % self._new.partitions if key is None else self._place(key)
                if any(name == HEADER for name, _ in record.headers):
                    left_out += 1  # a leg for its transcript: it is sent anew, as facts are
                elif record.offset <= self._copied.get((place, record.partition), -1):
                    before += 1
                    self._note_misrouted(record)
                elif self._is_copy(record, place):
                    left_out += 1
                else:
                    self._note_misrouted(record)
                    headers = [header for header in record.headers if header[0] not in (COPIED, origin.HEADER)]
                    headers.append(_header(self._old_name, record))
                    await producer.add(self._new_name, key, record.value, headers, place, record.timestamp)
                    copied += 1
        return Grown(self._new_name, copied, before, left_out)

    async def _read_copied(self) -> None:
        async for record in records_to_end(self._new, self._new_name):
            for name, value in record.headers:
                if name == COPIED:
                    found = origin.parse(value, self._old_name)
                    if found is not None:
                        pair = record.partition, found.partition
                        self._copied[pair] = max(self._copied.get(pair, -1), found.offset)

    def _is_copy(self, record: Any, place: int) -> bool:
        """Return whether a worker sent the record on and its original is copied."""
        found = origin.origin_of(record.headers, self._old_name)
        if found is not None:
            is_there = found.offset >= self._begins.get(found.partition, found.offset + 1)
            return is_there or found.offset <= self._copied.get((place, found.partition), -1)
        # Copies of releases before the header. A source's own repeat looks the same: it is no loss either.
        return bool(self._misrouted) and self._is_at_home(record) and _digest(record) in self._misrouted

    def _note_misrouted(self, record: Any) -> None:
        if not self._is_at_home(record):
            self._misrouted.add(_digest(record))

    def _is_at_home(self, record: Any) -> bool:
        return record.key is None or bool(self._home(record.key) == record.partition)


async def _by_time(consumer: AIOKafkaConsumer, tps: list[TopicPartition]) -> AsyncIterator[Any]:
    """Yield the records up to the present ends, by their timestamps; those of a partition keep their order."""
    consumer.assign(tps)
    ends = await consumer.end_offsets(tps)
    await consumer.seek_to_beginning(*tps)
    waiting: defaultdict[TopicPartition, deque[Any]] = defaultdict(deque)
    left = {tp for tp in tps if await consumer.position(tp) < ends[tp]}
    heads: list[tuple[int, int, TopicPartition]] = []  # of each partition the time of its next record
    times = dict.fromkeys(tps, 0)
    absent = set(left)  # partitions whose next record is not known yet
    while heads or absent:
        while absent & left:
            wanted = [tp for tp in absent if tp in left]
            with locating_errors(consumer):
                fetched = await consumer.getmany(*wanted, timeout_ms=_POLL_MS)
            for tp, records in fetched.items():
                waiting[tp].extend(record for record in records if record.offset < ends[tp])
            for tp in wanted:
                if await consumer.position(tp) >= ends[tp]:
                    left.discard(tp)
                if waiting[tp]:
                    _push(heads, tp, waiting, times)
                    absent.discard(tp)
        absent -= absent - left
        if not heads:
            break
        _, _, tp = heapq.heappop(heads)
        yield waiting[tp].popleft()
        if waiting[tp]:
            _push(heads, tp, waiting, times)
        else:
            absent.add(tp)


def _push(
    heads: list[tuple[int, int, TopicPartition]],
    tp: TopicPartition,
    waiting: Mapping[TopicPartition, deque[Any]],
    times: dict[TopicPartition, int],
) -> None:
    # A record with an earlier timestamp than its predecessor comes right behind it.
    times[tp] = max(times[tp], waiting[tp][0].timestamp)
    heapq.heappush(heads, (times[tp], tp.partition, tp))


def _consumer(kafka: Kafka) -> AIOKafkaConsumer:
    return AIOKafkaConsumer(**reading_options(kafka), max_partition_fetch_bytes=_FETCH_BYTES)


def _header(topic: str, record: Any) -> tuple[str, bytes]:
    return COPIED, f"{topic}/{record.partition}/{record.offset}".encode()


def _digest(record: Any) -> bytes:
    return blake2b(
        b"%d\0%b%b" % (len(record.key or b""), record.key or b"", record.value or b""), digest_size=12
    ).digest()

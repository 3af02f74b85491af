"""Reads the source topics once more to show what a manager's figures count. Workers are not needed, nor touched."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable
from typing import Any, Final

import msgspec
from aiokafka import AIOKafkaConsumer
from aiokafka.structs import TopicPartition

from agents.clients import client_options, connected
from streams import events, facts, topics
from streams.calendars import LocalTime, local_time
from streams.events import CallsEvent, Rejection
from streams.evidence import CallLog, Known
from streams.facts import Contact, ContactsFact, Forwarded, Moved
from streams.settings import Kafka, Settings
from streams.tables.lead_codec import LeadRow
from streams.tables.lead_fold import LeadFold
from streams.tables.manager_row import ManagerRow

_FETCH_BYTES: Final = 8 * 1024 * 1024
Progress = Callable[[int], None]


async def read(settings: Settings, manager: str, on_progress: Progress = lambda _count: None) -> Known:
    """Return what the topics hold of `manager`. Raises KafkaUnusableError.

    Topics keep records for their retention; what is older is counted by tables and no longer to be shown.
    """
    log = await _calls(settings, manager, on_progress)
    leads = await _leads_of(settings, manager, on_progress)
    rows = await _rows(settings, leads, on_progress)
    fold = _lead_fold(settings)
    claims = [
        (lead, claim) for lead, row in rows.items() for claim in fold.claims(row.state) if claim.manager == manager
    ]
    return Known(log, claims)


async def _calls(settings: Settings, manager: str, on_progress: Progress) -> CallLog:
    """Fold the manager's partition of `calls`, of which the manager's own records count."""
    log = CallLog(ManagerRow(manager, _local(settings)(manager)), settings.thresholds)
    decode = events.Decoder[CallsEvent]("calls").decode
    key = manager.encode()
    partition = topics.partition_of(key, settings.kafka.partitions)
    async for record in _records(settings.kafka, topics.CALLS, [partition]):
        on_progress(1)
        if record.key == key:
            event = decode(record.value)
            if not isinstance(event, Rejection) and event.manager == manager and _is_past(settings, event.at, record):
                log.feed(event, record.offset)
    return log


async def _leads_of(settings: Settings, manager: str, on_progress: Progress) -> set[bytes]:
    """Return the keys of all leads that have to do with the manager."""
    found = set()
    name = manager.encode()
    async for record in _records(settings.kafka, topics.CONTACTS):
        on_progress(1)
        # The name is looked for in the bytes first: most records are of other managers.
        if record.value and (name in record.value or b'"moved"' in record.value):
            fact = _fact(record)
            if fact is not None and _concerns(fact, manager):
                found.add(record.key)
    return found


def _concerns(fact: ContactsFact, manager: str) -> bool:
    if isinstance(fact, Contact):
        return fact.manager == manager
    if isinstance(fact, Forwarded):
        told = fact.contact or fact.event
        return told is not None and told.manager == manager
    return isinstance(fact, Moved) and manager.encode() in fact.state


async def _rows(settings: Settings, leads: set[bytes], on_progress: Progress) -> dict[str, LeadRow]:
    """Fold all that `contacts` holds of the leads."""
    rows: dict[str, LeadRow] = {}
    fold = _lead_fold(settings)
    partitions = {topics.partition_of(key, settings.kafka.partitions) for key in leads}
    async for record in _records(settings.kafka, topics.CONTACTS, partitions):
        on_progress(1)
        if record.key in leads and (fact := _fact(record)) is not None:
            row = rows.setdefault(fact.lead, LeadRow())
            src = f"{settings.kafka.topic_prefix}{topics.CONTACTS.name}/{record.partition}"
            fold.contact(row, fact, src, record.offset * facts.SLOTS)
    return rows


def _fact(record: Any) -> ContactsFact | None:
    try:
        fact: ContactsFact = facts.contacts_decoder.decode(record.value)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None  # a dead letter by now
    return fact if fact.lead.encode() == record.key else None


def _lead_fold(settings: Settings) -> LeadFold:
    return LeadFold(settings.results, settings.thresholds, settings.economics, _local(settings))


def _local(settings: Settings) -> Callable[[str], LocalTime]:
    return lambda manager: local_time(settings.manager(manager).timezone)


def _is_past(settings: Settings, at_ms: int, record: Any) -> bool:
    return bool(at_ms <= record.timestamp + settings.thresholds.future_ms)


async def _records(kafka: Kafka, topic: topics.Topic, partitions: Iterable[int] | None = None) -> AsyncIterator[Any]:
    """Yield what is in the partitions of a topic at this moment (None: in all), each in the order of its offsets."""
    wanted = range(kafka.partitions) if partitions is None else sorted(partitions)
    tps = [TopicPartition(kafka.topic_prefix + topic.name, partition) for partition in wanted]
    if not tps:
        return
    consumer = AIOKafkaConsumer(
        **client_options(kafka),
        group_id=None,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        max_partition_fetch_bytes=_FETCH_BYTES,
    )
    async with connected(consumer, kafka):
        consumer.assign(tps)
        ends = await consumer.end_offsets(tps)
        await consumer.seek_to_beginning(*tps)
        left = {tp for tp in tps if await consumer.position(tp) < ends[tp]}
        while left:
            fetched = await consumer.getmany(*left, timeout_ms=500)
            for tp, records in fetched.items():
                for record in records:
                    if record.offset < ends[tp]:
                        yield record
            left = {tp for tp in left if await consumer.position(tp) < ends[tp]}

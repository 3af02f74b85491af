"""Reads ids back: those of the newest records of the topics, and those in the spool."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Iterator
from typing import Final

from agents.gateway.entries import Bundle, identity, named
from agents.kafka.clients import full_name
from agents.kafka.reading import records_to_end
from streams.contract import topics
from streams.settings.settings import Kafka

_LONGEST_S: Final = 10.0
_NO_EVENTS: Final = (topics.REJECTED.name, topics.STATEMENTS.name)
_EVENTS: Final = (topics.CALLS, topics.CRM, topics.SPEECH)


async def recent(kafka: Kafka, span_ms: int) -> list[int]:
    """Return the ids of the events that came into Kafka in the last `span_ms`, as far as they are read in 10 s.

    Raises KafkaUnusableError.
    """
    found: list[int] = []
    if span_ms:
        since_ms = time.time_ns() // 1_000_000 - span_ms
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_LONGEST_S):
                for topic in _EVENTS:
                    async for record in records_to_end(kafka, full_name(kafka, topic), since_ms=since_ms):
                        found += _id_of(record.value)
    return found


def ids_of(bundle: Bundle) -> Iterator[int]:
    """Yield the ids of the events in a bundle of the spool."""
    for topic, _, value, _ in bundle.records:
        if topic not in _NO_EVENTS:
            yield from _id_of(value)


def _id_of(value: bytes | None) -> list[int]:
    found = named(value)
    return [] if found is None else [identity(found.source, found.id)]

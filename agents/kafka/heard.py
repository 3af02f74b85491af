"""Reads the features of calls out of their topic, for the commands."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from agents.kafka.clients import full_name
from agents.kafka.reading import records_to_end
from streams.contract import topics
from streams.contract.facts import GROUP
from streams.contract.features import Features, features_decoder
from streams.settings.settings import Kafka


async def read_features(
    kafka: Kafka, since_ms: int, advance: Callable[[int], None] = lambda _count: None
) -> list[Features]:
    """Return the facts that arrived at `since_ms` or later and are the group's own. Raise KafkaUnusableError.

    A fact without a group's name is the group's own.
    """
    found: list[Features] = []
    own = kafka.group.encode()
    async for record in records_to_end(kafka, full_name(kafka, topics.FEATURES), since_ms=since_ms):
        advance(1)
        if any(name == GROUP and value != own for name, value in record.headers) or not record.value:
            continue
        try:
            found.append(features_decoder.decode(record.value))
        except msgspec.MsgspecError:
            continue  # the worker has made a dead letter of it
    return found

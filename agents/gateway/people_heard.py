"""The people that records of the topics name, for the commands that list people without a roster entry."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Final

import msgspec
from msgspec import Struct

from agents.kafka.clients import full_name
from agents.kafka.reading import records_to_end
from streams.contract import topics
from streams.settings.settings import Kafka
from streams.sources.unmapped import Unmapped

TOPICS: Final = (topics.CALLS, topics.CRM)


class _Heard(Struct):
    manager: str | None = None
    source: str = ""
    at: int = 0
    to_manager: str | None = None
    type: str = ""


_decode: Final = msgspec.json.Decoder(_Heard).decode


def take(found: Unmapped, value: bytes | None, *, refused: bool = False) -> None:
    """Take the people that a record names, if it names any."""
    heard = _heard(value)
    if heard is not None:
        _take(found, heard, refused=refused)


async def read(
    kafka: Kafka,
    found: Unmapped,
    since_ms: int,
    *,
    wanted: Callable[[str], bool] = lambda _source: True,
    on_progress: Callable[..., None] = lambda *_: None,
    of: Sequence[topics.Topic] = TOPICS,
) -> Counter[str]:
    """Take the people of all events that arrived since then, and return how many events of each type there were.

    `wanted` returns whether a source is meant, `of` are the topics to read. Raises KafkaUnusableError.
    """
    types: Counter[str] = Counter()
    for topic in of:
        name = full_name(kafka, topic)
        async for record in records_to_end(
            kafka, name, since_ms=since_ms, on_total=lambda total: on_progress(0, total)
        ):
            on_progress(1)
            heard = _heard(record.value)
            if heard is not None and wanted(heard.source):
                types[heard.type] += 1
                _take(found, heard)
    return types


def _heard(value: bytes | None) -> _Heard | None:
    try:
        return _decode(value or b"")
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None


def _take(found: Unmapped, heard: _Heard, *, refused: bool = False) -> None:
    for manager in (heard.manager, heard.to_manager):
        if manager is not None:
            found.take(heard.source, manager, heard.at, refused=refused)

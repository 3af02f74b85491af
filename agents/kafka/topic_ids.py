"""Topic ids distinguish a topic that was created again from the deleted one. aiokafka does not request them.

Brokers of Kafka 3.1 or later give them in version 12 of the metadata request.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection, Mapping
from typing import Any, ClassVar, Final

from aiokafka import AIOKafkaConsumer
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import IncompatibleBrokerVersion, KafkaError
from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.types import (
    Boolean,
    CompactArray,
    CompactString,
    Int16,
    Int32,
    Int64,
    Schema,
    TaggedFields,
)
from aiokafka.structs import TopicPartition

from agents.exit import Fail
from agents.kafka.clients import KafkaUnusableError, client_options, connected, full_name
from agents.kafka.topic_history import GroupTopics, KnownTopic, commit_tag, read_tag
from streams.contract import topics
from streams.settings.settings import Kafka

log = logging.getLogger("callpulse")

WATCH_EVERY_S: Final = 5.0
_ATTEMPTS: Final = 20
_RETRY_S: Final = 0.5
_NO_ID: Final = (0, 0)


class TopicRecreatedError(RuntimeError):
    """A topic was deleted and created again while the worker ran."""


class MetadataResponse_v12(Response):  # type: ignore[misc]  # noqa: N801 - aiokafka has no types; named as there
    """Version 12 of Kafka's metadata response. A topic id is read as two numbers."""

    API_KEY = 3
    API_VERSION = 12
    SCHEMA: ClassVar[Any] = Schema(
        ("throttle_time_ms", Int32),
        (
            "brokers",
            CompactArray(
                ("node_id", Int32),
                ("host", CompactString("utf-8")),
                ("port", Int32),
                ("rack", CompactString("utf-8")),
                ("tags", TaggedFields),
            ),
        ),
        ("cluster_id", CompactString("utf-8")),
        ("controller_id", Int32),
        (
            "topics",
            CompactArray(
                ("error_code", Int16),
                ("name", CompactString("utf-8")),
                ("id_high", Int64),
                ("id_low", Int64),
                ("is_internal", Boolean),
                (
                    "partitions",
                    CompactArray(
                        ("error_code", Int16),
                        ("partition", Int32),
                        ("leader", Int32),
                        ("leader_epoch", Int32),
                        ("replicas", CompactArray(Int32)),
                        ("isr", CompactArray(Int32)),
                        ("offline", CompactArray(Int32)),
                        ("tags", TaggedFields),
                    ),
                ),
                ("authorized_operations", Int32),
                ("tags", TaggedFields),
            ),
        ),
        ("tags", TaggedFields),
    )


class MetadataRequest_v12(RequestStruct):  # type: ignore[misc]  # noqa: N801 - aiokafka has no types; named as there
    """Version 12 of Kafka's metadata request."""

    FLEXIBLE_VERSION = True
    API_KEY = 3
    API_VERSION = 12
    RESPONSE_TYPE = MetadataResponse_v12
    SCHEMA: ClassVar[Any] = Schema(
        (
            "topics",
            CompactArray(
                ("id_high", Int64), ("id_low", Int64), ("name", CompactString("utf-8")), ("tags", TaggedFields)
            ),
        ),
        ("allow_auto_topic_creation", Boolean),
        ("include_topic_authorized_operations", Boolean),
        ("tags", TaggedFields),
    )


class _MetadataRequest(Request[MetadataRequest_v12]):  # type: ignore[misc]  # aiokafka has no types
    API_KEY = 3

    def __init__(self, names: Collection[str]) -> None:
        self._names = names

    def build(self, request_struct_class: type[Any]) -> Any:
        return request_struct_class([(*_NO_ID, name, {}) for name in self._names], False, False, {})


async def group_topics(kafka: Kafka, known: Mapping[str, KnownTopic]) -> GroupTopics:
    """Return the state of the topics that the group reads, where it may differ from `known`. Raise KafkaUnusableError.

    Offsets are requested only where an id has changed or is not known.
    """
    tables = {topics.changelog(table, kafka.group).name: source for table, source in topics.TABLES.items()}
    sources = [full_name(kafka, topic) for topic in topics.TAKEN_IN]
    names = [*sources, *tables]
    async with connected(AIOKafkaAdminClient(**client_options(kafka)), kafka) as admin:
        ids = await _ask(admin, names) or dict.fromkeys(names, "")
        if all(name in known and known[name].id == topic_id != "" for name, topic_id in ids.items()):
            return GroupTopics(ids=ids)
        committed = await _committed(admin, kafka.group)
    starts, ends = await _bounds(kafka, [name for name in names if name in ids])

    changelogs = {full_name(kafka, source): changelog for changelog, source in tables.items()}
    generations: dict[str, int] = {}
    for (name, _), (_, tag) in committed.items():
        for topic, number in zip((name, changelogs.get(name, "")), read_tag(tag), strict=True):
            generations[topic] = max(number, generations.get(topic, 0))

    def generation(name: str) -> int:
        return known[name].generation if name in known else generations.get(name, 0)

    ahead, used = set(), set()
    for (name, partition), (offset, tag) in committed.items():
        changelog = changelogs.get(name)
        if tag == commit_tag(generation(name), 0 if changelog is None else generation(changelog)):
            used |= {name} if offset > 0 else set()
            ahead |= {name} if offset > ends.get((name, partition), offset) else set()
    return GroupTopics(
        ids=ids,
        generations=generations,
        ahead=frozenset(ahead),
        empty=frozenset(
            changelog
            for name, changelog in changelogs.items()
            if name in used and not any(end for (topic, _), end in ends.items() if topic == changelog)
        ),
        cut=frozenset(name for (name, _), start in starts.items() if start > 0 and name in sources),
    )


async def watch_topics(kafka: Kafka, known: Mapping[str, str], fail: Fail) -> None:
    """End the worker when a topic is deleted and created again, for as long as the worker lives.

    `known` are the ids by which the worker counts. When it starts again, it counts the new topic from its start.
    """
    missing: set[str] = set()
    while known:
        try:
            async with connected(AIOKafkaAdminClient(**client_options(kafka)), kafka) as admin:
                while True:
                    await asyncio.sleep(WATCH_EVERY_S)
                    found = await _ask(admin, list(known))
                    for name in sorted(known.keys() - found.keys() - missing):
                        log.warning("topic %s was deleted; `callpulse topics create` creates it again", name)
                    missing = set(known) - found.keys()
                    other = sorted(name for name, topic_id in found.items() if topic_id != known[name])
                    if other:
                        fail(
                            TopicRecreatedError(
                                f"topic {', '.join(other)} was deleted and created again. The worker ends; when it "
                                "starts again, it reads the new topic from its start"
                            )
                        )
                        return
        except KafkaUnusableError:
            await asyncio.sleep(WATCH_EVERY_S)


async def _committed(admin: Any, group: str) -> dict[tuple[str, int], tuple[int, str]]:
    """Return the group's committed offsets and the texts that were committed with them."""
    for attempt in range(_ATTEMPTS):
        try:
            offsets = await admin.list_consumer_group_offsets(group)
        except KafkaError as error:
            # A new cluster makes the topic of committed offsets at the first request for them.
            if not error.retriable or attempt + 1 == _ATTEMPTS:
                raise
            await asyncio.sleep(_RETRY_S)
        else:
            return {(tp.topic, tp.partition): (found.offset, found.metadata) for tp, found in offsets.items()}
    return {}


async def _bounds(
    kafka: Kafka, names: Collection[str]
) -> tuple[dict[tuple[str, int], int], dict[tuple[str, int], int]]:
    """Return the first offset and the end of each partition of the topics."""
    tps = [TopicPartition(name, partition) for name in names for partition in range(kafka.partitions)]
    consumer = AIOKafkaConsumer(**client_options(kafka), group_id=None, enable_auto_commit=False)
    async with connected(consumer, kafka):
        starts = await consumer.beginning_offsets(tps)
        ends = await consumer.end_offsets(tps)
    return {tuple(tp): offset for tp, offset in starts.items()}, {tuple(tp): offset for tp, offset in ends.items()}


async def _ask(admin: Any, names: Collection[str]) -> dict[str, str]:
    try:
        response = await admin._send_request(_MetadataRequest(names))  # noqa: SLF001 - see the module's docstring
    except (IncompatibleBrokerVersion, NotImplementedError):
        return {}
    found: dict[str, str] = {}
    for code, name, high, low, *_ in response.topics:
        if code == 0 and (high, low) != _NO_ID:
            found[name] = f"{high & (1 << 64) - 1:016x}{low & (1 << 64) - 1:016x}"
    return found

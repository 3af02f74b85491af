"""The topics on a real broker: make those that `streams.contract.topics` declares, and list the differences."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Mapping
from typing import Any, Final, NamedTuple

from aiokafka import errors
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.structs import OffsetAndMetadata, TopicPartition

from agents.kafka.clients import DENIED, KafkaUnusableError, client_options, connected, put_into_words
from streams.contract import topics
from streams.settings.settings import Kafka

_EXISTS: Final = 36
_VISIBLE_DEADLINE_S: Final = 10.0
_REMEDY: Final = "kafka-configs.sh --bootstrap-server {bootstrap} --alter --topic {topic} --add-config {key}={wanted}"


class Difference(NamedTuple):
    """A difference from the declaration. `key` is "topic", "partitions", "replication" or the name of a setting."""

    topic: str
    key: str
    found: str
    wanted: str
    advice: str

    def __str__(self) -> str:
        if self.key == "topic":
            return f"{self.topic}: is missing. {self.advice}"
        return f"{self.topic}: {self.key} is {self.found}, should be {self.wanted}. {self.advice}"


class Made(NamedTuple):
    """The result of `create`: topics made, topics that existed, and the differences of these from the declaration."""

    created: tuple[str, ...]
    existing: tuple[str, ...]
    differences: tuple[Difference, ...]


async def create(kafka: Kafka, some: Iterable[topics.Topic] | None = None) -> Made:
    """Make the topics that are missing; those that exist are left as they are. Raises KafkaUnusableError.

    `some` are the topics to make; None: all that are declared.
    """
    declared = topics.declared(kafka.group, kafka.topic_prefix) if some is None else tuple(some)
    async with connected(AIOKafkaAdminClient(**client_options(kafka)), kafka) as admin:
        durability = topics.durability(kafka.replication)
        wanted = [
            NewTopic(
                topic.name,
                kafka.partitions,
                kafka.replication,
                topic_configs=topic.config | dict(topic.when_made) | durability,
            )
            for topic in declared
        ]
        reply = await admin.create_topics(wanted)
        created, existing = [], []
        for name, code, message in reply.topic_errors:
            if code == 0:
                created.append(name)
            elif code == _EXISTS:
                existing.append(name)
            else:
                raise KafkaUnusableError(_refusal(name, code, message, kafka))
        await _await_visible(admin, [topic.name for topic in declared])
        differences = await _differences(admin, kafka, (topic for topic in declared if topic.name in existing))
    return Made(tuple(created), tuple(existing), tuple(differences))


async def partitions(kafka: Kafka, names: Iterable[str]) -> dict[str, int]:
    """Return the number of partitions of each topic. Raises KafkaUnusableError, also for a topic that is missing."""
    found = {}
    async with connected(AIOKafkaAdminClient(**client_options(kafka)), kafka) as admin:
        for topic in await admin.describe_topics(list(names)):
            if topic["error_code"]:
                raise KafkaUnusableError(_refusal(topic["topic"], topic["error_code"], None, kafka))
            found[topic["topic"]] = len(topic["partitions"])
    return found


async def committed(kafka: Kafka, group: str, tps: Iterable[TopicPartition]) -> dict[TopicPartition, OffsetAndMetadata]:
    """Return the committed offset and text of each partition; -1 and "" for none. Raises KafkaUnusableError."""
    wanted = list(tps)
    async with connected(AIOKafkaAdminClient(**client_options(kafka)), kafka) as admin:
        found = await admin.list_consumer_group_offsets(group, partitions=wanted)
    return {tp: found.get(tp, OffsetAndMetadata(-1, "")) for tp in wanted}


async def configure(kafka: Kafka, some: Iterable[topics.Topic]) -> None:
    """Give existing topics the settings of their declaration. Raises KafkaUnusableError."""
    durability = topics.durability(kafka.replication)
    resources = [
        ConfigResource(ConfigResourceType.TOPIC, topic.name, configs=topic.config | durability) for topic in some
    ]
    async with connected(AIOKafkaAdminClient(**client_options(kafka)), kafka) as admin:
        for reply in await admin.alter_configs(resources):
            for resource in reply.to_object()["resources"]:
                if resource["error_code"]:
                    raise KafkaUnusableError(
                        _refusal(resource["resource_name"], resource["error_code"], resource["error_message"], kafka)
                    )


async def check(kafka: Kafka, some: Iterable[topics.Topic] | None = None) -> list[Difference]:
    """Return all differences of the topics on the broker from the declaration. Raises KafkaUnusableError.

    `some` are the topics to compare; None: all that are declared.
    """
    declared = topics.declared(kafka.group, kafka.topic_prefix) if some is None else some
    async with connected(AIOKafkaAdminClient(**client_options(kafka)), kafka) as admin:
        return await _differences(admin, kafka, declared)


async def _await_visible(admin: AIOKafkaAdminClient, names: list[str]) -> None:
    """Wait until all brokers have the topics: the controller answers before it has informed the others."""
    deadline = time.monotonic() + _VISIBLE_DEADLINE_S
    while time.monotonic() < deadline:
        if not any(topic["error_code"] or not topic["partitions"] for topic in await admin.describe_topics(names)):
            return
        await asyncio.sleep(0.05)


async def _differences(admin: AIOKafkaAdminClient, kafka: Kafka, declared: Iterable[topics.Topic]) -> list[Difference]:
    wanted = {topic.name: topic for topic in declared}
    if not wanted:
        return []
    found: list[Difference] = []
    there: set[str] = set()
    for described in await admin.describe_topics(list(wanted)):
        name, code = described["topic"], described["error_code"]
        if code == errors.UnknownTopicOrPartitionError.errno:
            found.append(Difference(name, "topic", "missing", "there", "`callpulse topics create` makes it."))
        elif code:
            raise KafkaUnusableError(_refusal(name, code, None, kafka))
        else:
            there.add(name)
            found += _shape(name, described["partitions"], kafka)
    if there:
        settings = await _settings(admin, kafka, there)
        for name in sorted(there):
            found += _settings_of(wanted[name], settings[name], kafka)
    order = list(wanted)
    return sorted(found, key=lambda difference: order.index(difference.topic))


def _shape(name: str, partitions: list[dict[str, Any]], kafka: Kafka) -> Iterable[Difference]:
    if len(partitions) != kafka.partitions:
        more = len(partitions) > kafka.partitions
        yield Difference(
            name,
            "partitions",
            str(len(partitions)),
            str(kafka.partitions),
            ("" if more else "Set kafka.partitions to the number that there are, or go on with another number: ")
            + "`callpulse topics grow` copies the history into topics with the number that you want "
            '(docs/operations.md, "More partitions").',
        )
    fewest = min((len(partition["replicas"]) for partition in partitions), default=0)
    if fewest < kafka.replication:
        yield Difference(
            name,
            "replication",
            str(fewest),
            str(kafka.replication),
            "Reassign the partitions (kafka-reassign-partitions.sh) or lower kafka.replication.",
        )


async def _settings(admin: AIOKafkaAdminClient, kafka: Kafka, names: set[str]) -> dict[str, dict[str, str]]:
    replies = await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, name) for name in sorted(names)])
    settings: dict[str, dict[str, str]] = {}
    for reply in replies:
        for resource in reply.to_object()["resources"]:
            if resource["error_code"]:
                raise KafkaUnusableError(
                    _refusal(resource["resource_name"], resource["error_code"], resource["error_message"], kafka)
                )
            settings[resource["resource_name"]] = {
                entry["config_names"]: entry["config_value"] for entry in resource["config_entries"]
            }
    return settings


def _settings_of(topic: topics.Topic, settings: Mapping[str, str], kafka: Kafka) -> Iterable[Difference]:
    for key, wanted in topic.config.items():
        found = settings.get(key, "(unknown to this broker)")
        if found != wanted:
            command = _REMEDY.format(bootstrap=kafka.bootstrap, topic=topic.name, key=key, wanted=wanted)
            yield Difference(topic.name, key, found, wanted, f"Change it: {command}")


def _refusal(name: str, code: int, message: str | None, kafka: Kafka) -> str:
    error = errors.for_code(code)
    if error is errors.InvalidReplicationFactorError:
        return f"topic {name} cannot be made with kafka.replication {kafka.replication}: the cluster has fewer brokers."
    if issubclass(error, errors.KafkaError) and (not message or issubclass(error, DENIED)):
        return f"topic {name}: {put_into_words(error(), kafka)}"
    return f"topic {name} is refused by Kafka at {kafka.bootstrap}: {message or error.__name__} (error {code})."

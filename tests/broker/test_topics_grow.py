"""An operator adds partitions to `calls`: `callpulse topics grow` and `callpulse rebuild` keep every figure."""

from __future__ import annotations

import asyncio
import time
import urllib.request
from collections.abc import Iterable
from pathlib import Path

import orjson
import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions
from msgspec.structs import replace

from agents.kafka import admin, growing, producer
from agents.telemetry.scrape import samples
from streams.contract import events, origin, topics
from streams.settings.settings import Kafka, load
from tests.broker.in_process import call_ended
from tests.broker.installation import Installation
from tests.broker.leads_fixture import annotated
from tests.kafka_fixture import consume, eventually, produce

pytestmark = [pytest.mark.broker, pytest.mark.timeout(300)]

MANAGERS = 12
NOW_MS = int(time.time() * 1000)


class StoppedError(Exception):
    """Interrupts the copy."""


def calls(numbers: Iterable[int]) -> list[tuple[bytes, bytes]]:
    """Calls of the last hours, a minute after each other, and a repeat of every tenth."""
    made = []
    for number in numbers:
        manager = f"m{number % MANAGERS:03d}"
        at = NOW_MS - (1000 - number) * 60_000
        event = call_ended(number, manager, at=at, started_at=at - 100_000, answered_at=at - 90_000)
        made += [(manager.encode(), events.encode(event))] * (2 if number % 10 == 0 else 1)
    return made


def counted(url: str) -> float:
    """Return the number of calls that a worker counts."""
    with urllib.request.urlopen(f"{url}/metrics", timeout=10) as answer:  # noqa: S310 - our own address
        text = answer.read().decode()
    found = samples(text, {"calls"})
    return sum(sample.value for sample in found if sample.labels["window"] == "7d")


def add_partitions(bootstrap: str, topic: str, total: int) -> None:
    async def add() -> None:
        client = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
        await client.start()
        try:
            await client.create_partitions({topic: NewPartitions(total)})
        finally:
            await client.close()

    asyncio.run(add())


def grow_and_be_interrupted(kafka: Kafka, new: Kafka, monkeypatch: pytest.MonkeyPatch) -> None:
    """Copy the topics and end after 90 records."""
    read = 0

    def interrupt(count: int) -> None:
        nonlocal read
        read += count
        if read == 90:
            raise StoppedError

    monkeypatch.setattr(producer, "_FULL_BYTES", 4_000)  # the first batches are stored by then
    with pytest.raises(StoppedError):
        asyncio.run(growing.grow(kafka, new, interrupt))


def test_figures_are_the_same_after_partitions_were_added(
    bootstrap: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = Installation(bootstrap, tmp_path)
    place.environment["CALLPULSE_KAFKA__PARTITIONS"] = "2"
    assert place("topics", "create").returncode == 0
    misrouted: dict[int, list[tuple[bytes, bytes]]] = {}
    with place.worker() as (_, url):
        notes = [annotated(number, f"lead-{number % 50}", f"c{number}") for number in range(0, 120, 4)]
        produce(bootstrap, place.crm, [(note.lead.encode(), events.encode(note)) for note in notes])
        produce(bootstrap, place.calls, calls(range(60)))
        eventually(lambda: counted(url) == 60, within_s=60, what="the first calls are counted")
        add_partitions(bootstrap, place.calls, 3)
        for key, value in calls(range(60, 120)):
            misrouted.setdefault(topics.partition_of(key, 3) % 2, []).append((key, value))
        for partition, records in misrouted.items():
            produce(bootstrap, place.calls, records, partition=partition)
        eventually(lambda: counted(url) == 120, within_s=100, what="misrouted calls are sent on and counted")
        assert "callpulse topics grow" in place("topics", "check").stderr

        kafka = load("", {k: v for k, v in place.environment.items() if k.startswith("CALLPULSE_")}).kafka
        new = replace(kafka, partitions=3, topic_prefix=f"{kafka.topic_prefix}grown.")
        grow_and_be_interrupted(kafka, new, monkeypatch)
        command = ("topics", "grow", "--partitions", 3, "--prefix", new.topic_prefix, "--json")
        done = place(*command)
        assert done.returncode == 0, done.stderr
        of_calls = orjson.loads(done.stdout)["topics"][0]
        assert of_calls["left_out"] > 0
        assert of_calls["copied_before"] > 0
        assert of_calls["copied"] > 0
        again = orjson.loads(place(*command).stdout)["topics"]
        assert [topic["copied"] for topic in again] == [0, 0, 0]

        originals = {
            (record.value, record.timestamp)
            for record in consume(bootstrap, place.calls)
            if origin.origin_of(record.headers, place.calls) is None
        }
        copies = consume(bootstrap, f"{new.topic_prefix}calls")
        assert len(copies) == len(calls(range(120)))
        assert {(record.value, record.timestamp) for record in copies} == originals
        assert all(topics.partition_of(record.key or b"", 3) == record.partition for record in copies)
        assert not [record for record in copies if origin.HEADER in dict(record.headers)]
        differences = asyncio.run(admin.check(new))
        assert [difference for difference in differences if difference.topic.startswith(new.topic_prefix)] == []

        place.environment["CALLPULSE_KAFKA__PARTITIONS"] = "3"
        place.environment["CALLPULSE_KAFKA__TOPIC_PREFIX"] = new.topic_prefix
        rebuilt = place("rebuild", "--json", "--group", f"{kafka.group}-new", url)
        assert rebuilt.returncode == 0, rebuilt.stderr
        told = orjson.loads(rebuilt.stdout)
        assert told["compared"]
        assert told["figures"] > 1000
        assert told["differences"] == []

        # Sources went on: these calls are in all three partitions of the old topic.
        place.environment["CALLPULSE_KAFKA__PARTITIONS"] = "2"
        place.environment["CALLPULSE_KAFKA__TOPIC_PREFIX"] = kafka.topic_prefix
        produce(bootstrap, place.calls, calls(range(120, 140)))
        since = orjson.loads(place(*command).stdout)["topics"][0]
        assert since["copied"] == len(calls(range(120, 140)))

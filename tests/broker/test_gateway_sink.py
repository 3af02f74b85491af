"""The sink on a real Kafka: events come to their topics, once, by the direct way and by the spool."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import orjson
import pytest

from agents.embedded import EmbeddedKafka
from agents.gateway.kafka_sink import KafkaSink
from streams.contract import topics
from streams.contract.events import CallAnswered, Event, LeadLinked, ManagerPresence
from streams.settings.settings import Settings
from streams.sources.frame import Refused
from tests.broker.gateway_sender import make_topics, settings_of
from tests.kafka_fixture import consume

pytestmark = pytest.mark.broker

AT = 1_795_435_200_000


def call(number: object, manager: str = "anna") -> CallAnswered:
    return CallAnswered(v=1, id=f"e-{number}", at=AT, source="pbx", call=f"c-{number}", manager=manager)


def ids_in(settings: Settings, names: Iterable[str] = ("calls", "crm", "speech")) -> Counter[str]:
    found: Counter[str] = Counter()
    for name in names:
        topic = settings.kafka.topic_prefix + name
        for record in consume(settings.kafka.bootstrap, topic, committed_only=True):
            found[orjson.loads(record.value or b"")["id"]] += 1
    return found


async def test_events_come_to_the_topic_of_their_type_with_its_key_and_partition(
    bootstrap: str, tmp_path: Path
) -> None:
    settings = settings_of(bootstrap, tmp_path)
    await make_topics(settings)
    events: list[Event] = [
        call(1),
        LeadLinked(v=1, id="l-1", at=AT, source="crm", lead="crm-7", old_key="phone:ab"),
        ManagerPresence(v=1, id="p-1", at=AT, source="pbx", manager="boris", state="paused"),
    ]
    async with KafkaSink(settings) as sink:
        assert await sink.store("mine", events) == ["accepted"] * 3
        assert not sink.spool.size
    for name, keys in (("calls", {"e-1": b"anna", "p-1": b"boris"}), ("crm", {"l-1": b"crm-7"})):
        records = consume(bootstrap, settings.kafka.topic_prefix + name, committed_only=True)
        assert {orjson.loads(record.value or b"")["id"]: record.key for record in records} == keys
        assert all(record.partition == topics.partition_of(record.key or b"", 2) for record in records)


async def test_a_repeat_is_a_duplicate_within_a_request_beside_it_later_and_after_a_restart(
    bootstrap: str, tmp_path: Path
) -> None:
    settings = settings_of(bootstrap, tmp_path)
    await make_topics(settings)
    async with KafkaSink(settings) as sink:
        assert await sink.store("mine", [call(1), call(1)]) == ["accepted", "duplicate"]
        assert await sink.store("mine", [call(1), call(2)]) == ["duplicate", "accepted"]
        assert sorted(await asyncio.gather(*(sink.store("mine", [call(3)]) for _ in range(3)))) == [
            ["accepted"],
            ["duplicate"],
            ["duplicate"],
        ]
    async with KafkaSink(settings) as sink:
        assert await sink.store("mine", [call(1), call(3), call(4)]) == ["duplicate", "duplicate", "accepted"]
    assert ids_in(settings) == Counter({"e-1": 1, "e-2": 1, "e-3": 1, "e-4": 1})


async def test_many_small_requests_share_transactions_and_keep_their_order(bootstrap: str, tmp_path: Path) -> None:
    settings = settings_of(bootstrap, tmp_path)
    await make_topics(settings)
    async with KafkaSink(settings) as sink:
        await asyncio.gather(*(sink.store("mine", [call(n)]) for n in range(2_000)))
    records = consume(bootstrap, settings.kafka.topic_prefix + "calls", committed_only=True)
    assert [orjson.loads(record.value or b"")["id"] for record in records] == [f"e-{n}" for n in range(2_000)]
    cursors = consume(bootstrap, settings.kafka.topic_prefix + "cursors", committed_only=True)
    assert len(cursors) < 100


async def test_what_a_sender_does_not_wait_for_is_stored_before_the_end(bootstrap: str, tmp_path: Path) -> None:
    settings = settings_of(bootstrap, tmp_path)
    await make_topics(settings)
    async with KafkaSink(settings) as sink:
        alone = asyncio.create_task(sink.store("mine", [call(1)]))
        first, repeat = (asyncio.create_task(sink.store("mine", [call(n)])) for n in (2, 2))
        await asyncio.sleep(0)
        alone.cancel()
        first.cancel()
        assert await repeat == ["duplicate"]
    assert all(one.cancelled() for one in (alone, first))
    assert ids_in(settings) == Counter({"e-1": 1, "e-2": 1})


async def test_dead_letters_say_source_reason_and_shape(bootstrap: str, tmp_path: Path) -> None:
    settings = settings_of(bootstrap, tmp_path)
    await make_topics(settings)
    async with KafkaSink(settings) as sink:
        await sink.refuse("mine", [Refused(reason="not_json", detail="no object", where="row 7", shape=b"aaa 999")])
    (record,) = consume(bootstrap, settings.kafka.topic_prefix + "rejected", committed_only=True)
    assert record.value == b"aaa 999"
    assert dict(record.headers) == {
        "reason": b"not_json",
        "detail": b"no object",
        "source": b"mine",
        "where": b"row 7",
    }


@pytest.mark.slow
async def test_while_kafka_is_away_events_are_spooled_and_come_once_and_in_order_when_it_is_back(
    own_kafka: EmbeddedKafka, tmp_path: Path
) -> None:
    settings = settings_of(own_kafka.bootstrap, tmp_path, spool_after_ms=200)
    await make_topics(settings)
    async with KafkaSink(settings) as sink:
        await sink.store("mine", [call(0)])
        await asyncio.to_thread(own_kafka.kill)
        for n in range(1, 200):
            assert await sink.store("mine", [call(n)]) == ["accepted"]
        assert sink.spool.size
        assert await sink.store("mine", [call(5)]) == ["duplicate"]
        await asyncio.to_thread(own_kafka.start)
        n = 200
        while sink.pipeline.is_spooling:
            assert await sink.store("mine", [call(n)]) == ["accepted"]
            n += 1
        assert await sink.store("mine", [call(n)]) == ["accepted"]
        assert not sink.spool.size
    records = consume(own_kafka.bootstrap, settings.kafka.topic_prefix + "calls", committed_only=True)
    assert [orjson.loads(record.value or b"")["id"] for record in records] == [f"e-{number}" for number in range(n + 1)]

"""Compressed batches: every codec of Kafka, from a producer or set on a topic, in all readers of callpulse."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
from pathlib import Path

import orjson
import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.structs import ConsumerRecord
from faust.types import TP

from agents.kafka import dead_letters, evidence
from agents.kafka.dead_letter import dead_letter
from agents.kafka.dead_letters import Filter
from agents.kafka.settings_log import agree
from streams.contract import topics
from streams.contract.events import Rejection
from streams.settings.settings import Settings, load
from tests.broker import command_line
from tests.broker.in_process import START_MS, Start, make_topics, send, settings_text, wait_until
from tests.broker.leads_fixture import all_folded, assert_exact, send_events, story
from tests.kafka_fixture import consume, unique

# Other tests run all lines of these.
pytestmark = [pytest.mark.broker, pytest.mark.no_cover, pytest.mark.timeout(180)]

ROOT = Path(__file__).parents[2]
CALLS = 60
OF_A_MANAGER = CALLS // 20


@pytest.mark.parametrize("codec", ["gzip", "snappy", "lz4", "zstd"])
async def test_batches_of_a_producer_are_folded_explained_and_sent_back(
    start: Start, settings: Settings, codec: str
) -> None:
    worker = await start(settings)
    await send(settings, range(CALLS), codec=codec)
    await send_letter(settings, codec)
    await wait_until(lambda: worker.calls() == CALLS or worker.failures, "all calls are folded")
    assert worker.failures == []
    assert len((await evidence.read(settings, "m007")).calls.legs) == OF_A_MANAGER
    (letter,) = await dead_letters.read(settings.kafka, Filter())
    assert (letter.reason, letter.value) == ("not_json", b"no json")
    assert (await dead_letters.redrive(settings.kafka, [letter])).sent == 1
    # The worker refuses the record again, at its new offset.
    assert letter.id not in {left.id for left in await dead_letters.read(settings.kafka, Filter(redriven=False))}


async def test_topics_that_the_broker_compresses_are_read_and_restored(
    start: Start, bootstrap: str, tmp_path: Path
) -> None:
    """`compression.type` on every topic: the sources, the changelogs, the agreed settings and the dead letters."""
    text = settings_text(bootstrap, tmp_path / "data", group=unique("zstd"))
    config = tmp_path / "callpulse.toml"
    config.write_text(text, encoding="utf-8")
    settings = load(text, {})
    await make_topics(settings, compression_type="zstd")
    for _ in range(2):  # written by the first, read by the second
        await agree(settings)
    some = story(200, 60, seed=1)
    first = await start(settings)
    await send_events(settings, some)
    await all_folded(first)
    await first.stop()
    shutil.rmtree(tmp_path / "data")
    second = await start(settings)
    assert_exact(some, second)
    assert sum(table.restored for table in second.parts.state.tables.values()) > 0
    await second.stop()

    await send_letter(settings, None)
    explained = await callpulse(config, "explain", "m001", "--json")
    assert orjson.loads(explained.stdout), explained.stderr
    listed = await callpulse(config, "rejected", "list", "--json")
    assert [letter["reason"] for letter in orjson.loads(listed.stdout)["letters"]] == ["not_json"], listed.stderr
    back = await callpulse(config, "rejected", "redrive", "--json")
    assert orjson.loads(back.stdout)["sent"] == 1, back.stderr
    calls = consume(bootstrap, settings.kafka.topic_prefix + topics.CALLS.name)
    assert [record.key for record in calls if record.value == b"no json"] == [b"m001"]


async def send_letter(settings: Settings, codec: str | None) -> None:
    """Put a dead letter into its topic, in a batch compressed by `codec`."""
    record = ConsumerRecord(
        topic=settings.kafka.topic_prefix + topics.CALLS.name,
        partition=0,
        offset=7,
        timestamp=START_MS,
        timestamp_type=1,
        key=b"m001",
        value=b"no json",
        checksum=None,
        serialized_key_size=4,
        serialized_value_size=7,
        headers=(),
    )
    letter = dead_letter(TP(record.topic, record.partition), record, Rejection("not_json", "line 1"))
    async with AIOKafkaProducer(bootstrap_servers=settings.kafka.bootstrap, compression_type=codec) as producer:
        topic = settings.kafka.topic_prefix + topics.REJECTED.name
        await producer.send_and_wait(topic, letter.value, letter.key, headers=list(letter.headers))


async def callpulse(config: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command line as a process of its own."""
    words = (*arguments, "--config", config)
    return await asyncio.to_thread(command_line.run, *words, environment=os.environ)

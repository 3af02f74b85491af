"""A batch that cannot be read, through real processes: the last line names its place and the remedy."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest
from aiokafka import AIOKafkaProducer

from streams.contract import events, topics
from streams.settings.settings import Settings, load
from tests.broker.in_process import PARTITIONS, call_ended, make_topics, settings_text
from tests.kafka_fixture import unique

pytestmark = [pytest.mark.broker, pytest.mark.no_cover, pytest.mark.timeout(180)]

ROOT = Path(__file__).parents[2]
WITHOUT_CRAMJAM = "import sys; sys.modules['cramjam'] = None; from agents.cli import main; main()"
MANAGER = "m001"
HOME = topics.partition_of(MANAGER.encode(), PARTITIONS)


@pytest.fixture
def config(bootstrap: str, tmp_path: Path) -> Path:
    file = tmp_path / "callpulse.toml"
    file.write_text(settings_text(bootstrap, tmp_path / "data", group=unique("unreadable")), encoding="utf-8")
    asyncio.run(make_topics(settings_of(file)))
    return file


def test_of_a_source(config: Path) -> None:
    settings = settings_of(config)
    topic = settings.kafka.topic_prefix + topics.CALLS.name
    send(settings, topic, HOME, None)
    send(settings, topic, HOME, "zstd")
    for command in (("worker",), ("explain", MANAGER)):
        assert_place_is_named(
            config, *command, place=f"topic {topic}, partition {HOME}: cannot be read from offset 1 on "
        )


def test_of_a_changelog(config: Path) -> None:
    settings = settings_of(config)
    topic = topics.changelog("managers", settings.kafka.group).name
    send(settings, topic, HOME, "zstd")
    assert_place_is_named(config, "worker", place=f"topic {topic}, partition {HOME}: cannot be read from offset 0 on ")


def test_of_the_settings_that_workers_agree_on(config: Path) -> None:
    settings = settings_of(config)
    topic = topics.settings_log(settings.kafka.group).name
    send(settings, topic, 0, "zstd")
    assert_place_is_named(config, "worker", place=f"topic {topic}, partition 0: cannot be read from offset 0 on ")


def test_of_the_dead_letters(config: Path) -> None:
    settings = settings_of(config)
    topic = settings.kafka.topic_prefix + topics.REJECTED.name
    send(settings, topic, 2, "zstd")
    for command in ("list", "redrive"):
        place = f"topic {topic}, partition 2: cannot be read from offset 0 on "
        assert_place_is_named(config, "rejected", command, place=place)


def settings_of(config: Path) -> Settings:
    return load(config.read_text(encoding="utf-8"), {})


def send(settings: Settings, topic: str, partition: int, codec: str | None) -> None:
    """Send one call, in a batch of its own."""

    async def sent() -> None:
        async with AIOKafkaProducer(bootstrap_servers=settings.kafka.bootstrap, compression_type=codec) as producer:
            value = events.encode(call_ended(1, MANAGER))
            await producer.send_and_wait(topic, value, MANAGER.encode(), partition=partition)

    asyncio.run(sent())


def assert_place_is_named(config: Path, *command: str, place: str) -> None:
    """Run a command that cannot read zstd; its last line must name the place and the remedy."""
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_CRAMJAM, *command, "--config", str(config)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )
    last = done.stderr.splitlines()[-1]
    assert place in last, done.stderr[-3000:]
    assert "cramjam" in last
    assert done.returncode == 70
    if command != ("worker",):
        assert "Traceback" not in done.stderr

"""An upgrade on a real broker: a worker of today takes over the topics and the folder of a frozen release."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition

from tests.broker.in_process import Worker, end_tasks, make_topics
from tests.kafka_fixture import committed_offsets, end_offsets, produce
from tests.upgrade import rows_on_disk
from tests.upgrade.frozen import Frozen, differences, read, releases
from tests.upgrade.today import (
    TABLES,
    EmbeddedKafka,
    Settings,
    agree,
    changelog,
    exposition,
    series_of,
    settings_of,
    source_names,
)

pytestmark = [pytest.mark.broker, pytest.mark.timeout(180)]


@pytest.fixture(scope="module", params=releases())
def left(request: pytest.FixtureRequest, kafka: EmbeddedKafka) -> Frozen:
    """The state of Kafka after the release was stopped: every topic, and the committed offsets."""
    frozen = read(request.param)
    settings = settings_with(frozen, kafka.bootstrap, Path())
    asyncio.run(make_topics(settings))
    for topic, logs in frozen.topics.items():
        for partition, log in enumerate(logs):
            if log:
                produce(kafka.bootstrap, topic, log, partition=partition)
    asyncio.run(commit(settings, frozen))
    return frozen


def settings_with(frozen: Frozen, bootstrap: str, data_dir: Path) -> Settings:
    """Settings of the release, on this broker. Its leads are old by the clock, and none of them is to be forgotten."""
    return settings_of(
        frozen.settings,
        {
            "CALLPULSE_KAFKA__BOOTSTRAP": bootstrap,
            "CALLPULSE_WORKER__DATA_DIR": str(data_dir),
            "CALLPULSE_RESULTS__LEAD_EXPIRY": "3660d",
        },
    )


async def commit(settings: Settings, frozen: Frozen) -> None:
    """Commit, for the group, the ends of the topics that agents read."""
    consumer = AIOKafkaConsumer(
        bootstrap_servers=settings.kafka.bootstrap, group_id=settings.kafka.group, enable_auto_commit=False
    )
    await consumer.start()
    try:
        ends = {
            TopicPartition(topic, partition): len(log)
            for topic in source_names(settings)
            if topic in frozen.topics  # a topic of today that the release did not have
            for partition, log in enumerate(frozen.topics[topic])
        }
        consumer.assign(list(ends))
        await consumer.commit(ends)
    finally:
        await consumer.stop()


@pytest.fixture
async def worker(left: Frozen, bootstrap: str, tmp_path: Path) -> AsyncIterator[Worker]:
    """A worker of today, not started."""
    made = Worker(settings_with(left, bootstrap, tmp_path))
    yield made
    try:
        if made.app.started and not made.app.should_stop:
            await made.crash()
    finally:
        await end_tasks()


async def assert_as_it_was_left(frozen: Frozen, worker: Worker) -> None:
    """Every figure is as the release read it last; nothing is folded, sent or written again."""
    at_ms = frozen.readings[-1].at_ms
    assert differences(series_of(await exposition(worker.parts, at_ms)), frozen.last()) == {}
    await worker.stop()
    assert worker.failures == []
    kafka = worker.settings.kafka
    for topic, logs in frozen.topics.items():
        # The settings log of an older release has no topic ids: the first start adds them, in one record.
        added = 1 if topic == f"{kafka.group}-settings" else 0
        ends = {partition: len(log) + (added if partition == 0 else 0) for partition, log in enumerate(logs)}
        assert end_offsets(kafka.bootstrap, topic) == ends
    for topic in source_names(worker.settings):
        if topic not in frozen.topics:
            continue
        ends = {partition: len(log) for partition, log in enumerate(frozen.topics[topic]) if log}
        assert committed_offsets(kafka.bootstrap, kafka.group, topic).items() >= ends.items()


def records(frozen: Frozen, worker: Worker, table: str) -> int:
    """Return the number of records in the changelog of a table."""
    return sum(len(log) for log in frozen.topics.get(changelog(worker.settings, table), ()))


async def test_a_worker_takes_up_what_the_release_left(left: Frozen, worker: Worker) -> None:
    await agree(worker.settings)  # refuses tables that are made by other settings
    await worker.start()
    assert {table: worker.parts.state.tables[table].restored for table in TABLES} == {
        table: records(left, worker, table) for table in TABLES
    }
    await assert_as_it_was_left(left, worker)


async def test_a_worker_takes_up_the_folder_that_the_release_left(left: Frozen, worker: Worker, tmp_path: Path) -> None:
    now_ms = int(time.time() * 1000)
    for table, families in left.rows.items():
        folder = tmp_path / worker.settings.worker.id / table
        rows_on_disk.write(folder, rows_on_disk.written_at(families, now_ms))
    await worker.start()
    for table, families in left.rows.items():
        partitions = len(families) - 1
        assert 0 < worker.parts.state.tables[table].restored <= partitions < records(left, worker, table)
    await assert_as_it_was_left(left, worker)

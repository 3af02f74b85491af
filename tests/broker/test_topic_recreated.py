"""Topics and changelogs that were deleted and created again under a group: nothing is skipped, nothing counts twice."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from aiokafka import AIOKafkaConsumer
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.records_to_delete import RecordsToDelete
from aiokafka.errors import CommitFailedError
from aiokafka.structs import TopicPartition
from faust.types import TP

from agents.kafka import topic_ids
from agents.kafka.settings_log import agree
from agents.kafka.topic_history import ChangelogLostError
from streams.contract import topics
from streams.settings.settings import Settings
from tests.broker.in_process import (
    PARTITIONS,
    Worker,
    end_tasks,
    recreate_topics,
    send,
    wait_until,
    wait_until_it_stays,
)

pytestmark = [pytest.mark.broker, pytest.mark.timeout(240)]

OLD, NEW = 60, 12
Begin = Callable[[Settings], Awaitable[Worker]]


@pytest.fixture
async def begin() -> AsyncIterator[Begin]:
    """Start a worker as the command does: with the topics of the settings log."""
    workers: list[Worker] = []

    async def begin(settings: Settings) -> Worker:
        agreed = await agree(settings)
        workers.append(Worker(settings, agreed.topics, named_facts=agreed.named_facts))
        return await workers[-1].start()

    yield begin
    try:
        for worker in workers:
            if worker.app.started and not worker.app.should_stop:
                await worker.crash()
    finally:
        await end_tasks()


async def counted(worker: Worker, calls: int) -> None:
    """Wait until the worker counts this number of calls, of managers and of leads, and fail if it counts another."""
    await wait_until_it_stays(
        lambda: worker.calls() == worker.open_leads() == calls or worker.failures, f"{calls} calls"
    )
    assert worker.failures == []


async def commit(settings: Settings, offsets: dict[TP, int]) -> None:
    """Commit offsets for the group, once the session of its last member is over."""
    consumer = AIOKafkaConsumer(
        bootstrap_servers=settings.kafka.bootstrap, group_id=settings.kafka.group, enable_auto_commit=False
    )
    await consumer.start()
    consumer.assign([TopicPartition(*tp) for tp in offsets])
    deadline = time.monotonic() + 30
    while True:
        try:
            await consumer.commit({TopicPartition(*tp): offset for tp, offset in offsets.items()})
            break
        except CommitFailedError:
            assert time.monotonic() < deadline
            await asyncio.sleep(0.5)
    await consumer.stop()


@pytest.mark.parametrize(
    ("names", "with_ids"),
    [(("calls",), True), (("calls",), False), (("contacts", "outcomes"), True)],
    ids=["calls", "calls, without ids", "contacts and outcomes"],
)
async def test_records_of_the_new_topic_count_from_its_start(
    begin: Begin, settings: Settings, names: tuple[str, ...], with_ids: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def without_ids(*_: object) -> dict[str, str]:
        return {}

    if not with_ids:
        monkeypatch.setattr(topic_ids, "_ask", without_ids)
    await send(settings, range(OLD))
    first = await begin(settings)
    await counted(first, OLD)
    await first.stop()
    ended_at = {tp: offset for tp, offset in first.committed().items() if tp.topic == first.parts.name(topics.CALLS)}
    await recreate_topics(settings, *(settings.kafka.topic_prefix + name for name in names))
    await send(settings, range(OLD, OLD + NEW))
    if not with_ids:
        await commit(settings, ended_at)  # as a worker that ran on does; Kafka deletes offsets with their topic
    second = await begin(settings)
    await counted(second, OLD + NEW)
    await second.parts.state.run_checkpoint()
    await second.crash()
    if with_ids:  # the generations are in the committed offsets, too
        await recreate_topics(settings, topics.settings_log(settings.kafka.group).name)
    await send(settings, range(OLD + NEW, OLD + 2 * NEW))
    third = await begin(settings)
    await counted(third, OLD + 2 * NEW)


async def test_a_running_worker_ends_and_says_so(
    begin: Begin, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(topic_ids, "WATCH_EVERY_S", 0.2)
    worker = await begin(settings)
    ids = {name: topic.id for name, topic in (await agree(settings)).topics.items()}
    failures: list[BaseException] = []
    watch = asyncio.create_task(topic_ids.watch_topics(settings.kafka, ids, failures.append))
    await recreate_topics(settings, worker.parts.name(topics.CALLS))
    await wait_until(lambda: failures, "the watch notices")
    assert f"topic {worker.parts.name(topics.CALLS)} was deleted and created again" in str(failures[0])
    await watch


@pytest.mark.parametrize("with_ids", [True, False], ids=["ids", "no ids"])
async def test_tables_are_rebuilt_where_their_changelogs_are_gone(
    begin: Begin, settings: Settings, with_ids: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def without_ids(*_: object) -> dict[str, str]:
        return {}

    if not with_ids:
        monkeypatch.setattr(topic_ids, "_ask", without_ids)
    await send(settings, range(OLD))
    first = await begin(settings)
    await counted(first, OLD)
    await first.stop()
    await recreate_topics(settings, *(topics.changelog(name, settings.kafka.group).name for name in topics.TABLES))
    second = await begin(settings)
    await send(settings, range(OLD, OLD + NEW))
    await counted(second, OLD + NEW)


async def test_a_worker_refuses_where_the_facts_of_a_table_are_gone_too(begin: Begin, settings: Settings) -> None:
    await send(settings, range(OLD))
    first = await begin(settings)
    await counted(first, OLD)
    await first.stop()
    contacts = first.parts.name(topics.CONTACTS)
    admin = AIOKafkaAdminClient(bootstrap_servers=settings.kafka.bootstrap)
    await admin.start()
    await admin.delete_records(
        {TopicPartition(contacts, n): RecordsToDelete(before_offset=1) for n in range(PARTITIONS)}
    )
    await admin.close()
    changelog = topics.changelog("leads", settings.kafka.group).name
    await recreate_topics(settings, changelog)
    for _ in range(2):
        with pytest.raises(ChangelogLostError, match=changelog):
            await agree(settings)

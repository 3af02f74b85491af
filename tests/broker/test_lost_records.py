"""Records that retention deleted before they were read: they are counted and logged, and the worker goes on."""

from __future__ import annotations

import logging

import pytest
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.records_to_delete import RecordsToDelete
from aiokafka.structs import TopicPartition
from faust.types import TP

from agents.delivery import lost_records
from streams.contract import topics
from streams.settings.settings import Settings
from tests.broker.in_process import PARTITIONS, Start, send, wait_until

pytestmark = [pytest.mark.broker, pytest.mark.timeout(180)]

MANAGER = 1  # of `send`: the manager m001
HOME = topics.partition_of(b"m001", PARTITIONS)


async def delete_before(settings: Settings, offset: int) -> None:
    """Delete the records of the manager's partition before an offset, as retention does."""
    admin = AIOKafkaAdminClient(bootstrap_servers=settings.kafka.bootstrap)
    await admin.start()
    tp = TopicPartition(settings.kafka.topic_prefix + topics.CALLS.name, HOME)
    await admin.delete_records({tp: RecordsToDelete(before_offset=offset)})
    await admin.close()


def of_manager(first: int, count: int) -> range:
    """Numbers of calls of one manager."""
    return range(first * 20 + MANAGER, (first + count) * 20 + MANAGER, 20)


async def test_records_deleted_while_no_worker_ran_are_counted_and_the_rest_is_folded(
    start: Start, settings: Settings, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(lost_records, "LOOK_EVERY_S", 0.2)
    caplog.set_level(logging.WARNING, "callpulse")
    first = await start(settings)
    await send(settings, of_manager(0, 10))
    await wait_until(lambda: first.calls() == 10, "the first calls are folded")
    await first.stop()
    await send(settings, of_manager(10, 10))
    await delete_before(settings, 17)
    second = await start(settings)
    await wait_until(lambda: second.calls() == 13, "what is left is folded")
    await wait_until(lambda: second.counted("lost_records_total", topics.CALLS) == 7, "the lost records are counted")
    await send(settings, of_manager(20, 5))
    await wait_until(lambda: second.calls() == 18, "new calls are folded")
    assert second.counted("lost_records_total", topics.CALLS) == 7
    assert second.parts.tracker.gaps == 0
    assert [record.message for record in caplog.records if "retention" in record.message] == [
        (
            f"{second.parts.name(topics.CALLS)}/{HOME}: retention deleted 7 records before they were read; "
            "figures lack them. Offset 17 is the first that is left"
        )
    ]


async def test_where_nothing_is_left_the_committed_offset_follows(
    start: Start, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lost_records, "LOOK_EVERY_S", 0.2)
    first = await start(settings)
    await send(settings, of_manager(0, 10))
    await wait_until(lambda: first.calls() == 10, "the first calls are folded")
    await first.stop()
    await send(settings, of_manager(10, 10))
    await delete_before(settings, 20)
    second = await start(settings)
    tp = TP(second.parts.name(topics.CALLS), HOME)
    await wait_until(lambda: second.committed().get(tp) == 20, "the committed offset follows")
    assert second.counted("lost_records_total", topics.CALLS) == 10
    await send(settings, of_manager(20, 5))
    await wait_until(lambda: second.calls() == 15, "new calls are folded")
    assert second.counted("lost_records_total", topics.CALLS) == 10
    assert second.failures == []

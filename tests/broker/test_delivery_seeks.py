"""Seeks while records are fetched: aiokafka fetches in a thread of its own, and a seek in another loses a batch."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any, cast

import pytest

from tests.broker.in_process import Worker, make_topics, send, settings_for, wait_until, wait_until_it_stays

N = 20_000


@pytest.mark.broker
@pytest.mark.no_cover  # a worker of which every line is traced takes minutes
@pytest.mark.timeout(300)
async def test_seeks_while_fetching_lose_nothing_and_double_nothing(bootstrap: str, tmp_path: Path) -> None:
    settings = settings_for(bootstrap, tmp_path)
    await make_topics(settings)
    await send(settings, range(N))
    worker = Worker(settings)
    seeks = 0

    async def seek_without_end() -> None:
        nonlocal seeks
        while True:
            for tp in list(worker.app.delivery.tracker.snapshot()):
                await worker.parts.loop.fetch_again(tp)
                seeks += 1
            await asyncio.sleep(0.02)

    await worker.start()
    seeking = asyncio.create_task(seek_without_end())
    try:
        await wait_until(lambda: worker.calls() >= N / 2 or worker.failures, "half is folded", within_s=100)
        seeking.cancel()
        await wait_until_it_stays(lambda: worker.open_leads() == N or worker.failures, "all is folded", within_s=150)
        assert worker.failures == []
        assert seeks > 10
        assert (worker.calls(), worker.open_leads()) == (N, N)
    finally:
        seeking.cancel()
        await worker.crash()


@pytest.mark.broker
@pytest.mark.timeout(120)
async def test_a_restore_that_ends_during_the_next_rebalance_opens_nothing_and_owns_nothing(
    bootstrap: str, tmp_path: Path
) -> None:
    """Faust notices the next rebalance with its assignment, and goes on restoring by the one before until then."""
    settings = settings_for(bootstrap, tmp_path)
    await make_topics(settings)
    await send(settings, range(100))
    worker = Worker(settings)
    await worker.start()
    try:
        await wait_until_it_stays(lambda: worker.calls() == 100 or worker.failures, "all is folded")
        consumer, recovery = worker.parts.consumer, cast(Any, worker.app.tables).recovery
        tracker, tables = worker.parts.tracker, worker.parts.state.tables
        assigned = set(consumer.assignment())
        await consumer.on_partitions_revoked(assigned)
        for table in tables.values():
            await table.on_recovery_completed({tp for tp in assigned if tp.topic == table.changelog}, set())
        await consumer.perform_seek()
        assert tracker.snapshot() == {}
        assert {name: table.owned for name, table in tables.items() if table.owned} == {}
        await consumer.on_partitions_assigned(assigned, recovery.app.consumer_generation_id)
        await wait_until(lambda: tracker.snapshot() and all(table.owned for table in tables.values()), "restored")
        await send(settings, range(100, 200))
        await wait_until_it_stays(lambda: worker.calls() == 200 or worker.failures, "the rest is folded")
        assert worker.failures == []
    finally:
        await worker.crash()


@pytest.mark.broker
@pytest.mark.timeout(120)
async def test_a_seek_that_began_before_a_rebalance_opens_nothing_after_it(bootstrap: str, tmp_path: Path) -> None:
    settings = settings_for(bootstrap, tmp_path)
    await make_topics(settings)
    worker = Worker(settings)
    await worker.start()
    try:
        await wait_until(lambda: len(worker.parts.tracker.snapshot()) > 0, "open")
        consumer, tracker = worker.parts.consumer, worker.parts.tracker
        seeking = asyncio.create_task(consumer.perform_seek())
        await asyncio.sleep(0)
        tracker.begin_rebalance()
        tracker.end_rebalance()
        await seeking
        assert tracker.snapshot() == {}
    finally:
        await worker.crash()

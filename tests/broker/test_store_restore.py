"""Restoring leads from the worker's own disk: up to date, behind the changelog, missing, or not to be trusted."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

import msgspec
import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from agents.state import rows as store_rows
from agents.state.expiry import Expiry
from agents.state.rocksdb import StoreLockedError, now_ms
from streams.contract import topics
from streams.contract.events import Event
from streams.settings.settings import Settings
from streams.units import DAY_MS
from tests.broker.in_process import PARTITIONS, START_MS, Start, Worker, settings_for, wait_until
from tests.broker.leads_fixture import all_folded, assert_exact, legs_by_lead, rows_of, send_events, story
from tests.kafka_fixture import consume, produce

pytestmark = [pytest.mark.broker, pytest.mark.no_cover, pytest.mark.timeout(180)]

LEADS = 400


def folder_of(settings: Settings) -> Path:
    return Path(settings.worker.data_dir) / settings.worker.id / "leads"


def restored(worker: Worker) -> int:
    """Return the number of records of the changelog of leads that were read."""
    return worker.parts.state.tables["leads"].restored


async def folded_and_stopped(start: Start, settings: Settings, some: list[Event]) -> None:
    worker = await start(settings)
    await send_events(settings, some)
    await all_folded(worker)
    await worker.stop()


async def again(start: Start, settings: Settings, some: list[Event], more: list[Event]) -> int:
    """Start a worker again; return how many records it restored. All must be exact, then and after more events."""
    worker = await start(settings)
    records = restored(worker)
    assert_exact(some, worker)
    await send_events(settings, more)
    await all_folded(worker)
    assert_exact(some + more, worker)
    assert len(worker.parts.state.tables["leads"].part(0).rows) == sum(
        1 for _ in worker.parts.state.tables["leads"].part(0).rows
    )
    await worker.stop()
    return records


def halves(seed: int) -> tuple[list[Event], list[Event]]:
    some = story(2 * LEADS, LEADS, seed=seed, links=0.2)
    return some[: len(some) // 2], some[len(some) // 2 :]


async def test_with_its_folder_a_worker_restores_next_to_nothing(start: Start, settings: Settings) -> None:
    some, more = halves(1)
    await folded_and_stopped(start, settings, some)
    assert await again(start, settings, some, more) <= PARTITIONS


async def test_without_its_folder_a_worker_restores_everything(start: Start, settings: Settings) -> None:
    some, more = halves(2)
    await folded_and_stopped(start, settings, some)
    shutil.rmtree(folder_of(settings))
    assert await again(start, settings, some, more) >= LEADS // 2


async def test_with_an_older_folder_a_worker_restores_what_came_since(
    start: Start, settings: Settings, tmp_path: Path
) -> None:
    some, more = halves(3)
    await folded_and_stopped(start, settings, some)
    shutil.copytree(folder_of(settings), tmp_path / "older")
    await folded_and_stopped(start, settings, more[:40])
    shutil.rmtree(folder_of(settings))
    shutil.move(tmp_path / "older", folder_of(settings))
    whole = len(consume(settings.kafka.bootstrap, topics.changelog("leads", settings.kafka.group).name))
    assert PARTITIONS < await again(start, settings, some + more[:40], more[40:]) < whole // 2


async def test_a_folder_that_is_older_than_removals_are_kept_is_not_used(
    start: Start, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    some, more = halves(4)
    await folded_and_stopped(start, settings, some)
    monkeypatch.setattr(store_rows, "now_ms", lambda: now_ms() + topics.REMOVALS_KEPT_MS)
    assert await again(start, settings, some, more) >= LEADS // 2


async def test_a_folder_that_was_spoilt_is_not_used(start: Start, settings: Settings) -> None:
    some, more = halves(5)
    await folded_and_stopped(start, settings, some)
    for file in (folder_of(settings) / "rows").glob("MANIFEST*"):
        file.write_bytes(b"spoilt")
    assert await again(start, settings, some, more) >= LEADS // 2


@pytest.mark.parametrize("records", [0, 1, 2000], ids=["empty", "shorter", "longer"])
async def test_the_folder_of_a_changelog_that_was_made_anew_is_not_used(
    start: Start, settings: Settings, records: int
) -> None:
    """Its offsets are meaningless, whether they are behind the end of the new changelog or before it."""
    some, _ = halves(6)
    await folded_and_stopped(start, settings, some)
    declared = topics.changelog("leads", settings.kafka.group)
    row = next(
        record.value
        for record in consume(settings.kafka.bootstrap, declared.name)
        if record.value is not None and record.key is not None
    )
    admin = AIOKafkaAdminClient(bootstrap_servers=settings.kafka.bootstrap)
    await admin.start()
    try:
        await admin.delete_topics([declared.name])
        while declared.name in await admin.list_topics():  # noqa: ASYNC110 - Kafka has no event for it
            await asyncio.sleep(0.1)
        await admin.create_topics([NewTopic(declared.name, PARTITIONS, 1, topic_configs=declared.config)])
    finally:
        await admin.close()
    for partition in range(PARTITIONS if records else 0):
        produce(
            settings.kafka.bootstrap,
            declared.name,
            [(b"other-%d" % (number % 3), row) for number in range(records)],
            partition=partition,
        )
    worker = await start(settings)
    found = {key for key, _ in worker.rows("leads")}
    assert found == {b"other-%d" % number for number in range(min(records, 3))}
    assert restored(worker) >= records * PARTITIONS
    assert worker.failures == []


async def test_a_partition_that_comes_back_is_brought_up_to_date_from_the_disk(
    start: Start, settings: Settings, bootstrap: str, tmp_path: Path
) -> None:
    some, more = halves(7)
    first = await start(settings)
    await send_events(settings, some)
    await all_folded(first)
    await first.parts.state.run_checkpoint()
    second = await start(settings_for(bootstrap, tmp_path, group=settings.kafka.group, worker="w2"))
    await wait_until(
        lambda: (
            0 < len(first.parts.state.tables["leads"].owned) < PARTITIONS and second.parts.state.tables["leads"].owned
        ),
        "shared",
    )
    assert restored(first) <= PARTITIONS  # it has kept them, and has them on disk
    assert restored(second) > LEADS // 10
    await send_events(settings, more[:40])
    await all_folded(first, second)
    assert_exact(some + more[:40], first, second)
    await second.stop()
    await wait_until(lambda: len(first.parts.state.tables["leads"].owned) == PARTITIONS, "the first has all again")
    await all_folded(first)
    assert restored(first) < LEADS // 2
    assert_exact(some + more[:40], first)


async def test_two_workers_of_one_name_cannot_share_a_folder(start: Start, settings: Settings) -> None:
    await start(settings)
    second = Worker(settings)
    with pytest.raises(StoreLockedError, match="worker"):
        second.parts.state.open_stores()


async def test_rows_can_live_in_memory_instead(start: Start, settings: Settings) -> None:
    in_memory = msgspec.structs.replace(settings, worker=msgspec.structs.replace(settings.worker, store="memory"))
    some, more = halves(8)
    await folded_and_stopped(start, in_memory, some)
    assert not folder_of(settings).exists()
    assert await again(start, in_memory, some, more) >= LEADS // 2
    # And back on disk, from the same changelog.
    assert await again(start, settings, some + more, []) >= LEADS // 2


async def test_leads_that_nobody_has_heard_of_for_long_are_removed_everywhere(start: Start, settings: Settings) -> None:
    # The worker itself expires leads by its clock, so it has longer than the 181 days that are tried here.
    worker = await start(settings)
    some = story(60, 30, seed=9)
    await send_events(settings, some)
    await all_folded(worker)
    await worker.parts.state.run_checkpoint()
    day_ms = DAY_MS
    expiry = Expiry(worker.parts.state.tables["leads"], 181 * day_ms)
    everywhere = range(PARTITIONS)
    for _ in range(20):
        expiry.step(START_MS + 181 * day_ms, everywhere, rows=12)
    assert (expiry.expired, len(rows_of(worker))) == (0, 30)
    before = legs_by_lead(worker)
    for _ in range(20):
        expiry.step(START_MS + 45_000 + 181 * day_ms, everywhere, rows=12)
    assert 0 < expiry.expired < 30
    left = legs_by_lead(worker)
    assert len(left) == 30 - expiry.expired
    await worker.stop()
    changelog = consume(settings.kafka.bootstrap, topics.changelog("leads", settings.kafka.group).name)
    removed = {record.key.decode() for record in changelog if record.key is not None and record.value is None}
    assert removed == before.keys() - left.keys()
    for keep in (True, False):
        if not keep:
            shutil.rmtree(folder_of(settings))
        second = await start(settings)
        assert legs_by_lead(second) == left
        assert rows_of(second).keys() == left.keys()
        await second.stop()

"""Restoring managers and outcomes from copies on disk: a start reads only the end of their changelogs."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from streams.contract import topics
from streams.contract.events import Event
from streams.settings.settings import Settings
from tests.broker.in_process import PARTITIONS, Start, Worker
from tests.broker.leads_fixture import all_folded, assert_exact, send_events
from tests.broker.test_store_restore import folded_and_stopped, halves
from tests.kafka_fixture import consume

pytestmark = [pytest.mark.broker, pytest.mark.no_cover, pytest.mark.timeout(180)]

COPIED = ("managers", "outcomes")


def folder_of(settings: Settings, table: str) -> Path:
    return Path(settings.worker.data_dir) / settings.worker.id / table


def restored(worker: Worker) -> dict[str, int]:
    """Return the number of records of each changelog that were read."""
    return {name: table.restored for name, table in worker.parts.state.tables.items()}


def written(settings: Settings) -> dict[str, int]:
    """Return the number of records in each changelog."""
    group = settings.kafka.group
    return {
        name: sum(
            record.key is not None for record in consume(settings.kafka.bootstrap, topics.changelog(name, group).name)
        )
        for name in topics.TABLES
    }


async def several_checkpoints(start: Start, settings: Settings, some: list[Event]) -> None:
    """Fold `some` in ten parts, each with a checkpoint of its own, so that each row is written several times."""
    worker = await start(settings)
    for number in range(10):
        await send_events(settings, some[number::10])
        await all_folded(worker)
        await worker.parts.state.run_checkpoint()
    await worker.stop()


async def again(start: Start, settings: Settings, some: list[Event], more: list[Event]) -> dict[str, int]:
    """Start a worker again; return how many records it restored. All must be exact, then and after more events."""
    worker = await start(settings)
    records = restored(worker)
    assert_exact(some, worker)
    await send_events(settings, more)
    await all_folded(worker)
    assert_exact(some + more, worker)
    await worker.stop()
    return records


async def test_a_start_reads_only_the_end_of_every_changelog(start: Start, settings: Settings) -> None:
    some, more = halves(21)
    await several_checkpoints(start, settings, some)
    there = written(settings)
    assert there.pop("coaching") == 0  # no calls were heard
    assert min(there.values()) > 10 * PARTITIONS
    found = await again(start, settings, some, more)
    assert max(found.values()) <= PARTITIONS, there
    found = await again(start, settings, some + more, [])
    assert max(found.values()) <= PARTITIONS


async def test_a_killed_worker_reads_what_came_since_its_last_checkpoint(start: Start, settings: Settings) -> None:
    some, more = halves(22)
    worker = await start(settings)
    await send_events(settings, some)
    await all_folded(worker)
    await worker.parts.state.run_checkpoint()
    await send_events(settings, more)
    await worker.crash()
    second = await start(settings)
    assert max(restored(second).values()) <= PARTITIONS
    await all_folded(second)
    assert_exact(some + more, second)


@pytest.mark.parametrize("lost", ["removed", "spoilt"])
async def test_without_its_copies_a_worker_reads_the_changelogs_once(
    start: Start, settings: Settings, lost: str
) -> None:
    """The folder of the release before is like this: it has rows of leads only."""
    some, more = halves(23)
    await several_checkpoints(start, settings, some)
    there = written(settings)
    for table in COPIED:
        if lost == "removed":
            shutil.rmtree(folder_of(settings, table))
        else:
            for file in (folder_of(settings, table) / "rows").glob("MANIFEST*"):
                file.write_bytes(b"spoilt")
    found = await again(start, settings, some, more)
    assert {table: found[table] for table in COPIED} == {table: there[table] for table in COPIED}
    assert found["leads"] <= PARTITIONS
    assert max((await again(start, settings, some + more, [])).values()) <= PARTITIONS


async def test_with_older_copies_a_worker_reads_what_came_since(
    start: Start, settings: Settings, tmp_path: Path
) -> None:
    some, more = halves(24)
    await several_checkpoints(start, settings, some)
    for table in COPIED:
        shutil.copytree(folder_of(settings, table), tmp_path / "older" / table)
    await folded_and_stopped(start, settings, more[:40])
    there = written(settings)
    for table in COPIED:
        shutil.rmtree(folder_of(settings, table))
        shutil.move(tmp_path / "older" / table, folder_of(settings, table))
    found = await again(start, settings, some + more[:40], more[40:])
    for table in COPIED:
        assert PARTITIONS < found[table] < there[table] // 2

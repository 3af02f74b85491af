"""Batched delivery on real Kafka, with provoked faults in the layers below it."""

from __future__ import annotations

import asyncio
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
from aiokafka import AIOKafkaProducer
from faust.types import TP
from msgspec.structs import replace

from agents.delivery.offsets import Batch, OffsetTracker
from agents.delivery.transport import BatchConsumer
from agents.state.tables import RowTable
from streams.contract import events, topics
from streams.settings.settings import Settings
from tests.broker.in_process import (
    PARTITIONS,
    START_MS,
    Start,
    Worker,
    call_ended,
    make_topics,
    send,
    settings_for,
    wait_until,
)

pytestmark = [pytest.mark.broker, pytest.mark.no_cover, pytest.mark.timeout(180)]

N = 3000


async def folded(worker: Worker, calls: int, within_s: float = 60.0) -> None:
    """Wait until both hops are done. A sum is not enough: a lead that changes its owner counts twice for a moment."""
    await wait_until(lambda: worker.calls() >= calls, f"{calls} calls are folded", within_s)
    for topic in (topics.CONTACTS, topics.OUTCOMES):
        await worker.parts.outbox.drain()
        tps = [TP(worker.parts.name(topic), number) for number in range(PARTITIONS)]
        ends = await worker.parts.consumer.highwaters(*tps)
        await wait_until(
            lambda: all((worker.app.delivery.tracker.next_offset(tp) or 0) >= (ends[tp] or 0) for tp in tps),  # noqa: B023 - at once
            f"{topic.name} is folded",
            within_s,
        )


async def test_every_record_is_folded_once_and_committed(start: Start, settings: Settings) -> None:
    await send(settings, range(N))
    worker = await start(settings)
    await folded(worker, N)
    assert (worker.calls(), worker.open_leads()) == (N, N)
    await worker.parts.state.run_checkpoint()
    ends = {tp: offset for tp, offset in worker.app.delivery.tracker.snapshot().items() if offset}
    assert worker.committed() == ends
    assert sum(offset for tp, offset in ends.items() if tp.topic.endswith("-calls")) == N
    assert worker.failures == []


def losing(monkeypatch: pytest.MonkeyPatch, every: int) -> list[Batch]:
    """Drop every nth batch between the fetch and the agent, as Faust does when it clears its queues."""
    lost: list[Batch] = []
    fetch = BatchConsumer._getmany
    seen = 0

    async def getmany(self: Any, **options: Any) -> Any:
        nonlocal seen
        delivered = dict(await fetch(self, **options))
        for tp in list(delivered):
            if tp.topic.endswith("-calls"):
                seen += 1
                if seen % every == 1:
                    lost.extend(delivered.pop(tp))
        return delivered

    monkeypatch.setattr(BatchConsumer, "_getmany", getmany)
    return lost


async def test_slow_checkpoints_run_less_often(start: Start, settings: Settings) -> None:
    worker = await start(settings)
    checkpoint = worker.parts.state.checkpoint
    run, begun = checkpoint.run, list[float]()

    async def slow(offsets: dict[TP, int] | None = None) -> bool:
        begun.append(asyncio.get_running_loop().time())
        await asyncio.sleep(0.4)
        return await run(offsets)

    checkpoint.run = slow  # type: ignore[method-assign]  # a slow broker
    await wait_until(lambda: len(begun) >= 3, "three checkpoints")
    pauses = [later - earlier - 0.4 for earlier, later in pairwise(begun[:3])]
    assert min(pauses) > 2.5 * 0.4, "three times as long as the one before took; the commit interval is 200 ms"


async def test_batches_that_vanish_in_delivery_are_fetched_again(
    start: Start, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    await send(settings, range(N))
    lost = losing(monkeypatch, every=3)
    worker = await start(settings)
    await folded(worker, N)
    assert worker.calls() == N
    assert lost


async def test_without_the_ledger_what_vanishes_is_lost_for_good(
    start: Start, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    await send(settings, range(N))
    lost = losing(monkeypatch, every=3)
    monkeypatch.setattr(OffsetTracker, "take", lambda self, batch: batch.records if batch.tp in self else [])
    monkeypatch.setattr("agents.loop.FoldLoop.watch_delivery", lambda _self: asyncio.sleep(0))
    worker = await start(settings)
    await wait_until(lambda: worker.calls() >= N - sum(len(b.records) for b in lost) > 0, "the rest is folded")
    assert lost
    assert worker.calls() < N


async def test_a_crash_between_checkpoints_recounts_nothing(start: Start, settings: Settings) -> None:
    await send(settings, range(N))
    first = await start(settings)
    await wait_until(lambda: first.calls() > 0, "something is folded")
    await first.crash()
    second = await start(settings)
    await folded(second, N)
    await send(settings, range(N, N + 100))
    await folded(second, N + 100)
    assert (second.calls(), second.open_leads()) == (N + 100, N + 100)


async def test_rows_written_and_offsets_not_committed_are_not_counted_twice(
    start: Start, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def not_committed(self: Any, offsets: Any) -> bool:  # noqa: ARG001 - as the method it replaces
        return True

    await send(settings, range(N))
    with monkeypatch.context() as patch:
        patch.setattr(BatchConsumer, "commit_offsets", not_committed)
        first = await start(settings)
        await folded(first, N)
        await first.parts.state.run_checkpoint()
        await first.crash()
    second = await start(settings)
    await wait_until(lambda: second.counted("records_total", topics.CALLS) >= N, "all is read again")
    await folded(second, N)
    assert (second.calls(), second.open_leads()) == (N, N)
    assert second.counted("duplicates_total", topics.CALLS) == N


async def test_an_error_in_a_fold_ends_the_worker_before_it_commits(
    start: Start, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any) -> None:
        raise ValueError("a defect in the fold")

    monkeypatch.setattr("agents.calls.CallsAgent.fold", broken)
    await send(settings, range(100))
    worker = await start(settings)
    await wait_until(lambda: worker.failures, "the worker gives up")
    assert isinstance(worker.failures[0], ValueError)
    await worker.parts.state.run_checkpoint()
    assert not any(tp.topic.endswith("-calls") for tp in worker.committed())


class WithoutKafka:
    """A producer whose every batch fails."""

    def __init__(self, real: Any) -> None:
        self.create_batch = real.create_batch

    async def send_batch(self, *_: Any, **__: Any) -> Any:
        failed: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        failed.set_exception(ConnectionError("Kafka is gone"))
        return failed


async def test_a_send_that_fails_ends_the_worker_before_it_commits(start: Start, settings: Settings) -> None:
    worker = await start(settings)

    real = worker.parts.outbox.producer()
    worker.parts.outbox.producer = lambda: WithoutKafka(real)
    await send(settings, range(100))
    await wait_until(lambda: worker.failures, "the worker gives up")
    with pytest.raises(Exception, match="did not take a record"):
        await worker.parts.state.run_checkpoint()
    assert not any(tp.topic.endswith("-calls") for tp in worker.committed())


async def test_a_changelog_that_cannot_be_read_ends_the_worker(settings: Settings) -> None:
    """Faust logs an error in a restore ("Error in recovery") and waits for ever."""
    worker = Worker(settings)
    worker.parts.state.open_stores()
    table = worker.parts.state.tables["managers"]
    record = SimpleNamespace(offset=0, key=b"m\0x", value=b"not a row")  # a day is a number
    with pytest.raises(ValueError, match="invalid literal"):
        table.apply_changelog_batch([SimpleNamespace(value=Batch(TP(table.changelog, 0), 0, [record]))])
    assert [type(error) for error in worker.failures] == [ValueError]
    worker.parts.state.close_stores()


async def test_a_misrouted_record_is_sent_to_the_partition_of_its_key_and_counted(
    start: Start, settings: Settings
) -> None:
    worker = await start(settings)
    await send(settings, range(200), partition=1)
    await folded(worker, 200)
    misrouted = sum(topics.partition_of(f"m{number % 20:03d}".encode(), 4) != 1 for number in range(200))
    assert misrouted > 0
    assert worker.counted("rerouted_total", topics.CALLS) == misrouted
    assert worker.calls() == 200


async def test_a_group_that_reads_misrouted_records_anew_counts_none_twice(start: Start, settings: Settings) -> None:
    """Ten hours of events are between a record and its second copy, more than ids are remembered for."""
    manager = b"m001"
    home = topics.partition_of(manager, PARTITIONS)

    async def send_calls(numbers: range, partition: int) -> None:
        producer = AIOKafkaProducer(bootstrap_servers=settings.kafka.bootstrap)
        await producer.start()
        for number in numbers:
            at = START_MS + number * 600_000
            value = events.encode(call_ended(number, "m001", at=at, started_at=at - 100_000, answered_at=at - 90_000))
            await producer.send(settings.kafka.topic_prefix + topics.CALLS.name, value, manager, partition=partition)
        await producer.stop()

    first = await start(settings)
    await send_calls(range(5), (home + 1) % PARTITIONS)
    await folded(first, 5)
    await send_calls(range(5, 65), home)
    await folded(first, 65)
    kafka, w2 = replace(settings.kafka, group=settings.kafka.group + "-anew"), replace(settings.worker, id="w2")
    anew = replace(settings, kafka=kafka, worker=w2)
    await make_topics(anew)
    second = await start(anew)
    copies = first.counted("records_total", topics.CALLS) + 5
    await wait_until(lambda: second.counted("rerouted_total", topics.CALLS) == 5, "all are sent on again")
    await wait_until(lambda: first.counted("records_total", topics.CALLS) == copies, "the first group reads the copies")
    await folded(first, 65)
    await folded(second, 65)
    assert (first.calls(), second.calls()) == (65, 65)


async def test_a_hole_in_the_log_does_not_stop_a_partition(start: Start, settings: Settings) -> None:
    """A transaction's marker takes an offset that no record has."""
    topic = settings.kafka.topic_prefix + topics.CALLS.name
    producer = AIOKafkaProducer(bootstrap_servers=settings.kafka.bootstrap, transactional_id=settings.kafka.group)
    await producer.start()

    for number in range(30):
        async with producer.transaction():
            manager = f"m{number % 20:03d}"
            partition = topics.partition_of(manager.encode(), 4)
            value = events.encode(call_ended(number, manager))
            await producer.send_and_wait(topic, value, manager.encode(), partition=partition)
    await producer.stop()
    worker = await start(settings)
    await folded(worker, 30)
    await worker.parts.state.run_checkpoint()
    assert worker.calls() == 30
    # Every partition's last offset is a marker; it cannot be waited for as a record.
    await send(settings, range(30, 60))
    await folded(worker, 60)
    assert worker.calls() == 60


async def test_revoked_partitions_are_forgotten_and_taken_up_by_the_other_worker(
    start: Start, settings: Settings, bootstrap: str, tmp_path: Path
) -> None:
    await send(settings, range(N))
    first = await start(settings)
    await folded(first, N)
    second = await start(settings_for(bootstrap, tmp_path, group=settings.kafka.group, worker="w2"))

    def shared() -> bool:
        owned = [worker.parts.state.tables["managers"].owned for worker in (first, second)]
        return owned[0] | owned[1] == frozenset(range(4)) and not owned[0] & owned[1] and all(owned)

    await wait_until(shared, "the partitions are shared out")
    await wait_until(lambda: first.calls() + second.calls() == N, "all calls are there, once")
    for worker in (first, second):
        table = worker.parts.state.tables["managers"]
        assert set(table.parts) <= set(table.owned)
    await send(settings, range(N, 2 * N))
    await wait_until(lambda: first.calls() + second.calls() == 2 * N, "new calls reach both")
    await second.stop()
    await wait_until(lambda: first.calls() == 2 * N, "the first has all partitions again")


async def restored_then_shared(start: Start, settings: Settings, second: Settings) -> int:
    """Restore a worker, let another join, and return how many calls both have once partitions are shared out."""
    await send(settings, range(N))
    before = await start(settings)
    await folded(before, N)
    await before.stop()
    workers = [await start(settings)]
    assert workers[0].calls() == N
    workers.append(await start(second))

    def shared() -> bool:
        owned = [worker.parts.state.tables["managers"].owned for worker in workers]
        return owned[0] | owned[1] == frozenset(range(4)) and not owned[0] & owned[1] and all(owned)

    await wait_until(shared, "the partitions are shared out")
    return sum(worker.calls() for worker in workers)


def in_memory(settings: Settings) -> Settings:
    """The settings without rows on disk, which a restore would read first."""
    return msgspec.structs.replace(settings, worker=msgspec.structs.replace(settings.worker, store="memory"))


async def test_a_partition_that_is_kept_through_a_rebalance_is_restored_from_its_beginning(
    start: Start, settings: Settings, bootstrap: str, tmp_path: Path
) -> None:
    second = settings_for(bootstrap, tmp_path, group=settings.kafka.group, worker="w2")
    assert await restored_then_shared(start, in_memory(settings), in_memory(second)) == N


async def test_without_a_fresh_start_faust_restores_only_what_is_new(
    start: Start, settings: Settings, bootstrap: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def release_only(self: RowTable[Any], *_: Any, **__: Any) -> None:
        self.release()

    monkeypatch.setattr(RowTable, "on_rebalance", release_only)
    second = settings_for(bootstrap, tmp_path, group=settings.kafka.group, worker="w2")
    assert await restored_then_shared(start, in_memory(settings), in_memory(second)) < N


async def test_two_workers_share_a_machine(start: Start, settings: Settings, bootstrap: str, tmp_path: Path) -> None:
    """The workers have no fixed port, and a data folder each."""
    first = await start(settings)
    second = await start(settings_for(bootstrap, tmp_path, group=settings.kafka.group, worker="w2"))
    assert not first.app.conf.web_enabled
    assert first.app.conf.datadir != second.app.conf.datadir


async def test_a_fetch_does_not_wait_long_for_records(start: Start, settings: Settings) -> None:
    worker = await start(settings)
    assert worker.parts.consumer._thread._ensure_consumer()._fetcher._fetch_max_wait_ms <= 50


async def test_faust_is_set_up_as_it_must_be(settings: Settings) -> None:
    conf: Any = Worker(settings).app.conf  # Faust types its settings as the descriptors that read them
    assert conf.processing_guarantee.value == "at_least_once"
    assert conf.table_standby_replicas == 0
    assert conf.store.scheme == "memory"
    assert conf.consumer_auto_offset_reset == "earliest"


def batch(start: int, end: int, tp: TP = TP("t", 0)) -> Batch:  # noqa: B008 - a tuple
    class Record:
        def __init__(self, offset: int) -> None:
            self.offset = offset

    return Batch(tp, start, [Record(offset) for offset in range(start, end)])


def test_the_offset_tracker_takes_what_follows_trims_what_overlaps_and_refuses_what_is_behind_a_gap() -> None:
    tracker = OffsetTracker()
    tracker.open({TP("t", 0): 10})

    def offsets(taken: list[Any] | None) -> list[int] | None:
        return None if taken is None else [record.offset for record in taken]

    assert offsets(tracker.take(batch(10, 12))) == [10, 11]
    assert offsets(tracker.take(batch(8, 12))) == [10, 11]
    assert offsets(tracker.take(batch(8, 10))) == []
    assert offsets(tracker.take(batch(11, 12))) is None
    assert offsets(tracker.take(batch(10, 12, TP("t", 1)))) == []
    tracker.done(TP("t", 0), 12)
    assert tracker.snapshot() == {TP("t", 0): 12}
    tracker.close()
    assert offsets(tracker.take(batch(12, 13))) == []

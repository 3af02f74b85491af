"""Batched delivery: what is fetched from a partition reaches an agent as one Faust message, committed by our rules.

Faust spends about 70 µs on a message before an agent sees it. Here a message is a `Batch` of up to a few thousand
records, so assignment, recovery, streams and agents stay Faust's own and their cost is paid once a batch. Changelogs
are restored the same way.

What is changed in Faust's consumer, and why:

- The records of a partition are wrapped in a batch that knows the offsets it stands for. Faust seeks from a thread
  other than the one that fetches, and a fetch under way puts the position back; here both happen in one thread.
- A fetch waits for records for 50 ms, not for 1.5 s: a topic in which nothing happens would hold up all the others.
- A partition whose batches pile up is not fetched from. Faust's own way (`on_buffer_full`) makes the fetcher sleep for
  a second when all partitions are full.
- `perform_seek` opens the ledger at the committed offsets, or at the earliest ones there are.
- `force_commit` runs a checkpoint (`agents/state/checkpoint.py`) and commits what the ledger says, not what was
  acknowledged.
- Revocation closes the ledger and checkpoints before the partitions can go to another worker.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any, Final, Protocol, cast

from faust.serializers import codecs
from faust.transport.drivers import aiokafka as driver
from faust.types import TP, ConsumerMessage

from agents.delivery.batches import by_batch
from agents.delivery.offsets import MAX_AHEAD_RECORDS, Batch, Ledger
from agents.kafka.unreadable import naming_the_place

CODEC: Final = "callpulse_batch"
POLL_S: Final = 0.25
FETCH_WAIT_MS: Final = 50


class _Identity(codecs.Codec):
    """Hands the batch through: agents decode records themselves; Faust would acknowledge what it cannot read."""

    def _loads(self, s: Any) -> Any:
        return s

    def _dumps(self, s: Any) -> Any:
        return s

    def loads(self, s: Any) -> Any:
        return s

    def dumps(self, obj: Any) -> Any:
        return obj


class Delivery:
    """What the consumer and the application share. `checkpoint` makes all that was folded durable and commits it."""

    def __init__(self, sources: Iterable[str], changelogs: Iterable[str]) -> None:
        self.sources = frozenset(sources)
        self.batched = self.sources | frozenset(changelogs)
        self.ledger = Ledger()
        self.restoring: dict[TP, int] = {}  # next offsets of changelogs that are being restored
        self.on_checkpoint: Callable[[], Awaitable[bool]] | None = None
        self.on_released: Callable[[set[TP]], None] | None = None

    async def checkpoint(self) -> bool:
        """Run the checkpoint, if the application has set one."""
        return False if self.on_checkpoint is None else await self.on_checkpoint()


class HasDelivery(Protocol):
    """What the application must have for this transport."""

    delivery: Delivery


class BatchConsumerThread(driver.AIOKafkaConsumerThread):
    """The thread in which aiokafka fetches. Batches are made here: no seek can come between a fetch and its start."""

    consumer: BatchConsumer

    def __post_init__(self) -> None:
        super().__post_init__()
        self.fetch_from: dict[TP, int] = {}

    def _create_worker_consumer(self, transport: Any) -> Any:
        """Return Faust's consumer, with a shorter wait for records where there are none.

        The client has one request under way to a broker. A partition whose records were just taken out is part of the
        next one only, so it waits as long as that one waits for the other partitions: with Faust's 1.5 s, a topic in
        which nothing happens held up all the others.
        """
        consumer = super()._create_worker_consumer(transport)
        consumer._fetch_max_wait_ms = FETCH_WAIT_MS  # noqa: SLF001 - Faust gives no choice
        return consumer

    async def _fetch_records(self, *args: Any, **kwargs: Any) -> Any:
        consumer = args[0] if args else kwargs["consumer"]
        for stored in consumer._fetcher._records.values():  # noqa: SLF001 - there is no public way to choose
            by_batch(stored, consumer._max_poll_records)  # noqa: SLF001 - as Faust asks it
        with naming_the_place(consumer):
            fetched = await super()._fetch_records(*args, **kwargs)
        batched = self.consumer.delivery.batched
        delivered: dict[TP, list[Any]] = {}
        for topic_partition, records in fetched.items():
            tp = TP(*topic_partition)
            if tp.topic not in batched:
                delivered[tp] = records
            elif records:
                batch = Batch(tp, self.fetch_from.get(tp, records[0].offset), records)
                self.fetch_from[tp] = batch.end
                delivered[tp] = [batch]
        return delivered

    async def _seek_wait(self, consumer: Any, partitions: Mapping[TP, int]) -> None:
        self.fetch_from.update({TP(*tp): offset for tp, offset in partitions.items()})
        await super()._seek_wait(consumer, partitions)


class BatchConsumer(driver.Consumer):
    """Faust's Kafka consumer with batched delivery and commits by ledger."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.delivery = cast(HasDelivery, self.app).delivery

    def _new_consumer_thread(self) -> BatchConsumerThread:
        return BatchConsumerThread(self, loop=self.loop, beacon=self.beacon)

    @property
    def fetch_from(self) -> Mapping[TP, int]:
        """Where the next fetch of each partition begins."""
        return cast(BatchConsumerThread, self._thread).fetch_from

    # -- delivery

    async def _getmany(
        self,
        active_partitions: set[TP] | None,
        timeout: float,  # noqa: ASYNC109 - Faust's signature
    ) -> Mapping[TP, list[Any]]:
        wanted = active_partitions
        if wanted is not None:
            wanted = {tp for tp in wanted if not self._piled_up(tp)}
            if not wanted:
                await asyncio.sleep(0.002)  # a fold gives way after `worker.batch` (8 ms by default): room comes soon
                return {}
        return await super()._getmany(wanted, min(timeout, POLL_S))

    def _piled_up(self, tp: TP) -> bool:
        following = self.delivery.ledger.next_offset(tp)
        return following is not None and self.fetch_from.get(tp, following) - following > MAX_AHEAD_RECORDS

    def _to_message(self, tp: TP, record: Any) -> Any:
        if type(record) is not Batch:
            return super()._to_message(tp, record)
        last = record.records[-1]
        message = ConsumerMessage(
            tp.topic,
            tp.partition,
            last.offset,
            last.timestamp / 1000,
            last.timestamp_type,
            None,
            None,
            cast(Any, record),
            None,
            tp=tp,
            generation_id=self.app.consumer_generation_id,
        )
        # Faust would take the records inside the batch for a gap, and drop what it believes it has seen.
        self._read_offset[tp] = None
        return message

    def on_buffer_full(self, tp: TP) -> None:
        """Do nothing: `_piled_up` keeps the buffers small."""

    def on_buffer_drop(self, tp: TP) -> None:
        """Do nothing: `_piled_up` keeps the buffers small."""

    async def verify_all_partitions_active(self) -> None:
        """Do nothing: Faust would look for its own acknowledgements. `agents/telemetry/health.py` watches progress."""

    # -- seeking

    async def seek(self, partition: TP, offset: int) -> None:
        """Fetch `partition` from `offset` on."""
        await self.seek_wait({partition: offset})

    async def seek_wait(self, partitions: Mapping[TP, int]) -> None:
        """Fetch the partitions from their offsets on, and wait until the consumer is there."""
        partitions = await self._within_changelogs(partitions)
        await super().seek_wait(partitions)
        for tp, offset in partitions.items():
            if tp.topic not in self.delivery.sources:
                self.delivery.restoring[tp] = offset
                # What was read before the seek is read again; Faust would pass over offsets that it has seen.
                cast(Any, self.app.tables).recovery.active_offsets[tp] = offset - 1

    async def _within_changelogs(self, partitions: Mapping[TP, int]) -> Mapping[TP, int]:
        """Begin a changelog at its start where what is on disk is ahead of it: it is another one, then.

        Faust would end the worker, or take the partition for restored.
        """
        ends = cast(Any, self.app.tables).recovery.active_highwaters
        beyond = {tp for tp, at in partitions.items() if tp.topic not in self.delivery.sources and at > ends[tp]}
        if not beyond:
            return partitions
        earliest = await self.earliest_offsets(*beyond)
        return {**partitions, **{tp: earliest.get(tp) or 0 for tp in beyond}}

    def pause_partitions(self, tps: Iterable[TP]) -> None:
        """Stop fetching `tps`. Faust alone would go on fetching changelogs that it never reads, one request in ten."""
        super().pause_partitions(tps)
        self._in_consumer_thread("pause", tps)

    def resume_partitions(self, tps: Iterable[TP]) -> None:
        """Fetch `tps` again."""
        super().resume_partitions(tps)
        self._in_consumer_thread("resume", tps)

    def _in_consumer_thread(self, action: str, tps: Iterable[TP]) -> None:
        changelogs = [driver.ensure_aiokafka_TP(tp) for tp in tps if tp.topic not in self.delivery.sources]

        def act() -> None:
            consumer = self._thread._ensure_consumer()  # noqa: SLF001 - as Faust's own thread does
            assigned = consumer.assignment()
            getattr(consumer, action)(*(tp for tp in changelogs if tp in assigned))

        if changelogs:
            self._thread.thread_loop.call_soon_threadsafe(act)

    async def perform_seek(self) -> None:
        """Seek the source partitions to their committed offsets and open the ledger there."""
        ours = {tp for tp in self.assignment() if tp.topic in self.delivery.sources}
        committed = await self._thread.call_thread(self._committed, ours)
        fresh = {tp for tp, offset in committed.items() if offset is None}
        earliest = await self.earliest_offsets(*fresh) if fresh else {}
        starts = {tp: earliest[tp] if offset is None else offset for tp, offset in committed.items()}
        ledger = self.delivery.ledger
        # A seek in the middle of an assignment must not fold again what is folded and not yet committed.
        begin = {tp: ledger.next_offset(tp) for tp in starts}
        starts = {tp: offset if begin[tp] is None else begin[tp] for tp, offset in starts.items()}
        await self.seek_wait(starts)
        for tp, offset in starts.items():
            self._read_offset[tp] = None
            self._committed_offset[tp] = offset
        # A rebalance may have begun meanwhile: only what is still assigned is ours to fold.
        assigned = self.assignment()
        ledger.open({tp: offset for tp, offset in starts.items() if tp in assigned})

    async def _committed(self, tps: set[TP]) -> dict[TP, int | None]:
        consumer = self._thread._ensure_consumer()  # noqa: SLF001 - runs in the consumer's own thread
        return {tp: await consumer.committed(driver.ensure_aiokafka_TP(tp)) for tp in tps}

    # -- committing

    async def force_commit(self, topics: Any = None, start_new_transaction: bool = True) -> bool:  # noqa: ARG002 - Faust's signature
        """Checkpoint, then commit what the ledger says."""
        return await self.delivery.checkpoint()

    async def commit_offsets(self, offsets: Mapping[TP, int]) -> bool:
        """Commit `offsets` of partitions still assigned. False where a rebalance came in between."""
        assigned = self.assignment()
        due = {tp: offset for tp, offset in offsets.items() if tp in assigned and offset != self._committed_offset[tp]}
        if not due:
            return True
        if not await self._commit(due):
            return False
        self._committed_offset.update(due)
        return True

    async def on_partitions_revoked(self, revoked: set[TP]) -> None:
        """Make what was folded durable, and forget the partitions, before another worker can have them."""
        try:
            await self.delivery.checkpoint()
        finally:
            self.delivery.ledger.close(revoked)
            if self.delivery.on_released is not None:
                self.delivery.on_released(revoked)
        await super().on_partitions_revoked(revoked)


class IdempotentProducer(driver.Producer):
    """A producer whose retries neither reorder nor double records: a later fact never overtakes one that failed."""

    def _settings_extra(self) -> Mapping[str, Any]:
        return {"acks": "all", "enable_idempotence": True}


class Transport(driver.Transport):
    """Faust's aiokafka transport with the consumer and the producer of this module."""

    Consumer = BatchConsumer
    Producer = IdempotentProducer


codecs.register(CODEC, _Identity())

"""Batched delivery: the records that are fetched from a partition reach an agent as one Faust message.

Faust spends about 70 µs on a message before an agent sees it. Here a message is a `Batch` of up to a few thousand
records. Assignment, recovery, streams and agents stay Faust's own, and their cost is paid once per batch. Changelogs
are restored the same way.

Changes to Faust's consumer, with their reasons:

- The records of a partition are wrapped in a batch with the offsets that it covers. Faust seeks from a thread
  other than the one that fetches, and a fetch under way puts the position back; here both happen in one thread.
- Records of aborted transactions are not delivered, and those of open ones not yet.
- A fetch waits for records for 50 ms, not for 1.5 s: a topic in which nothing happens would hold up all the others.
- A partition with many records that are not folded yet is not fetched from. Faust's own way (`on_buffer_full`) makes
  the fetcher sleep for a second when all partitions are full.
- `perform_seek` opens the offset tracker at the committed offsets, or at the earliest ones there are.
- `force_commit` runs a checkpoint (`agents/state/checkpoint.py`) and commits the offsets of the tracker, not of
  acknowledged messages.
- Checkpoints that take long run less often than `kafka.commit_interval`.
- Revocation runs a checkpoint and closes the tracker before the partitions can go to another worker.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any, Final, NamedTuple, Protocol, cast

from aiokafka.structs import TopicPartition
from faust.exceptions import ConsumerNotStarted
from faust.serializers import codecs
from faust.transport.drivers import aiokafka as driver
from faust.types import TP, ConsumerMessage
from mode import Service

from agents.delivery.fetch_thread import BatchConsumerThread, Gap
from agents.delivery.offsets import MAX_AHEAD_RECORDS, Batch, OffsetTracker
from agents.delivery.pace import checkpoint_pause_s
from agents.delivery.session import Session

log = logging.getLogger("callpulse")

CODEC: Final = "callpulse_batch"
POLL_S: Final = 0.25
_NO_OFFSET: Final = -1


class _Identity(codecs.Codec):
    """Leaves the batch as it is. Agents decode records themselves: Faust would acknowledge what it cannot decode."""

    def _loads(self, s: Any) -> Any:
        return s

    def _dumps(self, s: Any) -> Any:
        return s

    def loads(self, s: Any) -> Any:
        return s

    def dumps(self, obj: Any) -> Any:
        return obj


class Delivery:
    """The consumer's view of a worker.

    `sources` and `changelogs` are the topics delivered in batches, `restoring` the next offset of each changelog that
    is being restored. `commit_tags` are the texts that are committed with the offsets of each source: an offset with
    another text belongs to a topic or a table that is gone. `checkpoint` makes the folded state durable and commits;
    `release` drops the rows of revoked partitions.
    """

    def __init__(
        self,
        *,
        sources: Iterable[str],
        changelogs: Iterable[str],
        tracker: OffsetTracker,
        restoring: dict[TP, int],
        commit_tags: Mapping[str, str],
        session: Session,
        checkpoint: Callable[[], Awaitable[bool]],
        release: Callable[[set[TP]], None],
    ) -> None:
        self.sources = frozenset(sources)
        self.batched = self.sources | frozenset(changelogs)
        self.tracker = tracker
        self.restoring = restoring
        self.commit_tags = commit_tags
        self.session = session
        self.checkpoint = checkpoint
        self.release = release


class HasDelivery(Protocol):
    """An application that uses this transport."""

    delivery: Delivery


class Fetched(NamedTuple):
    """The client's position in a partition, and the end of its readable records; None where it is not known.

    Records of an open transaction, and all behind them, may not be read yet.
    """

    position: int | None = None
    end: int | None = None


class BatchConsumer(driver.Consumer):
    """Faust's Kafka consumer with batched delivery and commits by the offset tracker."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.delivery = cast(HasDelivery, self.app).delivery

    def _new_consumer_thread(self) -> BatchConsumerThread:
        return BatchConsumerThread(self, loop=self.loop, beacon=self.beacon)

    @property
    def fetch_from(self) -> Mapping[TP, int]:
        """The offset at which the next fetch of each partition begins."""
        return cast(BatchConsumerThread, self._thread).fetch_from

    def fetched(self, tp: TP) -> Fetched:
        """Return the state of fetching of `tp`. The client has no public way to get it without waiting."""
        try:
            consumer = self._thread._ensure_consumer()  # noqa: SLF001 - see above
            subscription = consumer._subscription.subscription  # noqa: SLF001 - see above
        except (AttributeError, ConsumerNotStarted):
            return Fetched()
        assignment = subscription.assignment if subscription is not None else None
        topic_partition = TopicPartition(*tp)
        if assignment is None or topic_partition not in assignment.tps:
            return Fetched()
        state = assignment.state_value(topic_partition)
        end = state.highwater if state.lso is None else state.lso
        return Fetched(state._position, end)  # noqa: SLF001 - the property raises where it is not known

    async def gaps(self) -> list[Gap]:
        """Return the gaps in the records fetched since the last call, and those that partitions wait at."""
        found: list[Gap] = await self._thread.call_thread(cast(BatchConsumerThread, self._thread).take_gaps)
        return found

    # -- delivery

    async def _getmany(
        self,
        active_partitions: set[TP] | None,
        timeout: float,  # noqa: ASYNC109 - Faust's signature
    ) -> Mapping[TP, list[Any]]:
        wanted = active_partitions
        if wanted is not None:
            wanted = {tp for tp in wanted if not self._too_far_ahead(tp)}
            if not wanted:
                await asyncio.sleep(0.002)  # a fold step takes `worker.batch`, 8 ms by default
                return {}
        return await super()._getmany(wanted, min(timeout, POLL_S))

    def _too_far_ahead(self, tp: TP) -> bool:
        following = self.delivery.tracker.next_offset(tp)
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
        # Faust would see a gap in the offsets of messages, and drop offsets that it has seen.
        self._read_offset[tp] = None
        return message

    def on_buffer_full(self, tp: TP) -> None:
        """Do nothing: `_too_far_ahead` keeps the buffers small."""

    def on_buffer_drop(self, tp: TP) -> None:
        """Do nothing: `_too_far_ahead` keeps the buffers small."""

    async def verify_all_partitions_active(self) -> None:
        """Do nothing: Faust would check its own acknowledgements. `agents/telemetry/health.py` watches progress."""

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
                # Records before the seek are read again; Faust would skip offsets that it has seen.
                cast(Any, self.app.tables).recovery.active_offsets[tp] = offset - 1

    async def _within_changelogs(self, partitions: Mapping[TP, int]) -> Mapping[TP, int]:
        """Begin a changelog at its start where the rows on disk are ahead of its end: it was made anew.

        Faust would end the worker, or regard the partition as restored.
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
        """Seek the source partitions to their committed offsets and open the tracker there."""
        rebalances = self.delivery.tracker.rebalances
        ours = {tp for tp in self.assignment() if tp.topic in self.delivery.sources}
        committed = await self._thread.call_thread(self._committed, ours)
        fresh = {tp for tp, offset in committed.items() if offset is None}
        earliest = await self.earliest_offsets(*fresh) if fresh else {}
        starts = {tp: earliest[tp] if offset is None else offset for tp, offset in committed.items()}
        await self._warn_of_lost_records({tp: offset for tp, offset in committed.items() if offset is not None})
        tracker = self.delivery.tracker
        # A seek in the middle of an assignment must not fold again records that are folded and not yet committed.
        begin = {tp: tracker.next_offset(tp) for tp in starts}
        starts = {tp: offset if begin[tp] is None else begin[tp] for tp, offset in starts.items()}
        await self.seek_wait(starts)
        for tp, offset in starts.items():
            self._read_offset[tp] = None
            self._committed_offset[tp] = offset
        # A rebalance may have begun meanwhile. Then all rows have been dropped, and another restore follows.
        if tracker.rebalances == rebalances:
            assigned = self.assignment()
            tracker.open({tp: offset for tp, offset in starts.items() if tp in assigned})

    async def _warn_of_lost_records(self, committed: Mapping[TP, int]) -> None:
        """Log the partitions whose committed offset is above their end: Kafka has lost records of theirs."""
        ends = await self.highwaters(*committed) if committed else {}
        for tp, offset in committed.items():
            end = ends.get(tp)
            if end is not None and end < offset:
                log.warning(
                    "%s/%s: committed up to offset %s, and its end is %s: Kafka has lost records. The next %s records "
                    "get their offsets and are not counted",
                    *tp,
                    offset,
                    end,
                    offset - end,
                )

    async def _committed(self, tps: set[TP]) -> dict[TP, int | None]:
        consumer = self._thread._ensure_consumer()  # noqa: SLF001 - runs in the consumer's own thread
        partitions = {driver.ensure_aiokafka_TP(tp): tp for tp in tps}
        found = await consumer._coordinator.fetch_committed_offsets(list(partitions))  # noqa: SLF001 - `committed` drops the text
        committed: dict[TP, int | None] = dict.fromkeys(tps)
        for topic_partition, tp in partitions.items():
            offset, text = found.get(topic_partition, (_NO_OFFSET, ""))
            if offset != _NO_OFFSET:
                if text == self.delivery.commit_tags.get(tp.topic, ""):
                    committed[tp] = offset
                else:
                    log.warning("%s/%s: its committed offset is of another topic or table; reading from its start", *tp)
        return committed

    # -- committing

    @Service.task
    async def _commit_handler(self) -> None:
        """Run checkpoints for as long as the worker lives."""
        pause_s = self.commit_interval
        while not self.should_stop:
            await self.sleep(pause_s)
            begun = time.monotonic()
            await self.commit()
            pause_s = checkpoint_pause_s(self.commit_interval, time.monotonic() - begun)

    async def force_commit(self, topics: Any = None, start_new_transaction: bool = True) -> bool:  # noqa: ARG002 - Faust's signature
        """Run a checkpoint, which commits the offsets of the tracker."""
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
        """Make the folded state durable, and drop the partitions, before another worker can own them."""
        self.delivery.tracker.begin_rebalance()
        try:
            await self.delivery.checkpoint()
        finally:
            self.delivery.tracker.close(revoked)
            self.delivery.release(revoked)
        await super().on_partitions_revoked(revoked)

    async def on_partitions_assigned(self, assigned: set[TP], generation_id: int = 0) -> None:
        """Let the partitions be opened once they are restored."""
        self.delivery.tracker.end_rebalance()
        await super().on_partitions_assigned(assigned, generation_id)


class IdempotentProducer(driver.Producer):
    """A producer whose retries neither reorder nor repeat records: a later fact never overtakes one that failed."""

    def _settings_extra(self) -> Mapping[str, Any]:
        return {"acks": "all", "enable_idempotence": True}


class Transport(driver.Transport):
    """Faust's aiokafka transport with the consumer and the producer of this module."""

    Consumer = BatchConsumer
    Producer = IdempotentProducer


codecs.register(CODEC, _Identity())

"""Tables on Kafka: rows as Python objects, by partition, restored from their changelog in batches.

A row is written to the changelog at a checkpoint, not at every change. Records between two checkpoints are folded again
after a crash, and each row holds the offsets that it has applied. Faust's own store would write at every change, keep
the keys of revoked partitions, and return them beside the owned ones.

Rows are in memory (`in_memory.MemoryPartition`), in memory with a copy on disk (`in_memory.CopiedPartition`), or on
disk alone where a table may outgrow memory (`rows.StoredPartition`). The rows on disk are a copy of the changelog up to
some offset, and restoring begins there: at the last record of the copy, which shows whether the changelog is still the
same. A copy of another changelog is deleted. So is one that was not brought up to date for as long as the changelog
keeps removals.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from typing import Any, Generic, NamedTuple, TypeAlias, TypeVar, cast

import faust
from faust.types import TP

from agents.delivery.offsets import Batch, OffsetTracker
from agents.delivery.transport import CODEC
from agents.exit import Fail
from agents.state.in_memory import CopiedPartition, Kind, MemoryPartition
from agents.state.rocksdb import NO_CHECKPOINT, Store
from agents.state.rows import CacheBudget, StoredPartition, resumes_at
from streams.contract import topics
from streams.units import HOUR_MS

log = logging.getLogger("callpulse")

Row = TypeVar("Row")


class OnDisk(NamedTuple, Generic[Row]):
    """The store of a table. `decode` makes a row of its changelog record; None: all rows are in memory too."""

    store: Store
    decode: Callable[[bytes], Row] | None = None


AnyPartition: TypeAlias = MemoryPartition[Row] | StoredPartition[Row]


def partition_of(kind: Kind[Row], disk: OnDisk[Row] | None, partition: int, budget: CacheBudget) -> AnyPartition[Row]:
    """Return a partition of a table, in memory, on `disk`, or in both; `budget` bounds the rows in use on disk."""
    if disk is None:
        return MemoryPartition(kind)
    store = disk.store.partition(partition)
    if disk.decode is None:
        return CopiedPartition(kind, store)
    return StoredPartition(store, budget, disk.decode)


class RowTable(faust.Table[Any, Any], Generic[Row]):
    """A table of rows. `parts` holds the rows by partition; `owned` are this worker's restored partitions.

    `restoring` holds the next offset of each changelog partition that is being restored; other tables share it.
    """

    def __init__(
        self,
        app: Any,
        *,
        name: str,
        kind: Kind[Row],
        tracker: OffsetTracker,
        restoring: dict[TP, int],
        fail: Fail,
        disk: OnDisk[Row] | None = None,
    ) -> None:
        declared = topics.changelog(name, app.conf.id)
        super().__init__(
            app,
            name=name,
            partitions=app.conf.topic_partitions,
            extra_topic_configs=declared.config,
            # 1 would make Faust read the changelogs that this worker writes itself.
            recovery_buffer_size=2,
        )
        # Set before the changelog topic is made of them: the batch codec, for keys and values alike.
        self.key_serializer = self.value_serializer = CODEC
        self.kind = kind
        self.changelog = declared.name
        self.disk = disk
        self.parts: dict[int, AnyPartition[Row]] = {}
        self.owned: frozenset[int] = frozenset()
        self.restored = 0
        self._fail = fail
        self._tracker = tracker
        self._restoring = restoring
        self._budget = CacheBudget()
        self._kept_ms = topics.REMOVALS_KEPT_MS - HOUR_MS

    def part(self, partition: int) -> AnyPartition[Row]:
        """Return the rows of `partition`, without any if there are none yet."""
        found = self.parts.get(partition)
        if found is None:
            found = self.parts[partition] = partition_of(self.kind, self.disk, partition, self._budget)
        return found

    def release(self, partitions: Iterable[int] | None = None) -> None:
        """Drop the rows of `partitions` (None: of all), which another worker may own from now on."""
        gone = set(self.parts) | set(self.owned) if partitions is None else set(partitions)
        self.owned -= gone
        for partition in gone:
            part = self.parts.pop(partition, None)
            if part is not None:
                part.released = True  # a checkpoint may still hold it

    # -- restoring; called by Faust

    def persisted_offset(self, tp: TP) -> int | None:
        """Return the offset to restore a partition from; None: from the start of its changelog."""
        if self.disk is None:
            return None
        store = self.disk.store.partition(tp.partition)
        offset = resumes_at(store.checkpoint, self._kept_ms)
        if offset is None and store.checkpoint != NO_CHECKPOINT:
            store.clear()
        return offset

    async def on_changelog_event(self, event: Any) -> None:
        """Check that no batch of the changelog was lost on its way; fetch a lost one again."""
        batch: Batch = event.value
        tp = batch.tp
        restoring = self._restoring
        expected = restoring.get(tp)
        if expected is None:
            batch.records = []  # fetched before the last rebalance; the partition is yet to be sought
        elif batch.start <= expected:
            if self._continues(batch):
                restoring[tp] = batch.end
            else:
                batch.records = []
                earliest = (await self.app.consumer.earliest_offsets(tp))[tp]
                await self.app.consumer.seek_wait({tp: earliest or 0})
        else:
            self._tracker.gaps += 1
            batch.records = []
            self._recovery.active_offsets[tp] = expected - 1
            await self.app.consumer.seek_wait({tp: expected})

    def _continues(self, batch: Batch) -> bool:
        """Return whether `batch` continues the rows of its partition; rows of another changelog are cleared."""
        part = self.part(batch.tp.partition)
        if part.verified or part.verify(batch.records[0]):
            return True
        log.warning("%s/%s: the rows on disk were made from another changelog; restoring all of it", *batch.tp)
        part.clear()
        return False

    def apply_changelog_batch(self, batch: Iterable[Any]) -> None:
        """Apply fetched batches of the changelog. An error ends the worker: Faust would log it and wait for ever."""
        try:
            for event in batch:
                fetched: Batch = event.value
                self.part(fetched.tp.partition).restore(fetched.records, fetched.end)
                self.restored += len(fetched.records)
        except Exception as error:
            self._fail(error)
            raise

    async def on_recovery_completed(self, active_tps: set[TP], standby_tps: set[TP]) -> None:  # noqa: ARG002 - Faust's signature
        """Make the restored partitions the owned ones, unless a rebalance has dropped their rows meanwhile."""
        if self._tracker.is_rebalancing:
            return
        ours = frozenset(tp.partition for tp in active_tps)
        self.release(set(self.parts) - ours)
        self._budget.share(len(ours))
        for tp in active_tps:
            part = self.part(tp.partition)
            if not part.verified:
                part.clear()  # the changelog is empty, so it was made anew
            part.restored(self._recovery.active_highwaters[tp] + 1)
        self.owned = ours

    async def on_rebalance(
        self,
        assigned: set[TP],  # noqa: ARG002 - Faust's signature
        revoked: set[TP],  # noqa: ARG002
        newly_assigned: set[TP],  # noqa: ARG002
        generation_id: int = 0,  # noqa: ARG002
    ) -> None:
        """Restore every assigned partition, from its start or from the rows on disk.

        Faust alone would continue where it ended the last time, for a partition that it had before.
        """
        self.release()
        recovery = self._recovery
        recovery.buffers[self].clear()
        for offsets in (recovery.active_offsets, self._restoring):
            for tp in [tp for tp in offsets if tp.topic == self.changelog]:
                del offsets[tp]

    @property
    def _recovery(self) -> Any:
        return cast(Any, self.app.tables).recovery

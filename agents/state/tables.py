"""Tables on Kafka: rows as Python objects, kept a partition each, restored from their changelog in batches.

A row is written to the changelog at a checkpoint, not at every change: what lies between two checkpoints is folded
again after a crash, and every row knows what it has seen. Faust's own store would write at every change, keep the keys
of partitions that were lost, and offer them beside the ones that are owned.

Rows live in memory (`Part`), or on disk where there may be more of them than memory holds (`store_rows.StoredPart`).
What is on disk is a copy of the changelog up to some offset, and restoring begins there: at the last record that is in
the copy, by which the changelog is known again. A copy that is of another changelog, or has not been brought up to date
for as long as removals are kept in the changelog, is thrown away.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Generic, NamedTuple, Protocol, TypeAlias, TypeVar, cast

import faust
from faust.types import TP

from agents.delivery.offsets import Batch
from agents.delivery.transport import CODEC, Delivery
from agents.state.rocksdb import NOTHING, Store
from agents.state.rows import Room, StoredPart, resumes_at
from streams.contract import topics
from streams.units import HOUR_MS

log = logging.getLogger("callpulse")

Row = TypeVar("Row")


class Kind(Protocol[Row]):
    """What the pure side knows of a table's rows."""

    def restore(self, rows: dict[bytes, Row], key: bytes, value: bytes | None) -> bytes | None:
        """Apply one changelog record to `rows`.

        Return the key of a row that must be written again because the record was older than what was there.
        """

    def changelog(self, key: bytes, row: Row) -> Iterable[tuple[bytes, bytes | None]]:
        """Return the records that bring the changelog up to `row`, in the order they must be written."""


class OnDisk(NamedTuple, Generic[Row]):
    """Where a table's rows live, and what makes a row of its changelog record."""

    store: Store
    thaw: Callable[[bytes], Row]


class Part(Generic[Row]):
    """The rows of one partition. `dirty` are those that the changelog does not hold yet; None: one that was removed."""

    __slots__ = ("_keys", "dirty", "kind", "known", "released", "rows")

    def __init__(self, kind: Kind[Row]) -> None:
        self.rows: dict[bytes, Row] = {}
        self.dirty: dict[bytes, Row | None] = {}
        self.kind = kind
        self.known = True
        self.released = False
        self._keys: list[bytes] = []

    def restore(self, records: Sequence[Any], end: int) -> None:  # noqa: ARG002 - as a part in the store
        """Apply records of the changelog."""
        restore, rows = self.kind.restore, self.rows
        for record in records:
            stale = restore(rows, record.key, record.value)
            if stale is not None:
                self.dirty[stale] = rows[stale]

    def restored(self, end: int) -> None:
        """Note that all of the changelog up to the offset `end` is here."""

    def take_dirty(self) -> dict[bytes, Row | None]:
        """Return the rows to write now; what changes from here on is dirty anew."""
        dirty, self.dirty = self.dirty, {}
        return dirty

    def written(self, records: Sequence[tuple[bytes, bytes | None]], acknowledged: Sequence[tuple[int, int]]) -> None:
        """Note that the changelog has taken what was dirty."""

    def fetch(self, keys: Sequence[bytes]) -> None:
        """Do nothing: all rows are in memory."""

    def after(self, key: bytes, count: int) -> list[tuple[bytes, Row]]:
        """Return up to `count` rows behind `key`, all of them once in a round that begins with an empty key."""
        if not key:
            self._keys = sorted(self.rows, reverse=True)
        found: list[tuple[bytes, Row]] = []
        while self._keys and len(found) < count:
            row = self.rows.get(last := self._keys.pop())
            if row is not None:
                found.append((last, row))
        return found


AnyPart: TypeAlias = Part[Row] | StoredPart[Row]


class RowTable(faust.Table[Any, Any], Generic[Row]):
    """A table of rows. `parts` holds the partitions whose rows are here; `owned` those that are whole and ours."""

    def __init__(
        self,
        app: Any,
        *,
        name: str,
        kind: Kind[Row],
        fail: Callable[[BaseException], None],
        disk: OnDisk[Row] | None = None,
    ) -> None:
        declared = topics.changelog(name, app.conf.id)
        super().__init__(
            app,
            name=name,
            partitions=app.conf.topic_partitions,
            extra_topic_configs=declared.config,
            # 1 would make Faust go on reading the changelog of partitions that we write ourselves.
            recovery_buffer_size=2,
        )
        # Set before the changelog topic is made of them: the batch codec, for keys and values alike.
        self.key_serializer = self.value_serializer = CODEC
        self.kind = kind
        self.changelog = declared.name
        self.disk = disk
        self.parts: dict[int, AnyPart[Row]] = {}
        self.owned: frozenset[int] = frozenset()
        self.restored = 0
        self._fail = fail
        self._delivery: Delivery = app.delivery
        self._room = Room()
        self._kept_ms = topics.REMOVALS_KEPT_MS - HOUR_MS

    def part(self, partition: int) -> AnyPart[Row]:
        """Return the rows of `partition`, an empty set of them if there are none yet."""
        found = self.parts.get(partition)
        if found is None:
            if self.disk is None:
                found = Part(self.kind)
            else:
                found = StoredPart(self.disk.store.shelf(partition), self._room, self.disk.thaw)
            self.parts[partition] = found
        return found

    def owned_rows(self) -> Iterator[tuple[bytes, Row]]:
        """Yield the rows of the partitions that this worker owns and has restored."""
        for partition in self.owned:
            part = self.parts.get(partition)
            if part is not None:
                yield from part.rows.items()

    def release(self, partitions: Iterable[int] | None = None) -> None:
        """Forget the rows of `partitions` (None: of all): another worker may own them from now on."""
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
        shelf = self.disk.store.shelf(tp.partition)
        offset = resumes_at(shelf.mark, self._kept_ms)
        if offset is None and shelf.mark != NOTHING:
            shelf.clear()
        return offset

    async def on_changelog_event(self, event: Any) -> None:
        """Check that no batch of the changelog was lost on its way; fetch again what was."""
        batch: Batch = event.value
        tp = batch.tp
        restoring = self._delivery.restoring
        expected = restoring.get(tp)
        if expected is None:
            batch.records = []  # fetched before the last rebalance; the partition is yet to be sought
        elif batch.start <= expected:
            if self._knows(batch):
                restoring[tp] = batch.end
            else:
                batch.records = []
                earliest = (await self.app.consumer.earliest_offsets(tp))[tp]
                await self.app.consumer.seek_wait({tp: earliest or 0})
        else:
            self._delivery.ledger.gaps += 1
            batch.records = []
            self._recovery.active_offsets[tp] = expected - 1
            await self.app.consumer.seek_wait({tp: expected})

    def _knows(self, batch: Batch) -> bool:
        """Tell whether the part of `batch` can go on with it; one of another changelog is cleared."""
        part = self.part(batch.tp.partition)
        if part.known or not isinstance(part, StoredPart) or part.recognise(batch.records[0]):
            return True
        log.warning("%s/%s: the rows on disk are not of this changelog; restoring all of it", *batch.tp)
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
        """Own what was restored, and nothing else."""
        ours = frozenset(tp.partition for tp in active_tps)
        self.release(set(self.parts) - ours)
        self._room.share(len(ours))
        for tp in active_tps:
            part = self.part(tp.partition)
            if not part.known and isinstance(part, StoredPart):
                part.clear()  # the changelog is empty: it is another one
            part.restored(self._recovery.active_highwaters[tp] + 1)
        self.owned = ours

    async def on_rebalance(
        self,
        assigned: set[TP],  # noqa: ARG002 - Faust's signature
        revoked: set[TP],  # noqa: ARG002
        newly_assigned: set[TP],  # noqa: ARG002
        generation_id: int = 0,  # noqa: ARG002
    ) -> None:
        """Begin afresh: every partition that is assigned is restored, from its start or from what is on disk.

        Faust alone would go on where it ended the last time, for a partition that it had before.
        """
        self.release()
        recovery = self._recovery
        recovery.buffers[self].clear()
        for offsets in (recovery.active_offsets, self._delivery.restoring):
            for tp in [tp for tp in offsets if tp.topic == self.changelog]:
                del offsets[tp]

    @property
    def _recovery(self) -> Any:
        return cast(Any, self.app.tables).recovery

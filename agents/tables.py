"""Tables on Kafka: rows as Python objects in memory, kept a partition each, restored from their changelog in batches.

A row is written to the changelog at a checkpoint, not at every change: what lies between two checkpoints is folded
again after a crash, and every row knows what it has seen. Faust's own store would write at every change, keep the keys
of partitions that were lost, and offer them beside the ones that are owned.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, Generic, Protocol, TypeVar, cast

import faust
from faust.types import TP

from agents.ledger import Batch
from agents.transport import CODEC, Delivery
from streams import topics

Row = TypeVar("Row")


class Kind(Protocol[Row]):
    """What the pure side knows of a table's rows."""

    def restore(self, rows: dict[bytes, Row], key: bytes, value: bytes | None) -> bytes | None:
        """Apply one changelog record to `rows`.

        Return the key of a row that must be written again because the record was older than what was there.
        """

    def changelog(self, key: bytes, row: Row) -> Iterable[tuple[bytes, bytes | None]]:
        """Return the records that bring the changelog up to `row`, in the order they must be written."""


class Part(Generic[Row]):
    """The rows of one partition, and those of them that the changelog does not hold yet."""

    __slots__ = ("dirty", "rows")

    def __init__(self) -> None:
        self.rows: dict[bytes, Row] = {}
        self.dirty: dict[bytes, Row] = {}


class RowTable(faust.Table[Any, Any], Generic[Row]):
    """A table of rows. `parts` holds the partitions whose rows are here; `owned` those that are whole and ours."""

    def __init__(self, app: Any, *, name: str, kind: Kind[Row], fail: Callable[[BaseException], None]) -> None:
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
        self.parts: dict[int, Part[Row]] = {}
        self.owned: frozenset[int] = frozenset()
        self.restored = 0
        self._fail = fail
        self._delivery: Delivery = app.delivery
        self._following: dict[TP, int] = {}

    def part(self, partition: int) -> Part[Row]:
        """Return the rows of `partition`, an empty set of them if there are none yet."""
        found = self.parts.get(partition)
        if found is None:
            found = self.parts[partition] = Part()
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
            self.parts.pop(partition, None)

    # -- restoring; called by Faust

    def persisted_offset(self, tp: TP) -> int | None:  # noqa: ARG002 - Faust's signature
        """Return None: rows live in memory, so a partition is always restored from the start of its changelog."""
        return None

    async def on_changelog_event(self, event: Any) -> None:
        """Check that no batch of the changelog was lost on its way; fetch again what was."""
        batch: Batch = event.value
        tp = batch.tp
        restoring = self._delivery.restoring
        expected = restoring.get(tp)
        if expected is None:
            batch.records = []  # fetched before the last rebalance; the partition is yet to be sought
        elif batch.start <= expected:
            restoring[tp] = batch.end
        else:
            self._delivery.ledger.gaps += 1
            batch.records = []
            self._recovery.active_offsets[tp] = expected - 1
            await self.app.consumer.seek_wait({tp: expected})

    def apply_changelog_batch(self, batch: Iterable[Any]) -> None:
        """Apply fetched batches of the changelog. An error ends the worker: Faust would log it and wait for ever."""
        try:
            restore = self.kind.restore
            for event in batch:
                fetched: Batch = event.value
                part = self.part(fetched.tp.partition)
                rows = part.rows
                for record in fetched.records:
                    stale = restore(rows, record.key, record.value)
                    if stale is not None:
                        part.dirty[stale] = rows[stale]
                self.restored += len(fetched.records)
        except Exception as error:
            self._fail(error)
            raise

    async def on_recovery_completed(self, active_tps: set[TP], standby_tps: set[TP]) -> None:  # noqa: ARG002 - Faust's signature
        """Own what was restored, and nothing else."""
        ours = frozenset(tp.partition for tp in active_tps)
        self.release(set(self.parts) - ours)
        self.owned = ours

    async def on_rebalance(
        self,
        assigned: set[TP],  # noqa: ARG002 - Faust's signature
        revoked: set[TP],  # noqa: ARG002
        newly_assigned: set[TP],  # noqa: ARG002
        generation_id: int = 0,  # noqa: ARG002
    ) -> None:
        """Begin afresh: every partition that is assigned is restored, from the start of its changelog.

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

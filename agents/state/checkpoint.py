"""The checkpoint: emitted records are durable before the rows that emitted them, and rows before source offsets.

That order makes the tables effectively once. A worker killed after the emitted records folds again and sends the same
facts, which the receiving rows already applied. A worker killed after the rows reads records that the rows already
applied. No offset is ever committed that is not in a row, and no row is ever ahead of its facts. Rows on disk are
written last, when Kafka has them: the disk is never ahead of the changelog.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final, NamedTuple, TypeAlias

from faust.types import TP

from agents.delivery.offsets import OffsetTracker
from agents.delivery.outbox import Outbox
from agents.state.in_memory import Records, encode_until
from agents.state.tables import AnyPartition, RowTable

Commit: TypeAlias = Callable[[Mapping[TP, int]], Awaitable[bool]]

_STEP_S: Final = 0.005


class Writing(NamedTuple):
    """The changelog records that a checkpoint writes for one partition of a table."""

    table: RowTable[Any]
    partition: int
    part: AnyPartition[Any]
    records: Records


class Checkpoint:
    """Makes the folded state durable, one checkpoint at a time.

    `commit` commits source offsets; it returns False where a rebalance came in between.
    """

    def __init__(self, tables: Sequence[RowTable[Any]], outbox: Outbox, tracker: OffsetTracker, commit: Commit) -> None:
        self._tables = tables
        self._outbox = outbox
        self._tracker = tracker
        self._commit = commit
        self._running = asyncio.Lock()
        self.rows_written: dict[str, int] = {table.name: 0 for table in tables}
        self.count = 0
        self.seconds: list[float] = []

    async def run(self, offsets: dict[TP, int] | None = None) -> bool:
        """Write and commit `offsets`; without them, the next offsets of all open partitions.

        Raise SendError where Kafka did not take a record. The worker must then end without a commit.
        """
        async with self._running:
            begun = time.monotonic()
            if offsets is None:
                offsets = self._tracker.snapshot()
            writes = await self._encode()
            await self._outbox.drain()
            for table, partition, _, records in writes:
                self._outbox.add_all(table.changelog, partition, records)
            await self._outbox.drain()
            await self._keep(writes)
            committed = await self._commit(offsets)
            self.count += 1
            self.seconds.append(time.monotonic() - begun)
            return committed

    async def _encode(self) -> list[Writing]:
        """Encode the rows that changed. All records of a row come from one moment; the loop runs between rows."""
        writes = []
        deadline = time.monotonic() + _STEP_S
        for table in self._tables:
            for partition, part in list(table.parts.items()):
                records: Records = []
                writes.append(Writing(table, partition, part, records))
                dirty = iter(part.take_dirty().items())
                while not encode_until(deadline, table.kind, dirty, records):
                    await asyncio.sleep(0)
                    deadline = time.monotonic() + _STEP_S
                self.rows_written[table.name] += len(records)
        return writes

    async def _keep(self, writes: list[Writing]) -> None:
        """Pass the offsets of the records that Kafka stored to the partitions."""
        for table, partition, part, records in writes:
            part.written(records, self._outbox.acked(table.changelog, partition))
            if records:
                await asyncio.sleep(0)

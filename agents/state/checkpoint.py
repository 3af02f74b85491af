"""The checkpoint: facts are in Kafka before the rows that caused them, and rows before the offsets they have seen.

That order makes the tables effectively once. Killed after the facts, the worker folds again and sends the same facts,
which their rows know. Killed after the rows, it reads records that the rows know. Nothing is ever committed that is
not in a row, and no row is ever ahead of its facts. Rows that live on disk are written there last, when Kafka has them:
the disk is never ahead of the changelog.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple, Protocol, TypeAlias

from faust.types import TP

from agents.delivery.offsets import Ledger
from agents.delivery.outbox import Outbox
from agents.state.tables import AnyPart, RowTable

Records: TypeAlias = list[tuple[bytes, bytes | None]]

_STEP_S: Final = 0.005


class Offsets(Protocol):
    """What commits offsets."""

    async def commit_offsets(self, offsets: Mapping[TP, int]) -> bool:
        """Commit; False where a rebalance came in between."""


class Writing(NamedTuple):
    """What a checkpoint writes of one partition of a table."""

    table: RowTable[Any]
    partition: int
    part: AnyPart[Any]
    records: Records


class Checkpoint:
    """Makes all that was folded durable. One at a time."""

    def __init__(self, tables: Sequence[RowTable[Any]], outbox: Outbox, ledger: Ledger) -> None:
        self._tables = tables
        self._outbox = outbox
        self._ledger = ledger
        self._running = asyncio.Lock()
        self.rows_written: dict[str, int] = {table.name: 0 for table in tables}
        self.count = 0
        self.seconds: list[float] = []

    async def run(self, consumer: Offsets, offsets: dict[TP, int] | None = None) -> bool:
        """Write and commit `offsets`, those of the ledger if none are given.

        Raise SendError where Kafka did not take it; the worker must then end without a commit.
        """
        async with self._running:
            begun = time.monotonic()
            if offsets is None:
                offsets = self._ledger.snapshot()
            writes = await self._encode()
            await self._outbox.drain()
            for table, partition, _, records in writes:
                for key, value in records:
                    self._outbox.add(table.changelog, partition, key, value)
            await self._outbox.drain()
            await self._keep(writes)
            committed = await consumer.commit_offsets(offsets)
            self.count += 1
            self.seconds.append(time.monotonic() - begun)
            return committed

    async def _encode(self) -> list[Writing]:
        """Encode the rows that changed. All records of a row come from one moment; between rows the loop gets air."""
        writes = []
        deadline = time.monotonic() + _STEP_S
        for table in self._tables:
            for partition, part in list(table.parts.items()):
                records: Records = []
                writes.append(Writing(table, partition, part, records))
                for key, row in part.take_dirty().items():
                    records += [(key, None)] if row is None else table.kind.changelog(key, row)
                    if time.monotonic() > deadline:
                        await asyncio.sleep(0)
                        deadline = time.monotonic() + _STEP_S
                self.rows_written[table.name] += len(records)
        return writes

    async def _keep(self, writes: list[Writing]) -> None:
        """Let the parts know that Kafka has their records, and where."""
        for table, partition, part, records in writes:
            part.written(records, self._outbox.arrived(table.changelog, partition))
            if records:
                await asyncio.sleep(0)

"""The state of one worker: its tables, its rows on disk, and the checkpoint over both."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from faust.types import TP

from agents.exit import Fail
from agents.state.checkpoint import Checkpoint
from agents.state.rows import StoredPartition
from agents.state.tables import RowTable


class WorkerState:
    """The tables of one worker by name. `sources` gives the topic from which each of them is folded."""

    def __init__(
        self, tables: Mapping[str, RowTable[Any]], sources: Mapping[str, str], checkpoint: Checkpoint, fail: Fail
    ) -> None:
        self.tables = tables
        self.sources = sources
        self.checkpoint = checkpoint
        self._fail = fail
        self._on_disk = [table for table in tables.values() if table.disk is not None]

    @property
    def owns_any(self) -> bool:
        """True while this worker owns a partition of a table that is completely restored."""
        return any(table.owned for table in self.tables.values())

    def dirty_on_disk(self) -> int:
        """Return the number of rows in tables on disk alone that changed since the last checkpoint."""
        return sum(
            len(part.dirty)
            for table in self._on_disk
            for part in table.parts.values()
            if isinstance(part, StoredPartition)
        )

    def open_stores(self) -> None:
        """Open the stores on disk that are not open yet. Raise OSError for one that cannot be used."""
        for table in self._on_disk:
            assert table.disk is not None  # noqa: S101 - tells mypy
            table.disk.store.open()

    def close_stores(self) -> None:
        """Close the stores on disk, so that another process can open them."""
        for table in self._on_disk:
            assert table.disk is not None  # noqa: S101 - tells mypy
            table.release()
            table.disk.store.close()

    def release_all(self) -> None:
        """Export no more rows."""
        for table in self.tables.values():
            table.release()

    def release(self, tps: set[TP]) -> None:
        """Forget the rows that are folded from the revoked partitions `tps`."""
        for name, table in self.tables.items():
            table.release({tp.partition for tp in tps if tp.topic == self.sources[name]})

    async def run_checkpoint(self, offsets: dict[TP, int] | None = None) -> bool:
        """Make the folded state durable, and commit. An error ends the worker."""
        try:
            return await self.checkpoint.run(offsets)
        except Exception as error:
            self._fail(error)
            raise

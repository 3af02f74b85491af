"""`callpulse worker`, watched from inside: the records and times of its restore of leads, and its rows.

    python -m benchmarks.watched_worker FILE worker --config ...

FILE is written when the worker gets the signal to end. From outside, a restore that found all rows on disk looks like a
very fast one; here the records that came from Kafka are counted, and the rows by reading each of them once.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any, Final

import msgspec
from msgspec import Struct

from agents import cli
from agents.state.tables import RowTable
from agents.state.worker_state import WorkerState
from benchmarks.peers.rows import owned_rows

TABLE: Final = "leads"


class Restored(Struct, kw_only=True):
    """The last restore of the leads. Moments are seconds since epoch.

    `assigned_at`: the partitions are assigned, and the restore begins. `read_at`: the first records are read.
    `whole_at`: all are applied. `records` came from the changelog; `rows` is the number of rows at the end. `copied`
    came from the changelogs of managers and outcomes since the worker started.
    """

    assigned_at: float
    read_at: float = 0.0
    whole_at: float = 0.0
    records: int = 0
    rows: int = 0
    copied: int = 0

    @property
    def records_per_second(self) -> float:
        """Records a second, from the first one read to the last one applied."""
        return self.records / (self.whole_at - self.read_at)


def watch(file: Path) -> None:
    """Make the table of leads note its restores, and the worker write the last one to `file` when it ends."""
    on_rebalance, on_changelog_event = RowTable.on_rebalance, RowTable.on_changelog_event
    on_recovery_completed, release_all = RowTable.on_recovery_completed, WorkerState.release_all
    last = Restored(assigned_at=0.0)
    before = 0  # rows that the table had restored in earlier rounds

    async def begun(table: Any, *args: Any, **kwargs: Any) -> None:
        nonlocal last, before
        if table.name == TABLE:
            last, before = Restored(assigned_at=time.time()), table.restored
        await on_rebalance(table, *args, **kwargs)

    async def came(table: Any, event: Any) -> None:
        if table.name == TABLE and not last.read_at:
            last.read_at = time.time()
        await on_changelog_event(table, event)

    async def completed(table: Any, *args: Any, **kwargs: Any) -> None:
        await on_recovery_completed(table, *args, **kwargs)
        if table.name == TABLE:
            last.whole_at = time.time()
            last.records = table.restored - before

    def released(state: Any) -> None:
        last.rows = sum(1 for _ in owned_rows(state.tables[TABLE]))
        last.copied = sum(table.restored for name, table in state.tables.items() if name != TABLE)
        file.write_bytes(msgspec.json.encode(last))
        release_all(state)

    replaced: dict[Any, dict[str, Any]] = {
        RowTable: {"on_rebalance": begun, "on_changelog_event": came, "on_recovery_completed": completed},
        WorkerState: {"release_all": released},
    }
    for owner, methods in replaced.items():
        for name, method in methods.items():
            setattr(owner, name, method)


if __name__ == "__main__":
    watch(Path(sys.argv[1]))
    sys.argv = ["callpulse", *sys.argv[2:]]
    cli.main()

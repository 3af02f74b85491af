"""The benchmark of a restore counts the records read: a restore from disk does not pass for a fast one from Kafka."""

import asyncio
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from agents.state.tables import RowTable
from agents.state.worker_state import WorkerState
from benchmarks import watched_worker
from benchmarks.many_leads import LEADS
from benchmarks.restore import GONE, INTACT, MEMORY
from benchmarks.watched_worker import Restored


@pytest.mark.parametrize(
    ("way", "records", "rows", "complaint"),
    [
        (MEMORY, LEADS, LEADS, None),
        (GONE, LEADS, LEADS, None),
        (INTACT, 4, LEADS, None),
        (GONE, 4, LEADS, "gone: 4 changelog records were read instead of 1,000,000 to 1,000,000"),
        (INTACT, LEADS, LEADS, "intact: 1,000,000 changelog records were read instead of 1 to 4"),
        (INTACT, 0, LEADS, "intact: 0 changelog records were read instead of 1 to 4"),
        (MEMORY, LEADS, LEADS - 1, "memory: 999,999 lead rows were there in the end instead of 1,000,000"),
    ],
)
def test_a_restore_that_was_another_one_than_is_meant_is_told(
    way: Any, records: Any, rows: Any, complaint: str | None
) -> None:
    assert way.complaint(Restored(assigned_at=1.0, records=records, rows=rows)) == complaint


def test_the_rate_is_that_of_the_records_from_the_first_in_hand() -> None:
    told = Restored(assigned_at=10.0, read_at=12.0, whole_at=14.0, records=1_000)
    assert told.records_per_second == 500


def test_a_watched_worker_tells_what_its_last_restore_of_the_leads_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def nothing(*_: object) -> None:
        pass

    for name in ("on_rebalance", "on_changelog_event", "on_recovery_completed"):
        monkeypatch.setattr(RowTable, name, nothing)  # besides, the originals are put back after the test
    ended: list[Any] = []
    monkeypatch.setattr(WorkerState, "release_all", ended.append)
    watched_worker.watch(tmp_path / "told")

    part = SimpleNamespace(rows=dict.fromkeys("abc"))
    leads = SimpleNamespace(name="leads", restored=0, owned={0}, parts={0: part})
    managers = SimpleNamespace(name="managers", restored=0)
    state: Any = SimpleNamespace(tables={"leads": leads, "managers": managers})

    watched: Any = RowTable  # its methods are the stand-ins from above

    async def restore(records: int) -> None:
        for table in (managers, leads):
            await watched.on_rebalance(table)
        for table in (managers, leads):
            await watched.on_changelog_event(table, None)
            table.restored += records
            await watched.on_recovery_completed(table)

    for records in (5, 3):
        asyncio.run(restore(records))
    WorkerState.release_all(state)
    told = msgspec.json.decode((tmp_path / "told").read_bytes(), type=Restored)
    assert (told.records, told.rows, told.copied, ended) == (3, 3, 8, [state])
    assert 0 < told.assigned_at <= told.read_at <= told.whole_at

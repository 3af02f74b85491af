"""A restore to disk has the same result with any number of remembered positions, and reads no row back."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace
from typing import Any
from unittest import mock

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.state import positions as store_positions
from agents.state.rocksdb import PartitionStore, Store
from agents.state.rows import CacheBudget, StoredPartition
from streams.tables.changelog import position, seal

KEYS = [b"a", b"b", b"c", b"d"]
Log = Sequence[tuple[bytes, int | None]]  # key, and the position for which it was written; None: removed


def part_of(store: Store, budget: CacheBudget | None = None, partition: int = 0) -> StoredPartition[int]:
    return StoredPartition(store.partition(partition), budget or CacheBudget(), position)


def restore(part: StoredPartition[int], log: Log, begin: int = 0) -> None:
    records = [
        SimpleNamespace(offset=begin + number, key=key, value=None if at is None else seal(at, b""))
        for number, (key, at) in enumerate(log)
    ]
    part.restore(records, begin + len(records))


def plainly(log: Log) -> tuple[dict[bytes, int], dict[bytes, int]]:
    """Return the rows of a log, and those that must be written again because an older record follows them."""
    rows: dict[bytes, int] = {}
    again: dict[bytes, int] = {}
    for key, at in log:
        if at is not None and rows.get(key, -1) > at:
            again[key] = rows[key]
            continue
        again.pop(key, None)
        if at is None:
            rows.pop(key, None)
        else:
            rows[key] = at
    return rows, again


logs = st.lists(st.tuples(st.sampled_from(KEYS), st.none() | st.integers(-1, 5)), max_size=30)


@given(log=logs, step=st.integers(1, 8), most=st.sampled_from([0, 2, 100]), restarts=st.sets(st.integers(0, 30)))
def test_a_restore_comes_to_the_same_rows_whatever_it_remembers(log: Any, step: Any, most: int, restarts: Any) -> None:
    with TemporaryDirectory() as folder, mock.patch.object(store_positions, "MOST_POSITIONS", most):
        store = Store(Path(folder) / "leads", {})
        store.open()
        part = part_of(store)
        again: dict[bytes, int | None] = {}
        for begin in range(0, len(log), step):
            if begin in restarts:
                again.update(part.dirty)  # after a restart the worker no longer has the rows to write again
                part = part_of(store)
            restore(part, log[begin : begin + step], begin)
        part.restored(len(log))
        rows, stale = plainly(log)
        assert dict(part.rows.items()) == rows
        assert len(part.rows) == len(rows)
        assert {key: number for key, number in (again | part.dirty).items() if key in stale} == stale
        store.close()


def test_rows_that_a_restore_has_put_on_disk_are_not_read_from_it_again(
    store: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[bytes] = []

    def noted(_: PartitionStore, keys: list[bytes]) -> list[bytes | None]:
        asked.extend(keys)
        return [None] * len(keys)

    monkeypatch.setattr(PartitionStore, "get_many", noted)
    part = part_of(store)
    for at in range(3):
        restore(part, [(key, at) for key in KEYS], at * len(KEYS))
    assert asked == []
    monkeypatch.undo()
    assert dict(part.rows.items()) == dict.fromkeys(KEYS, 2)


def test_rows_that_were_on_disk_before_are_read_once(store: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    restore(part_of(store), [(key, 4) for key in KEYS])
    asked: list[bytes] = []
    get_many = PartitionStore.get_many

    def noted(partition_store: PartitionStore, keys: list[bytes]) -> list[bytes | None]:
        asked.extend(keys)
        return get_many(partition_store, keys)

    monkeypatch.setattr(PartitionStore, "get_many", noted)
    part = part_of(store)
    for at in (3, 5):
        restore(part, [(key, at) for key in KEYS[:2]], 4 + at)
    assert sorted(asked) == KEYS[:2]
    assert dict(part.rows.items()) == {b"a": 5, b"b": 5, b"c": 4, b"d": 4}


def test_the_partitions_of_a_table_share_the_bound(store: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_positions, "MOST_POSITIONS", 5)
    budget = CacheBudget()
    parts = [part_of(store, budget, partition) for partition in range(2)]
    restore(parts[0], [(key, 1) for key in KEYS])
    assert len(parts[0]._positions.rows) == 4
    restore(parts[1], [(key, 1) for key in KEYS])
    assert [len(part._positions.rows) for part in parts] == [4, 0]
    restore(parts[1], [(b"a", 0)], 4)
    assert parts[1].dirty == {b"a": 1}


def test_a_part_that_is_restored_or_gone_takes_no_part_of_the_bound(store: Any) -> None:
    budget = CacheBudget()
    parts = [part_of(store, budget, partition) for partition in range(2)]
    for part in parts:
        restore(part, [(key, 1) for key in KEYS])
    parts[0].restored(4)
    del part, parts[1]
    assert sum(len(positions.rows) for positions in budget.restoring) == 0


def test_a_shelf_that_was_cleared_is_begun_anew(store: Any) -> None:
    part = part_of(store)
    restore(part, [(b"a", 7)])
    part.clear()
    restore(part, [(b"a", 1), (b"b", 1)])
    assert dict(part.rows.items()) == {b"a": 1, b"b": 1}
    assert part.dirty == {}
    assert len(part.rows) == 2

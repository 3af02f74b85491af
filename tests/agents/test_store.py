"""The store on disk: rows and checkpoint are written together, a crash loses neither, a doubtful store is deleted."""

from __future__ import annotations

import logging
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from agents.state.rocksdb import (
    NO_CHECKPOINT,
    PartitionStore,
    Store,
    StoreCheckpoint,
    StoreError,
    StoreLockedError,
    checksum,
)

ROOT = Path(__file__).parents[2]
OURS: dict[str, str | int] = {"changelog": "app-leads-changelog", "partitions": 4, "layout": 1}


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    made = Store(tmp_path / "leads", OURS)
    made.open()
    yield made
    made.close()


def reopened(store: Store, identity: dict[str, str | int] | None = None) -> Store:
    store.close()
    again = Store(store.folder, identity or OURS)
    again.open()
    return again


def rows(partition_store: PartitionStore) -> dict[bytes, bytes]:
    return dict(partition_store.scan())


def test_an_empty_shelf_has_nothing_to_begin_from(store: Store) -> None:
    partition_store = store.partition(0)
    assert (
        partition_store.checkpoint,
        rows(partition_store),
        partition_store.get(b"a"),
        partition_store.get_many([b"a", b"b"]),
    ) == (NO_CHECKPOINT, {}, None, [None, None])
    assert partition_store.get_many([]) == []


def test_rows_and_mark_survive_and_shelves_do_not_mix(store: Store) -> None:
    checkpoint = StoreCheckpoint(offset=7, check=9, at_ms=11, rows=2)
    store.partition(0).write({b"a": b"1", b"b": b"2"}, checkpoint)
    store.partition(1).write({b"a": b"x"}, StoreCheckpoint(offset=1))
    store.partition(0).write({b"a": None, b"c": b"3"}, checkpoint)
    again = reopened(store)
    try:
        assert (rows(again.partition(0)), again.partition(0).checkpoint) == ({b"b": b"2", b"c": b"3"}, checkpoint)
        assert (rows(again.partition(1)), again.partition(1).checkpoint) == ({b"a": b"x"}, StoreCheckpoint(offset=1))
        assert again.partition(0).get_many([b"c", b"a", b"b"]) == [b"3", None, b"2"]
    finally:
        again.close()


def test_a_scan_goes_on_behind_a_key(store: Store) -> None:
    partition_store = store.partition(0)
    partition_store.write({b"%d" % number: b"x" for number in range(5)}, StoreCheckpoint(offset=5))
    assert [key for key, _ in partition_store.scan(b"2")] == [b"3", b"4"]
    assert [key for key, _ in partition_store.scan(b"21")] == [b"3", b"4"]
    assert list(partition_store.scan(b"4")) == []


def test_a_cleared_shelf_is_empty_for_good_and_the_others_stay(store: Store) -> None:
    for partition in (0, 1):
        store.partition(partition).write({b"a": b"1"}, StoreCheckpoint(offset=1, rows=1))
    store.partition(0).clear()
    assert (store.partition(0).checkpoint, rows(store.partition(0))) == (NO_CHECKPOINT, {})
    store.partition(0).write({b"b": b"2"}, StoreCheckpoint(offset=3))
    again = reopened(store)
    try:
        assert rows(again.partition(0)) == {b"b": b"2"}
        assert rows(again.partition(1)) == {b"a": b"1"}
    finally:
        again.close()


@pytest.mark.parametrize(
    "identity", [{**OURS, "changelog": "other-leads-changelog"}, {**OURS, "partitions": 8}, {**OURS, "layout": 2}]
)
def test_the_rows_of_something_else_are_thrown_away(
    store: Store, identity: dict[str, str | int], caplog: pytest.LogCaptureFixture
) -> None:
    store.partition(0).write({b"a": b"1"}, StoreCheckpoint(offset=1))
    with caplog.at_level(logging.WARNING):
        again = reopened(store, identity)
    try:
        assert (again.partition(0).checkpoint, rows(again.partition(0))) == (NO_CHECKPOINT, {})
        assert "another installation or release" in caplog.text
    finally:
        again.close()


def test_two_workers_cannot_share_a_folder_and_the_error_says_so(store: Store) -> None:
    store.partition(0).write({b"a": b"1"}, StoreCheckpoint(offset=1))
    other = Store(store.folder, OURS)
    with pytest.raises(StoreLockedError, match=r"same worker\.id"):
        other.open()
    assert not other.is_open
    assert rows(store.partition(0)) == {b"a": b"1"}
    store.close()
    other.open()
    assert rows(other.partition(0)) == {b"a": b"1"}
    other.close()


def test_a_store_that_rocksdb_cannot_read_is_thrown_away(store: Store, caplog: pytest.LogCaptureFixture) -> None:
    store.partition(0).write({b"a": b"1"}, StoreCheckpoint(offset=1))
    store.close()
    (store.folder / "rows" / "CURRENT").write_text("nonsense\n")
    again = reopened(store)
    try:
        assert again.partition(0).checkpoint == NO_CHECKPOINT
        assert "restored from the changelog" in caplog.text
    finally:
        again.close()


def test_a_store_that_fails_ends_the_worker_and_is_thrown_away_the_next_time(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    partition_store = store.partition(0)
    partition_store.write({b"a": b"1"}, StoreCheckpoint(offset=1))

    class Failing:
        def get(self, _key: object) -> None:
            raise Exception("IO error: block checksum mismatch")  # noqa: TRY002 - as RocksDB's binding raises it

    with monkeypatch.context() as patch:
        patch.setattr(partition_store, "_family", Failing())
        with pytest.raises(StoreError, match="checksum mismatch"):
            partition_store.get(b"a")
    again = reopened(store)
    try:
        assert again.partition(0).checkpoint == NO_CHECKPOINT
        again.partition(0).write({b"a": b"1"}, StoreCheckpoint(offset=1))
    finally:
        again.close()
    third = reopened(store)
    assert third.partition(0).checkpoint == StoreCheckpoint(offset=1)
    third.close()


def test_a_closed_store_says_that_it_is_closed(store: Store) -> None:
    store.close()
    with pytest.raises(StoreError, match="not open"):
        store.partition(0)


def test_the_checksum_tells_records_apart_and_is_never_the_one_of_nothing() -> None:
    records: list[tuple[bytes, bytes | None]] = [(b"a", b"bc"), (b"b", b"bc"), (b"a", b"bd"), (b"a", None), (b"", b"")]
    checks = [checksum(*record) for record in records]
    assert len(set(checks)) == len(checks)
    assert 0 not in checks


WRITER = """
import sys
from pathlib import Path
from agents.state.rocksdb import StoreCheckpoint, Store
store = Store(Path(sys.argv[1]), {"partitions": 4})
store.open()
partition_stores = [store.partition(0), store.partition(1)]
number = min(partition_store.checkpoint.offset for partition_store in partition_stores)
print("ready", flush=True)
while True:
    number += 1
    for partition_store in partition_stores:
        rows = {b"%d" % (number * 7 % 5003 + i): b"%d" % number * 40 for i in range(20)}
        partition_store.write(rows, StoreCheckpoint(number))
"""


def expected(number: int) -> dict[bytes, bytes]:
    """The rows that the writer has written after step `number`."""
    found = {}
    for n in range(1, number + 1):
        for i in range(20):
            found[b"%d" % (n * 7 % 5003 + i)] = b"%d" % n * 40
    return found


@pytest.mark.slow
def test_killed_at_random_moments_rows_and_mark_are_of_one_moment(tmp_path: Path) -> None:
    seed = random.randrange(1 << 30)
    print("seed", seed)
    chance = random.Random(seed)
    written = 0
    for _ in range(6):
        with subprocess.Popen(
            [sys.executable, "-c", WRITER, str(tmp_path / "leads")], cwd=ROOT, stdout=subprocess.PIPE
        ) as writer:
            assert writer.stdout is not None
            assert writer.stdout.readline() == b"ready\n"
            time.sleep(chance.uniform(0.01, 0.4))
            os.kill(writer.pid, signal.SIGKILL)
        store = Store(tmp_path / "leads", {"partitions": 4})
        store.open()
        try:
            for partition in (0, 1):
                partition_store = store.partition(partition)
                assert partition_store.checkpoint.offset >= written
                assert rows(partition_store) == expected(partition_store.checkpoint.offset)
            written = store.partition(1).checkpoint.offset
            assert store.partition(0).checkpoint.offset - written in (0, 1)
        finally:
            store.close()
    assert written > 0

"""Rows in the store: a read gives the last written row, through checkpoints, evictions, removals and crashes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from agents.state import rows as store_rows
from agents.state.rocksdb import NO_CHECKPOINT, Store, StoreCheckpoint, checksum, now_ms
from agents.state.rows import CacheBudget, StoredPartition, resumes_at
from streams.tables.changelog import position, seal
from tests.examples import examples

DAY_MS = 86_400_000


class Row:
    """A row of one number, which is its position too."""

    def __init__(self, number: int) -> None:
        self.number = number

    @property
    def packed(self) -> bytes:
        return seal(self.number, b"x" * (self.number % 7))


def decode(value: bytes) -> Row:
    return Row(position(value))


def record(offset: int, key: bytes, value: bytes | None) -> Any:
    return SimpleNamespace(offset=offset, key=key, value=value)


def small_budget() -> CacheBudget:
    budget = CacheBudget()
    budget.rows = 2
    return budget


def part_of(store: Store) -> StoredPartition[Row]:
    return StoredPartition(store.partition(0), small_budget(), decode)


def checkpoint(part: StoredPartition[Row], log: list[tuple[bytes, bytes | None]], foreign: int | None = None) -> None:
    """Write the dirty rows to the end of `log`, and acknowledge them; `foreign` records of others come in between."""
    records = [(key, None if row is None else row.packed) for key, row in part.take_dirty().items()]
    first = len(records) if foreign is None else min(foreign, len(records))
    acknowledged = [(len(log), first)] if first else []
    log += records[:first]
    if foreign is not None:
        log.append((b"k0", seal(-1, b"")))
        acknowledged.append((len(log), len(records) - first))
        log += records[first:]
    part.written(records, acknowledged)


def held(part: StoredPartition[Row]) -> dict[bytes, int]:
    return {key: row.number for key, row in part.rows.items()}


class PartitionStore:
    """A partition store in memory, for thousands of quick steps. `test_store.py` tests the real one."""

    def __init__(self) -> None:
        self.rows: dict[bytes, bytes] = {}
        self.checkpoint = NO_CHECKPOINT

    def get(self, key: bytes) -> bytes | None:
        return self.rows.get(key)

    def get_many(self, keys: Sequence[bytes]) -> list[bytes | None]:
        return [self.rows.get(key) for key in keys]

    def write(self, changes: dict[bytes, bytes | None], checkpoint: StoreCheckpoint) -> None:
        self.rows = {key: value for key, value in {**self.rows, **changes}.items() if value is not None}
        self.checkpoint = checkpoint

    def scan(self, after: bytes = b"") -> Iterator[tuple[bytes, bytes]]:
        return iter(sorted(item for item in self.rows.items() if item[0] > after))


class StoredRowsMachine(RuleBasedStateMachine):
    """A partition beside a plain dict, and a list that replaces the changelog."""

    keys = st.integers(0, 4).map(lambda number: b"k%d" % number)

    def __init__(self) -> None:
        super().__init__()
        self.store: Any = PartitionStore()
        self.log: list[tuple[bytes, bytes | None]] = []
        self.truth: dict[bytes, int] = {}
        self.durable: dict[bytes, int] = {}
        self.writing: list[tuple[bytes, bytes | None]] | None = None
        self.then: dict[bytes, int] = {}
        self.revision = 0

    @initialize()
    def begin(self) -> None:
        self.part = StoredPartition(self.store, small_budget(), decode)

    @rule(keys=st.lists(keys, max_size=6))
    def fetch(self, keys: list[bytes]) -> None:
        self.part.rows.fetch(keys)

    @rule(key=keys)
    def fold(self, key: bytes) -> None:
        self.revision += 1
        rows = self.part.rows
        row = rows.get(key)
        assert (None if row is None else row.number) == self.truth.get(key)
        if row is None:
            row = rows[key] = Row(self.revision)
        row.number = self.revision
        self.part.dirty[key] = row
        self.truth[key] = self.revision

    @rule(key=keys)
    def remove(self, key: bytes) -> None:
        row = self.part.rows.pop(key)
        assert (None if row is None else row.number) == self.truth.pop(key, None)
        if row is not None:
            self.part.dirty[key] = None

    @rule()
    @precondition(lambda self: self.writing is None)
    def encode(self) -> None:
        self.writing = [(key, None if row is None else row.packed) for key, row in self.part.take_dirty().items()]
        self.then = dict(self.truth)

    @rule(cut=st.integers(0, 5))
    @precondition(lambda self: self.writing is not None)
    def acknowledge(self, cut: int) -> None:
        """Kafka takes the records, in two batches."""
        records, self.writing = self.writing or [], None
        first = min(cut, len(records))
        at = len(self.log)
        self.log += records
        self.durable = self.then
        self.part.written(records, [(at, first), (at + first, len(records) - first)])

    @rule(back=st.integers(0, 30))
    def crash(self, back: int) -> None:
        """Only the changelog and the partition store are left."""
        if self.writing is not None and back % 2:
            self.log += self.writing  # Kafka had taken them, and its answer was lost
            self.durable = self.then
        self.writing = None
        self.part.released = True
        self.part = StoredPartition(self.store, small_budget(), decode)
        begin = resumes_at(self.store.checkpoint, DAY_MS)
        records = [record(offset, *self.log[offset]) for offset in range(begin or 0, len(self.log))]
        if begin is not None:
            assert self.part.verify(records[0])
        for start in range(0, len(records), 4):
            some = records[start : start + 4]
            self.part.restore(some, some[-1].offset + 1)
        self.part.restored(len(self.log))
        assert self.part.dirty == {}
        self.truth = dict(self.durable)

    @rule()
    def look(self) -> None:
        assert held(self.part) == self.truth
        found = []
        last = b""
        while some := self.part.rows.after(last, 2):
            found += some
            last = some[-1][0]
        assert {key: row.number for key, row in found}.items() <= self.truth.items()
        assert self.part.rows.absent | {key for key, _ in found} >= self.truth.keys()

    @invariant()
    def count(self) -> None:
        assert len(self.part.rows) == len(self.truth)


TestStoredRows = StoredRowsMachine.TestCase
TestStoredRows.settings = examples(80, stateful_step_count=60)


def fold(part: StoredPartition[Row], key: bytes, number: int) -> None:
    row = part.rows.get(key)
    if row is None:
        row = part.rows[key] = Row(number)
    row.number = number
    part.dirty[key] = row


def restored(store: Store, log: list[tuple[bytes, bytes | None]]) -> StoredPartition[Row]:
    part = part_of(store)
    begin = resumes_at(store.partition(0).checkpoint, DAY_MS) or 0
    records = [record(offset, *log[offset]) for offset in range(begin, len(log))]
    if records:
        part.verify(records[0])
        part.restore(records, len(log))
    part.restored(len(log))
    return part


def test_memory_holds_what_is_in_use_and_no_more(store: Store) -> None:
    part = part_of(store)
    log: list[tuple[bytes, bytes | None]] = []
    for number in range(100):
        fold(part, b"%d" % number, number)
    assert len(part.dirty) == 100  # they are nowhere else
    checkpoint(part, log)
    for number in range(100):
        assert part.rows.get(b"%d" % number) is not None
    rows = part.rows
    assert len(rows._young) + len(rows._old) <= 2 * 3
    assert (len(rows), len(rows.dirty), len(rows.writing), len(rows.absent)) == (100, 0, 0, 0)


def test_a_row_that_was_used_stays_in_memory_when_others_pass_through(store: Store) -> None:
    part = part_of(store)
    for number in range(20):
        fold(part, b"%d" % number, number)
    checkpoint(part, [])
    mine = part.rows.get(b"0")
    for number in range(1, 20):
        part.rows.get(b"%d" % number)
        assert part.rows.get(b"0") is mine


def test_one_row_is_one_object_while_it_is_dirty(store: Store) -> None:
    part = part_of(store)
    fold(part, b"a", 1)
    row = part.rows.get(b"a")
    for number in range(50):
        fold(part, b"%d" % number, number + 2)
    assert part.rows.get(b"a") is row
    part.take_dirty()
    for number in range(50):
        fold(part, b"%d" % number, number + 100)
    assert part.rows.get(b"a") is row


def test_the_mark_stays_before_what_somebody_else_wrote(store: Store) -> None:
    part = part_of(store)
    log: list[tuple[bytes, bytes | None]] = []
    for number in range(6):
        fold(part, b"k%d" % number, number + 10)
    checkpoint(part, log, foreign=2)  # an old record of k0, behind the new one
    assert store.partition(0).checkpoint.offset == 2
    fold(part, b"k5", 99)
    checkpoint(part, log)
    assert store.partition(0).checkpoint.offset == 2
    assert held(part) == {b"k0": 10, b"k1": 11, b"k2": 12, b"k3": 13, b"k4": 14, b"k5": 99}
    part.released = True
    again = restored(store, log)
    assert held(again) == held(part)
    assert {key: row.number for key, row in again.dirty.items() if row} == {b"k0": 10}  # written again, to be the last
    checkpoint(again, log)
    assert log[-1] == (b"k0", Row(10).packed)
    assert store.partition(0).checkpoint.offset == len(log)


def test_killed_before_the_newer_row_was_written_again_the_older_record_is_read_once_more(store: Store) -> None:
    part = part_of(store)
    log: list[tuple[bytes, bytes | None]] = []
    for number in range(4):
        fold(part, b"k%d" % number, number + 10)
    checkpoint(part, log, foreign=3)
    for _ in range(3):
        part.released = True  # killed, and started again
        part = restored(store, log)
        assert {key: row.number for key, row in part.dirty.items() if row} == {b"k0": 10}
        assert held(part) == {b"k0": 10, b"k1": 11, b"k2": 12, b"k3": 13}
    checkpoint(part, log)
    assert log[-1] == (b"k0", Row(10).packed)
    part.released = True
    assert not restored(store, log).dirty


def test_an_acknowledgement_without_an_offset_moves_no_mark(store: Store) -> None:
    part = part_of(store)
    fold(part, b"a", 1)
    records = [(key, row.packed) for key, row in part.take_dirty().items() if row]
    part.written(records, [(-1, 1)])
    assert (store.partition(0).checkpoint.offset, held(part)) == (0, {b"a": 1})


def test_a_changelog_that_is_another_is_not_recognised_and_the_shelf_can_be_cleared(store: Store) -> None:
    part = part_of(store)
    log: list[tuple[bytes, bytes | None]] = []
    fold(part, b"a", 1)
    fold(part, b"b", 2)
    checkpoint(part, log)
    assert part.verified  # there was no row that could have been of another one
    for other in (
        record(1, b"b", Row(3).packed),
        record(1, b"c", Row(2).packed),
        record(2, *log[1]),
        record(0, *log[0]),
    ):
        part = part_of(store)
        assert not part.verified
        assert not part.verify(other)
    assert part.verify(record(1, *log[1]))
    part.clear()
    assert (held(part), len(part.rows), store.partition(0).checkpoint) == ({}, 0, NO_CHECKPOINT)


def test_rows_that_were_whole_too_long_ago_are_not_begun_from(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    now = now_ms()
    assert resumes_at(NO_CHECKPOINT, DAY_MS) is None
    assert resumes_at(StoreCheckpoint(8, 1, now), DAY_MS) == 7
    assert resumes_at(StoreCheckpoint(8, 0, now), DAY_MS) is None
    assert resumes_at(StoreCheckpoint(8, 1, now - DAY_MS - 1000), DAY_MS) is None
    part = part_of(store)
    fold(part, b"a", 1)
    checkpoint(part, [])
    was = store.partition(0).checkpoint
    checkpoint(part, [])
    assert store.partition(0).checkpoint is was
    # The checkpoint of a partition without changes stays recent while a worker owns the partition.
    monkeypatch.setattr(store_rows, "now_ms", lambda: was.at_ms + 2 * 3_600_000)
    checkpoint(part, [])
    assert store.partition(0).checkpoint.at_ms == was.at_ms + 2 * 3_600_000
    assert store.partition(0).checkpoint.offset == was.offset


def test_a_log_that_ends_without_a_record_is_followed_from_its_end_but_not_begun_from(store: Store) -> None:
    part = part_of(store)
    part.restore([record(3, b"a", Row(1).packed)], 4)
    part.restored(6)
    assert store.partition(0).checkpoint == StoreCheckpoint(6, 0, store.partition(0).checkpoint.at_ms, 1)
    assert resumes_at(store.partition(0).checkpoint, DAY_MS) is None
    fold(part, b"b", 2)
    part.written([(b"b", Row(2).packed)] if part.take_dirty() else [], [(6, 1)])
    assert store.partition(0).checkpoint.offset == 7
    assert store.partition(0).checkpoint.check == checksum(b"b", Row(2).packed)


def test_a_part_that_was_released_writes_nothing_more(store: Store) -> None:
    part = part_of(store)
    fold(part, b"a", 1)
    part.released = True
    checkpoint(part, [])
    assert store.partition(0).checkpoint == NO_CHECKPOINT
    assert store.partition(0).get(b"a") is None


def test_an_empty_key_is_no_row(store: Store) -> None:
    part = part_of(store)
    fold(part, b"a", 1)
    checkpoint(part, [])
    part.rows.fetch([b"", b"a"])
    assert part.rows.get(b"") is None


def test_the_room_is_shared_out() -> None:
    budget = CacheBudget(16_000)
    budget.share(4)
    assert budget.rows == 4000
    budget.share(1000)
    assert budget.rows == 2048
    budget.share(0)
    assert budget.rows == 16_000


def test_a_row_that_is_removed_while_the_generations_change_is_gone(store: Store) -> None:
    part = part_of(store)
    for key in (b"a", b"b", b"c", b"d", b"e"):
        fold(part, key, 1)
    part.dirty[b"a"] = None if part.rows.pop(b"a") else Row(0)
    assert part.rows.get(b"a") is None
    assert len(part.rows) == 4

"""Rows in memory with a copy on disk: after any crash they are those of the changelog, and only its end is read."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from agents.state import in_memory
from agents.state.in_memory import CopiedPartition, MemoryPartition
from agents.state.rocksdb import NO_CHECKPOINT, Store, StoreCheckpoint, checksum, now_ms
from agents.state.rows import resumes_at
from streams.calendars import local_time
from streams.settings.settings import Thresholds
from streams.tables.changelog import is_newer, seal
from streams.tables.manager.codec import ManagerRecords
from streams.tables.manager.fold import ManagerFold
from streams.tables.manager.row import ManagerRow
from tests.agents import test_store_rows
from tests.agents.test_store_rows import record
from tests.broker.in_process import call_ended
from tests.examples import examples

DAY_MS = 86_400_000
Log = list[tuple[bytes, bytes | None]]


class Kind:
    """Rows that are their own records. Of two records the one for the later position counts."""

    def restore(self, rows: dict[bytes, bytes], key: bytes, value: bytes | None) -> bytes | None:
        """Apply a record."""
        if value is None:
            rows.pop(key, None)
        elif key in rows and is_newer(rows[key], value):
            return key
        else:
            rows[key] = value
        return None

    def changelog(self, key: bytes, row: bytes) -> Log:
        """Return the only record of a row."""
        return [(key, row)]


def row(number: int) -> bytes:
    return seal(number, b"x" * (number % 7))


def started(store: Any, log: Log, kind: Any = None, least: int = 0) -> CopiedPartition[Any]:
    """Restore a partition as a start of a worker does; it must read the changelog from `least` on at the earliest."""
    part: CopiedPartition[Any] = CopiedPartition(kind or Kind(), store)
    begin = resumes_at(store.checkpoint, DAY_MS)
    if begin is None and store.checkpoint != NO_CHECKPOINT:
        assert store.checkpoint.at_ms == 0  # it was never complete
        store.clear()
        part = CopiedPartition(kind or Kind(), store)
    else:
        assert (begin or 0) >= least
    records = [record(offset, *log[offset]) for offset in range(begin or 0, len(log))]
    if begin is not None:
        assert part.verify(records[0])
    for first in range(0, len(records), 3):
        some = records[first : first + 3]
        part.restore(some, some[-1].offset + 1)
    part.restored(len(log))
    return part


class PartitionStore(test_store_rows.PartitionStore):
    """It can be cleared, too."""

    def clear(self) -> None:
        self.rows = {}
        self.checkpoint = NO_CHECKPOINT


class CopiesMachine(RuleBasedStateMachine):
    """A partition with a copy beside one without, both restored from one list that replaces the changelog."""

    keys = st.integers(0, 4).map(lambda number: b"k%d" % number)

    def __init__(self) -> None:
        super().__init__()
        self.store: Any = PartitionStore()
        self.log: Log = []
        self.writing: Log | None = None
        self.revision = 0

    @initialize()
    def begin(self) -> None:
        self.part = started(self.store, self.log)

    @rule(key=keys)
    def fold(self, key: bytes) -> None:
        self.revision += 1
        self.part.rows[key] = self.part.dirty[key] = row(self.revision)

    @rule(key=keys)
    def remove(self, key: bytes) -> None:
        if self.part.rows.pop(key, None) is not None:
            self.part.dirty[key] = None

    @rule()
    @precondition(lambda self: self.writing is None)
    def encode(self) -> None:
        self.writing = list(self.part.take_dirty().items())

    @rule(cut=st.integers(0, 5), foreign=st.none() | keys)
    @precondition(lambda self: self.writing is not None)
    def acknowledge(self, cut: int, foreign: bytes | None) -> None:
        """Kafka takes the records, in two batches; another worker may write an old row in between."""
        records, self.writing = self.writing or [], None
        first = min(cut, len(records))
        batches = []
        for some in (records[:first], records[first:]):
            if some:
                batches.append((len(self.log), len(some)))
            self.log += some
            if foreign is not None and foreign in self.part.rows:
                self.log.append((foreign, row(0)))
                foreign = None
        self.part.written(records, batches)

    @rule(told=st.booleans())
    def crash(self, told: bool) -> None:
        """Only the changelog and the copy are left."""
        if self.writing is not None and told:
            self.log += self.writing  # Kafka had taken them, and its answer was lost
        self.writing = None
        self.part.released = True
        whole_once = self.store.checkpoint.at_ms > 0
        before = dict(self.store.rows) if whole_once else {}
        offset = self.store.checkpoint.offset if whole_once else 0
        self.part = started(self.store, self.log, least=max(0, offset - 1))
        plain: MemoryPartition[bytes] = MemoryPartition(Kind())
        plain.restore([record(offset, *item) for offset, item in enumerate(self.log)], len(self.log))
        assert self.part.rows == plain.rows
        if self.part.dirty:
            assert (self.store.rows, self.store.checkpoint.offset) == (before, offset)
        else:
            assert self.store.rows == plain.rows


TestCopies = CopiesMachine.TestCase
TestCopies.settings = examples(80, stateful_step_count=60)


def test_killed_before_a_newer_row_was_written_again_the_older_record_is_read_once_more(store: Store) -> None:
    here: Any = store.partition(0)
    log: Log = [(b"a", row(5)), (b"b", row(6))]
    started(here, log)
    log.append((b"a", row(1)))  # of a worker that woke up
    for _ in range(3):
        part = started(here, log, least=1)
        assert (part.rows, part.dirty) == ({b"a": row(5), b"b": row(6)}, {b"a": row(5)})
    records = list(part.take_dirty().items())
    part.written(records, [(len(log), 1)])
    log += records
    part = started(here, log, least=3)
    assert (part.rows, part.dirty) == ({b"a": row(5), b"b": row(6)}, {})


def test_a_restore_that_was_given_up_leaves_the_copy_as_it_was(store: Store) -> None:
    here: Any = store.partition(0)
    log: Log = [(b"a", row(5))]
    started(here, log)
    was = here.checkpoint
    part: CopiedPartition[bytes] = CopiedPartition(Kind(), here)
    part.verify(record(0, *log[0]))
    part.restore([record(1, b"b", row(6))], 2)
    part.released = True
    part.written([(b"b", row(7))], [(2, 1)])  # a checkpoint that still holds the partition
    assert (here.checkpoint, dict(here.scan())) == (was, {b"a": row(5)})


def test_a_copy_of_another_changelog_is_not_read(store: Store) -> None:
    here: Any = store.partition(0)
    log: Log = [(b"a", row(5)), (b"b", row(6))]
    started(here, log)
    others = [record(1, b"b", row(7)), record(1, b"c", row(6)), record(2, *log[1]), record(0, *log[0])]
    for other in others:
        part: CopiedPartition[bytes] = CopiedPartition(Kind(), here)
        assert not part.verify(other)
        assert (part.verified, part.rows) == (False, {})
    part.clear()
    assert (part.verified, part.rows, here.checkpoint, list(here.scan())) == (True, {}, NO_CHECKPOINT, [])


def test_a_copy_without_changes_stays_young(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    here: Any = store.partition(0)
    part = started(here, [(b"a", row(5))])
    was = here.checkpoint
    part.written([], [])
    assert here.checkpoint is was
    later = now_ms() + 2 * 3_600_000
    monkeypatch.setattr(in_memory, "now_ms", lambda: later)
    part.written([], [])
    assert here.checkpoint == StoreCheckpoint(1, checksum(b"a", row(5)), later, 1)


def test_a_log_that_ends_without_a_record_is_followed_from_its_end_but_not_begun_from(store: Store) -> None:
    here: Any = store.partition(0)
    part: CopiedPartition[bytes] = CopiedPartition(Kind(), here)
    part.restore([record(3, b"a", row(1))], 4)
    part.restored(6)
    assert resumes_at(here.checkpoint, DAY_MS) is None
    part.written([(b"b", row(2))], [(6, 1)])
    assert (here.checkpoint.offset, here.checkpoint.check) == (7, checksum(b"b", row(2)))


def test_a_block_that_a_suspended_worker_removed_is_in_the_copy_until_its_legs_are_written_again(store: Store) -> None:
    """Without it, a worker that is killed before that would have forgotten the legs."""
    kind = ManagerRecords(lambda _: local_time("UTC"), 91, block_legs=2)
    made = ManagerRow("m", local_time("UTC"))
    for number in (6, 7):
        ManagerFold(Thresholds()).fold(made, call_ended(number, "m"), number)
    log: Log = list(kind.changelog(b"m", made))
    block = next(key for key, _ in log if b"\0l" in key)
    here: Any = store.partition(0)
    started(here, log, kind)
    log.append((block, None))
    for _ in range(2):
        part = started(here, log, kind, least=1)
        assert (list(part.dirty), part.rows[b"m"]) == ([b"m"], made)
    part.take_dirty()
    records = kind.changelog(b"m", part.rows[b"m"])
    part.written(records, [(len(log), len(records))])
    log += records
    part = started(here, log, kind, least=len(log) - 1)
    assert (part.dirty, part.rows[b"m"], set(part.rows[b"m"].past)) == ({}, made, {"c6", "c7"})


def test_a_newer_record_behind_an_old_one_is_what_is_written_again(store: Store) -> None:
    here: Any = store.partition(0)
    log: Log = [(b"a", row(5))]
    started(here, log)
    log += [(b"a", row(1)), (b"a", row(7))]  # of a worker that woke up, then of the owner
    part = started(here, log)
    assert part.take_dirty() == {b"a": row(7)}

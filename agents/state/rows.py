"""Rows on disk: a partition of a table of which memory holds only the rows in use.

A row is looked up in memory, then in the store. In memory are the rows that changed since the last checkpoint, those
that the running checkpoint is writing, and the ones that were used last: two generations of at most `CacheBudget.rows`
each, of which the older is dropped as a whole. A changed row stays in memory until the store has it, so that its older
version is never read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from operator import itemgetter
from typing import Any, Final, Generic, TypeVar
from weakref import WeakSet

from agents.state.positions import ABSENT, Positions
from agents.state.rocksdb import PartitionStore, StoreCheckpoint, checksum, now_ms
from streams.tables.changelog import position
from streams.units import HOUR_MS

Row = TypeVar("Row")

CACHED_ROWS: Final = 32_768
_LEAST_BUDGET: Final = 2048
REFRESH_MS: Final = HOUR_MS
"""Time after which a partition without changes gets its checkpoint written again, which shows that it is complete."""


class CacheBudget:
    """Most rows in a generation of each partition; the partitions of a table share the budget."""

    def __init__(self, total: int = CACHED_ROWS) -> None:
        self._total = total
        self.rows = total
        self.restoring: WeakSet[Positions] = WeakSet()

    def share(self, partitions: int) -> None:
        """Divide the budget among this number of partitions."""
        self.rows = max(_LEAST_BUDGET, self._total // max(1, partitions))


class StoredRows(Generic[Row]):
    """The rows of a partition by key, like a dict. A row that is set must be added to `dirty` too."""

    def __init__(self, store: PartitionStore, budget: CacheBudget, decode: Callable[[bytes], Row]) -> None:
        self.dirty: dict[bytes, Row | None] = {}  # None: removed
        self.writing: dict[bytes, Row | None] = {}
        self.absent: set[bytes] = set()  # of the dirty ones, those that are not in the store
        self._store = store
        self.budget = budget
        self._decode = decode
        self._young: dict[bytes, Row] = {}
        self._old: dict[bytes, Row] = {}
        self._nowhere: set[bytes] = set()
        self._count = store.checkpoint.rows

    def __len__(self) -> int:
        return self._count

    def reset_count(self, count: int) -> None:
        """Set the number of rows, after a restore wrote to the store."""
        self._count = count

    def __contains__(self, key: bytes) -> bool:
        return self.get(key) is not None

    def __getitem__(self, key: bytes) -> Row:
        row = self.get(key)
        if row is None:
            raise KeyError(key)
        return row

    def get(self, key: bytes, default: Row | None = None) -> Row | None:
        """Return the row with `key`, `default` where there is none."""
        row = self._young.get(key)
        if row is None and key not in self._nowhere:
            row = self._old.pop(key, None)
            if row is None:
                row = self._find(key)
            if row is not None:
                self._keep(key, row)
        return default if row is None else row

    def fetch(self, keys: Sequence[bytes]) -> None:
        """Read the rows of `keys` that are not in memory, in one request to the store."""
        self._nowhere.clear()
        young, old, dirty, writing = self._young, self._old, self.dirty, self.writing
        wanted = [
            key
            for key in dict.fromkeys(keys)
            if key and key not in young and key not in old and key not in dirty and key not in writing
        ]
        for key, value in zip(wanted, self._store.get_many(wanted), strict=True):
            if value is None:
                self._nowhere.add(key)
            else:
                self._keep(key, self._decode(value))

    def __setitem__(self, key: bytes, row: Row) -> None:
        if self.get(key) is None:
            self._nowhere.discard(key)
            self._count += 1
            if key not in self.dirty and key not in self.writing:
                self.absent.add(key)
        self._keep(key, row)

    def pop(self, key: bytes, default: Row | None = None) -> Row | None:
        """Remove a row and return it. It must be added to `dirty` too, as None."""
        row = self.get(key)
        if row is None:
            return default
        self._young.pop(key, None)
        self._old.pop(key, None)
        self._count -= 1
        return row

    def __iter__(self) -> Iterator[bytes]:
        return map(itemgetter(0), self.items())

    def values(self) -> Iterator[Row]:
        """Return an iterator over the rows."""
        return map(itemgetter(1), self.items())

    def items(self) -> Iterator[tuple[bytes, Row]]:
        """Yield every row with its key, without keeping the rows in memory; do not change rows meanwhile."""
        yield from self._from(b"")
        for key in self.absent:
            row = self._live(key)
            if row is not None:
                yield key, row

    def after(self, key: bytes, count: int) -> list[tuple[bytes, Row]]:
        """Return up to `count` rows with keys behind `key`, in order of keys; rows not yet in the store are left out.

        An empty list means that there are none left.
        """
        return list(islice(self._from(key), count))

    def _from(self, key: bytes) -> Iterator[tuple[bytes, Row]]:
        dirty, writing = self.dirty, self.writing
        for found, value in self._store.scan(key):
            if found in dirty or found in writing:
                row = self._live(found)
                if row is not None:
                    yield found, row
            else:
                yield found, self._young.get(found) or self._old.get(found) or self._decode(value)

    def _live(self, key: bytes) -> Row | None:
        return self.dirty[key] if key in self.dirty else self.writing.get(key)

    def _find(self, key: bytes) -> Row | None:
        if key in self.dirty:
            return self.dirty[key]
        if key in self.writing:
            return self.writing[key]
        value = self._store.get(key) if key else None
        if value is None:
            self._nowhere.add(key)
            return None
        return self._decode(value)

    def _keep(self, key: bytes, row: Row) -> None:
        self._young[key] = row
        if len(self._young) > self.budget.rows:
            self._old, self._young = self._young, {}

    def forget_misses(self) -> None:
        """Look up keys again that were not in the store before."""
        self._nowhere.clear()


class StoredPartition(Generic[Row]):
    """The rows of one partition on disk; the counterpart of `tables.MemoryPartition`.

    `verified` is true once the changelog is known to be the one that the store was made from.
    """

    def __init__(self, store: PartitionStore, budget: CacheBudget, decode: Callable[[bytes], Row]) -> None:
        self.rows = StoredRows(store, budget, decode)
        self.released = False
        self.verified = store.checkpoint.offset == 0
        self._store = store
        self._decode = decode
        self._positions = Positions(store, budget.restoring)

    @property
    def dirty(self) -> dict[bytes, Row | None]:
        """The rows that the changelog does not hold yet; None for one that was removed."""
        return self.rows.dirty

    # -- restoring

    def verify(self, record: Any) -> bool:
        """Return whether `record`, the first one restored, is the last one before the checkpoint."""
        checkpoint = self._store.checkpoint
        check = checksum(record.key, record.value)
        self.verified = record.offset == checkpoint.offset - 1 and check == checkpoint.check
        return self.verified

    def clear(self) -> None:
        """Delete the rows: they were made from another changelog, or are too old."""
        self._store.clear()
        budget = self.rows.budget
        self.rows = StoredRows(self._store, budget, self._decode)
        self._positions = Positions(self._store, budget.restoring)
        self.verified = True

    def restore(self, records: Sequence[Any], end: int) -> None:
        """Apply records of the changelog, of which `end` is the next offset. A newer row in the store stays.

        Such a row is dirty until it has been written again, and the checkpoint stays before the older record: a worker
        that is killed until then reads that record once more.
        """
        if not records:
            return
        positions = self._positions.learn(record.key for record in records)
        changes: dict[bytes, bytes | None] = {}
        dirty = self.rows.dirty
        checkpoint = self._store.checkpoint
        count = checkpoint.rows
        for record in records:
            key, value = record.key, record.value
            there = positions.get(key, ABSENT)
            at = ABSENT if value is None else position(value)
            if ABSENT < at < there:
                newer = changes[key] if key in changes else self._store.get(key)
                assert newer is not None  # noqa: S101 - it has a position
                dirty[key] = self._decode(newer)
                continue
            dirty.pop(key, None)
            count += (at != ABSENT) - (there != ABSENT)
            positions[key] = at
            changes[key] = value
        last = records[-1]
        if dirty:
            now = StoreCheckpoint(checkpoint.offset, checkpoint.check, checkpoint.at_ms, count)
        else:
            now = StoreCheckpoint(end, checksum(last.key, last.value), now_ms(), count)
        self._store.write(changes, now)
        self._positions.bound()
        self.rows.reset_count(count)
        self.rows.forget_misses()

    def restored(self, end: int) -> None:
        """Note that the changelog is applied up to the offset `end`."""
        self._positions.forget()
        checkpoint = self._store.checkpoint
        if checkpoint.offset < end:
            # The log ends with offsets without a record. No record could verify it, so it is not written to disk.
            self._store.checkpoint = StoreCheckpoint(end, 0, checkpoint.at_ms, checkpoint.rows)

    # -- folding

    def fetch(self, keys: Sequence[bytes]) -> None:
        """Read the rows of `keys` into memory."""
        self.rows.fetch(keys)

    def after(self, key: bytes, count: int) -> list[tuple[bytes, Row]]:
        """Return up to `count` rows behind `key`. A round over all rows begins with an empty key."""
        return self.rows.after(key, count)

    # -- checkpoints

    def take_dirty(self) -> dict[bytes, Row | None]:
        """Return the rows to write now. Rows that change from here on belong to the next checkpoint."""
        rows = self.rows
        rows.writing, rows.dirty = rows.dirty, {}
        return rows.writing

    def written(self, records: Sequence[tuple[bytes, bytes | None]], acknowledged: Sequence[tuple[int, int]]) -> None:
        """Write to disk the `records` that the changelog stored, in batches of `acknowledged` offset and length.

        The checkpoint stays before a record that another worker wrote in between, because it is not applied here.
        """
        if self.released:
            return
        rows, store = self.rows, self._store
        rows.forget_misses()
        checkpoint = store.checkpoint
        if not records:
            if checkpoint.check and now_ms() - checkpoint.at_ms > REFRESH_MS:
                store.write({}, StoreCheckpoint(checkpoint.offset, checkpoint.check, now_ms(), checkpoint.rows))
            return
        count = checkpoint.rows
        changes = dict(records)
        for key, value in changes.items():
            was_there = key not in rows.absent
            if value is None:
                count -= was_there
                rows.absent.discard(key)
                if key in rows.dirty:
                    rows.absent.add(key)
            else:
                count += not was_there
                rows.absent.discard(key)
        store.write(changes, advanced(checkpoint, records, acknowledged, count))
        rows.writing = {}


def advanced(
    checkpoint: StoreCheckpoint,
    records: Sequence[tuple[bytes, bytes | None]],
    acknowledged: Sequence[tuple[int, int]],
    rows: int,
) -> StoreCheckpoint:
    """Return the checkpoint behind those of `records` that follow `checkpoint` without a record of another worker.

    `acknowledged` has the offset and length of the batches in which the changelog stored them.
    """
    followed = 0
    for offset, length in acknowledged:
        if offset != checkpoint.offset + followed:
            break
        followed += length
    if followed == 0:
        return StoreCheckpoint(checkpoint.offset, checkpoint.check, checkpoint.at_ms, rows)
    at_ms = now_ms() if followed == len(records) else checkpoint.at_ms
    return StoreCheckpoint(checkpoint.offset + followed, checksum(*records[followed - 1]), at_ms, rows)


def resumes_at(checkpoint: StoreCheckpoint, kept_ms: int) -> int | None:
    """Return the offset at which restoring begins: the last one in the store. None: the start of the changelog.

    Removals are kept in the changelog for `kept_ms`. A store that was last whole longer ago may have missed some.
    """
    if checkpoint.offset == 0 or checkpoint.check == 0 or now_ms() - checkpoint.at_ms > kept_ms:
        return None
    return checkpoint.offset - 1

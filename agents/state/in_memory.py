"""Rows in memory: a partition of a table of which memory holds all rows, with or without a copy of them on disk.

The copy has the records of the changelog, as the changelog has them, up to an offset. A start reads all rows from the
copy, and from the changelog only what came since. Without the copy, its time would grow with the age of the changelog,
because Kafka removes the replaced records of a row late.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final, Generic, Protocol, TypeAlias, TypeVar

from agents.state.rocksdb import PartitionStore, StoreCheckpoint, checksum, now_ms
from agents.state.rows import REFRESH_MS, advanced

Row = TypeVar("Row")
Records: TypeAlias = list[tuple[bytes, bytes | None]]
"""Records of a changelog: key and value, None removes the row."""

_ROWS_A_LOOK: Final = 8


class Kind(Protocol[Row]):
    """The row format of a table, from the pure side."""

    def restore(self, rows: dict[bytes, Row], key: bytes, value: bytes | None) -> bytes | None:
        """Apply one changelog record to `rows`.

        Return the key of a row that must be written again because the record was older than the row.
        """

    def changelog(self, key: bytes, row: Row) -> Iterable[tuple[bytes, bytes | None]]:
        """Return the records that bring the changelog up to `row`, in the order they must be written."""


def encode_until(deadline: float, kind: Kind[Any], rows: Iterator[tuple[bytes, Any]], records: Records) -> bool:
    """Add the records of `rows`, None for a removed row, until the monotonic clock is past `deadline`.

    Return whether all are added.
    """
    for count, (key, row) in enumerate(rows, 1):
        if row is None:
            records.append((key, None))
        else:
            records.extend(kind.changelog(key, row))
        # To ask for the time may cost as much as to encode a small row.
        if count % _ROWS_A_LOOK == 0 and time.monotonic() > deadline:
            return False
    return True


class MemoryPartition(Generic[Row]):
    """The rows of one partition in memory. `dirty` are those that the changelog does not hold yet; None: removed."""

    __slots__ = ("_keys", "dirty", "kind", "released", "rows", "verified")

    def __init__(self, kind: Kind[Row]) -> None:
        self.rows: dict[bytes, Row] = {}
        self.dirty: dict[bytes, Row | None] = {}
        self.kind = kind
        self.verified = True
        self.released = False
        self._keys: list[bytes] = []

    def restore(self, records: Sequence[Any], end: int) -> None:  # noqa: ARG002 - as StoredPartition
        """Apply records of the changelog."""
        restore, rows = self.kind.restore, self.rows
        for record in records:
            stale = restore(rows, record.key, record.value)
            if stale is not None:
                self.dirty[stale] = rows[stale]
        self._refresh_dirty()

    def _refresh_dirty(self) -> None:
        """Let dirty rows be the present ones: a newer record may have followed the one that made a row dirty."""
        for key in self.dirty:
            self.dirty[key] = self.rows.get(key)

    def restored(self, end: int) -> None:
        """Note that the changelog is applied up to the offset `end`."""

    def verify(self, record: Any) -> bool:  # noqa: ARG002 - as StoredPartition
        """Return True: rows in memory begin with the changelog."""
        return True

    def clear(self) -> None:
        """Forget all rows."""
        self.rows.clear()
        self.dirty.clear()
        self.verified = True

    def take_dirty(self) -> dict[bytes, Row | None]:
        """Return the rows to write now. Rows that change from here on belong to the next checkpoint."""
        dirty, self.dirty = self.dirty, {}
        return dirty

    def written(self, records: Sequence[tuple[bytes, bytes | None]], acknowledged: Sequence[tuple[int, int]]) -> None:
        """Note that the changelog stored the dirty rows."""

    def fetch(self, keys: Sequence[bytes]) -> None:
        """Do nothing: all rows are in memory."""

    def after(self, key: bytes, count: int) -> list[tuple[bytes, Row]]:
        """Return up to `count` rows behind `key`. A round over all rows, each once, begins with an empty key."""
        if not key:
            self._keys = sorted(self.rows, reverse=True)
        found: list[tuple[bytes, Row]] = []
        while self._keys and len(found) < count:
            row = self.rows.get(last := self._keys.pop())
            if row is not None:
                found.append((last, row))
        return found


class CopiedPartition(MemoryPartition[Row]):
    """The rows of one partition in memory, and their records in `store`.

    `verified` is true once the changelog is known to be the one that the store was made from. The rows of the store are
    read then.
    """

    __slots__ = ("_checkpoint", "_store", "_unwritten")

    def __init__(self, kind: Kind[Row], store: PartitionStore) -> None:
        super().__init__(kind)
        self.verified = store.checkpoint.offset == 0
        self._store = store
        self._checkpoint = store.checkpoint
        # Records that a restore read from the changelog. The store gets them in one batch, with the store checkpoint.
        self._unwritten: dict[bytes, bytes | None] = {}

    def verify(self, record: Any) -> bool:
        """Return whether `record`, the first one restored, is the last one before the store checkpoint.

        If so, read the store.
        """
        check = checksum(record.key, record.value)
        self.verified = record.offset == self._checkpoint.offset - 1 and check == self._checkpoint.check
        if self.verified:
            restore, rows = self.kind.restore, self.rows
            for key, value in self._store.scan():
                restore(rows, key, value)
        return self.verified

    def clear(self) -> None:
        """Delete the rows: they were made from another changelog, or are too old."""
        super().clear()
        self._store.clear()
        self._checkpoint = self._store.checkpoint
        self._unwritten.clear()

    def restore(self, records: Sequence[Any], end: int) -> None:
        """Apply records of the changelog, of which `end` is the next offset.

        A record that is older than its row is left out of the store. The row is dirty until it is written again.
        """
        restore, rows, unwritten = self.kind.restore, self.rows, self._unwritten
        for record in records:
            key, value = record.key, record.value
            stale = restore(rows, key, value)
            if stale is None:
                unwritten[key] = value
            else:
                self.dirty[stale] = rows[stale]
        self._refresh_dirty()
        if records:
            last = records[-1]
            self._checkpoint = StoreCheckpoint(end, checksum(last.key, last.value), now_ms(), len(rows))

    def restored(self, end: int) -> None:
        """Note that the changelog is applied up to the offset `end`.

        While rows are dirty, the store stays as it is until they are written: a worker that is killed until then reads
        the older records once more.
        """
        if self._checkpoint.offset < end:
            # The log ends with offsets without a record, and without one a restore cannot verify this checkpoint.
            self._checkpoint = StoreCheckpoint(end, 0, now_ms(), len(self.rows))
        if self._unwritten and not self.dirty:
            self._write({})

    def written(self, records: Sequence[tuple[bytes, bytes | None]], acknowledged: Sequence[tuple[int, int]]) -> None:
        """Write to disk the `records` that the changelog stored, in batches of `acknowledged` offset and length.

        The store checkpoint stays before a record that another worker wrote in between, because it is not applied here.
        """
        if self.released:
            return
        if records:
            self._checkpoint = advanced(self._checkpoint, records, acknowledged, len(self.rows))
            self._write(records)
        elif self._checkpoint.check and now_ms() - self._checkpoint.at_ms > REFRESH_MS:
            self._checkpoint = StoreCheckpoint(
                self._checkpoint.offset, self._checkpoint.check, now_ms(), len(self.rows)
            )
            self._write({})

    def _write(self, records: Iterable[tuple[bytes, bytes | None]]) -> None:
        changes = self._unwritten
        changes.update(records)
        self._store.write(changes, self._checkpoint)
        changes.clear()

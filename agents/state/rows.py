"""Rows that live in the store: a partition of a table of which memory holds only what is in use.

A row is looked up in memory, then on the shelf. In memory are the rows that changed since the last checkpoint, those
that the checkpoint under way is writing, and the ones that were used last: two generations of at most `Room.rows` each,
of which the older goes as a whole. A row that changed is found until the shelf has it, so none is ever read from the
shelf as it was before.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from operator import itemgetter
from typing import Any, Final, Generic, TypeVar
from weakref import WeakSet

from agents.state.positions import ABSENT, Positions
from agents.state.rocksdb import Mark, Shelf, checksum, now_ms
from streams.tables.changelog import position
from streams.units import HOUR_MS

Row = TypeVar("Row")

CACHED_ROWS: Final = 32_768
_LEAST_ROOM: Final = 2048
_MARK_AGAIN_MS: Final = HOUR_MS


class Room:
    """How many rows a generation of each partition may hold; shared by the partitions of a table."""

    def __init__(self, total: int = CACHED_ROWS) -> None:
        self._total = total
        self.rows = total
        self.restoring: WeakSet[Positions] = WeakSet()

    def share(self, partitions: int) -> None:
        """Share the room out to so many partitions."""
        self.rows = max(_LEAST_ROOM, self._total // max(1, partitions))


class StoredRows(Generic[Row]):
    """The rows of a partition by key, as a dict would offer them. A row that is set must be made dirty too."""

    def __init__(self, shelf: Shelf, room: Room, thaw: Callable[[bytes], Row]) -> None:
        self.dirty: dict[bytes, Row | None] = {}  # None: removed
        self.writing: dict[bytes, Row | None] = {}
        self.absent: set[bytes] = set()  # of the dirty ones, those that are not on the shelf
        self._shelf = shelf
        self._room = room
        self._thaw = thaw
        self._young: dict[bytes, Row] = {}
        self._old: dict[bytes, Row] = {}
        self._nowhere: set[bytes] = set()
        self._count = shelf.mark.rows

    def __len__(self) -> int:
        return self._count

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
        """Read the rows that are about to be asked for, in one go, where they are not in memory."""
        self._nowhere.clear()
        young, old, dirty, writing = self._young, self._old, self.dirty, self.writing
        wanted = [
            key
            for key in dict.fromkeys(keys)
            if key and key not in young and key not in old and key not in dirty and key not in writing
        ]
        for key, value in zip(wanted, self._shelf.get_many(wanted), strict=True):
            if value is None:
                self._nowhere.add(key)
            else:
                self._keep(key, self._thaw(value))

    def __setitem__(self, key: bytes, row: Row) -> None:
        if self.get(key) is None:
            self._nowhere.discard(key)
            self._count += 1
            if key not in self.dirty and key not in self.writing:
                self.absent.add(key)
        self._keep(key, row)

    def pop(self, key: bytes, default: Row | None = None) -> Row | None:
        """Remove a row and return it. It must be made dirty, as None."""
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
        """Yield every row with its key, without keeping them in memory; do not change rows meanwhile."""
        yield from self._from(b"")
        for key in self.absent:
            row = self._live(key)
            if row is not None:
                yield key, row

    def after(self, key: bytes, count: int) -> list[tuple[bytes, Row]]:
        """Return up to `count` rows with keys behind `key`, in order of keys; those not yet on the shelf are left out.

        An empty list says that there are none left.
        """
        return list(islice(self._from(key), count))

    def _from(self, key: bytes) -> Iterator[tuple[bytes, Row]]:
        dirty, writing = self.dirty, self.writing
        for found, value in self._shelf.scan(key):
            if found in dirty or found in writing:
                row = self._live(found)
                if row is not None:
                    yield found, row
            else:
                yield found, self._young.get(found) or self._old.get(found) or self._thaw(value)

    def _live(self, key: bytes) -> Row | None:
        return self.dirty[key] if key in self.dirty else self.writing.get(key)

    def _find(self, key: bytes) -> Row | None:
        if key in self.dirty:
            return self.dirty[key]
        if key in self.writing:
            return self.writing[key]
        value = self._shelf.get(key) if key else None
        if value is None:
            self._nowhere.add(key)
            return None
        return self._thaw(value)

    def _keep(self, key: bytes, row: Row) -> None:
        self._young[key] = row
        if len(self._young) > self._room.rows:
            self._old, self._young = self._young, {}

    def forget_misses(self) -> None:
        """Believe no longer that what was not on the shelf is not there."""
        self._nowhere.clear()


class StoredPart(Generic[Row]):
    """The rows of one partition in the store; the counterpart of `tables.Part`."""

    def __init__(self, shelf: Shelf, room: Room, thaw: Callable[[bytes], Row]) -> None:
        self.rows = StoredRows(shelf, room, thaw)
        self.released = False
        self.known = shelf.mark.offset == 0  # whether the changelog is the one that the shelf is of
        self._shelf = shelf
        self._thaw = thaw
        self._positions = Positions(shelf, room.restoring)

    @property
    def dirty(self) -> dict[bytes, Row | None]:
        """The rows that the changelog does not hold yet; None for one that was removed."""
        return self.rows.dirty

    # -- restoring

    def recognise(self, record: Any) -> bool:
        """Tell whether `record`, the first one restored, is the one that the mark was set behind."""
        mark = self._shelf.mark
        self.known = record.offset == mark.offset - 1 and checksum(record.key, record.value) == mark.check
        return self.known

    def clear(self) -> None:
        """Throw away what is on the shelf: it is not of this changelog, or too old."""
        self._shelf.clear()
        room = self.rows._room  # noqa: SLF001 - the two are one
        self.rows = StoredRows(self._shelf, room, self._thaw)
        self._positions = Positions(self._shelf, room.restoring)
        self.known = True

    def restore(self, records: Sequence[Any], end: int) -> None:
        """Apply records of the changelog, of which `end` is the next offset. A row that is there and newer stays.

        Such a row is dirty until it has been written again, and the mark stays before the older record: a worker that
        is killed until then reads that record once more.
        """
        if not records:
            return
        positions = self._positions.learn(record.key for record in records)
        changes: dict[bytes, bytes | None] = {}
        dirty = self.rows.dirty
        mark = self._shelf.mark
        count = mark.rows
        for record in records:
            key, value = record.key, record.value
            there = positions.get(key, ABSENT)
            at = ABSENT if value is None else position(value)
            if ABSENT < at < there:
                newer = changes[key] if key in changes else self._shelf.get(key)
                assert newer is not None  # noqa: S101 - it has a position
                dirty[key] = self._thaw(newer)
                continue
            dirty.pop(key, None)
            count += (at != ABSENT) - (there != ABSENT)
            positions[key] = at
            changes[key] = value
        last = records[-1]
        if dirty:
            now = Mark(mark.offset, mark.check, mark.at_ms, count)
        else:
            now = Mark(end, checksum(last.key, last.value), now_ms(), count)
        self._shelf.write(changes, now)
        self._positions.bound()
        self.rows._count = count  # noqa: SLF001 - the two are one
        self.rows.forget_misses()

    def restored(self, end: int) -> None:
        """Note that all of the changelog up to the offset `end` is here."""
        self._positions.forget()
        mark = self._shelf.mark
        if mark.offset < end:
            # The log ends with offsets that hold no record. Nothing to know it by again, so this is not written down.
            self._shelf.mark = Mark(end, 0, mark.at_ms, mark.rows)

    # -- folding

    def fetch(self, keys: Sequence[bytes]) -> None:
        """Read the rows that are about to be asked for."""
        self.rows.fetch(keys)

    def after(self, key: bytes, count: int) -> list[tuple[bytes, Row]]:
        """Return up to `count` rows behind `key`, for a round that begins with an empty key."""
        return self.rows.after(key, count)

    # -- checkpoints

    def take_dirty(self) -> dict[bytes, Row | None]:
        """Return the rows to write now; what changes from here on is dirty anew."""
        rows = self.rows
        rows.writing, rows.dirty = rows.dirty, {}
        return rows.writing

    def written(self, records: Sequence[tuple[bytes, bytes | None]], acknowledged: Sequence[tuple[int, int]]) -> None:
        """Note that the changelog has taken `records`: the offset and the length of each of their batches are known.

        The mark stays before a record that somebody else wrote in between: it has yet to be read.
        """
        if self.released:
            return
        rows, shelf = self.rows, self._shelf
        rows.forget_misses()
        mark = shelf.mark
        if not records:
            if mark.check and now_ms() - mark.at_ms > _MARK_AGAIN_MS:
                shelf.write({}, Mark(mark.offset, mark.check, now_ms(), mark.rows))
            return
        followed = 0
        for offset, length in acknowledged:
            if offset != mark.offset + followed:
                break
            followed += length
        count = mark.rows
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
        if followed == 0:
            now = Mark(mark.offset, mark.check, mark.at_ms, count)
        else:
            at_ms = now_ms() if followed == len(records) else mark.at_ms
            now = Mark(mark.offset + followed, checksum(*records[followed - 1]), at_ms, count)
        shelf.write(changes, now)
        rows.writing = {}


def resumes_at(mark: Mark, kept_ms: int) -> int | None:
    """Return the offset that restoring begins at: the last one that is on the shelf. None: at the beginning.

    Removals are kept in the changelog for `kept_ms`. Rows that were last whole longer ago may have missed some.
    """
    if mark.offset == 0 or mark.check == 0 or now_ms() - mark.at_ms > kept_ms:
        return None
    return mark.offset - 1

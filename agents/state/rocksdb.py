"""The store: rows of a table on the worker's own disk, in RocksDB, with a checkpoint per partition.

The changelog in Kafka is the source of truth. The store is a copy of it, for a quick restart and for more rows than fit
in memory. It may be behind the changelog, never ahead, and may be deleted at any time. A `PartitionStore` holds the
rows of one partition in a column family of its own, and under the empty key its `StoreCheckpoint`: the changelog offset
up to which the rows are complete. Rows and checkpoint are written in one batch, so after a kill both are as before the
batch or both as after it.

A store that cannot be trusted is deleted when it is opened: it belongs to another installation, number of partitions
or row layout, RocksDB cannot read it, or it has failed before.
"""

from __future__ import annotations

import fcntl
import logging
import os
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final
from zlib import crc32

import msgspec
import rocksdict
from msgspec import Struct

log = logging.getLogger("callpulse")

FORMAT: Final = 1
_MIB: Final = 1 << 20
MEMTABLES: Final = 64 * _MIB
SMALL_MEMTABLES: Final = 16 * _MIB
"""For a copy of rows that are in memory: it is read once, at the start."""
_CHECKPOINT_KEY: Final = b""  # no row has an empty key
_IDENTITY: Final = b"identity"
_BROKEN: Final = "broken"


class StoreLockedError(OSError):
    """Another process has the folder."""


class StoreError(RuntimeError):
    """The store failed. It is deleted when it is opened the next time, and restored from the changelog."""


class StoreCheckpoint(Struct, frozen=True, array_like=True):
    """The point of the changelog up to which the rows of a partition are complete.

    `offset` is the next offset of the changelog (0: the store is empty). `check` is a checksum of the record before it;
    it shows whether a changelog is the one that the store was made from. `at_ms` is the last moment at which the rows
    were known to be complete, and `rows` is their number.
    """

    offset: int = 0
    check: int = 0
    at_ms: int = 0
    rows: int = 0


NO_CHECKPOINT: Final = StoreCheckpoint()
_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder(StoreCheckpoint).decode


def checksum(key: bytes, value: bytes | None) -> int:
    """Return the checksum of a changelog record, for `StoreCheckpoint.check`; never 0."""
    return crc32(b"" if value is None else value, crc32(key)) or 1


class PartitionStore:
    """The rows of one partition, as the changelog holds them. Made by `Store.partition`."""

    def __init__(self, store: Store, name: str, family: Any) -> None:
        self._store = store
        self._name = name
        self._family = family
        packed = self._guarded(family.get, _CHECKPOINT_KEY)
        self.checkpoint: StoreCheckpoint = NO_CHECKPOINT if packed is None else _decode(packed)

    def get(self, key: bytes) -> bytes | None:
        """Return the value of a row, None where there is none."""
        value: bytes | None = self._guarded(self._family.get, key)
        return value

    def get_many(self, keys: Sequence[bytes]) -> list[bytes | None]:
        """Return the values of `keys` in their order; in a third of the time of as many calls of `get`."""
        if not keys:
            return []
        values: list[bytes | None] = self._guarded(self._family.get, list(keys))
        return values

    def write(self, changes: Mapping[bytes, bytes | None], checkpoint: StoreCheckpoint) -> None:
        """Put rows (None removes one) and set the checkpoint, in one batch."""
        batch = rocksdict.WriteBatch(raw_mode=True)
        batch.set_default_column_family(self._store.handle(self._name))
        for key, value in changes.items():
            if value is None:
                batch.delete(key)
            else:
                batch.put(key, value)
        batch.put(_CHECKPOINT_KEY, _encode(checkpoint))
        self._guarded(self._store.database.write, batch)
        self.checkpoint = checkpoint

    def scan(self, after: bytes = b"") -> Iterator[tuple[bytes, bytes]]:
        """Yield the rows with keys behind `after`, in the order of their keys, as they are at the start."""
        found = self._guarded(self._family.items, from_key=after)
        while (item := self._guarded(next, found, None)) is not None:
            if item[0] > after:
                yield item

    def clear(self) -> None:
        """Delete the rows and the checkpoint."""
        self._family = self._guarded(self._store.emptied, self._name)
        self.checkpoint = NO_CHECKPOINT

    def close(self) -> None:
        """Drop the handle of the column family: RocksDB stays open while a handle exists."""
        self._family.close()

    def _guarded(self, act: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        try:
            return act(*args, **kwargs)
        except Exception as error:
            self._store.mark_corrupt()
            raise StoreError(f"the store in {self._store.folder} failed and will be restored: {error}") from error


class Store:
    """The rows of one table of one worker, in `folder`. Open it before use. One process at a time can open it.

    `identity` names the origin of the rows. A store with another identity is deleted. `memtables` bounds the memory for
    rows that are not in files yet, in bytes; a quarter of it is the cache of indexes, filters and blocks.
    """

    def __init__(self, folder: Path, identity: Mapping[str, str | int], memtables: int = MEMTABLES) -> None:
        self.folder = folder
        self._rows = folder / "rows"
        self._identity = msgspec.json.encode({"format": FORMAT, **identity}, order="sorted")
        self._lock: int | None = None
        self._database: Any = None
        self._handles: dict[str, Any] = {}
        self._partitions: dict[int, PartitionStore] = {}
        self._options = _options(memtables)

    @property
    def database(self) -> Any:
        """The RocksDB database. Raise StoreError where the store is not open."""
        if self._database is None:
            raise StoreError(f"the store in {self.folder} is not open")
        return self._database

    @property
    def is_open(self) -> bool:
        """True while the store can be used."""
        return self._database is not None

    def open(self) -> None:
        """Open the store; an empty one if there is none or it cannot be trusted.

        Raise StoreLockedError where another process has it, OSError where the folder cannot be used.
        """
        if self.is_open:
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        self._lock = self._locked()
        try:
            if (self.folder / _BROKEN).exists():
                self._throw_away("it failed the last time")
            try:
                self._open_rows()
            except Exception as error:  # noqa: BLE001 - RocksDB's errors have no type of their own
                self._close_rows()
                self._throw_away(str(error))
                self._open_rows()
            if self._database.get(_IDENTITY) != self._identity:
                if self._partition_names():
                    self._close_rows()
                    self._throw_away("it is of another installation or release")
                    self._open_rows()
                self._database.put(_IDENTITY, self._identity)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Close the store if it is open, so that another process can open it."""
        self._close_rows()
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def partition(self, partition: int) -> PartitionStore:
        """Return the rows of `partition`, always the same object while the store is open."""
        found = self._partitions.get(partition)
        if found is None:
            name = str(partition)
            if name in self._partition_names():
                family = self.database.get_column_family(name)
            else:
                family = self.database.create_column_family(name, self._options)
            found = self._partitions[partition] = PartitionStore(self, name, family)
        return found

    def mark_corrupt(self) -> None:
        """Mark the store so that it is deleted when it is opened the next time."""
        if self.is_open:  # errors after closing are no failures
            (self.folder / _BROKEN).touch()

    # -- for partitions

    def handle(self, name: str) -> Any:
        """Return RocksDB's handle of a column family, for a batch."""
        found = self._handles.get(name)
        if found is None:
            found = self._handles[name] = self.database.get_column_family_handle(name)
        return found

    def emptied(self, name: str) -> Any:
        """Return the column family `name` with nothing in it."""
        self._handles.pop(name, None)
        self.database.drop_column_family(name)
        return self.database.create_column_family(name, self._options)

    # -- within

    def _locked(self) -> int:
        lock = os.open(self.folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock)
            raise StoreLockedError(
                f"another worker has its rows in {self.folder}: no two workers may have the same worker.id "
                "and worker.data_dir"
            ) from None
        return lock

    def _open_rows(self) -> None:
        names = rocksdict.Rdict.list_cf(str(self._rows)) if (self._rows / "CURRENT").exists() else []
        families = {name: self._options for name in names if name != "default"}
        self._database = rocksdict.Rdict(str(self._rows), self._options, column_families=families or None)

    def _close_rows(self) -> None:
        for partition in self._partitions.values():
            partition.close()
        self._partitions.clear()
        self._handles.clear()
        if self._database is not None:
            self._database.close()
            self._database = None

    def _partition_names(self) -> set[str]:
        names = rocksdict.Rdict.list_cf(str(self._rows), self._options)
        return {name for name in names if name != "default"}

    def _throw_away(self, why: str) -> None:
        log.warning("the rows in %s are restored from the changelog: %s", self.folder, why)
        shutil.rmtree(self._rows, ignore_errors=True)
        (self.folder / _BROKEN).unlink(missing_ok=True)


def now_ms() -> int:
    """Return the time, for `StoreCheckpoint.at_ms`."""
    return int(time.time() * 1000)


def _options(memtables: int) -> rocksdict.Options:
    """Return the options of the column families, which share one bound on memory."""
    options = rocksdict.Options(raw_mode=True)
    options.create_if_missing(True)
    options.set_write_buffer_manager(rocksdict.WriteBufferManager(memtables, allow_stall=False))
    options.set_write_buffer_size(memtables // 4)
    options.set_max_write_buffer_number(3)
    options.set_max_total_wal_size(2 * memtables)
    options.set_max_background_jobs(2)
    options.set_max_open_files(256)
    options.set_keep_log_file_num(1)
    options.set_max_log_file_size(_MIB)
    options.set_stats_dump_period_sec(0)
    options.set_skip_stats_update_on_db_open(True)
    options.set_compression_type(rocksdict.DBCompressionType.lz4())
    # After a crash of the machine the write-ahead log may be cut off. All records before the cut are consistent.
    options.set_wal_recovery_mode(rocksdict.DBRecoveryMode.point_in_time())
    table = rocksdict.BlockBasedOptions()
    table.set_block_cache(rocksdict.Cache(memtables // 4))
    table.set_cache_index_and_filter_blocks(True)
    table.set_pin_l0_filter_and_index_blocks_in_cache(True)
    table.set_bloom_filter(10, block_based=False)
    table.set_format_version(5)
    options.set_block_based_table_factory(table)
    return options

"""Fetched records are taken out of aiokafka by the batch in which Kafka stores them.

aiokafka returns one record after the other through a generator, wrapped into an object that repeats the topic, the
partition and sizes. That costs as much as decoding an event. Here a fetch returns its batches whole, and the records
are those that the client's native code makes. Checksums are checked, and markers of transactions and records of aborted
transactions are skipped, as in the client. The position moves behind them.
"""

# ruff: noqa: SLF001 - aiokafka's fetcher has no public side; agents/kafka/internals.py checks what is used of it

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from typing import Any, Final
from weakref import ref

from aiokafka.consumer.fetcher import READ_COMMITTED, FetchResult
from aiokafka.errors import CorruptRecordException

_LARGEST_PIECE: Final = 256


class BatchedFetches(OrderedDict[Any, Any]):
    """Replaces `Fetcher._records`: every fetch that is put into it is taken out by the batch."""

    def __init__(self, most: int) -> None:
        super().__init__()
        self._most = most

    def __setitem__(self, tp: Any, fetched: Any) -> None:
        if type(fetched) is FetchResult:
            take_by_batch(fetched, self._most)
        super().__setitem__(tp, fetched)


def take_all_by_batch(consumer: Any) -> None:
    """Let all that an aiokafka `consumer` fetches be taken out by the batch. Call it before the first record is taken.

    Calling it again does nothing.
    """
    fetcher = consumer._fetcher
    if type(fetcher._records) is not BatchedFetches:
        batched = BatchedFetches(consumer._max_poll_records)
        for tp, fetched in fetcher._records.items():
            batched[tp] = fetched
        fetcher._records = batched


def take_by_batch(fetched: Any, most: int) -> None:
    """Let a `FetchResult` from which nothing was taken yet be taken out by the batch, up to `most` records at once."""
    unpacked = fetched._partition_records
    piece = min(_LARGEST_PIECE, most)
    unpacked._records_iterator = _pieces(unpacked, piece)
    fetched.getall = _Take(fetched, piece)


class _Take:
    """Replaces `FetchResult.getall`. It holds its result weakly: a cycle would stay after `gc.freeze`."""

    __slots__ = ("_fetched", "_piece")

    def __init__(self, fetched: Any, piece: int) -> None:
        self._fetched = ref(fetched)
        self._piece = piece

    def __call__(self, max_records: int) -> list[Any]:
        """Return up to so many records in whole pieces; none where not even one piece is sure to fit."""
        fetched = self._fetched()
        assert fetched is not None  # noqa: S101 - it is what was called
        if (
            max_records < self._piece
            or not fetched.check_assignment(fetched._topic_partition)
            or not fetched.has_more()
        ):
            return []
        taken: list[Any] = []
        for piece in fetched._partition_records:
            taken += piece
            if len(taken) + self._piece > max_records:
                fetched._update_position()
                return taken
        fetched._update_position()
        fetched._partition_records = None
        return taken


def _pieces(unpacked: Any, most: int) -> Iterator[list[Any]]:
    """Yield the records in short lists; `next_fetch_offset` is behind the last one each time."""
    fetched = unpacked._records
    while fetched.has_next():
        batch = fetched.next_batch()
        if unpacked._check_crcs and not batch.validate_crc():
            raise CorruptRecordException(f"Invalid CRC - {unpacked._tp}")
        if not _is_aborted(unpacked, batch) and not batch.is_control_batch:
            records = list(batch)
            if records and records[0].offset < unpacked.next_fetch_offset:
                # A fetch begins with the batch that holds its offset.
                records = [record for record in records if record.offset >= unpacked.next_fetch_offset]
            for start in range(0, len(records), most):
                piece = records[start : start + most]
                unpacked.next_fetch_offset = piece[-1].offset + 1
                yield piece
        # Also behind records that compaction removed from the end of the batch.
        unpacked.next_fetch_offset = batch.next_offset


def _is_aborted(unpacked: Any, batch: Any) -> bool:
    """Return whether the records of `batch` belong to a transaction that was aborted.

    A fetch comes with the first offsets of its aborted transactions by producer. The marker of an abort ends one.
    """
    if unpacked._isolation_level != READ_COMMITTED or batch.producer_id is None:
        return False
    unpacked._consume_aborted_up_to(batch.base_offset)
    if batch.is_control_batch and unpacked._contains_abort_marker(batch):
        unpacked._aborted_producers.discard(batch.producer_id)
    return bool(batch.is_transactional and batch.producer_id in unpacked._aborted_producers)

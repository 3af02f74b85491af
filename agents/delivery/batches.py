"""Unpacking: what the client has fetched becomes records by the batch in which Kafka keeps them.

aiokafka hands out one record after the other through a generator, wrapped into an object that repeats the topic, the
partition and sizes: as costly as decoding an event. Here a fetch gives its batches whole, and the records are those
that the client's native code makes. Checksums are checked, markers of transactions are passed over, and the position
moves as in the client that reads uncommitted records, which is what Faust asks for. Records of aborted transactions are
handed out too. The client's filter for `read_committed` is not here.
"""

# ruff: noqa: SLF001 - aiokafka's fetcher has no public side

from __future__ import annotations

from collections.abc import Iterator
from inspect import GEN_CREATED, getgeneratorstate
from typing import Any, Final
from weakref import ref

from aiokafka.errors import CorruptRecordException

_LARGEST_PIECE: Final = 256


def by_batch(stored: Any, most: int) -> None:
    """Let `stored`, what aiokafka has fetched of a partition, be taken out by the batch, up to `most` records at once.

    What is being taken out one by one already stays so: the rest of its batch is with the generator.
    """
    unpacked = getattr(stored, "_partition_records", None)
    if unpacked is None or getgeneratorstate(unpacked._records_iterator) != GEN_CREATED:
        return
    piece = min(_LARGEST_PIECE, most)
    unpacked._records_iterator = _pieces(unpacked, piece)
    stored.getall = _Take(stored, piece)


class _Take:
    """Stands for `FetchResult.getall`, and does not keep its result alive: a ring would stay where it was frozen."""

    __slots__ = ("_piece", "_stored")

    def __init__(self, stored: Any, piece: int) -> None:
        self._stored = ref(stored)
        self._piece = piece

    def __call__(self, max_records: int) -> list[Any]:
        """Return up to so many records in whole pieces; none where not even one piece is sure to fit."""
        stored = self._stored()
        assert stored is not None  # noqa: S101 - it is what was called
        if max_records < self._piece or not stored.check_assignment(stored._topic_partition) or not stored.has_more():
            return []
        taken: list[Any] = []
        for piece in stored._partition_records:
            taken += piece
            if len(taken) + self._piece > max_records:
                stored._update_position()
                return taken
        stored._update_position()
        stored._partition_records = None
        return taken


def _pieces(unpacked: Any, most: int) -> Iterator[list[Any]]:
    """Yield the records in short lists; `next_fetch_offset` is behind the last one each time."""
    fetched = unpacked._records
    while fetched.has_next():
        batch = fetched.next_batch()
        if unpacked._check_crcs and not batch.validate_crc():
            raise CorruptRecordException(f"Invalid CRC - {unpacked._tp}")
        if not batch.is_control_batch:
            records = list(batch)
            if records and records[0].offset < unpacked.next_fetch_offset:
                # A fetch begins with the batch that holds its offset.
                records = [record for record in records if record.offset >= unpacked.next_fetch_offset]
            for start in range(0, len(records), most):
                piece = records[start : start + most]
                unpacked.next_fetch_offset = piece[-1].offset + 1
                yield piece
        # Behind what was removed from its end by compaction, too.
        unpacked.next_fetch_offset = batch.next_offset

"""Taking records out by the batch gives the same records and the same position as aiokafka's own fetcher."""

from __future__ import annotations

import gc
import weakref
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka.consumer.fetcher import READ_COMMITTED, READ_UNCOMMITTED, FetchError, FetchResult, PartitionRecords
from aiokafka.errors import CorruptRecordException
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from aiokafka.record.memory_records import MemoryRecords
from aiokafka.structs import TopicPartition

from agents.delivery.batches import BatchedFetches, take_all_by_batch

TP = TopicPartition("calls", 0)


def kafka_batch(offsets: list[int], producer_id: int = -1) -> bytearray:
    """Records with keys and values that name their offsets, as the log keeps them; of a transaction with a producer."""
    builder = DefaultRecordBatchBuilder(
        magic=2, compression_type=0, is_transactional=int(producer_id >= 0), producer_id=producer_id,
        producer_epoch=0 if producer_id >= 0 else -1, base_sequence=0 if producer_id >= 0 else -1,
        batch_size=1 << 20,
    )  # fmt: skip
    for offset in offsets:
        name = str(offset).encode()
        assert builder.append(offset - offsets[0], timestamp=1_700_000_000_000, key=name, value=b"v" + name, headers=[])
    made = bytearray(builder.build())
    made[:8] = offsets[0].to_bytes(8, "big")  # set by the broker; the checksum does not cover it
    return made


class Fetched:
    """A fetch of one partition: the log's bytes, and the position that the client keeps."""

    def __init__(
        self,
        log: bytes,
        position: int,
        *,
        hooked: bool,
        most: int = 500,
        aborted: list[tuple[int, int]] | None = None,
    ) -> None:
        self.state = SimpleNamespace(paused=False, position=position, consumed_to=self.moved)
        assignment = SimpleNamespace(state_value=lambda _: self.state, active=True)
        level = READ_UNCOMMITTED if aborted is None else READ_COMMITTED
        check_crcs = aborted is None  # markers are made by hand
        unpacked = PartitionRecords(TP, MemoryRecords(log), aborted, position, None, None, check_crcs, level)
        self.result: Any = FetchResult(TP, assignment=assignment, partition_records=unpacked, backoff=0)
        self.most = most
        if hooked:
            BatchedFetches(most)[TP] = self.result

    def moved(self, position: int) -> None:
        self.state.position = position

    def take(self, most: int | None = None) -> list[tuple[int, bytes, bytes]]:
        return [
            (record.offset, record.key, record.value)
            for record in self.result.getall(self.most if most is None else most)
        ]


LOG = b"".join(
    [
        kafka_batch(list(range(100, 180))),
        kafka_batch([180]),
        kafka_batch(list(range(200, 203))),  # the log has holes where it was compacted
        kafka_batch(list(range(203, 1203))),
    ]
)


@pytest.fixture(autouse=True)
def _assigned(monkeypatch: pytest.MonkeyPatch) -> None:
    def check(self: FetchResult, _: Any) -> bool:
        return bool(self._assignment.state_value(TP).position == self._partition_records.next_fetch_offset)

    monkeypatch.setattr(FetchResult, "check_assignment", check)


@pytest.mark.parametrize("position", [100, 101, 179, 180, 181, 200, 500, 1202])
@pytest.mark.parametrize("most", [1, 7, 256, 500, 5000])
def test_all_records_from_the_position_on_come_out_in_order_and_once(position: int, most: int) -> None:
    plain, hooked = (Fetched(LOG, position, hooked=hooked, most=most) for hooked in (False, True))
    expected: list[Any] = []
    while plain.result.has_more():
        expected += plain.take()
    found: list[Any] = []
    while hooked.result.has_more():
        taken = hooked.take()
        assert len(taken) <= most
        found += taken
        if taken:
            assert hooked.state.position >= taken[-1][0] + 1
    assert found == expected
    assert hooked.state.position == plain.state.position == 1203


def test_fetches_before_and_after_the_first_take_are_taken_out_by_the_batch() -> None:
    early, late = (Fetched(LOG, 100, hooked=False) for _ in range(2))
    fetcher = SimpleNamespace(_records={TP: early.result})
    consumer = SimpleNamespace(_fetcher=fetcher, _max_poll_records=500)
    take_all_by_batch(consumer)
    fetcher._records[TP] = late.result
    take_all_by_batch(consumer)
    for fetched in (early, late):
        assert fetched.take(255) == []  # no whole piece fits
    assert list(fetcher._records.items()) == [(TP, late.result)]


def test_an_error_of_a_fetch_stays_as_it_is() -> None:
    error = FetchError(error=ValueError("x"), backoff=0)
    fetches = BatchedFetches(500)
    fetches[TP] = error
    assert fetches[TP] is error


def test_a_turn_that_is_nearly_over_takes_nothing_and_loses_nothing() -> None:
    fetched = Fetched(LOG, 100, hooked=True)
    assert fetched.take(255) == []
    assert [offset for offset, _, _ in fetched.take(5000)] == [*range(100, 181), *range(200, 1203)]


def test_nothing_is_returned_once_the_position_was_sought_away() -> None:
    fetched = Fetched(LOG, 100, hooked=True)
    fetched.take(256)
    fetched.state.position = 100
    assert fetched.take() == []


def test_a_batch_whose_checksum_is_wrong_is_an_error_and_the_position_stays_before_it() -> None:
    broken = bytearray(kafka_batch(list(range(100, 180))))
    broken[-1] ^= 1
    fetched = Fetched(bytes(kafka_batch(list(range(90, 100))) + broken), 90, hooked=True)
    with pytest.raises(CorruptRecordException):
        fetched.take()
    assert fetched.state.position == 90


def marker(offset: int, producer_id: int, *, commit: bool) -> bytes:
    """The marker at the end of a transaction, as the broker writes it."""
    builder = DefaultRecordBatchBuilder(
        magic=2, compression_type=0, is_transactional=1, producer_id=producer_id, producer_epoch=0, base_sequence=-1,
        batch_size=1 << 10,
    )  # fmt: skip
    assert builder.append(0, timestamp=0, key=bytes([0, 0, 0, int(commit)]), value=bytes(6), headers=[])
    made = bytearray(builder.build())
    made[:8] = offset.to_bytes(8, "big")
    made[22] |= 0x20  # attributes: a control batch
    return bytes(made)


@pytest.mark.parametrize("position", [100, 101])
def test_records_of_aborted_transactions_are_left_out_as_in_the_client(position: int) -> None:
    log = b"".join(
        [
            kafka_batch([100, 101], producer_id=7),  # aborted at 107
            kafka_batch([102, 103], producer_id=8),  # committed at 106
            kafka_batch([104]),
            kafka_batch([105], producer_id=7),
            marker(106, 8, commit=True),
            marker(107, 7, commit=False),
            kafka_batch([108, 109], producer_id=7),  # committed at 110
            marker(110, 7, commit=True),
            kafka_batch([111], producer_id=8),  # aborted at 112
            marker(112, 8, commit=False),
        ]
    )
    aborted = [(7, 100), (8, 111)]
    plain, hooked = (Fetched(log, position, hooked=hooked, aborted=aborted) for hooked in (False, True))
    expected = plain.take()
    assert hooked.take() == expected
    assert hooked.state.position == plain.state.position == 113
    assert [offset for offset, _, _ in expected] == [at for at in (102, 103, 104, 108, 109) if at >= position]


def test_markers_of_transactions_are_no_records() -> None:
    control = kafka_batch([180])
    control[22] |= 0x20  # attributes: a control batch
    log = bytes(kafka_batch(list(range(100, 180)))) + bytes(control) + bytes(kafka_batch([181]))
    fetched = Fetched(log, 100, hooked=True)
    fetched.result._partition_records._check_crcs = False  # the marker above is made by hand
    assert [offset for offset, _, _ in fetched.take()] == [*range(100, 180), 181]


def test_what_was_taken_out_is_freed_without_a_collection() -> None:
    fetched = Fetched(LOG, 100, hooked=True, most=5000)
    while fetched.result.has_more():
        fetched.take()
    gone = weakref.ref(fetched.result)
    gc.disable()
    try:
        fetched.result = None
        assert gone() is None
    finally:
        gc.enable()

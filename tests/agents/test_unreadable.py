"""A batch that cannot be unpacked is an error that names its place, in each way of taking records."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace

import aiokafka.codec
import pytest
from aiokafka.errors import RecordTooLargeError
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from aiokafka.record.util import calc_crc32c

from agents.kafka.unreadable import UnreadableError, locating_errors
from tests.agents.test_batches import TP, Fetched, kafka_batch

ATTRIBUTES = 21
DATA = 61
GZIP, ZSTD, UNKNOWN = 1, 4, 5


def compressed(codec: int) -> bytearray:
    """A batch of one record at offset 110."""
    builder = DefaultRecordBatchBuilder(
        magic=2, compression_type=codec, is_transactional=0, producer_id=-1, producer_epoch=-1, base_sequence=-1,
        batch_size=1 << 20,
    )  # fmt: skip
    builder.append(0, timestamp=1_700_000_000_000, key=b"110", value=b"v" * 100, headers=[])
    made = bytearray(builder.build())
    made[:8] = (110).to_bytes(8, "big")
    return made


def summed(batch: bytearray) -> bytearray:
    """The batch with the checksum that its bytes have."""
    batch[17:21] = calc_crc32c(bytes(batch[ATTRIBUTES:])).to_bytes(4, "big")
    return batch


def wrong_checksum() -> bytearray:
    batch = compressed(0)
    batch[-1] ^= 1
    return batch


def unknown_codec() -> bytearray:
    batch = compressed(0)
    batch[ATTRIBUTES + 1] = UNKNOWN
    return summed(batch)


def damaged(codec: int) -> bytearray:
    batch = compressed(codec)
    batch[DATA:] = bytes(len(batch) - DATA)
    return summed(batch)


def wrong_length() -> bytearray:
    batch = compressed(0)
    batch[DATA] ^= 2  # the length of the record
    return summed(batch)


@pytest.mark.parametrize("hooked", [True, False], ids=["by the batch", "one by one"])
@pytest.mark.parametrize(
    ("broken", "cause", "advice"),
    [
        (wrong_checksum, "CRC", "damaged"),
        (unknown_codec, "codec", "compress with"),
        (lambda: damaged(GZIP), "BadGzipFile", "damaged"),
        (lambda: damaged(ZSTD), "DecompressionError", "damaged"),
        (wrong_length, "CorruptRecordException", "damaged"),
    ],
    ids=["checksum", "codec", "gzip", "zstd", "length"],
)
def test_the_place_of_a_batch_is_named(hooked: bool, broken: Callable[[], bytearray], cause: str, advice: str) -> None:
    fetched = Fetched(bytes(kafka_batch(list(range(100, 110))) + broken()), 100, hooked=hooked)
    told = raised(fetched)
    assert told.startswith(f"topic {TP.topic}, partition 0: cannot be read from offset 110 on (")
    assert cause in told
    assert advice in told


def test_a_codec_without_its_library_is_another_matter_than_damage(monkeypatch: pytest.MonkeyPatch) -> None:
    batch = bytes(compressed(ZSTD))
    monkeypatch.setattr(aiokafka.codec, "has_zstd", lambda: False)
    told = raised(Fetched(batch, 110, hooked=True))
    assert "offset 110" in told
    assert "cramjam" in told
    assert "damaged" not in told


def test_a_batch_that_is_cut_off_is_named() -> None:
    with pytest.raises(UnreadableError, match=r"calls, partition 0: cannot be read from offset 7 on .*cut off"):
        take(Fetched(b"", 0, hooked=False), RecordTooLargeError("%s=%s is larger than %s", TP, 7, 1 << 20))


def test_other_errors_pass() -> None:
    with pytest.raises(ValueError, match="another"):
        take(Fetched(bytes(kafka_batch([100])), 100, hooked=True), ValueError("another"))


def take(fetched: Fetched, error: Exception | None = None) -> None:
    with locating_errors(SimpleNamespace(_fetcher=SimpleNamespace(_records={TP: fetched.result}))):
        if error is not None:
            raise error
        fetched.take()


def raised(fetched: Fetched) -> str:
    with pytest.raises(UnreadableError) as caught:
        take(fetched)
    return str(caught.value)

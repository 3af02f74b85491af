"""Batches that cannot be read: their places, and the remedy.

aiokafka unpacks a batch only when its records are taken. Its errors seldom name the partition and never the offset.
Causes are a codec that is unknown or whose library is missing, a wrong checksum, and damaged data.
"""

# ruff: noqa: SLF001 - aiokafka's fetcher has no public side

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from inspect import GEN_CLOSED, getgeneratorstate
from typing import Any, Final

from aiokafka.consumer.fetcher import FetchResult
from aiokafka.errors import CorruptRecordException, RecordTooLargeError, UnsupportedCodecError

from agents.kafka.clients import KafkaUnusableError

_CODEC: Final = (
    "Install callpulse with all its dependencies (cramjam reads snappy, lz4 and zstd), or let the producer compress "
    "with a codec that Kafka defines."
)
_DAMAGED: Final = (
    "The batch there is damaged: look at it with kafka-dump-log.sh --deep-iteration, and restore the partition from a "
    "replica that is intact. To go on without the batch, where the topic is a source, stop all workers and move the "
    "committed offset of their group behind it (kafka-consumer-groups.sh --reset-offsets)."
)


class UnreadableError(KafkaUnusableError):
    """A batch cannot be read. The text names topic, partition, offset and remedy."""

    def __init__(self, topic: str, partition: int, offset: int, cause: BaseException) -> None:
        super().__init__(
            f"topic {topic}, partition {partition}: cannot be read from offset {offset} on ({_said(cause)}). "
            f"{_CODEC if isinstance(cause, UnsupportedCodecError) else _DAMAGED}"
        )


@contextmanager
def locating_errors(consumer: Any) -> Iterator[None]:
    """Raise UnreadableError for a batch that cannot be unpacked while records are taken from an aiokafka `consumer`.

    Other errors pass.
    """
    try:
        yield
    except RecordTooLargeError as error:
        # The error of aiokafka for a batch that ends before its length: a broker sends whole ones of any size.
        _, tp, offset, *_ = error.args
        cut = CorruptRecordException("the batch is cut off")
        raise UnreadableError(tp.topic, tp.partition, offset, cut) from error
    except Exception as error:
        place = _place(consumer)
        if place is None:
            raise
        raise UnreadableError(*place, error) from error


def _place(consumer: Any) -> tuple[str, int, int] | None:
    """Return topic, partition and offset of the batch whose unpacking has failed; None where none has.

    A generator that raised is closed and stays with what was fetched. One that came to its end is removed with it.
    """
    for tp, stored in consumer._fetcher._records.items():
        unpacked: Any = stored._partition_records if isinstance(stored, FetchResult) else None
        generator = getattr(unpacked, "_records_iterator", None)
        if generator is not None and getgeneratorstate(generator) == GEN_CLOSED:
            return tp.topic, tp.partition, unpacked.next_fetch_offset
    return None


def _said(error: BaseException) -> str:
    """Return the error's name and text; aiokafka's own errors begin with their name."""
    name, text = type(error).__name__, str(error).strip()
    return text if name in text else f"{name}: {text}" if text else name

"""Dead letters: refused records, kept unchanged, with the reason and their origin.

The value of a dead letter is the record's value, byte for byte. Its key is `topic:partition:offset`, so that a letter
that is sent twice counts once. The rest is in headers. Of a value larger than `MAX_KEPT` only the beginning is kept.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from faust.types import TP

from streams.contract.events import Rejection

MAX_KEPT: Final = 2 * 1024 * 1024
REASON: Final = "reason"
DETAIL: Final = "detail"
TOPIC: Final = "topic"
PARTITION: Final = "partition"
OFFSET: Final = "offset"
KEY: Final = "key"  # absent where the record had none
HAD_VALUE: Final = "had_value"  # "0" where the record had a null, not an empty value
SOURCE: Final = "source"  # of a part of a delivery: it was in no topic, and has no place there
WHERE: Final = "where"
CUT: Final = "cut"  # the length of a value of which only the beginning is kept, or nothing


class DeadLetter(NamedTuple):
    """A record of topic `rejected`."""

    key: bytes
    value: bytes
    headers: list[tuple[str, bytes]]


def without_content(tp: TP, record: Any, rejection: Rejection) -> DeadLetter:
    """Return the dead letter for a record that may hold spoken words: its place, reason and length only."""
    headers = [
        (REASON, rejection.reason.encode()),
        (DETAIL, rejection.detail.encode()),
        (TOPIC, tp.topic.encode()),
        (PARTITION, str(tp.partition).encode()),
        (OFFSET, str(record.offset).encode()),
        (HAD_VALUE, b"0" if record.value is None else b"1"),
    ]
    if record.value:
        headers.append((CUT, str(len(record.value)).encode()))
    return DeadLetter(f"{tp.topic}:{tp.partition}:{record.offset}".encode(), b"", headers)


def dead_letter(tp: TP, record: Any, rejection: Rejection) -> DeadLetter:
    """Return the dead letter for a record of partition `tp`."""
    value = b"" if record.value is None else bytes(record.value)
    headers = [
        (REASON, rejection.reason.encode()),
        (DETAIL, rejection.detail.encode()),
        (TOPIC, tp.topic.encode()),
        (PARTITION, str(tp.partition).encode()),
        (OFFSET, str(record.offset).encode()),
        (HAD_VALUE, b"0" if record.value is None else b"1"),
    ]
    if record.key is not None:
        headers.append((KEY, bytes(record.key)))
    if len(value) > MAX_KEPT:
        headers.append((CUT, str(len(value)).encode()))
        value = value[:MAX_KEPT]
    return DeadLetter(f"{tp.topic}:{tp.partition}:{record.offset}".encode(), value, headers)


def of_source(source: str, reason: str, detail: str, where: str, shape: bytes, at_ns: int, number: int) -> DeadLetter:
    """Return the dead letter for a part of a source's delivery. `shape` replaces its bytes, which are not kept.

    `at_ns` and `number` distinguish the letters of a source.
    """
    headers = [
        (REASON, reason.encode()),
        (DETAIL, detail.encode()),
        (SOURCE, source.encode()),
        (WHERE, where.encode()),
    ]
    return DeadLetter(f"source:{source}:{at_ns}:{number}".encode(), shape, headers)

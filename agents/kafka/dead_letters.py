"""Dead letters for the commands: read them, and send their records back to their topics.

A letter stays in the topic `rejected` until its retention is over. One that was sent back is marked by a second letter
with the same key, so that it is not sent back again. A letter is sent before it is marked: if the process dies in
between, the record is sent twice, and the worker recognises the second by its id.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import Any, Final

from msgspec import Struct

from agents.kafka import dead_letter as rejected
from agents.kafka.clients import full_name
from agents.kafka.producer import BatchProducer
from agents.kafka.reading import records_to_end
from streams.contract import topics
from streams.settings.settings import Kafka

REDRIVEN: Final = "redriven_at"


class Letter(Struct, kw_only=True):
    """A refused record: its origin, the reason, and its bytes.

    A part of a source's delivery has a `source` and its place there, `where`, and no topic (partition and offset are
    -1). Its value is the shape of its bytes, so it cannot be sent back.

    `at_ms` is the moment of its refusal (the broker's clock). `value` is None where the record had none. `cut` is the
    length of a value of which only the beginning was kept, else 0. `redriven_ms` is the moment at which it was sent
    back, 0 if it was not.
    """

    id: str
    topic: str
    partition: int
    offset: int
    reason: str
    detail: str
    at_ms: int
    key: bytes | None
    value: bytes | None
    size: int
    cut: int = 0
    redriven_ms: int = 0
    source: str = ""
    where: str = ""


class Filter(Struct, frozen=True, kw_only=True):
    """A choice of letters. An empty set means any; they were refused in `[since_ms, until_ms)`."""

    reasons: frozenset[str] = frozenset()
    topics: frozenset[str] = frozenset()
    since_ms: int = 0
    until_ms: int | None = None
    redriven: bool = True

    def takes(self, letter: Letter) -> bool:
        """Return whether the letter is in the choice. A topic may be given without the prefix of the installation."""
        return (
            (not self.reasons or letter.reason in self.reasons)
            and (not self.topics or letter.topic in self.topics or letter.topic.rpartition(".")[2] in self.topics)
            and letter.at_ms >= self.since_ms
            and (self.until_ms is None or letter.at_ms < self.until_ms)
            and (self.redriven or not letter.redriven_ms)
        )


class Redriven(Struct, kw_only=True):
    """The result of sending letters back. `cut` counts those of which only a part was kept: they cannot go back."""

    sent: int = 0
    cut: int = 0
    by_topic: dict[str, int] = {}


async def read(kafka: Kafka, wanted: Filter, on_progress: Callable[[int], None] = lambda _count: None) -> list[Letter]:
    """Return the present letters, oldest first, each once. Raises KafkaUnusableError."""
    letters: dict[str, Letter] = {}
    marks: dict[str, int] = {}
    async for record in records_to_end(kafka, full_name(kafka, topics.REJECTED)):
        on_progress(1)
        headers = dict(record.headers)
        name = (record.key or b"").decode(errors="replace")
        if REDRIVEN in headers:
            marks[name] = record.timestamp
        elif (letter := _letter(name, record, headers)) is not None:
            letters.setdefault(name, letter)
    for name, at_ms in marks.items():
        if name in letters:
            letters[name].redriven_ms = at_ms
    return sorted(filter(wanted.takes, letters.values()), key=lambda letter: (letter.at_ms, letter.id))


async def redrive(
    kafka: Kafka, letters: Iterable[Letter], on_progress: Callable[[int], None] = lambda _count: None
) -> Redriven:
    """Send letters back to their topics with their own keys and bytes, and mark them. Raises KafkaUnusableError.

    Letters of sources have no topic, and must not be among them.
    """
    done = Redriven()
    marked = []
    async with BatchProducer(kafka) as producer:
        for letter in letters:
            if letter.cut:
                done.cut += 1
                continue
            # Without a key only the earlier partition can decide.
            partition = letter.partition if letter.key is None else None
            await producer.add(letter.topic, letter.key, letter.value, partition=partition)
            done.by_topic[letter.topic] = done.by_topic.get(letter.topic, 0) + 1
            done.sent += 1
            marked.append(letter.id)
            on_progress(1)
        await producer.flush()
        now = str(int(time.time() * 1000)).encode()
        for name in marked:
            await producer.add(full_name(kafka, topics.REJECTED), name.encode(), b"", [(REDRIVEN, now)])
    return done


def _letter(name: str, record: Any, headers: dict[str, bytes]) -> Letter | None:
    """Return the letter in a record of `rejected`; None for a record without one."""
    try:
        had_value = headers.get(rejected.HAD_VALUE, b"1") != b"0"
        value = bytes(record.value or b"") if had_value else None
        cut = int(headers.get(rejected.CUT, b"0"))
        source = headers.get(rejected.SOURCE, b"").decode()
        return Letter(
            id=name,
            topic="" if source else headers[rejected.TOPIC].decode(),
            partition=-1 if source else int(headers[rejected.PARTITION]),
            offset=-1 if source else int(headers[rejected.OFFSET]),
            source=source,
            where=headers.get(rejected.WHERE, b"").decode(errors="replace"),
            reason=headers[rejected.REASON].decode(),
            detail=headers.get(rejected.DETAIL, b"").decode(errors="replace"),
            at_ms=record.timestamp,
            key=headers.get(rejected.KEY),
            value=value,
            size=cut or len(value or b""),
            cut=cut,
        )
    except (KeyError, ValueError):
        return None

"""Imports exported files: the pieces of a file go through its adapter, and the events to a sink.

An import may be broken off and run again, and files may overlap: a row gives the same ids, and events that are already
in the topics are not sent again.
"""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path
from typing import Final

from msgspec import Struct

from agents.gateway.entries import identity, named
from agents.gateway.kafka_sink import KafkaSink
from agents.gateway.recent_ids import RecentIds
from agents.gateway.sink import NotStoredError, Sink
from agents.kafka.clients import full_name
from agents.kafka.reading import records_to_end
from streams.contract import topics
from streams.contract.events import Event
from streams.settings.settings import Kafka
from streams.sources.files.reader import FileReader
from streams.sources.files.text import UnreadableFileError
from streams.sources.frame import Refused, Translation

PIECE: Final = 256 * 1024
_BATCH: Final = 500
_MOST_IN_FLIGHT: Final = 8
_PATIENCE_S: Final = 120.0
_MOST_LETTERS: Final = 1_000
_FIRST: Final = 5
_LOOK_EVERY_S: Final = 0.1


class Problem(Struct):
    """Rows that were refused for one reason: how many, the first of them, and the shape of one."""

    reason: str
    detail: str
    rows: int = 0
    first: list[str] = []
    shape: str = ""


class Imported(Struct, kw_only=True):
    """The result for one file. `stored` are new events, `known` the repeated ones. `error`: the file is unreadable."""

    path: str
    rows: int = 0
    events: int = 0
    stored: int = 0
    known: int = 0
    ignored: int = 0
    refused: int = 0
    problems: list[Problem] = []
    left_out: dict[str, int] = {}
    managers: dict[str, int] = {}
    error: str = ""

    def add(self, translation: Translation) -> None:
        """Count a part of the file."""
        self.events += len(translation.events)
        self.ignored += translation.ignored
        self.refused += len(translation.refused)
        known = {(problem.reason, problem.detail): problem for problem in self.problems}
        for row in translation.refused:
            problem = known.get((row.reason, row.detail))
            if problem is None:
                problem = known[row.reason, row.detail] = Problem(
                    row.reason, row.detail, shape=row.shape.decode()[:200]
                )
                self.problems.append(problem)
            problem.rows += 1
            if len(problem.first) < _FIRST:
                problem.first.append(row.where)
        for event in translation.events:
            if (manager := getattr(event, "manager", None)) is not None:
                self.managers[manager] = self.managers.get(manager, 0) + 1


def pieces(path: Path) -> Iterator[bytes]:
    """Yield the bytes of a file. Raises OSError."""
    with path.open("rb") as stream:
        while piece := stream.read(PIECE):
            yield piece


def translated(path: Path, reader: FileReader, on_bytes: Callable[[int], None]) -> Iterator[Translation]:
    """Yield the translations of the parts of a file. Raises OSError and UnreadableFileError."""
    for piece in pieces(path):
        yield reader.feed(piece)
        on_bytes(len(piece))
    yield reader.finish()


class Sender:
    """Gives events to a sink, some batches at a time, and leaves out those that are `known` to be there."""

    def __init__(self, sink: Sink, source: str, known: RecentIds, on_wait: Callable[[str], None]) -> None:
        self._sink = sink
        self._source = source
        self._known = known
        self._on_wait = on_wait
        self._tasks: deque[asyncio.Task[Counter[str]]] = deque()
        self._letters = 0
        self.results: Counter[str] = Counter()

    async def send(self, events: Sequence[Event], refused: Sequence[Refused]) -> None:
        """Begin to store events, and wait while too many are on their way. Raises NotStoredError."""
        new = [event for event in events if identity(event.source, event.id) not in self._known]
        self.results["duplicate"] += len(events) - len(new)
        for at in range(0, len(new), _BATCH):
            self._tasks.append(asyncio.create_task(self._store(new[at : at + _BATCH])))
            while len(self._tasks) > _MOST_IN_FLIGHT:
                self.results += await self._tasks.popleft()
        letters = refused[: max(0, _MOST_LETTERS - self._letters)]
        self._letters += len(letters)
        await self._sink.refuse(self._source, letters)

    async def finish(self) -> None:
        """Wait until all is stored. Raises NotStoredError."""
        while self._tasks:
            self.results += await self._tasks.popleft()

    async def cancel(self) -> None:
        """Give up the batches that are on their way."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _store(self, events: Sequence[Event]) -> Counter[str]:
        deadline = asyncio.get_running_loop().time() + _PATIENCE_S
        while True:
            try:
                return Counter(await self._sink.store(self._source, events))
            except NotStoredError as error:
                if asyncio.get_running_loop().time() + error.retry_after_s > deadline:
                    raise
                self._on_wait(str(error))
                await asyncio.sleep(error.retry_after_s)


async def import_file(
    path: Path, reader: FileReader, sender: Sender, on_bytes: Callable[[int], None] = lambda _count: None
) -> Imported:
    """Import one file. Raises OSError and NotStoredError; a file that is something else is an `error` of the result."""
    done = Imported(path=str(path))
    before = sender.results.copy()
    try:
        for translation in translated(path, reader, on_bytes):
            done.add(translation)
            await sender.send(translation.events, translation.refused)
    except UnreadableFileError as error:
        done.error = str(error)
    await sender.finish()
    finish(done, reader)
    done.stored = sender.results["accepted"] - before["accepted"]
    done.known = sender.results["duplicate"] - before["duplicate"]
    return done


async def drained(sink: KafkaSink, within_s: float = 60.0) -> bool:
    """Wait until nothing is left in the spool. Return False if something is: Kafka is away."""
    deadline = asyncio.get_running_loop().time() + within_s
    while sink.pipeline.is_spooling:
        if asyncio.get_running_loop().time() > deadline:
            return False
        await asyncio.sleep(_LOOK_EVERY_S)
    return True


def finish(done: Imported, reader: FileReader) -> None:
    """Take the counts of the reader."""
    done.rows = reader.rows
    done.left_out = dict(reader.left_out)


async def known_ids(
    kafka: Kafka,
    sources: Collection[str],
    memory_bytes: int,
    on_progress: Callable[..., None] = lambda *_: None,
    of: Sequence[topics.Topic] = (topics.CALLS, topics.CRM),
) -> RecentIds:
    """Return the ids of the events of these sources that the topics `of` hold. Raises KafkaUnusableError."""
    found = RecentIds(memory_bytes)
    marks = [source.encode() for source in sources]
    for topic in of:
        name = full_name(kafka, topic)
        async for record in records_to_end(kafka, name, on_total=lambda total: on_progress(0, total)):
            on_progress(1)
            value = record.value or b""
            if not any(mark in value for mark in marks):
                continue
            event = named(value)
            if event is not None and event.source in sources:
                found.add([identity(event.source, event.id)])
    return found

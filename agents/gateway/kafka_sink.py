"""The sink of the processes of the way in: Kafka, or the spool while Kafka is away, and the memory of duplicates."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from agents.exit import Fail, abort
from agents.gateway import tail
from agents.gateway.entries import Entry, identity, records_of, statement_record
from agents.gateway.folder import Folder, FolderError
from agents.gateway.metrics import GatewayMetrics
from agents.gateway.pipeline import Pipeline
from agents.gateway.recent_ids import RecentIds
from agents.gateway.sink import NotStoredError, Stored
from agents.gateway.spool import Spool
from agents.gateway.transactions import Transactions
from agents.kafka import dead_letter
from agents.kafka.clients import KafkaUnusableError
from agents.kafka.unreadable import UnreadableError
from streams.contract.events import Event
from streams.settings.settings import Settings
from streams.sources.frame import Refused, Statement

log = logging.getLogger("callpulse")

_START_S: Final = 10.0
_RETRY_S: Final = 5


class KafkaSink:
    """`async with KafkaSink(settings, "gateway") as sink`. Entering waits a while for Kafka, and goes on without it.

    `name` is the folder below `gateway.data_dir`; each process that runs at the same time needs another one. Raises
    FolderError for one that is in use or cannot be written. `fail` is called with a defect that ends the process.
    """

    def __init__(
        self, settings: Settings, name: str = "gateway", *, metrics: GatewayMetrics | None = None, fail: Fail = abort
    ) -> None:
        self.metrics = metrics or GatewayMetrics()
        self._kafka = settings.kafka
        self._settings = settings.gateway
        self._path = Path(settings.gateway.data_dir) / name
        self._fail = fail
        self._known = RecentIds(settings.gateway.memory_bytes)
        self._on_their_way: dict[int, Entry] = {}
        self._is_rebuilt = False
        self._last: Transactions | None = None
        self._resources = contextlib.AsyncExitStack()

    async def __aenter__(self) -> Self:
        async with self._resources:
            self._folder = Folder(self._path)
            self._resources.callback(self._folder.close)
            try:
                self.spool = Spool(self._path / "spool", self._settings.spool_max_bytes)
            except OSError as error:
                raise FolderError(f"{self._path / 'spool'} cannot be read: {error.strerror}.") from None
            self._resources.callback(self.spool.close)
            self._known.add(number for bundle in self.spool.bundles() for number in tail.ids_of(bundle))
            self._folder.skip_to(self.spool.last_position)
            self.pipeline = Pipeline(
                self._settings,
                self._folder,
                self.spool,
                begin=self._begin,
                on_stored=self._stored,
                on_dropped=self._forget,
                metrics=self.metrics,
                fail=self._fail,
            )
            self.pipeline.start()
            self._resources.push_async_callback(self.pipeline.close)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_START_S):
                    await self.pipeline.reached.wait()
            self._resources = self._resources.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._resources.aclose()

    async def store(self, source: str, events: Sequence[Event]) -> list[Stored]:
        """Store events; see `Sink.store`."""
        begun = time.perf_counter()
        results = await self._store(source, events)
        self.metrics.acknowledgement.observe(time.perf_counter() - begun)
        self.metrics.stored(source, events, results)
        return results

    async def _store(self, source: str, events: Sequence[Event]) -> list[Stored]:
        results: list[Stored] = []
        waiting: set[asyncio.Future[None]] = set()
        new: dict[int, Event] = {}
        for event in events:
            number = identity(event.source, event.id)
            earlier = self._on_their_way.get(number)
            if earlier is not None:
                if earlier.stored.done():
                    raise NotStoredError("it is not known yet whether Kafka has the event", _RETRY_S, maybe=True)
                waiting.add(earlier.stored)
            if earlier is not None or number in new or number in self._known:
                results.append("duplicate")
            else:
                new[number] = event
                results.append("accepted")
        if new:
            entry = self.pipeline.submit(source, records_of(new.values()), tuple(new))
            for number in new:
                self._on_their_way[number] = entry
            waiting.add(entry.stored)
        await _all(waiting)
        return results

    async def keep(self, source: str, statements: Sequence[Statement]) -> None:
        """Keep statements; see `StatementSink.keep`. A repeat is kept again: it does not change a join."""
        entry = self.pipeline.submit(source, [statement_record(source, one) for one in statements], ())
        await asyncio.wait([entry.stored])
        entry.stored.result()
        self.metrics.heard(source)

    async def refuse(self, source: str, refused: Sequence[Refused]) -> None:
        """Write dead letters; see `Sink.refuse`."""
        if not refused:
            return
        self.metrics.rejected(source, [part.reason for part in refused])
        letters = [
            dead_letter.of_source(source, part.reason, part.detail, part.where, part.shape, time.time_ns(), number)
            for number, part in enumerate(refused)
        ]
        try:
            entry = self.pipeline.submit(source, [("rejected", *letter) for letter in letters], ())
            await _all({entry.stored})
        except NotStoredError as error:
            self.metrics.dead_letters_lost(source, len(letters))
            log.warning("%d dead letters of %s are lost: %s", len(letters), source, error)

    def why_not_ready(self) -> list[str]:
        """Return in words why events cannot be stored now; an empty list when they can."""
        if self.pipeline.is_spooling and self.spool.is_full:
            return [f"the spool is full: {self.pipeline.trouble or 'it is being sent to Kafka'}"]
        return []

    def refresh(self) -> None:
        """Bring the gauges up to date. Called at every scrape."""
        oldest_us = self.pipeline.oldest_spooled_us
        age_s = 0.0 if oldest_us is None else max(0.0, time.time() - oldest_us / 1_000_000)
        for name, value in (
            ("in_flight_events", self.pipeline.in_flight),
            ("spool_bytes", self.spool.size),
            ("spool_max_bytes", self._settings.spool_max_bytes),
            ("spool_oldest_seconds", age_s),
            ("kafka_reachable", self.pipeline.reached.is_set()),
        ):
            self.metrics.gauge(name).set(value)
        self.metrics.refresh()

    async def _begin(self) -> Transactions:
        self._last = transactions = await Transactions.begin(self._kafka, self._folder.identity, self._last)
        if not self._is_rebuilt:
            try:
                self._known.add(await tail.recent(self._kafka, self._settings.memory_rebuild_ms))
            except UnreadableError as error:
                log.warning("repeats of events before this start are not known: %s", error)
            except KafkaUnusableError:
                await transactions.close()
                raise
            self._is_rebuilt = True
        return transactions

    def _stored(self, entry: Entry) -> None:
        self._known.add(entry.ids)
        self._forget(entry)

    def _forget(self, entry: Entry) -> None:
        for number in entry.ids:
            if self._on_their_way.get(number) is entry:
                del self._on_their_way[number]


async def _all(waiting: set[asyncio.Future[None]]) -> None:
    """Wait for all entries. The end of one request must not cancel the entries that others wait for."""
    if len(waiting) == 1:
        await asyncio.shield(next(iter(waiting)))  # half the cost of `wait`, and enough for most requests
    elif waiting:
        await asyncio.wait(waiting)
        for stored in waiting:
            stored.result()

"""The pipeline: entries go to Kafka in order, and by way of the spool while Kafka is away or slow.

There is one order, that of the positions. While anything waits in the spool, all that comes in goes through it, so
records of a key keep their order. Once the spool is read to its end, entries go straight to Kafka again.

An entry that was sent, and whose transaction has no answer yet, may be spooled with its position. The position that
Kafka has committed decides later whether the spooled one is sent.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Final

from agents.exit import Fail
from agents.gateway.answers import Answers
from agents.gateway.entries import Bundle, Entry, Outgoing
from agents.gateway.folder import Folder
from agents.gateway.metrics import GatewayMetrics
from agents.gateway.sink import NotStoredError
from agents.gateway.spool import Spool, SpoolError
from agents.gateway.transactions import Transactions
from agents.kafka.clients import KafkaUnusableError
from streams.settings.gateway import Gateway

log = logging.getLogger("callpulse")

_MOST_BYTES: Final = 4 * 1024 * 1024  # of a transaction, and of a write to the spool
_FEWEST_BYTES: Final = 64 * 1024
_MOST_ENTRIES: Final = 4_000
_LOOK_EVERY_S: Final = 0.05
_LONGEST_PAUSE_S: Final = 5.0
_FULL_RETRY_S: Final = 30
_BUSY_RETRY_S: Final = 1
_RETRY_S: Final = 5
_FINISH_S: Final = 5.0


class Pipeline:
    """Takes entries to Kafka or into the spool. `begin` makes transactions; `fail` is called with a defect.

    `on_stored` and `on_dropped` are called once the outcome of an entry is known; see `Answers`.
    """

    def __init__(
        self,
        settings: Gateway,
        folder: Folder,
        spool: Spool,
        *,
        begin: Callable[[], Coroutine[Any, Any, Transactions]],
        on_stored: Callable[[Entry], None],
        on_dropped: Callable[[Entry], None],
        metrics: GatewayMetrics,
        fail: Fail,
    ) -> None:
        self._settings = settings
        self._folder = folder
        self._spool = spool
        self._begin = begin
        self._metrics = metrics
        self._fail = fail
        self._answers = Answers(on_stored, on_dropped)
        self._pending: deque[Entry] = deque()  # for Kafka
        self._to_spool: deque[Entry] = deque()
        self._sending: list[Entry] = []
        self._is_spooling = spool.has_unread()
        self._hold = False
        self._not_writing = asyncio.Event()
        self._not_writing.set()
        self._something_to_send = asyncio.Event()
        self._something_to_spool = asyncio.Event()
        self._transactions: Transactions | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._is_closing = self._is_finishing = False
        self._most_bytes = _MOST_BYTES
        self.reached = asyncio.Event()
        self.trouble = "Kafka was not reached yet"

    @property
    def in_flight(self) -> int:
        """Records without an answer."""
        return self._answers.in_flight

    @property
    def is_spooling(self) -> bool:
        """True while events go to the spool."""
        return self._is_spooling

    @property
    def oldest_spooled_us(self) -> int | None:
        """Approximate time at which the oldest bundle not yet in Kafka was spooled, in microseconds since 1970."""
        return self._spool.oldest_after(self._transactions.committed if self._transactions is not None else 0)

    def start(self) -> None:
        """Begin to send."""
        for work in (self._send(), self._write(), self._watch()):
            task = asyncio.create_task(work)
            task.add_done_callback(self._ended)
            self._tasks.append(task)

    def submit(self, source: str, records: list[Outgoing], ids: Sequence[int]) -> Entry:
        """Take records in; `stored` of the entry is done once they are stored. Raises NotStoredError."""
        if self._is_closing:
            raise NotStoredError("the process is being stopped", _RETRY_S)
        if self.in_flight and self.in_flight + len(records) > self._settings.max_in_flight:
            raise NotStoredError("too many events wait to be stored", _BUSY_RETRY_S)
        if self._is_spooling and self._spool.is_full:
            raise NotStoredError("Kafka is away and the spool is full", _FULL_RETRY_S)
        try:
            position = self._folder.next_position()
        except OSError:
            raise NotStoredError("the folder of the spool cannot be written", _FULL_RETRY_S) from None
        entry = Entry(Bundle(position, source, records), ids, time.monotonic())
        self._answers.add(entry)
        if self._is_spooling:
            self._to_spool.append(entry)
            self._something_to_spool.set()
        else:
            self._pending.append(entry)
            self._something_to_send.set()
        return entry

    async def close(self) -> None:
        """Take no further records, wait until all entries have their answer, and leave."""
        self._is_closing = True
        while waiting := self._answers.waiting():
            await asyncio.wait([entry.stored for entry in waiting])
        await self._not_writing.wait()
        self._is_finishing = True
        self._something_to_send.set()
        if self._transactions is not None:  # an open transaction delays consumers of later records
            await asyncio.wait(self._tasks[:1], timeout=_FINISH_S)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._transactions is not None:
            await self._transactions.close()

    # -- to Kafka

    async def _send(self) -> None:
        while not self._is_finishing:
            transactions = self._transactions or await self._connect()
            bundles = await self._next_bundles()
            if not bundles:
                continue
            try:
                await transactions.send(
                    (record for bundle in bundles for record in bundle.records), bundles[-1].position
                )
            except KafkaUnusableError as error:
                self._lost(error)
                self._most_bytes = max(self._most_bytes // 2, _FEWEST_BYTES)  # fewer records may be done in time
                await transactions.close()
            else:
                self._committed(transactions.committed)
                self._most_bytes = min(self._most_bytes * 2, _MOST_BYTES)

    async def _connect(self) -> Transactions:
        pause_s = 0.25
        while True:
            try:
                transactions = await self._begin()
            except KafkaUnusableError as error:
                self._lost(error)
                await asyncio.sleep(pause_s)
                pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)
                continue
            self._transactions = transactions
            with contextlib.suppress(OSError):  # then no position can be given out either
                self._folder.skip_to(transactions.committed)
            self._spool.rewind(transactions.committed)
            self._committed(transactions.committed)
            self._answers.not_in_kafka()
            self.trouble = ""
            self.reached.set()
            return transactions

    def _lost(self, error: KafkaUnusableError) -> None:
        if str(error) != self.trouble:
            log.warning("Kafka does not take events, they go to the spool: %s", error)
        self.trouble = str(error)
        self._transactions = None
        self.reached.clear()
        self._start_spooling()
        self._sending = []

    def _committed(self, position: int) -> None:
        """Note that Kafka has all bundles up to a position."""
        self._sending = []
        self._answers.committed(position)
        self._spool.skip_to(position)
        self._spool.release(position, active=not self._is_spooling)

    async def _next_bundles(self) -> list[Bundle]:
        """Wait for the next bundles to send, from the spool first. After an empty result nothing is left to do."""
        while not self._is_finishing:
            if self._spool.has_unread():
                found = await asyncio.to_thread(self._spool.read, self._most_bytes)
                if not self._spool.has_unread():
                    found += await self._leave_spool()
                if found:
                    return found
            elif self._is_spooling and self._not_writing.is_set():
                await self._leave_spool()
            elif self._pending and not self._is_spooling:
                if taken := self._take(self._pending):
                    self._sending = taken
                    for entry in taken:
                        entry.is_sent = True
                    return [entry.bundle for entry in taken]
            else:
                self._something_to_send.clear()
                await self._something_to_send.wait()
        return []

    async def _leave_spool(self) -> list[Bundle]:
        """Read the spool to its end while nothing is written to it; later entries go straight to Kafka."""
        self._hold = True
        try:
            await self._not_writing.wait()
            found = await asyncio.to_thread(self._spool.read, self._most_bytes) if self._spool.has_unread() else []
            if not self._spool.has_unread():
                self._is_spooling = False
                if self._transactions is not None:  # spooling may have begun anew during the last transaction
                    self._spool.release(self._transactions.committed, active=True)
                self._pending.extend(self._to_spool)
                self._to_spool.clear()
            return found
        finally:
            self._hold = False
            self._something_to_spool.set()

    # -- to the spool

    def _start_spooling(self) -> None:
        if not self._is_spooling:
            self._is_spooling = True
            self._to_spool.extend(entry for entry in self._sending if not entry.stored.done())
            self._to_spool.extend(self._pending)
            self._pending.clear()
            self._something_to_spool.set()

    async def _write(self) -> None:
        while True:
            await self._something_to_spool.wait()
            self._something_to_spool.clear()
            while self._to_spool and not self._hold:
                if group := self._take(self._to_spool):
                    self._not_writing.clear()
                    try:
                        await self._write_group(group)
                    finally:
                        self._not_writing.set()
                        self._something_to_send.set()

    async def _write_group(self, group: list[Entry]) -> None:
        for entry in group:
            entry.is_written = True
        try:
            written = await asyncio.to_thread(self._spool.append, [entry.bundle for entry in group])
            text, maybe = "Kafka is away and the spool is full", False
        except SpoolError as error:
            log.error("%s", error)  # noqa: TRY400 - the place in the code does not help
            self._metrics.spool_failed()
            written, text, maybe = 0, f"Kafka is away, and {error}", error.maybe
        for entry in group[:written]:
            self._metrics.spooled(len(entry.bundle.records))
            self._answers.written(entry)
        for entry in group[written:]:
            self._answers.not_written(entry, text, _FULL_RETRY_S, may_be_on_disk=maybe)

    def _take(self, queue: deque[Entry]) -> list[Entry]:
        taken: list[Entry] = []
        size = 0
        while queue and size < self._most_bytes and len(taken) < _MOST_ENTRIES:
            entry = queue.popleft()
            if not entry.stored.done():
                taken.append(entry)
                size += entry.size
        return taken

    # -- answers

    async def _watch(self) -> None:
        """Spool the entries that Kafka takes too long for, and end the wait at the deadline."""
        spool_after_s, deadline_s = self._settings.spool_after_ms / 1000, self._settings.deadline_ms / 1000
        while True:
            await asyncio.sleep(_LOOK_EVERY_S)
            now = time.monotonic()
            while (oldest := self._answers.oldest()) is not None and now - oldest.begun_s > deadline_s:
                self._answers.drop(oldest, "the deadline is over", _RETRY_S)
            if oldest is not None and now - oldest.begun_s > spool_after_s and not self._spool.is_full:
                self._start_spooling()

    def _ended(self, task: asyncio.Task[None]) -> None:
        """End the process if a background task fails: without it nothing would be stored any more."""
        if not task.cancelled() and (error := task.exception()) is not None:
            self._fail(error)

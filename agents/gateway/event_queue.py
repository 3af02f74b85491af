"""Contract events on their way from a reader that must not wait to a sink that may."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable
from itertools import islice
from typing import Final

from agents.gateway.sink import NotStoredError, Sink
from streams.contract.events import Event
from streams.sources.frame import Refused

_BATCH: Final = 500
_LONGEST_WAIT_S: Final = 5.0
_MOST_REFUSED: Final = 100


class EventQueue:
    """Stores events in their order, and keeps them until the sink has them.

    It never refuses an event: the reader stops at `is_full`, and goes on at `is_half_empty`.
    """

    def __init__(self, sink: Sink, source: str, limit: int) -> None:
        self._sink = sink
        self._source = source
        self._limit = limit
        self._events: deque[Event] = deque()
        self._refused: list[Refused] = []
        self._changed = asyncio.Event()
        self.stored = 0
        self.duplicates = 0
        self.trouble = ""
        """The reason why the last attempt failed, "" after one that succeeded."""

    def __len__(self) -> int:
        """Return the number of events that are not stored yet."""
        return len(self._events)

    @property
    def is_full(self) -> bool:
        """True once the reader must stop."""
        return len(self._events) >= self._limit

    @property
    def is_half_empty(self) -> bool:
        """True once a reader that stopped may go on."""
        return len(self._events) <= self._limit // 2

    def add(self, events: Iterable[Event]) -> None:
        """Append events. Never waits."""
        self._events.extend(events)
        self._changed.set()

    def refuse(self, refused: Iterable[Refused]) -> None:
        """Append parts that are not events; beyond a bound they are left out. Never waits."""
        self._refused.extend(islice(refused, _MOST_REFUSED - len(self._refused)))
        self._changed.set()

    async def until(self, *, empty: bool) -> None:
        """Wait until the queue is empty, or with False half empty."""
        while self._events if empty else not self.is_half_empty:
            self._changed.clear()
            await self._changed.wait()

    async def run(self) -> None:
        """Hand events to the sink for ever. An event that is not stored is handed over again, before later ones."""
        while True:
            while not (self._events or self._refused):
                self._changed.clear()
                await self._changed.wait()
            if self._refused:
                refused, self._refused = self._refused, []
                await self._sink.refuse(self._source, refused)
                continue
            batch = list(islice(self._events, _BATCH))
            try:
                results = await self._sink.store(self._source, batch)
            except NotStoredError as error:
                self.trouble = str(error)
                await asyncio.sleep(min(error.retry_after_s, _LONGEST_WAIT_S))
                continue
            self.trouble = ""
            for _ in batch:
                self._events.popleft()
            self.stored += len(batch)
            self.duplicates += results.count("duplicate")
            self._changed.set()

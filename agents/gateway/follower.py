"""Feeds a file that grows into the sink: lines to the source, its events to the sink, and then the position is kept.

The position is kept after the sink has the events, so nothing is lost; events that are read again have the same ids.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Final, Protocol

import msgspec

from agents.gateway.following import GrowingFile, Line, Position
from agents.gateway.sink import NotStoredError, Sink, until_stored
from streams.contract.events import Event
from streams.sources.frame import LineSource, ReadUntil, Refused

log = logging.getLogger("callpulse")

_POLL_S: Final = 1.0
_QUIET_S: Final = 2.0
_SAID_AFTER_S: Final = 60.0
_BEGIN_S: Final = 10.0
_BATCH: Final = 500
_LINES_AT_ONCE: Final = 200
_AFTER_AN_ERROR_S: Final = 5.0
_SAY_UNTIL_S: Final = 30.0


class KeepsCursors(Protocol):
    """Keeps cursors: `agents.gateway.cursors.Cursors`."""

    def get(self, key: str) -> bytes | None:
        """Return the cursor that was put last."""
        ...

    async def put(self, key: str, value: bytes) -> None:
        """Keep a cursor. It is in Kafka a moment later."""
        ...

    async def flush(self) -> None:
        """Wait until all cursors are in Kafka."""
        ...


class Meters(Protocol):
    """Counts the work of a follower: `agents.gateway.metrics.GatewayMetrics`."""

    def followed(self, source: str, *, behind: int, gaps: int, given_up: int) -> None:
        """Show the number of bytes that are not read, and count gaps and abandoned calls since the last call."""
        ...


class Follower:
    """Follows one file. `key` names its cursor, `name` the source in metrics and dead letters."""

    def __init__(  # noqa: PLR0913 - the parts that a follower connects
        self,
        growing: GrowingFile,
        source: LineSource,
        sink: Sink,
        cursors: KeepsCursors,
        *,
        key: str,
        name: str = "asterisk",
        meters: Meters | None = None,
        clock: Callable[[], float] = time.time,
        poll_s: float = _POLL_S,
    ) -> None:
        self.growing = growing
        self._meters = meters
        self._told = (0, 0)
        self.lines = 0
        self.refused = 0
        self.is_caught_up = False
        """True once the file was read to its end."""
        self._source = source
        self._sink = sink
        self._cursors = cursors
        self._key = key
        self._name = name
        self._clock = clock
        self._poll_s = poll_s
        self.read_until: ReadUntil | None = None
        """For records that fill the gaps of a live listener: the cursor of how far they are read."""
        self._until_ms = 0
        self._quiet_since: float | None = None
        self._said = False

    async def run(self) -> None:
        """Follow the file until the task is cancelled. A file that cannot be read is tried again."""
        try:
            while True:
                try:
                    went_on = await self.step()
                except OSError as error:
                    log.warning("%s: %s; trying again", self.growing.path.name, error.strerror or error)
                    self.growing.reopen()
                    await asyncio.sleep(_AFTER_AN_ERROR_S)
                    continue
                if not went_on:
                    await asyncio.sleep(self._poll_s)
        finally:
            self.growing.close()

    async def step(self) -> bool:
        """Read the new lines, store their events and keep the position. Return whether there were any lines."""
        lines, behind = await asyncio.to_thread(self._look)
        if not lines:
            self.is_caught_up = True
            await self._nothing_new()
            self._count(behind)
            return False
        self.is_caught_up = False
        self._quiet_since, self._said = None, False
        if self._cursors.get(self._key) is None:
            await self._begin(lines[0].place)
        for place in range(0, len(lines), _LINES_AT_ONCE):
            await self._take(lines[place : place + _LINES_AT_ONCE])
        await self._keep()
        self._count(behind)
        return True

    def _look(self) -> tuple[list[Line], int]:
        return self.growing.poll(), self.growing.behind()

    def _count(self, behind: int) -> None:
        if self._meters is not None:
            now = self.growing.gaps, self._source.given_up
            gaps, given_up = (one - before for one, before in zip(now, self._told, strict=True))
            self._meters.followed(self._name, behind=behind, gaps=gaps, given_up=given_up)
            self._told = now

    async def _begin(self, place: int) -> None:
        """Keep the place where reading begins, before anything is stored: a restart then finds a renamed file."""
        position = self.growing.position(place, self._source.snapshot())
        if position is not None:
            await self._cursors.put(self._key, msgspec.msgpack.encode(position))
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._cursors.flush(), _BEGIN_S)

    async def _take(self, lines: Sequence[Line]) -> None:
        events: list[Event] = []
        refused: list[Refused] = []
        now_ms = int(self._clock() * 1000)
        for line in lines:
            done = self._source.take(line.data, line.place, now_ms)
            events += done.events
            refused += done.refused
        self.lines += len(lines)
        self.refused += len(refused)
        await self._store(events)
        if refused:
            await self._sink.refuse(self._name, refused)

    async def _store(self, events: Sequence[Event]) -> None:
        for place in range(0, len(events), _BATCH):
            batch = events[place : place + _BATCH]
            await until_stored(partial(self._sink.store, self._name, batch), on_wait=self._waits)

    def _waits(self, error: NotStoredError) -> None:
        log.warning("%s waits: %s", self.growing.path.name, error)

    async def _nothing_new(self) -> None:
        now = self._clock()
        if self._quiet_since is None:
            self._quiet_since = now
            return
        quiet_s = now - self._quiet_since
        if quiet_s >= _QUIET_S:
            events = self._source.quiet(int(now * 1000))
            if events:
                await self._store(events)
                await self._keep()
            # Everything written until the silence began is read; the rows themselves do not show that.
            until_ms = int((now - _QUIET_S) * 1000)
            if until_ms - self._until_ms >= _SAY_UNTIL_S * 1000:
                await self._say_until(until_ms)
        if quiet_s >= _SAID_AFTER_S and not self._said:
            self._said = True
            for reason in self.why_not_ready():
                log.warning("%s", reason)

    async def _keep(self) -> None:
        position = self.growing.position(self._source.oldest, self._source.snapshot())
        if position is not None:
            await self._cursors.put(self._key, msgspec.msgpack.encode(position))
        if self.read_until is not None:
            await self._say_until(self.read_until.newest_ms())

    async def _say_until(self, until_ms: int) -> None:
        """Keep the moment up to which the records are read and their events stored."""
        if self.read_until is not None and until_ms > self._until_ms:
            self._until_ms = until_ms
            await self._cursors.put(self.read_until.key, b"%d" % until_ms)

    def why_not_ready(self) -> list[str]:
        """Return in words why the file is not followed; an empty list when it is."""
        name = self.growing.path.name
        if self._source.unusable:
            return [f"{name}: {self._source.unusable}"]
        if self.growing.is_missing:
            return [f"{name} is not there"]
        if self.growing.is_torn and self._said:
            return [f"the last line of {name} has had no end for {_SAID_AFTER_S:.0f} s"]
        return []


def kept_position(cursors: KeepsCursors, key: str) -> Position | None:
    """Return the position that was kept, None for a file that was never read. Raise ValueError if it is unreadable."""
    held = cursors.get(key)
    return None if held is None else msgspec.msgpack.decode(held, type=Position)

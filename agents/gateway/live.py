"""The listener of a live system: connects, translates the messages, and connects again.

Messages are translated at once; only contract events wait for the sink. So the PBX never waits for Kafka, and messages
are lost only if the process is killed. The time without a connection is a gap. The listener counts it, and closes it by
the list of channels that it requests after each login.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from random import Random
from typing import Final, Generic, Protocol

from msgspec import Struct

from agents.gateway.event_queue import EventQueue
from agents.gateway.live_connection import LinkError, LiveConnection, Place, S
from agents.gateway.sink import Sink
from streams.contract.events import Event
from streams.sources.frame import Refused
from streams.sources.live import CannotListenError, LinkAccess

log: Final = logging.getLogger("callpulse.live")

FIRST_DELAY_S: Final = 0.5
LONGEST_DELAY_S: Final = 30.0
REFUSED_DELAY_S: Final = 300.0
"""After a refused login. Programs that ban addresses after some failed logins usually look at ten minutes."""
DRAIN_S: Final = 10.0
_STEADY_S: Final = 10.0
_TICK_S: Final = 1.0
_UNFILLED_KEPT: Final = 1_000
_LATE_MS: Final = 3_000
"""Longest delay of an event on its way. An end that waits for the next action of its caller waits this much longer."""


@dataclass
class LinkState:
    """The state and the counts of a listener. Times are in milliseconds since epoch.

    `listed`: the calls in progress are known. `version` is that of the PBX, `denied` the lists that this account may
    not request, `lost` the number of messages that were sent and not received.
    """

    connected: bool = False
    listed: bool = False
    logins: int = 0
    failures: int = 0
    heard: int = 0
    translated: int = 0
    gaps: int = 0
    gap_ms: int = 0
    lost: int = 0
    gap_since_ms: int | None = None
    gaps_filled: int = 0
    unfilled: list[int] = field(default_factory=list)
    """The ends of the gaps that records have not covered yet, by the PBX's clock."""
    last_heard_ms: int | None = None
    clock_ahead_ms: int | None = None
    version: str = ""
    trouble: str = ""
    bad_lines: dict[str, int] = field(default_factory=dict)
    denied: frozenset[str] = frozenset()

    def fill(self, until_ms: int) -> int:
        """Take note that records are read up to a moment of the PBX; return how many gaps they filled."""
        left = [ended_ms for ended_ms in self.unfilled if ended_ms > until_ms]
        filled = len(self.unfilled) - len(left)
        self.unfilled = left
        self.gaps_filled += filled
        return filled

    def gap_until(self, now_ms: int) -> int:
        """Return the total time of all gaps, including one that is not over."""
        return self.gap_ms + (0 if self.gap_since_ms is None else max(0, now_ms - self.gap_since_ms))


class Heard(Struct):
    """The content of a piece of the stream: contract events, unreadable parts, and the number of messages.

    With an `error`, the rest of the stream cannot be read.
    """

    events: list[Event] = []
    refused: list[Refused] = []
    messages: int = 0
    error: CannotListenError | None = None


class LiveSource(Protocol[S]):
    """A source to listen to: its dialogue, and the translation of its messages."""

    @property
    def name(self) -> str:
        """The source of its events."""
        ...

    @property
    def access(self) -> LinkAccess:
        """Its address and credentials."""
        ...

    @property
    def place(self) -> Place:
        """The texts about its settings in errors."""
        ...

    @property
    def filled_up_to(self) -> str:
        """The cursor of the records that fill its gaps, "" where there are none."""
        ...

    def session(self) -> S:
        """Begin a connection."""
        ...

    def hear(self, session: S, data: bytes, at_ms: int, state: LinkState) -> Heard:
        """Take a piece of the stream, and bring the state up to date. Raises CannotListenError."""
        ...

    def settle(self, now_ms: int) -> list[Event]:
        """Return the events that have waited long enough at `now_ms` of the PBX's clock."""
        ...

    def recall(self, events: Iterable[Event]) -> None:
        """Go on with the events that an earlier listener stored."""
        ...


def now_ms() -> int:
    """Return the time in milliseconds since epoch."""
    return time.time_ns() // 1_000_000


class LiveListener(Generic[S]):
    """Listens to one PBX.

    `on_tick` is called once a second, with the state and the number of events that are not stored yet.
    """

    def __init__(
        self,
        source: LiveSource[S],
        sink: Sink,
        *,
        on_tick: Callable[[LinkState, int], None] = lambda _state, _waiting: None,
        clock: Callable[[], int] = now_ms,
        chance: Random | None = None,
        refused_delay_s: float = REFUSED_DELAY_S,
    ) -> None:
        self._source = source
        self._clock = clock
        self._on_tick = on_tick
        self._chance = chance or Random()  # noqa: S311 - spreads connections over time, protects nothing
        self._refused_delay_s = refused_delay_s
        self._connection: LiveConnection[S] | None = None
        self.queue = EventQueue(sink, source.name, source.access.queue_events)
        self.state = LinkState()

    def recall(self, events: Iterable[Event]) -> None:
        """Go on with the events that an earlier listener stored. Call it before `run`."""
        self._source.recall(events)

    def why_not_ready(self) -> list[str]:
        """Return in words why the link is down, or why calls in progress are not known yet; empty when all is well."""
        if not self.state.connected:
            return [f"not connected to the PBX: {self.state.trouble or 'not yet'}"]
        return [] if self.state.listed else ["the list of channels is not complete"]

    async def run(self, stop: asyncio.Event) -> int:
        """Listen until `stop`, then wait for the sink. Return the number of events that could not be stored in time."""
        storing = asyncio.create_task(self.queue.run())
        listening = asyncio.create_task(self._listen())
        ticking = asyncio.create_task(self._tick())
        stopping = asyncio.create_task(stop.wait())
        tasks = (storing, listening, ticking)
        try:
            await asyncio.wait({*tasks, stopping}, return_when=asyncio.FIRST_COMPLETED)
            for task in tasks:
                if task.done():
                    task.result()  # none of them ends by itself: raises its error
            await _cancel(listening, ticking)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(DRAIN_S):
                    await self.queue.until(empty=True)
            return len(self.queue)
        finally:
            await _cancel(*tasks, stopping)

    async def _listen(self) -> None:
        attempt = 0
        source = self._source
        while True:
            began_s = time.monotonic()
            delay_s = None
            logins = self.state.logins
            try:
                session = source.session()
                self._connection = LiveConnection(source.access, source.place, session, self._hear, self._clock)
                await self._connection.run()
                trouble = "the PBX ended the session"
            except LinkError as error:
                trouble = str(error)
            except CannotListenError as error:
                trouble = str(error)
                if error.cause == "refused":
                    delay_s = self._refused_delay_s
            finally:
                self._lost()
            if self.state.logins > logins and time.monotonic() - began_s > _STEADY_S:
                attempt = 0
            if self.queue.is_full:
                log.warning("the link to the PBX stays closed until Kafka has half of %d events", len(self.queue))
                await self.queue.until(empty=False)
                attempt = 0
            if delay_s is None:
                delay_s = self._delay(attempt)
            attempt += 1
            self.state.trouble = trouble
            self.state.failures += 1
            log.warning("not connected: %s. Trying again in %.1f s", trouble, delay_s)
            await asyncio.sleep(delay_s)

    def _delay(self, attempt: int) -> float:
        most_s = min(LONGEST_DELAY_S, FIRST_DELAY_S * 2.0 ** min(attempt, 16))
        return self._chance.uniform(most_s / 2, most_s)

    # -- messages

    def _hear(self, session: S, data: bytes, at_ms: int) -> None:
        state = self.state
        heard = self._source.hear(session, data, at_ms, state)
        if session.is_up and not state.connected:
            self._came_up(at_ms)
        state.last_heard_ms = at_ms
        if session.clock_ahead_ms is not None:
            state.clock_ahead_ms = session.clock_ahead_ms
        state.heard += heard.messages
        if heard.refused:
            self.queue.refuse(heard.refused)
        self._add(heard.events)
        if heard.error is not None:
            raise heard.error

    def _add(self, events: list[Event]) -> None:
        if not events:
            return
        self.state.translated += len(events)
        self.queue.add(events)
        if self.queue.is_full and self._connection is not None:
            self._connection.close(f"Kafka does not take events: {len(self.queue)} wait")

    async def _tick(self) -> None:
        while True:
            self._on_tick(self.state, len(self.queue))
            await asyncio.sleep(_TICK_S)
            if self.state.connected:
                self._add(self._source.settle(pbx_time(self.state, self._clock()) - _LATE_MS))

    # -- the link

    def _came_up(self, at_ms: int) -> None:
        state, access = self.state, self._source.access
        state.connected, state.trouble = True, ""
        state.logins += 1
        if state.gap_since_ms is not None:
            gap_ms = max(0, at_ms - state.gap_since_ms)
            state.gap_ms += gap_ms
            state.gap_since_ms = None
            if self._source.filled_up_to:
                state.unfilled = [*state.unfilled[1 - _UNFILLED_KEPT :], pbx_time(state, at_ms)]
            log.warning(
                "connected again after a gap of %.1f s: calls that began and ended in it are lost, unless %s has them",
                gap_ms / 1e3,
                self._source.place.records,
            )
        else:
            log.info("connected to the PBX at %s:%d", access.host, access.port)

    def _lost(self) -> None:
        state = self.state
        self._connection = None
        if state.connected:
            state.connected = state.listed = False
            state.gaps += 1
            state.gap_since_ms = state.last_heard_ms


def pbx_time(state: LinkState, at_ms: int) -> int:
    """Return the time of the PBX's clock: events without a time of their own stand beside others that have one."""
    return at_ms + (state.clock_ahead_ms or 0)


async def _cancel(*tasks: asyncio.Task[object]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)

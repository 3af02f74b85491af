"""The processes `callpulse listen ami` and `esl`: a listener with its sink, its port, and its earlier events."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Final

from agents.gateway import cursors
from agents.gateway.live import LinkState, LiveListener, LiveSource, now_ms
from agents.gateway.live_connection import S
from agents.gateway.metrics import GatewayMetrics
from agents.gateway.service import Service
from agents.kafka.clients import KafkaUnusableError, full_name
from agents.kafka.reading import records_to_end
from streams.contract import topics
from streams.contract.decoding import Decoder
from streams.contract.events import CallsEvent, Event
from streams.settings.settings import Settings
from streams.units import SECOND_MS

log: Final = logging.getLogger("callpulse.live")

_RECALL_S: Final = 60.0
_TRIES: Final = 2
_AWAY_S: Final = 20.0
_AGAIN_S: Final = 2.0
_LOOK_S: Final = 0.1
_FILL_EVERY_S: Final = 15.0


async def run(
    settings: Settings, name: str, source: LiveSource[S], *, on_ready: Callable[[str], None] | None = None
) -> int:
    """Listen to a source until a signal; return the number of events that could not be stored at the end.

    `name` is the folder of the process. `on_ready` is called with the URL of the process's own port once that answers.
    Raises FolderError, and OSError for a port that is taken.
    """
    async with Service(settings, name) as service:
        listener = LiveListener(source, service.sink, on_tick=LinkMetrics(source.name, service.metrics).update)
        service.metrics.announce(source.name)
        service.not_ready_while(listener.why_not_ready)
        if on_ready is not None:
            on_ready(service.url)
        await _spool_sent(service)
        listener.recall(await _recalled(settings, source.name))
        stop = asyncio.Event()
        listening = asyncio.create_task(listener.run(stop))
        service.background(_watched(listening))
        if source.filled_up_to:
            service.background(fill_gaps(settings, listener.state, source.filled_up_to))

        async def end() -> None:
            stop.set()
            await listening

        service.at_stop(end)
        await service.run()
    return listening.result()


async def fill_gaps(settings: Settings, state: LinkState, cursor: str, every_s: float = _FILL_EVERY_S) -> None:
    """Read the cursor of the records while gaps are not covered yet. Runs until it is cancelled."""
    key = cursor.encode()
    while True:
        await asyncio.sleep(every_s)
        if not state.unfilled:
            continue
        try:
            until = (await cursors.read(settings.kafka, [key])).get(key, b"")
        except KafkaUnusableError:
            continue  # the sink logs that Kafka is away
        if until.isdigit() and (filled := state.fill(int(until))):
            log.info("records have been read beyond %d gaps: they are filled", filled)


async def _spool_sent(service: Service) -> None:
    """Wait until the spool of an earlier process is in Kafka; not for ever, if Kafka is away."""
    deadline_s = time.monotonic() + _RECALL_S
    while service.sink.pipeline.oldest_spooled_us is not None and time.monotonic() < deadline_s:  # noqa: ASYNC110 - once
        await asyncio.sleep(_LOOK_S)


async def _watched(listening: asyncio.Task[int]) -> None:
    await asyncio.shield(listening)


async def _recalled(settings: Settings, source: str) -> list[Event]:
    """Return the events stored before; none where they cannot be read: new messages matter more."""
    try:
        return await stored_events(settings, source)
    except KafkaUnusableError as error:
        log.error(  # noqa: TRY400 - the place in the code does not help
            "what was stored before is not known: %s Calls in progress begin anew, and the worker ends their earlier "
            "legs by thresholds.max_call",
            error,
        )
        return []


async def stored_events(settings: Settings, source: str) -> list[Event]:
    """Return the events of a source as far back as a leg may be open, in their order for each manager.

    A Kafka that is away is tried again for some seconds, a topic that is not read to its end in time once more. Raises
    KafkaUnusableError after that.
    """
    began_s = time.monotonic()
    slow = 0
    while True:
        try:
            async with asyncio.timeout(_RECALL_S):
                found = await _read(settings, source)
        except KafkaUnusableError as error:
            if time.monotonic() - began_s > _AWAY_S:
                raise
            why = str(error)
        except TimeoutError:
            slow += 1
            why = f"calls was not read to its end in {_RECALL_S:g} s: Kafka is slow, or a transaction stays open."
            if slow >= _TRIES:
                raise KafkaUnusableError(why) from None
        else:
            log.info("%d stored events of %s read in %.1f s", len(found), source, time.monotonic() - began_s)
            return found
        log.warning("what was stored before is not known yet: %s Trying again", why)
        await asyncio.sleep(_AGAIN_S)


async def _read(settings: Settings, source: str) -> list[Event]:
    since_ms = now_ms() - settings.thresholds.max_call_ms
    decoder: Decoder[CallsEvent] = Decoder("calls")
    mark = f'"source":"{source}"'.encode()
    found: list[tuple[int, Event]] = []
    async for record in records_to_end(settings.kafka, full_name(settings.kafka, topics.CALLS), since_ms=since_ms):
        if record.value is None or mark not in record.value:
            continue
        event = decoder.decode(record.value)
        if isinstance(event, CallsEvent) and event.source == source:
            found.append((record.timestamp, event))
    found.sort(key=lambda pair: pair[0])
    return [event for _, event in found]


class LinkMetrics:
    """Brings the metrics of the link up to date with the listener's state."""

    def __init__(self, source: str, metrics: GatewayMetrics) -> None:
        self._source = source
        self._metrics = metrics
        self._messages = self._lost = self._gaps = self._gap_ms = self._filled = 0

    def update(self, state: LinkState, waiting: int) -> None:
        """Count what is new since the last call. `waiting` events are not stored yet."""
        ahead = state.clock_ahead_ms
        self._metrics.link(
            self._source,
            connected=state.connected,
            waiting=waiting,
            clock_ahead_s=None if ahead is None else ahead / SECOND_MS,
        )
        for _ in range(state.gaps - self._gaps):
            self._metrics.gap(self._source)
        self._metrics.gaps_filled(self._source, state.gaps_filled - self._filled, len(state.unfilled))
        self._gaps, self._filled = state.gaps, state.gaps_filled
        gap_ms = max(self._gap_ms, state.gap_until(now_ms()))
        self._metrics.link_moved(
            self._source,
            messages=state.heard - self._messages,
            lost=state.lost - self._lost,
            gap_s=(gap_ms - self._gap_ms) / SECOND_MS,
        )
        self._messages, self._lost, self._gap_ms = state.heard, state.lost, gap_ms

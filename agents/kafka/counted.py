"""Reads topic `calls` to show the legs that the tables count, for all managers. It needs and changes no worker."""

from __future__ import annotations

from collections.abc import Callable

from agents.kafka.clients import full_name
from agents.kafka.reading import records_to_end
from streams.calendars import manager_time
from streams.contract import topics
from streams.contract.decoding import Decoder
from streams.contract.events import CallEvent, CallsEvent, Rejection
from streams.contract.origin import origin_of
from streams.explain.explainer import CallLog
from streams.settings.settings import Settings
from streams.sources.reconciliation import CountedLeg
from streams.tables.manager.row import ManagerRow
from streams.tables.manager.synthetic import SOURCE

Progress = Callable[..., None]
"""A function that takes the number of records read, and the number expected in addition (0 by default)."""


async def counted_legs(
    settings: Settings, since_ms: int, on_progress: Progress = lambda _count, _expected=0: None
) -> list[CountedLeg]:
    """Return the legs that the tables count from `calls`, by events that arrived at `since_ms` or later.

    A call is that of the first source that named it; events that callpulse itself added name none. Raises
    KafkaUnusableError.
    """
    logs: dict[str, CallLog] = {}
    sources: dict[str, str] = {}
    decode = Decoder[CallsEvent]("calls").decode
    topic = full_name(settings.kafka, topics.CALLS)
    found = records_to_end(settings.kafka, topic, since_ms=since_ms, on_total=lambda total: on_progress(0, total))
    async for record in found:
        on_progress(1)
        event = decode(record.value)
        if isinstance(event, Rejection) or event.manager.encode() != record.key:
            continue
        if event.at > record.timestamp + settings.thresholds.future_ms:
            continue
        if isinstance(event, CallEvent) and event.source != SOURCE:
            sources.setdefault(event.call, event.source)
        log = logs.get(event.manager)
        if log is None:
            row = ManagerRow(event.manager, manager_time(settings, event.manager))
            log = logs[event.manager] = CallLog(row, settings.thresholds)
        log.feed(event, record.offset, origin_of(record.headers, topic) if record.headers else None)
    return [
        CountedLeg(call, manager, leg, sources.get(call, ""))
        for manager, log in logs.items()
        for call, leg in log.all()
    ]

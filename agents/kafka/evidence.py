"""Reads topics to show the calls and leads that a manager's figures count. It needs and changes no worker.

Calls come from their source topic: tables hold no calls, only their sums. Leads come from the changelog of their table,
which holds the very rows that the figures are made of, also of leads whose events the topics have long dropped.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Final

import msgspec

from agents.kafka.clients import KafkaUnusableError, full_name
from agents.kafka.reading import records_to_end
from streams.calendars import manager_time
from streams.contract import topics
from streams.contract.decoding import Decoder
from streams.contract.events import CallsEvent, Rejection
from streams.contract.facts import RESERVED
from streams.contract.origin import origin_of
from streams.explain.explainer import EVERYTHING, CallLog, ManagerEvidence, Need
from streams.settings.settings import Settings
from streams.tables.changelog import LayoutError, position
from streams.tables.lead.fold import LeadFold
from streams.tables.lead.row import load
from streams.tables.manager.row import ManagerRow

_DEAL: Final = RESERVED.encode()
Progress = Callable[..., None]
"""A function that takes the number of records read, and the number expected in addition (0 by default)."""


async def read(
    settings: Settings,
    manager: str,
    on_progress: Progress = lambda _count, _expected=0: None,
    need: Need = EVERYTHING,
) -> ManagerEvidence:
    """Return the calls of `manager` up to now, and the leads up to the last checkpoint of their worker.

    `need` determines how far back calls are read, and whether leads are read. `on_progress` receives the number of
    records read since the last call, and the number of further records to read. Raises KafkaUnusableError.
    """
    log = await _calls(settings, manager, on_progress, need.since_ms)
    rows = await _leads(settings, manager, on_progress) if need.leads else {}
    fold = LeadFold(settings.results, settings.thresholds, settings.economics, partial(manager_time, settings))
    try:
        contributions = [
            (key.decode(), contribution)
            for key, value in rows.items()
            for contribution in fold.contributions(load(value).state)
            if contribution.manager == manager
        ]
    except (LayoutError, msgspec.MsgspecError) as error:
        raise KafkaUnusableError(f"the table of leads was written by another release: {error}") from None
    return ManagerEvidence(log, contributions)


async def _calls(settings: Settings, manager: str, on_progress: Progress, since_ms: int) -> CallLog:
    """Fold the manager's partition of `calls`, of which the manager's own records count."""
    log = CallLog(ManagerRow(manager, manager_time(settings, manager)), settings.thresholds)
    decode = Decoder[CallsEvent]("calls").decode
    key = manager.encode()
    partition = topics.partition_of(key, settings.kafka.partitions)
    topic = full_name(settings.kafka, topics.CALLS)
    # A record arrives at most `future` before the moment of its event, and mostly after it.
    since_ms = max(0, since_ms - settings.thresholds.future_ms)
    found = records_to_end(
        settings.kafka, topic, [partition], since_ms=since_ms, on_total=lambda total: on_progress(0, total)
    )
    async for record in found:
        on_progress(1)
        if record.key == key:
            event = decode(record.value)
            origin = origin_of(record.headers, topic) if record.headers else None
            if not isinstance(event, Rejection) and event.manager == manager and _is_past(settings, event.at, record):
                log.feed(event, record.offset, origin)
    return log


async def _leads(settings: Settings, manager: str, on_progress: Progress) -> dict[bytes, bytes]:
    """Return the rows, as bytes, of all leads that name the manager."""
    kafka = settings.kafka
    name = manager.encode()
    rows: dict[bytes, bytes] = {}
    newest: dict[bytes, int] = {}
    found = records_to_end(
        kafka,
        topics.changelog("leads", kafka.group).name,
        range(kafka.partitions),
        on_total=lambda total: on_progress(0, total),
    )
    async for record in found:
        on_progress(1)
        key, value = record.key, record.value
        if key.startswith(_DEAL):
            continue  # its lead's row has it
        if value is None:
            rows.pop(key, None)
            newest.pop(key, None)
            continue
        # As in a restore: of two records of a row the one that was written for the later state counts.
        at = position(value)
        if at >= newest.get(key, at):
            newest[key] = at
            rows.pop(key, None)
            if name in value:  # names stand in a row as they are
                rows[key] = value
    return rows


def _is_past(settings: Settings, at_ms: int, record: Any) -> bool:
    return bool(at_ms <= record.timestamp + settings.thresholds.future_ms)

"""Finds the rows and records that are kept of a lead, and requests the workers to forget it."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator, Callable, Collection, Iterable
from functools import partial
from typing import Any, Final

import msgspec
from msgspec import Struct

from agents.kafka.clients import KafkaUnusableError, full_name
from agents.kafka.producer import BatchProducer
from agents.kafka.reading import records_to_end
from agents.kafka.settings_log import marks_facts
from streams.contract import facts, topics
from streams.contract.facts import BY_HAND, GROUP, RESERVED, Forgotten
from streams.contract.features import HEADER, ForgottenCall
from streams.settings.settings import Kafka
from streams.tables.changelog import FORGOTTEN_AT, LayoutError, position
from streams.tables.lead.row import load
from streams.tables.lead.state import LeadState
from streams.tables.transcript.row import SEPARATOR, TranscriptRow, row_key

HOLDING: Final = (
    topics.CALLS,
    topics.CRM,
    topics.SPEECH,
    topics.CONTACTS,
    topics.OUTCOMES,
    topics.FEATURES,
    topics.REJECTED,
    topics.STATEMENTS,
)
"""The topics whose records may name a lead."""
_DEAL: Final = RESERVED.encode()
_BLOCK: Final = b"\0"
Progress = Callable[..., None]


class Records(Struct, frozen=True):
    """The records of a topic that name the lead. `newest` is the arrival of the newest one, `until` its expiry, ms."""

    topic: str
    records: int
    newest: int
    until: int


class Kept(Struct, kw_only=True):
    """The rows and records that are kept of a lead.

    `keys` are the lead's own and those that are linked with it, `deals` the keys of its deals; both as far as they have
    rows. `calls` are (manager, call) of its transcripts. `lists` counts the lists of leads that need help which name
    it, `recent` the managers whose row names it in a call of the last hours.
    """

    keys: list[str]
    deals: list[str]
    calls: list[tuple[str, str]]
    lists: int
    recent: int
    records: list[Records]

    @property
    def rows(self) -> int:
        """The number of rows that are the lead's."""
        return len(self.keys) + len(self.deals) + len(self.calls)

    @property
    def is_unknown(self) -> bool:
        """True if nothing is kept."""
        return not (self.rows or self.lists or self.recent or self.records)


class _Spoken(Struct):
    """The fields that all records of topic `speech` have."""

    manager: str
    call: str
    lead: str | None = None


async def find(kafka: Kafka, lead: str, on_progress: Progress = lambda _count, _expected=0: None) -> Kept:
    """Return the rows and records of a lead in Kafka: rows up to the last checkpoint, records up to now.

    Raise KafkaUnusableError, also for rows of another release.
    """
    try:
        return await _find(kafka, lead, on_progress)
    except (LayoutError, msgspec.MsgspecError) as error:
        raise KafkaUnusableError(f"the tables were written by another release: {error}") from None


async def _find(kafka: Kafka, lead: str, on_progress: Progress) -> Kept:
    states = await _leads(kafka, lead, on_progress)
    deals = {key for key in states if key.startswith(RESERVED)}
    for state in list(states.values()):
        deals |= {deal for deal in state.deals if deal.startswith(RESERVED)}
    keys = {lead, *(key for key in states if not key.startswith(RESERVED))}
    calls = {row_key(leg.manager, leg.call) for state in states.values() for leg in state.legs}
    in_json = _in_json(keys)
    counted = []
    for topic in HOLDING:
        number = newest = 0
        async for record in _all(kafka, full_name(kafka, topic), on_progress):
            if not _names(record, keys, in_json):
                continue
            number += 1
            newest = max(newest, record.timestamp)
            if topic is topics.SPEECH:
                spoken = _spoken(record.value)
                if spoken is not None and spoken.lead in keys:
                    calls.add(row_key(spoken.manager, spoken.call))
        if number:
            counted.append(Records(topic.name, number, newest, newest + topic.retention_ms))
    in_rows = _in_rows(keys)
    managers = await _rows(kafka, "managers", partial(_is_about, (), in_rows), on_progress)
    lists = await _rows(kafka, "outcomes", partial(_is_about, (), in_rows), on_progress)
    found = await _rows(kafka, "transcripts", partial(_is_about, calls, in_rows), on_progress)
    kept = {key: TranscriptRow(value).state for key, value in found.items()}
    transcripts = {
        key
        for key, state in kept.items()
        if state.heard_at != FORGOTTEN_AT and (key in calls or (state.leg is not None and state.leg.lead in keys))
    }
    return Kept(
        keys=sorted(key for key in keys if key in states),
        deals=sorted(deals),
        calls=sorted(_pair(key) for key in transcripts),
        lists=len(lists),
        recent=len({key.partition(_BLOCK)[0] for key in managers}),
        records=counted,
    )


async def ask(kafka: Kafka, kept: Kept) -> None:
    """Request the workers to forget the rows that `kept` lists. Raise KafkaUnusableError."""
    ours = [(GROUP, kafka.group.encode())] if await marks_facts(kafka) else []
    now_ms = int(time.time() * 1000)
    async with BatchProducer(kafka) as producer:
        for key in (*kept.keys, *kept.deals):
            fact = facts.encode(Forgotten(src=BY_HAND, seq=now_ms, lead=key))
            await producer.add(full_name(kafka, topics.CONTACTS), key.encode(), fact, ours)
        for manager, call in kept.calls:
            value = facts.encode(ForgottenCall(manager=manager, call=call))
            await producer.add(full_name(kafka, topics.SPEECH), manager.encode(), value, [*ours, (HEADER, b"1")])


async def _leads(kafka: Kafka, lead: str, on_progress: Progress) -> dict[str, LeadState]:
    """Return the rows of a lead, of the keys that are linked with it, and of deals that one of them has."""
    keys = {lead}
    while True:
        found = await _rows(
            kafka, "leads", partial(_is_about, {key.encode() for key in keys}, _in_rows(keys)), on_progress
        )
        states = {key.decode(): load(value).state for key, value in found.items()}
        states = {
            key: state
            for key, state in states.items()
            if state.heard_at != FORGOTTEN_AT
            and (key in keys or (state.holder if key.startswith(RESERVED) else state.linked_to) in keys)
        }
        linked = {state.linked_to for key, state in states.items() if key in keys and state.linked_to}
        more = linked | {key for key in states if not key.startswith(RESERVED)}
        if more <= keys:
            return states
        keys |= more


async def _rows(
    kafka: Kafka, table: str, wanted: Callable[[bytes, bytes], bool], on_progress: Progress
) -> dict[bytes, bytes]:
    """Return the rows of a table for which `wanted` returns true for key and value."""
    rows: dict[bytes, bytes] = {}
    newest: dict[bytes, int] = {}
    async for record in _all(kafka, topics.changelog(table, kafka.group).name, on_progress):
        key, value = record.key, record.value
        if value is None:
            rows.pop(key, None)
            newest.pop(key, None)
            continue
        # As in a restore: of two records of a row the one that was written for the later state counts.
        at = position(value)
        if at >= newest.get(key, at):
            if wanted(key, value):
                newest[key] = at
                rows[key] = value
            else:
                rows.pop(key, None)
    return rows


async def _all(kafka: Kafka, topic: str, on_progress: Progress) -> AsyncIterator[Any]:
    async for record in records_to_end(kafka, topic, on_total=lambda total: on_progress(0, total)):
        on_progress(1)
        yield record


def _in_rows(keys: Iterable[str]) -> list[bytes]:
    """Return the keys as rows encode them."""
    return [msgspec.msgpack.encode(key) for key in keys]


def _is_about(own: Collection[bytes], in_rows: Iterable[bytes], key: bytes, value: bytes) -> bool:
    """Return whether a row has a key of `own`, or names one of `in_rows`."""
    return key in own or any(needle in value for needle in in_rows)


def _in_json(keys: Iterable[str]) -> list[bytes]:
    """Return the keys as JSON encodes them, with and without escaped letters."""
    found = set()
    for key in keys:
        found |= {json.dumps(key).encode(), json.dumps(key, ensure_ascii=False).encode(), msgspec.json.encode(key)}
    return sorted(found)


def _names(record: Any, keys: Iterable[str], in_json: Iterable[bytes]) -> bool:
    value = record.value or b""
    return any(record.key == key.encode() for key in keys) or any(needle in value for needle in in_json)


def _spoken(value: bytes) -> _Spoken | None:
    try:
        return msgspec.json.decode(value, type=_Spoken)
    except msgspec.MsgspecError:
        return None


def _pair(key: bytes) -> tuple[str, str]:
    manager, _, call = key.decode().partition(SEPARATOR)
    return manager, call

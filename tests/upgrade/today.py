"""Today's code for the tests of upgrades: settings, names, codecs, the text of /metrics, the rows on disk.

With `in_memory`, the one place at which these tests reach the production code.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec
from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families

from agents.app import Worker, _kinds, _on_disk
from agents.embedded import EmbeddedKafka
from agents.kafka.settings_log import Agreed, agree, last_that_counts
from agents.state.in_memory import Kind, MemoryPartition
from agents.state.rocksdb import NO_CHECKPOINT, Store
from agents.state.rows import resumes_at
from agents.state.tables import OnDisk
from agents.worker import create_server
from streams.contract import events, facts, topics
from streams.contract.decoding import Decoder
from streams.contract.events import CallsEvent, CrmEvents, Event, Rejection
from streams.settings import compatibility
from streams.settings.settings import Settings, load
from streams.simulator import Department, FaultRates, simulate
from streams.tables.changelog import body, position, seal
from streams.tables.lead import row as lead_row
from streams.tables.manager.counts import pack_counts, unpack_counts
from streams.tables.manager.legs import leg_from_record
from streams.tables.manager.records import LegRecord
from streams.tables.outcome import fold as outcome
from streams.units import DAY_MS
from tests.upgrade.frozen import Figures

__all__ = ["DAY_MS", "Department", "EmbeddedKafka", "FaultRates", "Settings", "agree", "simulate"]

TABLES: Final = tuple(topics.TABLES)
_BLOCK: Final = b"l"  # begins the name of a block of legs, behind the manager's name and a zero byte
_ENCODE: Final = msgspec.msgpack.Encoder().encode
_DECODE_LEGS: Final = msgspec.msgpack.Decoder(dict[str, LegRecord]).decode


class Record(NamedTuple):
    """A record with the fields that agents and tables use."""

    key: bytes | None
    value: bytes | None
    offset: int
    timestamp: int
    headers: tuple[tuple[str, bytes], ...] = ()


def series(families: Iterable[Metric]) -> Figures:
    """Return the value of every series."""
    found = {}
    for family in families:
        for name, labels, value, *_ in family.samples:
            told = ",".join(f'{label}="{labels[label]}"' for label in sorted(labels))
            found[f"{name}{{{told}}}"] = float(value)
    return found


def series_of(exposition: str) -> Figures:
    """Return the value of every series in the text of /metrics."""
    return series(text_string_to_metric_families(exposition))


async def exposition(worker: Worker, now_ms: int) -> str:
    """Return the text of /metrics of a worker, its figures read at `now_ms`."""
    return (await create_server(worker).exposition.text(now_ms)).decode()


# -- names


def settings_of(text: str, environ: Mapping[str, str] | None = None) -> Settings:
    """Return the settings of a file, overlaid with variables of the environment."""
    return load(text, environ or {})


def topic_names(settings: Settings) -> list[str]:
    """Return the names of all topics of an installation."""
    return [topic.name for topic in topics.declared(settings.kafka.group, settings.kafka.topic_prefix)]


def source_names(settings: Settings) -> list[str]:
    """Return the names of the topics that agents read."""
    return [settings.kafka.topic_prefix + topic.name for topic in topics.TAKEN_IN]


def changelog(settings: Settings, table: str) -> str:
    """Return the name of a table's changelog."""
    return topics.changelog(table, settings.kafka.group).name


def settings_topic(settings: Settings) -> str:
    """Return the name of the settings log."""
    return topics.settings_log(settings.kafka.group).name


def kinds(settings: Settings) -> dict[str, Kind[Any]]:
    """Return the codec of each table's changelog."""
    return _kinds(settings)


def on_disk(settings: Settings, folder: Path) -> dict[str, OnDisk[Any]]:
    """Return the folders of the tables on disk, in a worker's data folder."""
    worker = msgspec.structs.replace(settings.worker, data_dir=str(folder))
    return _on_disk(msgspec.structs.replace(settings, worker=worker))


def agreed(settings: Settings, at_ms: int) -> bytes:
    """Return the record by which a group writes down the settings that its tables are made by."""
    made = Agreed(replaces=-1, meaning=compatibility.of(settings), at_ms=at_ms, worker=settings.worker.id)
    return msgspec.json.encode(made)


# -- codecs


def meaning_changes(settings: Settings, records: Sequence[tuple[bytes | None, bytes | None]]) -> list[str]:
    """Return the differences in meaning of today's settings from the recorded ones. Fail if none were recorded."""
    _, last = last_that_counts([(offset, value) for offset, (_, value) in enumerate(records)])
    assert last is not None, "nothing was written down"
    return [str(change) for change in compatibility.changes(last.meaning, compatibility.of(settings))]


def _again_lead(value: bytes) -> bytes:
    return lead_row.dump(lead_row.load(value))


def _again_outcome(value: bytes) -> bytes:
    return outcome.dump(outcome.load(value))


def _again_legs(value: bytes) -> bytes:
    legs = {call: leg_from_record(record) for call, record in _DECODE_LEGS(body(value)).items()}
    return seal(position(value), _ENCODE({call: leg.packed() for call, leg in legs.items()}))


def _again_day(value: bytes) -> bytes:
    return pack_counts(unpack_counts(value), position(value))


def _again_call(value: bytes) -> bytes:
    return _again_event(Decoder[CallsEvent]("calls").decode(value))


def _again_crm(value: bytes) -> bytes:
    return _again_event(Decoder[CrmEvents]("crm").decode(value))


def _again_event(event: Event | Rejection) -> bytes:
    assert not isinstance(event, Rejection), event
    return events.encode(event)


def _again_contact(value: bytes) -> bytes:
    return facts.encode(facts.contacts_decoder.decode(value))


def _again_fact_of_outcomes(value: bytes) -> bytes:
    return facts.encode(facts.outcome_decoder.decode(value))


def encoded_again(settings: Settings, topic: str) -> Callable[[bytes], bytes]:
    """Return what decodes a record's value and encodes it again, for topics of which a record stands for itself."""
    prefix = settings.kafka.topic_prefix
    known: dict[str, Callable[[bytes], bytes]] = {
        changelog(settings, "leads"): _again_lead,
        changelog(settings, "outcomes"): _again_outcome,
        prefix + topics.CALLS.name: _again_call,
        prefix + topics.CRM.name: _again_crm,
        prefix + topics.CONTACTS.name: _again_contact,
        prefix + topics.OUTCOMES.name: _again_fact_of_outcomes,
    }
    return known[topic]


def manager_record_again(
    settings: Settings, before: Sequence[tuple[bytes | None, bytes | None]], key: bytes, value: bytes
) -> bytes | None:
    """Decode a record of the changelog of managers and return the value that its row is encoded to.

    `before` are the records in front of it: a live row is whole only with the blocks that it names.
    """
    manager, separator, rest = key.partition(b"\0")
    if separator:
        return _again_legs(value) if rest.startswith(_BLOCK) else _again_day(value)
    kind = kinds(settings)["managers"]
    part = MemoryPartition(kind)
    part.restore([Record(k, v, 0, 0) for k, v in before if k is not None and k.partition(b"\0")[0] == manager], 0)
    part.restore([Record(key, value, 0, 0)], 0)
    assert not part.dirty
    return dict(kind.changelog(manager, part.rows[manager])).get(manager)


# -- rows on disk


class Shelves:
    """A worker's folder of rows, opened by today's store."""

    def __init__(self, settings: Settings, folder: Path, table: str) -> None:
        self._store: Store = on_disk(settings, folder)[table].store
        self._store.open()

    def rows(self, partition: int) -> dict[bytes, bytes]:
        """Return the rows of a partition."""
        return dict(self._store.partition(partition).scan())

    def resumes_at(self, partition: int) -> int | None:
        """Return the offset of the changelog that restoring begins at, None: at its start."""
        store = self._store.partition(partition)
        return None if store.checkpoint == NO_CHECKPOINT else resumes_at(store.checkpoint, topics.REMOVALS_KEPT_MS)

    def close(self) -> None:
        """Close the folder."""
        self._store.close()

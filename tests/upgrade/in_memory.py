"""A whole installation in memory: the agents, tables and checkpoints of a worker, with lists in place of Kafka."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Final

from faust.types import TP

from agents.calls import CallsAgent
from agents.crm import CrmAgent
from agents.delivery.intake import Intake
from agents.delivery.offsets import OffsetTracker
from agents.delivery.worker_metrics import WorkerMetrics
from agents.kafka.batch_sender import Headers
from agents.leads import LeadsAgent
from agents.outcomes import OutcomesAgent
from agents.state.checkpoint import Checkpoint
from agents.state.expiry import Expiry
from agents.state.in_memory import Kind
from agents.state.rows import CacheBudget
from agents.state.tables import OnDisk, partition_of
from agents.telemetry.managers import Managers
from streams.calendars import manager_time
from streams.contract import topics
from streams.settings.settings import Settings
from streams.tables.lead.fold import LeadFold
from tests.agents.manager_collector import ManagerCollector
from tests.upgrade.frozen import Arrival, Figures, Frozen
from tests.upgrade.today import DAY_MS, Record, agreed, changelog, kinds, on_disk, series, settings_topic, topic_names

_ALL_ROWS: Final = 1_000_000

Found = dict[str, list[list[tuple[bytes | None, bytes | None]]]]


class Topics:
    """The topics. They replace the outbox: an added record is in its topic at once."""

    def __init__(self, names: Iterable[str], partitions: int, *, refuse: bool = True) -> None:
        self._refuse = refuse
        self.logs: dict[str, list[list[Record]]] = {name: [[] for _ in range(partitions)] for name in names}
        self.now_ms = 0
        self._acked: dict[tuple[str, int], list[tuple[int, int]]] = {}

    def add(self, topic: str, partition: int, key: bytes | None, value: bytes | None, headers: Headers = None) -> None:
        """Append a record. A dead letter fails the test, unless the test expects some."""
        assert not (self._refuse and topic.endswith(topics.REJECTED.name)), f"a dead letter: {value!r}"
        log = self.logs[topic][partition]
        self._acked.setdefault((topic, partition), []).append((len(log), 1))
        log.append(Record(key, value, len(log), self.now_ms, tuple(headers or ())))

    def add_all(self, topic: str, partition: int, records: Iterable[tuple[bytes, bytes | None]]) -> None:
        """Append records without headers."""
        for key, value in records:
            self.add(topic, partition, key, value)

    async def drain(self) -> None:
        """Do nothing: no record is ever under way."""

    def acked(self, topic: str, partition: int) -> list[tuple[int, int]]:
        """Return the places of the records that were added since the last call."""
        return self._acked.pop((topic, partition), [])

    async def commit_offsets(self, offsets: Mapping[TP, int]) -> bool:  # noqa: ARG002 - as the consumer's
        """Commit nothing: each log is folded up to its end."""
        return True

    def ends(self) -> dict[str, list[int]]:
        """Return the end of each partition."""
        return {topic: [len(log) for log in logs] for topic, logs in self.logs.items()}

    def found(self) -> Found:
        """Return key and value of every record."""
        return {
            topic: [[(record.key, record.value) for record in log] for log in logs] for topic, logs in self.logs.items()
        }


class Table:
    """A table that owns all its partitions: in memory, or in the store `disk`, which must be open."""

    def __init__(self, name: str, kind: Kind[Any], changelog: str, partitions: int, disk: OnDisk[Any] | None) -> None:
        self.name = name
        self.kind = kind
        self.changelog = changelog
        self.owned = frozenset(range(partitions))
        self.parts = {number: partition_of(kind, disk, number, CacheBudget()) for number in range(partitions)}

    def part(self, partition: int) -> Any:
        """Return the rows of a partition."""
        return self.parts[partition]


class Installation:
    """All agents and tables of an installation. With `disk`, rows of leads live in a store there; close it then.

    A dead letter fails the test; `refuse` is false where the test expects some. `maker` is in the header of the group's
    facts. With `deal_rows`, deals have rows of their own, as in groups of today.
    """

    def __init__(
        self,
        settings: Settings,
        disk: Path | None = None,
        *,
        refuse: bool = True,
        maker: bytes | None = None,
        deal_rows: bool = False,
    ) -> None:
        self.settings = settings
        self._maker = maker
        self._deal_rows = deal_rows
        kafka = settings.kafka
        self.partitions = kafka.partitions
        self.topics = Topics(topic_names(settings), self.partitions, refuse=refuse)
        self._disk = on_disk(settings, disk) if disk is not None else {}
        for table in self._disk.values():
            table.store.open()
        self.tables: dict[str, Any] = {
            name: Table(name, kind, changelog(settings, name), self.partitions, self._disk.get(name))
            for name, kind in kinds(settings).items()
        }
        self._metrics = WorkerMetrics()
        self._partition_for = topics.partitioner(self.partitions)
        self._hops = self._agents()
        self._folded = {(name, number): 0 for name in self._hops for number in range(self.partitions)}
        self._checkpoint = Checkpoint(
            list(self.tables.values()),
            self.topics,  # type: ignore[arg-type]  # stands in
            OffsetTracker(),
            self.topics.commit_offsets,
        )
        self._figures = Managers(settings, self.tables, self._partition_for)

    def _intake(self, topic: topics.Topic, key_rule: str | None = None) -> Intake:
        return Intake(
            self._name(topic),
            outbox=self.topics,
            metrics=self._metrics,
            partition_for=self._partition_for,
            rejected=self._name(topics.REJECTED),
            key_rule=key_rule,
            maker=self._maker,
        )

    def _agents(self) -> dict[str, Any]:
        settings, tables, partition_for, sent = self.settings, self.tables, self._partition_for, self.topics
        contacts, outcomes = self._name(topics.CONTACTS), self._name(topics.OUTCOMES)
        fold = LeadFold(
            settings.results,
            settings.thresholds,
            settings.economics,
            partial(manager_time, settings),
        )
        calls = self._intake(topics.CALLS, "the manager")
        crm = self._intake(topics.CRM, "the lead")
        of_leads = self._intake(topics.CONTACTS)
        of_outcomes = self._intake(topics.OUTCOMES)
        speech = self._name(topics.SPEECH)
        self._calls = CallsAgent(settings, tables["managers"], calls, sent, partition_for, contacts, speech)
        return {
            self._name(topics.CALLS): self._calls,
            self._name(topics.CRM): CrmAgent(settings, crm, sent, partition_for, contacts, deal_rows=self._deal_rows),
            contacts: LeadsAgent(tables["leads"], fold, of_leads, sent, partition_for, outcomes),
            outcomes: OutcomesAgent(tables["outcomes"], of_outcomes),
        }

    def _name(self, topic: topics.Topic) -> str:
        return self.settings.kafka.topic_prefix + topic.name

    # -- work

    def agree(self, at_ms: int) -> None:
        """Write the settings that the tables are made by."""
        self.topics.add(settings_topic(self.settings), 0, None, agreed(self.settings, at_ms))

    def work(self, arrivals: Iterable[Arrival], now_ms: int) -> None:
        """Take the arrivals in, conclude the ends that are due at `now_ms`, and write a checkpoint."""
        for arrival in arrivals:
            assert arrival.key is not None
            self.topics.now_ms = arrival.at_ms
            name = self.settings.kafka.topic_prefix + arrival.topic
            self.topics.add(name, self._partition_for(arrival.key), arrival.key, arrival.value)
        self.topics.now_ms = now_ms
        self._fold()
        everywhere = set(range(self.partitions))
        self._calls.sweep(now_ms, everywhere)
        self._fold()
        # A round of its own at each checkpoint: when a lead is forgotten does not depend on the rounds before.
        expiry = Expiry(self.tables["leads"], self.settings.results.lead_expiry_days * DAY_MS)
        expiry.step(now_ms, everywhere, rows=_ALL_ROWS)
        asyncio.run(self._checkpoint.run({}))

    def _fold(self) -> None:
        while any(self._fold_next(name, number) for name, number in self._folded):
            pass

    def _fold_next(self, topic: str, partition: int) -> bool:
        at = self._folded[topic, partition]
        records = self.topics.logs[topic][partition][at:]
        if records:
            self._hops[topic].fold(TP(topic, partition), records)
            self._folded[topic, partition] = at + len(records)
        return bool(records)

    # -- restoring

    def restore(self, frozen: Frozen, reading: int) -> None:
        """Take all topics as they were at a reading, and restore the tables from their changelogs."""
        ends = frozen.readings[reading].ends
        for topic, logs in frozen.topics.items():
            for partition, (log, end) in enumerate(zip(logs, ends[topic], strict=True)):
                self.topics.logs[topic][partition] = [
                    Record(key, value, offset, 0) for offset, (key, value) in enumerate(log[:end])
                ]
        for topic, partition in self._folded:
            self._folded[topic, partition] = ends[topic][partition]
        for table in self.tables.values():
            for partition, part in table.parts.items():
                log = self.topics.logs[table.changelog][partition]
                part.restore(log, len(log))
                part.restored(len(log))

    # -- reading

    def figures(self, now_ms: int) -> Figures:
        """Return all figures of managers, leads, outcomes and teams as they are read at `now_ms`."""
        return series(ManagerCollector(self._figures, lambda: now_ms).collect())

    def close(self) -> None:
        """Close the store on disk."""
        for table in self._disk.values():
            table.store.close()

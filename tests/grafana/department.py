"""A simulated department in one process, at any moment: the folds of a worker, and its own exposition of them.

Only the people are invented: `streams.simulator` makes their events, the pure folds of all hops count them, and
`agents.telemetry` writes the scrape. Kafka is left out, so a worker's metrics of its own work are set here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from itertools import islice
from typing import Any, Final

from faust.types import TP
from msgspec.structs import replace
from prometheus_client import generate_latest

from agents.delivery.transport import Fetched
from agents.gateway.metrics import GatewayMetrics
from streams.contract.events import Event
from streams.simulator import Department, Record, SpeechOptions, simulate
from streams.simulator.people import stories
from streams.units import DAY_MS, HOUR_MS, SECOND_MS
from tests.agents.stand_in import StandIn
from tests.grafana.heard import Heard
from tests.streams.folded import Folded

SMALL: Final = ("harbour", "bridge")
"""The teams of the department of eight: of those of the stories."""
TABLES: Final = ("managers", "outcomes", "leads", "coaching")
_TOPICS: Final = ("calls", "crm")


def people(managers: int, days: int, seed: int = 7) -> Department:
    """Return a department of this number of managers: 8 and 25 are the stories, others are invented."""
    if managers not in (8, 25):
        return Department.make(seed, managers, max(1, managers // 12))
    made = stories.department(seed, days)
    if managers == 25:
        return made
    ours = {id_: manager for id_, manager in made.settings.managers.items() if manager.team in SMALL}
    teams = {id_: team for id_, team in made.settings.teams.items() if id_ in SMALL}
    return replace(
        made,
        settings=replace(made.settings, managers=ours, teams=teams),
        members=tuple(member for member in made.members if member.manager.id in ours),
    )


class Running:
    """The department since `start_ms`. `until` lets time pass, `scrape` returns the metrics of a worker then.

    While `cut` is true, no events arrive; they arrive together when it is false again. A share `speech` of the answered
    calls has a transcript.
    """

    def __init__(self, department: Department, start_ms: int, end_ms: int, speech: float = 0) -> None:
        self.now_ms = start_ms
        self.cut = False
        self.worker = StandIn(department.settings)
        spoken = SpeechOptions(share=speech) if speech else None
        self._records = simulate(department, start_ms, end_ms, crm=True, speech=spoken)
        self._next: Record | None = next(self._records, None)
        self._held: list[Record] = []
        self._shown = dict.fromkeys(TABLES, 0)
        self._folded = Folded(department.settings, (), start_ms)
        self._heard = Heard(department.settings)
        self._folded.on_leg = self._heard.leg if speech else None
        self._loop = asyncio.new_event_loop()
        self.gateway = GatewayMetrics(lambda: self.now_ms / SECOND_MS)
        self.gateway.announce("pbx")
        self.gateway.announce("crm")
        for name, value in (("kafka_reachable", 1), ("spool_bytes", 0), ("spool_max_bytes", 1 << 30)):
            self.gateway.gauge(name).set(value)
        self.worker.own(*range(department.settings.kafka.partitions))
        self.worker.app.rebalancing_count = 1
        for topic in (*_TOPICS, "speech") if speech else _TOPICS:
            self.worker.metrics.announce(topic, contract=True)
            for partition in range(department.settings.kafka.partitions):
                self.worker.tracker.open({TP(topic, partition): 0})
                self.worker.consumer.positions[TP(topic, partition)] = Fetched(0, 0)
        self._exposition = self.worker.exposition(slice_s=1e9)

    def close(self) -> None:
        """End the loop that writes scrapes."""
        self._loop.close()

    def until(self, now_ms: int) -> None:
        """Let all events arrive, and all legs time out, that do until then."""
        for record in self._arriving(now_ms):
            self._held.append(record)
        if not self.cut:
            held, self._held = self._held, []
            for record in held:
                self._take(record)
        self.now_ms = now_ms
        self._folded.time_out(now_ms)
        self._heard.settle(now_ms)
        self._show()

    def scrape(self) -> str:
        """Return the present metrics of the worker."""
        self.worker.checkpoint.count += 60
        self.worker.checkpoint.seconds = [0.02, 0.03]
        self.worker.metrics.histogram("loop_stall_seconds").observe(0.002)
        return self._loop.run_until_complete(self._exposition.text(self.now_ms)).decode()

    def gateway_scrape(self) -> str:
        """Return the present metrics of the process of the way in."""
        self.gateway.refresh()
        return generate_latest(self.gateway.registry).decode()

    def _arriving(self, now_ms: int) -> Iterator[Record]:
        while self._next is not None and self._next.due_ms <= now_ms:
            yield self._next
            self._next = next(self._records, None)

    def _take(self, record: Record) -> None:
        self.now_ms = max(self.now_ms, record.due_ms)
        metrics, topic = self.worker.metrics, record.topic
        source = {"crm": "crm", "speech": "recogniser"}.get(topic, "pbx")
        event = self._heard.take(record) if topic == "speech" else self._folded.take(record)
        metrics.counter("records_total", topic).inc()
        metrics.counter("batches_total", topic).inc()
        if event is None:
            metrics.counter("rejected_total", topic, "invalid_field").inc()
            self.gateway.rejected(source, ["invalid_field"])
            return
        metrics.counter("events_applied_total", topic).inc()
        metrics.histogram("event_delay_seconds", topic).observe(max(0, record.due_ms - event.at) / SECOND_MS)
        newest = metrics.gauge("newest_event_timestamp_seconds", topic)
        newest.set(max(newest._value.get(), event.at / SECOND_MS))
        metrics.gauge("source_heartbeat_timestamp_seconds", source).set(newest._value.get())
        known: Event = event
        self.gateway.stored(source, [known], ["accepted"])
        self.gateway.acknowledgement.observe(0.01)

    def _show(self) -> None:
        """Put new rows into the tables of the worker."""
        folded = self._folded
        found: tuple[dict[str, Any], ...] = (
            *(folded.managers, folded.outcome_rows, folded.leads),
            self._heard.coaching,
        )
        for table, rows in zip(TABLES, found, strict=True):
            fresh = list(islice(rows.items(), self._shown[table], None))
            self._shown[table] = len(rows)
            for id_, row in fresh:
                key = id_.encode()
                self.worker.tables[table].part(self.worker.partition_for(key)).rows[key] = row


def day_of(start_ms: int, day: int, hour: float) -> int:
    """Return the moment at an hour of Berlin in winter, `days` after the start, which is a midnight of UTC."""
    return start_ms + day * DAY_MS + int((hour - 1) * HOUR_MS)

"""The parts of a worker that metrics and health use, around stand-ins for Faust: no Kafka is needed."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from faust.exceptions import ConsumerNotStarted
from faust.types import TP

from agents import worker as wiring
from agents.app import Worker
from agents.delivery.offsets import OffsetTracker
from agents.delivery.session import Session
from agents.delivery.transport import Fetched
from agents.delivery.worker_metrics import WorkerMetrics
from agents.state.checkpoint import Checkpoint
from agents.state.in_memory import MemoryPartition
from agents.state.recovery import Recovery
from agents.state.worker_state import WorkerState
from agents.telemetry.exposition import Exposition
from agents.telemetry.http import Server
from agents.telemetry.lag import Lag
from streams.calendars import manager_time
from streams.contract import topics
from streams.contract.events import CallEnded, CallsEvent
from streams.settings.settings import Settings, load
from streams.tables.manager.fold import ManagerFold
from streams.tables.manager.row import ManagerRow
from streams.units import HOUR_MS, MINUTE_MS

__all__ = ["HOUR_MS", "MINUTE_MS", "MONDAY_MS", "NOON_MS", "StandIn", "ended", "eventually", "stand_in"]

MONDAY_MS = 1_790_553_600_000  # 2026-09-28 00:00 UTC
NOON_MS = MONDAY_MS + 12 * HOUR_MS


class Table:
    """The interface of `RowTable` that metrics and health use."""

    disk = None

    def __init__(self, name: str) -> None:
        self.name = name
        self.changelog = topics.changelog(name).name
        self.owned: frozenset[int] = frozenset()
        self.parts: dict[int, MemoryPartition[Any]] = {}

    def part(self, partition: int) -> MemoryPartition[Any]:
        return self.parts.setdefault(partition, MemoryPartition(None))  # type: ignore[arg-type]  # nothing is restored

    def release(self, partition: int) -> None:
        self.owned -= {partition}
        self.parts.pop(partition, None)


class Consumer:
    """The interface of `BatchConsumer` that metrics and health use."""

    def __init__(self) -> None:
        self.assigned: set[TP] | None = None
        self.fetch_from: dict[TP, int] = {}
        self.positions: dict[TP, Fetched] = {}
        self.ends: dict[TP, int] | Exception = {}

    def assignment(self) -> set[TP]:
        if self.assigned is None:
            raise ConsumerNotStarted
        return self.assigned

    def fetched(self, tp: TP) -> Fetched:
        return self.positions.get(tp, Fetched())

    async def highwaters(self, *tps: TP) -> dict[TP, int]:
        if isinstance(self.ends, Exception):
            raise self.ends
        return {tp: self.ends[tp] for tp in tps if tp in self.ends}


class StandIn:
    """A worker without Kafka. `failures` holds the errors that would have ended the process."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.failures: list[BaseException] = []
        self.tables: dict[str, Any] = {name: Table(name) for name in topics.TABLES}
        self.consumer = Consumer()
        self.restoring: dict[TP, int] = {}
        self.tracker = OffsetTracker()
        self.metrics = WorkerMetrics()
        self.now = 1_000.0
        self.session = Session(
            timeout_ms=settings.kafka.session_timeout_ms,
            heartbeat_ms=settings.kafka.heartbeat_interval_ms,
            worker=settings.worker.id,
            group=settings.kafka.group,
            fail=self.failures.append,
            clock=lambda: self.now,
        )
        app: Any = SimpleNamespace(
            consumer=self.consumer,
            rebalancing=False,
            rebalancing_count=0,
            consumer_generation_id=0,
            tables=SimpleNamespace(recovery=SimpleNamespace(active_highwaters=Counter())),
            assignor=SimpleNamespace(tables_metadata=dict),
        )
        self.app = app
        nothing: Any = None
        self.checkpoint = Checkpoint(list(self.tables.values()), nothing, self.tracker, nothing)
        sources = {name: settings.kafka.topic_prefix + topic.name for name, topic in topics.TABLES.items()}
        consumer: Any = lambda: self.consumer  # noqa: E731 - typed as what it stands for
        self.worker = Worker(
            settings=settings,
            app=app,
            metrics=self.metrics,
            tracker=self.tracker,
            outbox=nothing,
            state=WorkerState(self.tables, sources, self.checkpoint, self.failures.append),
            session=self.session,
            recovery=Recovery(self.app, self.tables, self.restoring, settings.kafka, self.session),
            lag=Lag(self.tracker, consumer),
            loop=nothing,
            agents={},
            fail=self.failures.append,
        )

    def server(self) -> Server:
        """Return the worker's HTTP server, which does not listen yet."""
        return wiring.create_server(self.worker)

    async def serve(self) -> Server:
        """Return the worker's HTTP server, listening."""
        server = self.server()
        await server.open()
        return server

    def exposition(self, slice_s: float | None = None) -> Exposition:
        """Return the exposition of the worker's HTTP server."""
        made = self.server().exposition
        if slice_s is not None:
            made._slice_s = slice_s
        return made

    def partition_for(self, key: bytes) -> int:
        return self.worker.partition_for(key)

    def assign(self, *partitions: int) -> None:
        """Let the group assign the partitions of every table; nothing is restored yet."""
        self.app.rebalancing_count += 1
        self.app.rebalancing = True
        self.consumer.assigned = {TP(t.changelog, p) for t in self.tables.values() for p in partitions}
        for table in self.tables.values():
            table.owned = frozenset()
            table.parts.clear()

    def own(self, *partitions: int) -> StandIn:
        """Assign the partitions and restore them."""
        self.assign(*partitions)
        return self.restored(*partitions)

    def restored(self, *partitions: int) -> StandIn:
        """Complete the restore of the assigned partitions."""
        for table in self.tables.values():
            table.owned = frozenset(partitions)
        self.app.rebalancing = False
        return self

    def row(self, manager: str) -> ManagerRow:
        """Return the manager's row, made if there is none."""
        key = manager.encode()
        rows = self.tables["managers"].part(self.partition_for(key)).rows
        if key not in rows:
            rows[key] = ManagerRow(manager, manager_time(self.settings, manager))
        return rows[key]  # type: ignore[no-any-return]  # MemoryPartition[Any]

    def fold(self, *events: CallsEvent) -> None:
        """Fold events into their managers' rows."""
        fold = ManagerFold(self.settings.thresholds).fold
        for event in events:
            row = self.row(event.manager)
            fold(row, event, row.live.pos + 1)


async def eventually(condition: Callable[[], bool], deadline_s: float = 10.0) -> None:
    """Return once `condition` holds. Raise TimeoutError if it does not within the deadline."""
    async with asyncio.timeout(deadline_s):
        while not condition():  # noqa: ASYNC110 - the condition has no event of its own
            await asyncio.sleep(0.001)


def stand_in(toml: str = "") -> StandIn:
    """Return a worker with the settings of `toml`, without partitions."""
    return StandIn(load(toml, {}))


def ended(manager: str, at: int, talk_ms: int = 30_000, call: str = "", **other: Any) -> CallEnded:
    """Return an answered outbound call of `manager`."""
    call = call or f"{manager}@{at}"
    fields: dict[str, Any] = {
        "direction": "outbound",
        "kind": "cold",
        "disposition": "answered",
        "started_at": at - talk_ms - 10_000,
        "answered_at": at - talk_ms,
    }
    return CallEnded(v=1, id=call, at=at, source="pbx", call=call, manager=manager, talk_ms=talk_ms, **(fields | other))

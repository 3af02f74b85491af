"""A stand-in for what metrics and health look at in a worker: tables, ledger, consumer. No Kafka, no Faust."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from faust.exceptions import ConsumerNotStarted
from faust.types import TP

from agents.delivery.counters import Operations
from agents.delivery.offsets import Ledger
from agents.state.checkpoint import Checkpoint
from agents.state.tables import Part
from agents.telemetry.lag import Lag
from streams.calendars import local_time
from streams.contract import topics
from streams.contract.events import CallEnded, CallsEvent
from streams.settings.settings import Settings, load
from streams.tables.manager.fold import ManagerFold
from streams.tables.manager.row import ManagerRow

MINUTE_MS = 60_000
HOUR_MS = 60 * MINUTE_MS
MONDAY_MS = 1_790_553_600_000  # 2026-09-28 00:00 UTC
NOON_MS = MONDAY_MS + 12 * HOUR_MS


class Table:
    """What `RowTable` shows of itself."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.changelog = topics.changelog(name).name
        self.owned: frozenset[int] = frozenset()
        self.parts: dict[int, Part[Any]] = {}

    def part(self, partition: int) -> Part[Any]:
        return self.parts.setdefault(partition, Part(None))  # type: ignore[arg-type]  # nothing is restored

    def release(self, partition: int) -> None:
        self.owned -= {partition}
        self.parts.pop(partition, None)


class Assignment:
    """aiokafka's state of the partitions that are assigned: position and highwater of each."""

    def __init__(self) -> None:
        self.states: dict[tuple[str, int], SimpleNamespace] = {}

    @property
    def tps(self) -> set[tuple[str, int]]:
        return set(self.states)

    def state_value(self, tp: tuple[str, int]) -> SimpleNamespace:
        return self.states[tp]


class Consumer:
    """What `BatchConsumer` shows of itself."""

    def __init__(self) -> None:
        self.assigned: set[TP] | None = None
        self.fetch_from: dict[TP, int] = {}
        self.fetched = Assignment()
        self.ends: dict[TP, int] | Exception = {}
        subscription = SimpleNamespace(assignment=self.fetched)
        client = SimpleNamespace(_subscription=SimpleNamespace(subscription=subscription))
        self._thread = SimpleNamespace(_ensure_consumer=lambda: client)

    def assignment(self) -> set[TP]:
        if self.assigned is None:
            raise ConsumerNotStarted
        return self.assigned

    async def highwaters(self, *tps: TP) -> dict[TP, int]:
        if isinstance(self.ends, Exception):
            raise self.ends
        return {tp: self.ends[tp] for tp in tps if tp in self.ends}


class Core:
    """What `app.Core` shows of itself. `failures` holds what would have ended the process."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.operations = Operations()
        self.place = topics.partitioner(settings.kafka.partitions)
        self.tables: dict[str, Any] = {name: Table(name) for name in topics.TABLES}
        self.consumer = Consumer()
        ledger = Ledger()
        self.app: Any = SimpleNamespace(
            consumer=self.consumer,
            delivery=SimpleNamespace(ledger=ledger, restoring={}),
            rebalancing=False,
            rebalancing_count=0,
            tables=SimpleNamespace(recovery=SimpleNamespace(active_highwaters=Counter())),
        )
        self.lag = Lag(self)  # type: ignore[arg-type]  # a stand-in
        self.checkpoint = Checkpoint(list(self.tables.values()), None, ledger)  # type: ignore[arg-type]  # never run
        self.stopping = False
        self.failures: list[BaseException] = []
        self.fail = self.failures.append

    @property
    def ledger(self) -> Ledger:
        return self.app.delivery.ledger  # type: ignore[no-any-return]  # see SimpleNamespace above

    def name(self, topic: topics.Topic) -> str:
        return self.settings.kafka.topic_prefix + topic.name

    def assign(self, *partitions: int) -> None:
        """Let the group assign the partitions of every table; nothing is restored yet."""
        self.app.rebalancing_count += 1
        self.app.rebalancing = True
        self.consumer.assigned = {TP(t.changelog, p) for t in self.tables.values() for p in partitions}
        for table in self.tables.values():
            table.owned = frozenset()
            table.parts.clear()

    def own(self, *partitions: int) -> Core:
        """Assign the partitions and restore them."""
        self.assign(*partitions)
        return self.restored(*partitions)

    def restored(self, *partitions: int) -> Core:
        """Let the restore of the partitions that were assigned come to its end."""
        for table in self.tables.values():
            table.owned = frozenset(partitions)
        self.app.rebalancing = False
        return self

    def row(self, manager: str) -> ManagerRow:
        """Return the manager's row, made if there is none."""
        key = manager.encode()
        rows = self.tables["managers"].part(self.place(key)).rows
        if key not in rows:
            rows[key] = ManagerRow(manager, local_time(self.settings.manager(manager).timezone))
        return rows[key]  # type: ignore[no-any-return]  # Part[Any]

    def fold(self, *events: CallsEvent) -> None:
        """Fold events into their managers' rows."""
        fold = ManagerFold(self.settings.thresholds).fold
        for event in events:
            row = self.row(event.manager)
            fold(row, event, row.live.pos + 1)


async def eventually(condition: Callable[[], bool], deadline_s: float = 10.0) -> None:
    """Return once `condition` holds. Raise TimeoutError if it does not within the deadline."""
    async with asyncio.timeout(deadline_s):
        while not condition():  # noqa: ASYNC110 - what is waited for has no event of its own
            await asyncio.sleep(0.001)


def core(toml: str = "") -> Core:
    """Return a core with the settings of `toml`, that nothing is assigned to."""
    return Core(load(toml, {}))


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

"""The core of a worker: what is not Faust's — tables, outbox, checkpoint, metrics — and how batches are folded."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any, Final, Protocol, cast

from faust.types import TP

from agents.calls import CallsAgent
from agents.delivery import transport
from agents.delivery.counters import Operations
from agents.delivery.intake import Intake
from agents.delivery.offsets import Batch
from agents.delivery.outbox import Outbox
from agents.state.checkpoint import Checkpoint
from agents.state.expiry import Expiry
from agents.state.tables import Kind, OnDisk, RowTable
from agents.telemetry.lag import Lag
from streams.contract import topics
from streams.settings.settings import Settings
from streams.units import DAY_MS

log = logging.getLogger("callpulse")

_FIRST_STEP: Final = 256
_LARGEST_STEP: Final = 4096
# What waits for the loop often needs it several times (send, acknowledge, commit) before it is done.
_AIR: Final = 3
SWEEP_S: Final = 5.0
MAX_DIRTY: Final = 50_000
REFETCH_S: Final = 2.0
EXIT_INFRASTRUCTURE: Final = 70  # EX_SOFTWARE: what runs the worker should start it again

Fail = Callable[[BaseException], None]


def leave(error: BaseException) -> None:
    """End the process at once and without a commit: what was not made durable is folded again by the next worker."""
    log.critical("leaving without a commit: %s: %s", type(error).__name__, error)
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(EXIT_INFRASTRUCTURE)


class Fold(Protocol):
    """What an agent does with the records of a batch."""

    def fold(self, tp: TP, records: list[Any]) -> None:
        """Fold records of `tp` without a pause, so that the tables are never seen half way."""


class Core:
    """The parts of a worker that are not Faust's: tables, outbox, checkpoint, metrics."""

    def __init__(
        self,
        app: Any,
        settings: Settings,
        kinds: dict[str, Kind[Any]],
        fail: Fail,
        on_disk: Mapping[str, OnDisk[Any]] | None = None,
    ) -> None:
        self.app = app
        self.settings = settings
        self.fail = fail
        self.operations = Operations()
        self.outbox = Outbox(lambda: app.producer._producer, fail)  # noqa: SLF001 - Faust has no batch interface
        self.place = topics.partitioner(settings.kafka.partitions)
        self.tables: dict[str, RowTable[Any]] = {
            name: RowTable(app, name=name, kind=kind, fail=fail, disk=(on_disk or {}).get(name))
            for name, kind in kinds.items()
        }
        self._on_disk = [table for table in self.tables.values() if table.disk is not None]
        self.outbox.watched = frozenset(table.changelog for table in self._on_disk)
        for table in self.tables.values():
            app.tables.add(table)
        self.checkpoint = Checkpoint(list(self.tables.values()), self.outbox, app.delivery.ledger)
        self.agents: dict[str, Fold] = {}
        app.delivery.on_checkpoint = self.run_checkpoint
        app.delivery.on_released = self.release
        self.stopping = False
        self._turn = asyncio.Lock()
        self._idle_since: dict[str, float] = {}  # of agents that wait for a batch, by topic
        self.lag = Lag(self)

    @property
    def consumer(self) -> transport.BatchConsumer:
        """The worker's consumer."""
        return cast(transport.BatchConsumer, self.app.consumer)

    def name(self, topic: topics.Topic) -> str:
        """Return the topic's name in this installation."""
        return self.settings.kafka.topic_prefix + topic.name

    def intake(self, topic: topics.Topic, *, contract: bool) -> Intake:
        """Return the common side of an agent of `topic`."""
        return Intake(
            self.name(topic),
            outbox=self.outbox,
            operations=self.operations,
            place=self.place,
            rejected=self.name(topics.REJECTED),
            contract=contract,
        )

    @property
    def tables_owned(self) -> bool:
        """Whether any partition of a table is whole and ours."""
        return any(table.owned for table in self.tables.values())

    def open_stores(self) -> None:
        """Open what lies on disk, if it is not open yet. Raise OSError where it cannot be used."""
        for table in self._on_disk:
            assert table.disk is not None  # noqa: S101 - tells mypy
            table.disk.store.open()

    def close_stores(self) -> None:
        """Let another process have what lies on disk."""
        for table in self._on_disk:
            assert table.disk is not None  # noqa: S101 - tells mypy
            table.release()
            table.disk.store.close()

    def freeze(self) -> dict[TP, int]:
        """Fold no more; return the offsets up to which all is folded."""
        offsets: dict[TP, int] = self.app.delivery.ledger.snapshot()
        self.app.delivery.ledger.close()
        return offsets

    def release_all(self) -> None:
        """Export no more rows."""
        for table in self.tables.values():
            table.release()

    async def run_checkpoint(self, offsets: dict[TP, int] | None = None) -> bool:
        """Make durable and commit; an error ends the worker."""
        try:
            return await self.checkpoint.run(self.consumer, offsets)
        except Exception as error:
            self.fail(error)
            raise

    def release(self, tps: set[TP]) -> None:
        """Forget the rows of revoked partitions."""
        for name, table in self.tables.items():
            topic = self.name(topics.TABLES[name])
            table.release({tp.partition for tp in tps if tp.topic == topic})

    async def consume(self, stream: Any, agent: Fold, topic: str) -> None:
        """Fold the batches of `stream`, in order, in short steps with air for the event loop between them."""
        ledger = self.app.delivery.ledger
        step = _FIRST_STEP
        # A fold holds the event loop; a short one leaves heartbeats, scrapes and commits their time.
        goal_s = self.settings.worker.batch_ms / 1000
        self._idle_since[topic] = time.monotonic()
        async for event in stream.events():
            del self._idle_since[topic]
            batch: Batch = event.value
            records = ledger.take(batch)
            if records is None:
                await self.fetch_again(batch.tp)
                records = []
            following = ledger.next_offset(batch.tp)
            done = 0
            while done < len(records):
                async with self._turn:
                    if ledger.next_offset(batch.tp) != following:
                        break  # revoked meanwhile: whoever has it now folds the rest
                    part = records[done : done + step]
                    done += len(part)
                    begun = time.thread_time()  # what other processes take of the processor makes no fold longer
                    try:
                        agent.fold(batch.tp, part)
                    except Exception as error:
                        # Faust would acknowledge the batch and go on: its records would be lost.
                        self.fail(error)
                        raise
                    took_s = time.thread_time() - begun
                    following = batch.end if done >= len(records) else part[-1].offset + 1
                    ledger.done(batch.tp, following)
                    step = _next_step(len(part), took_s, step, goal_s)
                    for _ in range(_AIR):
                        await asyncio.sleep(0)
                await self.outbox.ebb()
                if sum(len(part.dirty) for table in self._on_disk for part in table.parts.values()) > MAX_DIRTY:
                    await self.run_checkpoint()  # until then they are in memory all
            self._idle_since[topic] = time.monotonic()

    async def fetch_again(self, tp: TP) -> None:
        """Seek `tp` back to the next offset to fold: something that was fetched never came."""
        offset = self.app.delivery.ledger.next_offset(tp)
        if offset is not None and tp in self.app.consumer.assignment():
            log.warning("%s/%s: records are missing in delivery; fetching from %s again", *tp, offset)
            await self.app.consumer.seek(tp, offset)

    def crashed_service(self) -> BaseException | None:
        """Return why a part of Faust crashed, None while all live: Faust lets the rest run on, without work."""
        app = cast(Any, self.app)
        for service in (app, app._consumer, app._fetcher, app._producer, app.tables, app.tables.recovery):  # noqa: SLF001 - Faust keeps them to itself
            if service is not None and service.crashed:
                return service.crash_reason or RuntimeError(f"{service.label} crashed; the log says why")
        return None

    async def watch_delivery(self) -> None:
        """Fetch again where batches were delivered and vanished: Faust clears its queues after a restore.

        An agent that waits for a batch of its topic has had all that was in its queue. So does one that folds, one day.
        """
        ledger = self.app.delivery.ledger
        while True:
            await asyncio.sleep(REFETCH_S / 4)
            crashed = self.crashed_service()
            if crashed is not None:
                self.fail(crashed)
                return
            now = time.monotonic()
            for tp, following in ledger.snapshot().items():
                idle_s = now - self._idle_since.get(tp.topic, now)
                ahead = self.consumer.fetch_from.get(tp, following) > following
                if ahead and idle_s > REFETCH_S:
                    self._idle_since[tp.topic] = now  # as long again, until what is sought can have come
                    await self.fetch_again(tp)

    async def sweep(self) -> None:
        """Conclude, for as long as the worker lives, the ends that never came."""
        calls = self.agents["managers"]
        assert isinstance(calls, CallsAgent)  # noqa: S101 - tells mypy
        while True:
            await asyncio.sleep(SWEEP_S)
            # A partition that lags may hold the real ends: what is concluded now would be taken back at once.
            calls.sweep(int(time.time() * 1000), self.caught_up(topics.CALLS))

    async def expire(self) -> None:
        """Remove, for as long as the worker lives, the leads that nobody has heard of for long."""
        after_ms = self.settings.results.lead_expiry_days * DAY_MS
        # While a history is fed in, what is old to the clock may be in the middle of its story.
        await Expiry(self.tables["leads"], after_ms).run(lambda: self.caught_up(topics.CONTACTS))

    def caught_up(self, topic: topics.Topic) -> set[int]:
        """Return the partitions of `topic` in which there is nothing left to fold."""
        name = self.name(topic)
        return {tp.partition for tp, lag in self.lag.now().items() if not lag and tp.topic == name}


def _next_step(records: int, seconds: float, step: int, goal_s: float) -> int:
    """Return how many records the next step may take to last about `goal_s`."""
    if records < step and seconds < goal_s:
        return step  # too small a sample to raise the step by
    return max(16, min(_LARGEST_STEP, int(step * 1.5) + 1, int(records * goal_s / max(seconds, 1e-6))))

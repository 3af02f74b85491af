"""A worker's application inside the test's own event loop, without HTTP, so that a test can cause faults in it."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from mode.threads import ServiceThread, WorkerThread

from agents.app import create_worker
from agents.application import Callpulse
from agents.kafka.topic_history import KnownTopic
from agents.state.tables import RowTable
from streams.contract import events, topics
from streams.settings.settings import Settings, load
from streams.tables.manager.counts import INBOUND, OUTBOUND
from streams.tables.manager.row import all_days
from tests.kafka_fixture import unique

STOP_S = 10.0


class BoundedThread(WorkerThread):
    """A thread of Faust's that cannot keep a test from ending: Faust would wait for it for ever, at exit too."""

    def __init__(self, service: Any, **kwargs: Any) -> None:
        super().__init__(service, daemon=True, **kwargs)

    def stop(self) -> None:
        """Wait, as Faust does, but not for long."""
        self.is_stopped.wait(STOP_S)
        self.join(STOP_S)


async def end_threads() -> None:
    """End the consumers that a test has left: they draw random numbers, and Hypothesis forbids that in later tests."""
    for thread in threading.enumerate():
        if isinstance(thread, BoundedThread):
            with suppress(RuntimeError):  # it has closed its loop by now
                thread.service._stopped_set()
            await asyncio.to_thread(thread.join, STOP_S)


ServiceThread.Worker = BoundedThread

START_MS = 1_790_000_000_000
PARTITIONS = 4


def settings_text(
    bootstrap: str, data_dir: Path, *, group: str = "", worker: str = "w1", commit: str = "200ms", batch: int = 4_000
) -> str:
    """Settings of an installation of the test's own, as in a file: its topics are named after its group.

    The events of tests have fixed moments, and become old by the worker's clock. So leads expire as late as they can.
    """
    group = group or unique("delivery")
    return f"""
        [kafka]
        bootstrap = "{bootstrap}"
        group = "{group}"
        topic_prefix = "{group}-"
        partitions = {PARTITIONS}
        session_timeout = "6s"
        heartbeat_interval = "1s"
        commit_interval = "{commit}"
        [worker]
        id = "{worker}"
        data_dir = "{data_dir}"
        http_port = 0
        batch_records = {batch}
        [results]
        lead_expiry = "3660d"
        """


def settings_for(bootstrap: str, data_dir: Path, *, group: str = "", worker: str = "w1") -> Settings:
    """Return the settings of `settings_text`."""
    return load(settings_text(bootstrap, data_dir, group=group, worker=worker), {})


async def make_topics(settings: Settings, **more: str) -> None:
    """Make every topic of the installation; `compression_type="zstd"` sets `compression.type` on all of them."""
    kafka = settings.kafka
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka.bootstrap)
    await admin.start()
    try:
        declared = topics.declared(kafka.group, kafka.topic_prefix)
        also = {key.replace("_", "."): value for key, value in more.items()}
        await admin.create_topics(
            [NewTopic(t.name, kafka.partitions, 1, topic_configs={**t.config, **also}) for t in declared]
        )
    finally:
        await admin.close()


async def recreate_topics(settings: Settings, *names: str) -> None:
    """Delete topics and create them again, as an operator does."""
    kafka = settings.kafka
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka.bootstrap)
    await admin.start()
    declared = {topic.name: topic for topic in topics.declared(kafka.group, kafka.topic_prefix)}
    try:
        await admin.delete_topics(list(names))
        left = set(names)
        deadline = time.monotonic() + 30
        while left:
            new = [NewTopic(n, kafka.partitions, 1, topic_configs=dict(declared[n].config)) for n in sorted(left)]
            reply = await admin.create_topics(new)
            left = {name for name, code, _ in reply.topic_errors if code}  # being deleted still
            assert time.monotonic() < deadline, left
            await asyncio.sleep(0.1)
    finally:
        await admin.close()


def call_ended(number: int, manager: str, **more: Any) -> events.CallEnded:
    """A finished dial of a minute and a half, one second after the one before it."""
    at = START_MS + number * 1000
    fields: dict[str, Any] = {
        "v": 1,
        "id": f"e{number}",
        "at": at,
        "source": "test",
        "call": f"c{number}",
        "manager": manager,
        "lead": f"lead-{number % 50}",
        "direction": "outbound",
        "started_at": at - 100_000,
        "answered_at": at - 90_000,
        "talk_ms": 90_000,
        "disposition": "answered",
    }
    return events.CallEnded(**{**fields, **more})


async def send(
    settings: Settings,
    numbers: Iterable[int],
    managers: int = 20,
    partition: int | None = None,
    codec: str | None = None,
) -> None:
    """Send a `call_ended` for each number, to its manager's partition or to `partition`, compressed by `codec`."""
    producer = AIOKafkaProducer(bootstrap_servers=settings.kafka.bootstrap, linger_ms=5, compression_type=codec)
    await producer.start()
    topic = settings.kafka.topic_prefix + topics.CALLS.name
    try:
        for number in numbers:
            manager = f"m{number % managers:03d}"
            home = topics.partition_of(manager.encode(), PARTITIONS) if partition is None else partition
            await producer.send(topic, events.encode(call_ended(number, manager)), manager.encode(), partition=home)
        await producer.flush()
    finally:
        await producer.stop()


def owned_rows(table: RowTable[Any]) -> list[tuple[bytes, Any]]:
    """The rows of the partitions of `table` that are owned and restored, by key."""
    return [
        item for partition in table.owned if partition in table.parts for item in table.parts[partition].rows.items()
    ]


class Worker:
    """An application that runs in this event loop. `failures` are the errors it would have left the process with."""

    def __init__(
        self,
        settings: Settings,
        known: Mapping[str, KnownTopic] | None = None,
        *,
        named_facts: bool = False,
        deal_rows: bool = True,
    ) -> None:
        self.settings = settings
        self.failures: list[BaseException] = []
        self.parts = create_worker(
            settings, self.failures.append, known or {}, named_facts=named_facts, deal_rows=deal_rows
        )
        self.app: Callpulse = self.parts.app

    async def start(self) -> Worker:
        """Start, and wait until the tables are restored."""
        await self.app.start()
        await wait_until(lambda: self.parts.state.owns_any or self.failures, "partitions are owned")
        return self

    async def stop(self) -> None:
        """End in good order."""
        if not self.failures:
            await self.parts.state.run_checkpoint(self.parts.tracker.freeze())
        await self.crash()

    async def crash(self) -> None:
        """End without a checkpoint, as kill -9 would; nothing folded since the last one is durable or committed."""

        async def nothing(_: Any = None) -> bool:
            return False

        self.app.delivery.checkpoint = nothing
        with suppress(asyncio.CancelledError, TimeoutError):
            await asyncio.wait_for(self.app.stop(), 2 * STOP_S)

    def rows(self, table: str) -> list[tuple[bytes, Any]]:
        """The rows of the owned partitions of a table, by key."""
        return owned_rows(self.parts.state.tables[table])

    def calls(self) -> int:
        """Return the number of finished legs that the rows of owned partitions count."""
        rows = self.rows("managers")
        return sum(sum(counts[INBOUND : OUTBOUND + 1]) for _, row in rows for counts in all_days(row).values())

    def open_leads(self) -> int:
        """Return the number of calls on open leads that the outcome rows count."""
        rows = self.rows("outcomes")
        return sum(sum(row.state.steps.get("sum", {}).values()) for _, row in rows)

    def counted(self, name: str, topic: topics.Topic) -> float:
        """The worker's own counter `name` for `topic`."""
        labels = {"topic": self.parts.name(topic)}
        return self.parts.metrics.registry.get_sample_value(f"callpulse_{name}", labels) or 0.0

    def committed(self) -> dict[Any, int]:
        """Return the committed offsets of the source partitions in the consumer."""
        return {tp: offset for tp, offset in self.parts.consumer._committed_offset.items() if offset}


async def end_tasks() -> None:
    """End the tasks that an application has left: at its end the event loop would wait for them for ever."""
    await end_threads()
    deadline = time.monotonic() + STOP_S
    while left := asyncio.all_tasks() - {asyncio.current_task()}:
        if time.monotonic() > deadline:
            for task in left:
                print(f"does not end: {task!r}")
                asyncio.tasks._unregister_task(task)
            return
        for task in left:
            task.cancel()
        await asyncio.wait(left, timeout=0.5)


async def wait_until_it_stays(condition: Callable[[], object], what: str, within_s: float = 60.0) -> None:
    """Wait until `condition` holds for a second: a lead that changes hands is for a moment with both managers."""
    since: float | None = None

    def stays() -> bool:
        nonlocal since
        since = (since or time.monotonic()) if condition() else None
        return since is not None and time.monotonic() - since > 1.0

    await wait_until(stays, what, within_s)


async def wait_until(condition: Callable[[], object], what: str, within_s: float = 60.0) -> None:
    """Wait until `condition` holds; fail after `within_s`, with `what` as its description."""
    deadline = time.monotonic() + within_s
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {within_s:g} s: {what}")
        await asyncio.sleep(0.02)


Start = Callable[[Settings], Awaitable[Worker]]
"""A function that starts a worker; the fixture `start` ends those that are left."""

"""A simulated department on a real broker, the workers that watch it, and the comparison with the batch oracle."""

from __future__ import annotations

import asyncio
import math
import os
import random
import re
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from agents.kafka import admin
from agents.kafka.feeder import Feeder
from agents.kafka.producer import BatchProducer
from agents.loop import SWEEP_S
from streams.contract import topics
from streams.settings.settings import Settings, load
from streams.simulator import Department, FaultRates, Record, simulate
from tests.faults.workers import Scrape, WorkerProcess
from tests.kafka_fixture import consume, eventually, unique
from tests.oracle.comparison import from_exposition, named
from tests.oracle.contract import Raw
from tests.oracle.names import GLIDING
from tests.oracle.oracle import DEFAULTS, Answers, Counts, between, counts
from tests.oracle.wording import practice_of

DAY_MS: Final = 86_400_000
MINUTE_MS: Final = 60_000
SETTLE_S: Final = 120.0
SEED: Final = int(os.environ.get("CALLPULSE_TEST_SEED", "0"))
GROWING: Final = frozenset({"callpulse_longest_call_in_progress_seconds", "callpulse_work_block_seconds"})
"""Metrics that grow with the clock: a scrape has their value of some moment between its beginning and its end."""
SOURCES: Final = (topics.CALLS, topics.CRM, topics.CONTACTS, topics.OUTCOMES)
WITH_TABLES: Final = (topics.CALLS, topics.CONTACTS, topics.OUTCOMES)
"""Those of the sources that rows are made of. Workers share the other's partitions, too, and export none of it."""

# In a week that arrives within seconds, a second leg whose start is lost cannot be derived from the transfer in time.
WEEK: Final = FaultRates(
    lost_starts=0.0, lost_answers=0.01, lost_ends=0.02, duplicates=0.03, disorder=0.1, late=0.02, bad=0.003
)


def chosen_seed(default: int) -> int:
    """Return the seed of a test, CALLPULSE_TEST_SEED if that is set; it is printed."""
    seed = SEED or default
    print(f"seed {seed}, at {time.time():.0f}")
    return seed


class Feeding:
    """Records on their way to Kafka on a thread of their own, at `rate` a second (None: as fast as they go)."""

    def __init__(self, settings: Settings, records: list[Record], rate: float | None = None) -> None:
        self.total = len(records)
        self.error: BaseException | None = None
        self._feeder: Any = None
        self._producer: BatchProducer | None = None
        self._thread = threading.Thread(target=self._run, args=(settings, records, rate), daemon=True)
        self._thread.start()

    def _run(self, settings: Settings, records: list[Record], rate: float | None) -> None:
        async def feed() -> None:
            async with BatchProducer(settings.kafka) as producer:
                self._producer = producer
                self._feeder = Feeder[Record](producer, prefix=settings.kafka.topic_prefix, rate=rate)
                await self._feeder.run(records)

        try:
            asyncio.run(feed())
        except BaseException as error:  # noqa: BLE001 - the test's own thread reports it
            self.error = error

    @property
    def sent(self) -> int:
        """Number of records that were handed to the producer."""
        return 0 if self._feeder is None else self._feeder.sent

    @property
    def acknowledged(self) -> int:
        """Number of records that Kafka has acknowledged."""
        return 0 if self._producer is None else self._producer.acknowledged

    @property
    def done(self) -> bool:
        """True once all records are in Kafka. Fails the test after an error."""
        if self.error is not None:
            pytest.fail(f"the feed broke: {self.error!r}")
        return not self._thread.is_alive()

    def join(self, within_s: float = SETTLE_S) -> None:
        """Wait until all records are in Kafka."""
        eventually(lambda: self.done, within_s=within_s, what="the feed is in Kafka")
        assert self.done
        assert self.sent == self.total


class Installation:
    """Topics of the test's own on a broker, a department of `managers`, and any number of workers. A context manager.

    `seed` determines the managers and their personalities; the history ends now.
    """

    def __init__(
        self,
        bootstrap: str,
        folder: Path,
        seed: int,
        *,
        managers: int = 16,
        replication: int = 1,
        more: str = "",
    ) -> None:
        self.department = Department.make(seed, managers, 4, always=True)
        self.group = unique("department")
        self.bootstrap = bootstrap
        self.folder = folder
        self.random = random.Random(seed)
        planned = self.department.toml().replace("[[teams]]\n", "[[teams]]\nplan_deals = 12\n")
        text = f"""{planned}
[kafka]
bootstrap = "{bootstrap}"
group = "{self.group}"
topic_prefix = "{self.group}."
session_timeout = "6s"
heartbeat_interval = "1s"
commit_interval = "300ms"
replication = {replication}
[worker]
http_port = 0
data_dir = "{folder / "data"}"
{more}
"""
        self.config = folder / "callpulse.toml"
        self.config.write_text(text, encoding="utf-8")
        self.settings = load(text, {})
        self.workers: dict[str, WorkerProcess] = {}
        asyncio.run(admin.create(self.settings.kafka))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for worker in self.workers.values():
            worker.kill()
            if kind is not None:
                print(f"--- {worker.name} said last:\n{worker.tail(60)}")

    # -- work

    def history(self, days: float, *, intensity: float = 1.0, faults: FaultRates = WEEK) -> list[Record]:
        """Return the records of the last `days` that have arrived by now, in the order of arrival."""
        now_ms = int(time.time() * 1000)
        start_ms = now_ms - int(days * DAY_MS)
        made = simulate(self.department, start_ms, now_ms, faults=faults, intensity=intensity, crm=True)
        return [record for record in made if record.due_ms <= now_ms]

    def feed(self, records: list[Record], rate: float | None = None) -> Feeding:
        """Begin to send records."""
        return Feeding(self.settings, records, rate)

    def start(self, name: str) -> WorkerProcess:
        """Start a worker, again if it has ended; returns at once."""
        worker = WorkerProcess(name, self.config, self.folder / f"{name}.log")
        self.workers[name] = worker
        return worker

    def start_by(self, name: str, config: Path) -> WorkerProcess:
        """Start a worker by other settings, which hold for the installation from here on."""
        self.settings = load(config.read_text(encoding="utf-8"), {})
        self.config, self.group = config, self.settings.kafka.group
        return self.start(name)

    @property
    def alive(self) -> list[WorkerProcess]:
        """The workers that run."""
        return [worker for worker in list(self.workers.values()) if worker.status is None]

    def topic(self, topic: topics.Topic) -> str:
        """A topic's name in this installation."""
        return self.settings.kafka.topic_prefix + topic.name

    # -- looking

    def settled(self) -> dict[Any, int]:
        """Wait until all records in Kafka are folded and committed; return the offsets at that moment."""
        ends = eventually(self._settled, within_s=SETTLE_S, every_s=0.3, what="all is committed at the log's end")
        assert ends is not None
        return ends

    def _settled(self) -> dict[TopicPartition, int] | None:
        ends, committed = asyncio.run(self._offsets())
        behind = {tp: (committed[tp], end) for tp, end in ends.items() if (committed[tp] or 0) != end}
        return None if behind else ends

    @property
    def caught_up(self) -> bool:
        """True once all records in Kafka are folded and committed; false while Kafka does not answer."""
        try:
            return self._settled() is not None
        except (KafkaError, OSError):
            return False

    async def _offsets(self) -> tuple[dict[TopicPartition, int], dict[TopicPartition, int | None]]:
        consumer = AIOKafkaConsumer(bootstrap_servers=self.bootstrap, group_id=self.group, enable_auto_commit=False)
        await consumer.start()
        try:
            partitions = [
                TopicPartition(self.topic(topic), number)
                for topic in SOURCES
                for number in range(self.settings.kafka.partitions)
            ]
            consumer.assign(partitions)
            # The log grows meanwhile, so its ends are read before the committed offsets.
            ends = await consumer.end_offsets(partitions)
            return ends, {tp: await consumer.committed(tp) for tp in partitions}
        finally:
            await consumer.stop()

    def committed(self) -> int:
        """Return the number of records of `calls` that are folded and committed; 0 while the broker is away."""
        try:
            _, committed = asyncio.run(self._offsets())
        except (KafkaError, OSError):
            return 0
        return sum(at or 0 for tp, at in committed.items() if tp.topic == self.topic(topics.CALLS))

    def raw(self) -> list[Raw]:
        """Return every record of `calls`, `crm` and `rejected`, as Kafka keeps it; none of aborted transactions."""
        return [
            Raw(name, record.partition, record.offset, record.timestamp, record.key, record.value)
            for topic, name in ((topics.CALLS, "calls"), (topics.CRM, "crm"), (topics.REJECTED, "rejected"))
            for record in consume(self.bootstrap, self.topic(topic), committed_only=True)
        ]

    def count(self) -> Counts:
        """Count the records of the topics."""
        return counts(self.raw())

    def rejected(self) -> Counter[str]:
        """Count the dead letters of `calls` and `crm` by reason, each once however often it was sent.

        The oracle reads no other topic. `speech` may have a record of a test that Kafka kept and did not acknowledge.
        """
        letters = {record.key: dict(record.headers) for record in consume(self.bootstrap, self.topic(topics.REJECTED))}
        counted = {self.topic(topic).encode() for topic in (topics.CALLS, topics.CRM)}
        return Counter(letter["reason"].decode() for letter in letters.values() if letter.get("topic") in counted)

    def answers(self, raw: list[Raw], moments_ms: tuple[int, int]) -> tuple[Answers, Answers]:
        """Return the expected value of every metric at two moments of one minute."""
        zones = {manager.id: manager.timezone for manager in self.settings.managers.values()}
        practice = practice_of(self.settings)
        thresholds = replace(DEFAULTS, conversation_ms=self.settings.thresholds.conversation_ms)
        return between(raw, zones, self.settings.timezone, moments_ms, thresholds, practice)

    # -- comparing

    def assert_exact(self) -> Counts:
        """Assert that the workers export the figures that the oracle derives from the topics; return the counts.

        The oracle ends a leg without an end at once; a worker does so within seconds. So a difference counts only once
        no further records come into the topics.
        """
        while True:
            ends = self.settled()
            scrapes = self.scrapes()
            raw = self.raw()
            if self._settled() != ends:
                continue
            wrong = self.differences(scrapes, raw)
            if not wrong:
                found = counts(raw)
                rejected = self.rejected()
                assert dict(rejected) == dict(found.rejected), f"dead letters {rejected}, refused {found.rejected}"
                return found
            if not self._moves_from(ends):
                raise AssertionError(f"{len(wrong)} figures are wrong:\n" + "\n".join(wrong[:20]))

    def _moves_from(self, ends: dict[TopicPartition, int]) -> bool:
        deadline = time.monotonic() + 2.5 * SWEEP_S
        while time.monotonic() < deadline:
            if asyncio.run(self._offsets())[0] != ends:
                return True
            time.sleep(0.2)
        return False

    def scrapes(self) -> list[Scrape]:
        """Return a scrape of every worker, once all answer within one minute of the clock and own all partitions.

        The group takes the partitions from a worker that was killed only when its session has timed out.
        """

        def look() -> list[Scrape] | None:
            if not all(worker.ready for worker in self.alive):
                return None
            scrapes = [worker.scrape() for worker in self.alive]
            found = [scrape for scrape in scrapes if scrape is not None]
            if len(found) < len(scrapes) or self._owned(found) != len(WITH_TABLES) * self.settings.kafka.partitions:
                return None
            minutes = {moment // MINUTE_MS for scrape in found for moment in (scrape.began_ms, scrape.ended_ms)}
            return found if len(minutes) == 1 else None

        assert self.alive, "no worker is left"
        scrapes = eventually(look, within_s=SETTLE_S, every_s=0.2, what="every worker answers, within one minute")
        assert scrapes is not None
        return scrapes

    def _owned(self, scrapes: list[Scrape]) -> int:
        """Return the number of partitions that the workers own of the topics with tables."""
        names = "|".join(re.escape(self.topic(topic)) for topic in WITH_TABLES)
        owned = re.compile(rf'^callpulse_partitions_owned{{topic="(?:{names})"}} (\d+)', re.MULTILINE)
        return sum(int(float(number)) for scrape in scrapes for number in owned.findall(scrape.text))

    def differences(self, scrapes: list[Scrape], raw: list[Raw]) -> list[str]:
        """Return a line for every figure that differs from the oracle's answer for `raw`."""
        began_ms = min(scrape.began_ms for scrape in scrapes)
        ended_ms = max(scrape.ended_ms for scrape in scrapes)
        ours: Answers = {}
        for scrape in scrapes:
            samples = from_exposition(scrape.text)
            assert not ours.keys() & samples.keys(), "two workers export the same manager"
            ours |= samples
        truth, later = self.answers(raw, (began_ms, ended_ms))
        assert truth.keys() == later.keys()
        lines = []
        for key in sorted(ours.keys() | truth.keys()):
            mine, true = ours.get(key), truth.get(key)
            if mine is None or true is None:
                lines.append(f"{named(*key)} is {mine}; it should be {true}")
                continue
            least, most = sorted((true, later[key]))
            if key[0] in GROWING:
                most += (ended_ms - began_ms) / 1000
            slack = 1e-9 * max(1.0, abs(true)) + (most - least if key[0] in GLIDING else 0.0)  # it may turn meanwhile
            if not (least - slack <= mine <= most + slack) or math.isnan(mine):
                lines.append(f"{named(*key)} is {mine:.15g}; it should be {true:.15g}")
        return lines


def managers_in(text: str) -> set[str]:
    """Return the managers that a scrape exports."""
    marker = 'callpulse_calls_in_progress{manager="'
    return {line[len(marker) :].partition('"')[0] for line in text.splitlines() if line.startswith(marker)}


class Watch:
    """Checks continuously, on a thread of its own, that no two workers export one manager at the same moment.

    With scrapes in turn, a manager may rightly appear on both sides of a hand-over. So a worker is scraped before and
    after the other: a worker that exports a manager both times has exported it in between, and the other must not.
    """

    def __init__(self, installation: Installation) -> None:
        self._installation = installation
        self._stop = threading.Event()
        self.twice: list[str] = []
        self.looks = 0
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join(60)

    def assert_never_twice(self) -> None:
        """Assert that there were checks, and that no two workers exported one manager."""
        assert self.looks > 0
        assert self.twice == []

    def _run(self) -> None:
        while not self._stop.wait(0.1):
            workers = self._installation.alive
            for one, other in _pairs(workers):
                before, between, after = (_managers(worker) for worker in (one, other, one))
                if before is None or between is None or after is None:
                    continue
                self.looks += 1
                if double := before & after & between:
                    self.twice.append(f"{one.name} and {other.name} both export {sorted(double)}")


def _managers(worker: WorkerProcess) -> set[str] | None:
    scrape = worker.scrape(timeout_s=3)
    return None if scrape is None else managers_in(scrape.text)


def _pairs(workers: list[WorkerProcess]) -> Iterator[tuple[WorkerProcess, WorkerProcess]]:
    for one in workers:
        for other in workers:
            if one is not other:
                yield one, other


def reached(feeding: Feeding, part: float) -> Callable[[], bool]:
    """Return a condition: the producer has got `part` (0 to 1) of the feed."""
    return lambda: feeding.done or feeding.sent >= part * feeding.total

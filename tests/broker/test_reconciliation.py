"""Reconciliation through real parts: events, records that come late, the topic of results, and the metrics."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from agents.cli.common import UserError, read_settings
from agents.cli.reconcile.records import RecordFiles
from agents.cli.reconcile.rounds import Rounds
from agents.kafka.producer import BatchProducer
from agents.kafka.reconciliations import follow, store
from agents.worker import create_server
from streams.contract.events import CallEnded, encode
from streams.settings.settings import Kafka, Settings, load
from streams.sources.reconciled import DayResult, Ledger
from streams.units import DAY_MS, HOUR_MS
from tests.agents.stand_in import StandIn
from tests.broker.installation import Installation
from tests.broker.test_cli_records import DAY, ROOT, SECRET, an_installation, command
from tests.kafka_fixture import eventually, unique
from tests.streams.records import lines_of, read
from tests.streams.test_records_cel import source

pytestmark = pytest.mark.broker

MIDNIGHT_MS = 1_794_873_600_000 + DAY_MS - 3 * HOUR_MS  # the end of 2026-11-17 in Moscow
EARLY_MS = MIDNIGHT_MS + HOUR_MS


def ends_of(lines: list[bytes]) -> list[CallEnded]:
    return [event for event in read(source("cdr"), lines)[0] if isinstance(event, CallEnded)]


async def send(kafka: Kafka, ends: list[CallEnded]) -> None:
    async with BatchProducer(kafka) as producer:
        for end in ends:
            await producer.add(f"{kafka.topic_prefix}calls", end.manager.encode(), encode(end))


class Worker:
    """The metrics of a worker that follows the topic of results in a real Kafka, with empty tables."""

    def __init__(self, settings: Settings) -> None:
        self.ledger = Ledger()
        of = StandIn(settings).own(*range(settings.kafka.partitions))
        self._server = create_server(of.worker, self.ledger)

    async def exported(self) -> dict[str, Counter[str]]:
        """Return the values by manager, with the rest of the metric's name, or the result of its legs, as keys."""
        found: dict[str, Counter[str]] = {}
        text = (await self._server.exposition.text(EARLY_MS)).decode()
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                name = sample.name.removeprefix("callpulse_")
                if name.startswith(("reconciled_", "final_", "provisional_")):
                    key = sample.labels.get("result") or name.removesuffix("_timestamp_seconds")
                    found.setdefault(sample.labels["manager"], Counter())[key] = int(sample.value)
        return found

    async def until(self, version: int) -> dict[str, Counter[str]]:
        """Return the metrics once this number of results was read."""
        deadline = time.monotonic() + 30
        while self.ledger.version < version:
            assert time.monotonic() < deadline, f"{self.ledger.version} of {version} results were read"
            await asyncio.sleep(0.02)
        return await self.exported()


@asynccontextmanager
async def following(settings: Settings) -> AsyncIterator[Worker]:
    worker = Worker(settings)
    task = asyncio.create_task(follow(settings.kafka, worker.ledger))
    try:
        yield worker
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def total(found: dict[str, Counter[str]], key: str) -> int:
    return sum(values[key] for values in found.values())


async def test_a_day_is_provisional_until_its_records_count_and_a_late_record_makes_it_so_again(
    bootstrap: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CALLPULSE_PRIVACY__LEAD_SECRET", SECRET)
    kafka, config = await an_installation(bootstrap, tmp_path)
    settings = read_settings(config)
    lines = DAY.read_bytes().splitlines(keepends=True)
    early, all_ends = ends_of(lines_of(b"".join(lines[:70]))), ends_of(lines_of(DAY.read_bytes()))
    assert len(early) > 4
    dropped = early[1:3]
    await send(kafka, [end for end in early if end not in dropped])

    path = tmp_path / "Master.csv"
    (tmp_path / "Master.csv.1").write_bytes(b"".join(lines[:40]))  # it was rotated in the middle of the day
    path.write_bytes(b"".join(lines[40:70]))
    files = RecordFiles(kind="cel", paths=(path,), rotated=True)

    def rounds(*, repair: bool) -> Rounds:
        return Rounds(
            settings, files, days=1, every_s=3600, tolerance_ms=2000, repair=repair, clock=lambda: EARLY_MS / 1000
        )

    async with following(settings) as worker:
        looking, repairing = rounds(repair=False), rounds(repair=True)
        assert looking.why_not_ready() == ["no day was reconciled yet"]
        await looking.round()
        assert looking.why_not_ready() == []
        managers = {end.manager for end in early}
        found = await worker.until(version := len(managers))
        assert set(found) == managers
        assert {name: found[name]["missing"] for name in managers if found[name]["missing"]} == Counter(
            end.manager for end in dropped
        )
        assert total(found, "both") == len(early) - 2
        for name, values in found.items():
            lost = name in {end.manager for end in dropped}
            assert values["provisional_days"] == lost
            assert values["final_until"] == (0 if lost else MIDNIGHT_MS // 1000)
            assert values["reconciled_until"] == MIDNIGHT_MS // 1000

        await repairing.round()
        found = await worker.until(version := 2 * version)
        assert (total(found, "missing"), total(found, "both")) == (0, len(early))
        assert total(found, "provisional_days") == 0
        assert {values["final_until"] for values in found.values()} == {MIDNIGHT_MS // 1000}

        path.write_bytes(b"".join(lines[40:]))  # the rest comes late
        everybody = {end.manager for end in all_ends}
        await looking.round()
        found = await worker.until(version := version + len(everybody))
        late = Counter(end.manager for end in all_ends) - Counter(end.manager for end in early)
        assert {name: found[name]["missing"] for name in everybody} == {name: late[name] for name in everybody}
        assert {name for name in everybody if found[name]["provisional_days"]} == set(late)

        await repairing.round()
        found = await worker.until(version + len(everybody))
        assert (total(found, "missing"), total(found, "both")) == (0, len(all_ends))
        assert (total(found, "provisional_days"), total(found, "extra")) == (0, 0)

        path.unlink()
        with pytest.raises(UserError, match=r"Master\.csv cannot be read"):
            await looking.round()


async def test_without_the_topic_a_worker_goes_on_and_says_so_once(
    bootstrap: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agents.kafka.reconciliations._AGAIN_S", 0.01)
    settings = load(f'[kafka]\nbootstrap = "{bootstrap}"\ntopic_prefix = "{unique("none")}."', {})
    async with following(settings) as worker:
        deadline = time.monotonic() + 30
        while not caplog.records:
            assert time.monotonic() < deadline
            await asyncio.sleep(0.02)
        await asyncio.sleep(0.3)
        assert await worker.exported() == {}
    said: list[Any] = [record.getMessage() for record in caplog.records if "reconciliations" in record.getMessage()]
    assert len(said) == 1
    assert "`callpulse topics create` makes them" in said[0]


def test_the_process_is_ready_after_a_round_and_ends_in_good_order(bootstrap: str, tmp_path: Path) -> None:
    _, config = asyncio.run(an_installation(bootstrap, tmp_path))
    words = command(config, "reconcile", "--every", "1h", "--cel", DAY, "--json")
    with subprocess.Popen(words, cwd=ROOT, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            status = json.loads(process.stdout.readline())["status"]
            eventually(lambda: answers(f"{status}/-/ready"), what="a round is done")
            process.send_signal(signal.SIGTERM)
            assert process.wait(30) == 0
        finally:
            process.kill()


async def test_a_worker_exports_what_the_topic_holds(bootstrap: str, tmp_path: Path) -> None:
    callpulse = Installation(bootstrap, tmp_path)
    assert callpulse("topics", "create").returncode == 0
    kafka = Kafka(bootstrap=bootstrap, topic_prefix=callpulse.environment["CALLPULSE_KAFKA__TOPIC_PREFIX"])
    yesterday = int(time.time() * 1000) // DAY_MS - 1
    since = yesterday * DAY_MS
    result = DayResult(
        source="pbx",
        records="cel",
        manager="anna",
        day=yesterday,
        since=since,
        until=since + DAY_MS,
        at=since + 2 * DAY_MS,
        has_records=True,
        both=7,
        missing=2,
    )
    await store(kafka, [result])
    with callpulse.worker() as (_, url):

        def lines() -> list[str]:
            with urllib.request.urlopen(f"{url}/metrics") as answer:  # noqa: S310 - our own process
                return [line for line in answer.read().decode().splitlines() if 'manager="anna"' in line]

        await asyncio.to_thread(eventually, lines, within_s=60, what="the worker has read the topic")
        assert 'callpulse_provisional_days{manager="anna",team="unassigned"} 1' in lines()
        assert 'callpulse_reconciled_legs{manager="anna",team="unassigned",source="pbx",result="missing"} 2' in lines()


def answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url) as answer:  # noqa: S310 - our own process
            return bool(json.load(answer)["ready"])
    except urllib.error.HTTPError:
        return False

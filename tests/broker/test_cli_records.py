"""Record files through real parts: followed into Kafka over a kill, and reconciled with the figures."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from agents.kafka import admin
from agents.kafka.producer import BatchProducer
from streams.contract.events import CallEnded, encode
from streams.settings.settings import Kafka
from tests.kafka_fixture import consume, unique
from tests.streams.records import FOLDER, PEOPLE, lines_of, read
from tests.streams.test_records_cel import source

pytestmark = pytest.mark.broker

ROOT = Path(__file__).parents[2]
DAY = FOLDER / "cel" / "cel-custom" / "Master.csv"
SECRET = "a secret of these tests, long enough"  # noqa: S105 - it protects nothing


async def an_installation(bootstrap: str, folder: Path) -> tuple[Kafka, Path]:
    name = unique("records")
    kafka = Kafka(bootstrap=bootstrap, group=name, topic_prefix=f"{name}.", partitions=3)
    await admin.create(kafka)
    rules = "\n".join(
        f'[[sources.asterisk.rules]]\nby = "endpoint"\npattern = "{held["extension"]}"\nmanager = "{manager}"'
        for manager, held in PEOPLE.items()
    )
    config = folder / "callpulse.toml"
    config.write_text(
        f'timezone = "Europe/Moscow"\n[kafka]\nbootstrap = "{bootstrap}"\ngroup = "{name}"\ntopic_prefix = "{name}."\n'
        f'partitions = 3\n[privacy]\nregion = "RU"\nlead_secret = "{SECRET}"\n'
        f'[gateway]\nstatus_port = 0\ndata_dir = "{folder / "spool"}"\n'
        f'[sources.asterisk]\ntrunks = ["trunk-msk"]\n{rules}\n'
    )
    return kafka, config


def command(config: Path, *words: object) -> list[str]:
    return [sys.executable, "-m", "agents.cli", *map(str, words), "--config", str(config)]


class Listening:
    """`callpulse listen cel FILE` as a process of its own."""

    def __init__(self, config: Path, path: Path) -> None:
        self.process = subprocess.Popen(
            command(config, "listen", "cel", path, "--json"), cwd=ROOT, stdout=subprocess.PIPE, text=True
        )
        assert self.process.stdout is not None
        self.said = json.loads(self.process.stdout.readline())

    def end(self, how: signal.Signals) -> int:
        self.process.send_signal(how)
        code = self.process.wait(30)
        assert self.process.stdout is not None
        self.process.stdout.close()
        return code


@pytest.fixture
def listen() -> Iterator[Callable[[Path, Path], Listening]]:
    """Start listeners, and end those that are left."""
    started: list[Listening] = []

    def start(config: Path, path: Path) -> Listening:
        started.append(Listening(config, path))
        return started[-1]

    yield start
    for one in started:
        if one.process.poll() is None:
            one.end(signal.SIGKILL)


def until_there(kafka: Kafka, count: int) -> list[dict[str, Any]]:
    """Wait until the topic holds events with this number of ids, and return the first event of each id."""
    deadline = time.monotonic() + 60
    while True:
        found: dict[str, dict[str, Any]] = {}
        for record in consume(kafka.bootstrap, f"{kafka.topic_prefix}calls"):
            event = json.loads(record.value)
            found.setdefault(event["id"], event)
        if len(found) >= count or time.monotonic() > deadline:
            return list(found.values())
        time.sleep(0.5)


def test_a_file_is_followed_over_a_kill_and_reconciled(
    bootstrap: str, tmp_path: Path, listen: Callable[[Path, Path], Listening]
) -> None:
    kafka, config = asyncio.run(an_installation(bootstrap, tmp_path))
    want, _ = read(source("cdr"), lines_of(DAY.read_bytes()))
    lines = DAY.read_bytes().splitlines(keepends=True)
    path = tmp_path / "Master.csv"
    path.write_bytes(b"".join(lines[:70]))
    first = listen(config, path)
    until_there(kafka, 10)
    first.end(signal.SIGKILL)
    path.rename(tmp_path / "Master.csv.1")
    path.write_bytes(b"".join(lines[70:]))
    second = listen(config, path)
    events = until_there(kafka, len(want))
    assert second.end(signal.SIGTERM) == 0
    assert sorted(event["id"] for event in events) == sorted(event.id for event in want)

    def reconciled(*more: str) -> tuple[int, Any]:
        words = command(config, "reconcile", "--day", "2026-11-17", "--cel", DAY, "--json", *more)
        done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)
        assert done.stdout, done.stderr
        return done.returncode, json.loads(done.stdout)

    code, said = reconciled()
    assert (code, said["repairs"]) == (0, [])
    assert sum(day["both"] for day in said["days"]) == sum(isinstance(event, CallEnded) for event in want)


def test_what_is_missing_is_named_and_repaired(bootstrap: str, tmp_path: Path) -> None:
    kafka, config = asyncio.run(an_installation(bootstrap, tmp_path))
    environment = os.environ | {"CALLPULSE_PRIVACY__LEAD_SECRET": SECRET}

    def reconciled(*more: str) -> tuple[int, Any]:
        words = command(config, "reconcile", "--day", "2026-11-17", "--cel", DAY, "--json", *more)
        done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False, env=environment)
        assert done.stdout, done.stderr
        return done.returncode, json.loads(done.stdout)

    ends = [event for event in read(source("cdr"), lines_of(DAY.read_bytes()))[0] if isinstance(event, CallEnded)]

    async def send() -> None:
        async with BatchProducer(kafka) as producer:
            for end in ends[:-2]:
                await producer.add(f"{kafka.topic_prefix}calls", end.manager.encode(), encode(end))

    asyncio.run(send())
    code, said = reconciled()
    assert (code, sum(day["missing"] for day in said["days"]), said["sent"]) == (1, 2, 0)
    code, said = reconciled("--repair")
    assert (code, said["sent"]) == (1, 2)
    code, said = reconciled()
    assert (code, said["repairs"]) == (0, [])

"""The broker is away: the worker logs that soon and in few lines, and ends quickly on a signal."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from agents.embedded import EmbeddedKafka
from streams.settings.settings import load
from tests.broker.in_process import make_topics, settings_text
from tests.faults.workers import WorkerProcess
from tests.kafka_fixture import unique

pytestmark = [pytest.mark.broker, pytest.mark.timeout(300)]

SOON_S = 25.0
"""For what takes two heartbeats and some seconds, on a busy machine."""
END_S = 12.0
"""For an end, which takes a second: for a busy machine, and below the deadline of a client's request (15 s)."""


def until(condition: Callable[[], object], what: str, within_s: float) -> float:
    """Wait until `condition` holds; return the seconds that it took."""
    begun = time.monotonic()
    while not condition():
        assert time.monotonic() - begun < within_s, what
        time.sleep(0.1)
    return time.monotonic() - begun


def started(bootstrap: str, folder: Path, group: str, name: str = "w1") -> WorkerProcess:
    """A worker with a folder of its own."""
    config = folder / f"{name}-{unique('config')}.toml"
    config.write_text(settings_text(bootstrap, folder / unique("data"), group=group, worker=name), encoding="utf-8")
    return WorkerProcess(name, config, folder / f"{config.stem}.log")


def test_ready_falls_soon_the_log_stays_short_and_sigterm_ends_it_quickly(tmp_path: Path) -> None:
    with EmbeddedKafka() as kafka:
        group = unique("away")
        asyncio.run(make_topics(load(settings_text(kafka.bootstrap, tmp_path, group=group), {})))
        worker = started(kafka.bootstrap, tmp_path, group)
        try:
            worker.await_url()
            until(lambda: worker.ready, "the worker is ready", 90)
            scrape = worker.scrape()
            assert scrape is not None
            assert "callpulse_kafka_reachable 1.0" in scrape.text
            kafka.stop()
            before, begun = len(worker.said().splitlines()), time.monotonic()
            until(lambda: not worker.ready, "it is not ready any more", SOON_S)
            scrape = worker.scrape()
            assert scrape is not None
            assert "callpulse_kafka_reachable 0.0" in scrape.text
            until(
                lambda: "callpulse_calls{manager" not in (worker.scrape() or scrape).text,
                "no manager is exported",
                SOON_S,
            )
            time.sleep(5)
            lines, seconds = len(worker.said().splitlines()) - before, time.monotonic() - begun
            assert lines < 15 * seconds  # it was 110 a second
            begun = time.monotonic()
            assert worker.terminate() == 0, worker.tail()
            assert time.monotonic() - begun < END_S
            assert "stopped without a last checkpoint: Kafka does not answer" in worker.said()
        finally:
            worker.kill()


def test_sigterm_in_the_first_moments_of_a_start_ends_it_with_a_line(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:  # a broker that takes connections and never answers
        worker = started(f"127.0.0.1:{silent.getsockname()[1]}", tmp_path, unique("early"))
        try:
            silent.settimeout(60)
            silent.accept()  # the worker requests the topics now
            os.kill(worker.pid, signal.SIGTERM)
            until(lambda: worker.status is not None, "the worker ends", END_S)
            assert worker.status == 0
            assert "stopped while it was starting" in worker.said()
        finally:
            worker.kill()


def test_two_workers_with_one_id_and_different_folders_say_so(bootstrap: str, tmp_path: Path) -> None:
    group = unique("twice")
    asyncio.run(make_topics(load(settings_text(bootstrap, tmp_path, group=group), {})))
    first = started(bootstrap, tmp_path, group)
    workers = [first]
    try:
        first.await_url()
        until(lambda: first.ready, "the first is ready", 90)
        workers.append(started(bootstrap, tmp_path, group))
        second = workers[1]
        until(lambda: first.status is not None or second.status is not None, "one gives way", 90)
        ended = first if first.status is not None else second
        assert ended.status == 70
        assert "each worker needs a worker.id of its own" in ended.said()
    finally:
        for worker in workers:
            worker.kill()

"""A worker that is killed with kill -9 while leads are linked: no call is lost, none is counted twice."""

from __future__ import annotations

import asyncio
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest

from agents.kafka.settings_log import agree
from streams.contract import topics
from streams.settings.settings import Settings, load
from tests.broker.in_process import Worker, end_tasks, make_topics, settings_text
from tests.broker.leads_fixture import all_folded, assert_exact, send_events, story
from tests.faults.workers import ROOT, WorkerProcess
from tests.kafka_fixture import committed_offsets, eventually, unique

pytestmark = [pytest.mark.broker, pytest.mark.no_cover, pytest.mark.slow, pytest.mark.timeout(600)]

KILLS = 6


def configured(bootstrap: str, folder: Path) -> tuple[Path, Settings]:
    """Write a settings file of the test's own installation; return its path and its settings."""
    text = settings_text(bootstrap, folder / "data", group=unique("killed"), commit="100ms", batch=50)
    config = folder / "callpulse.toml"
    config.write_text(text, encoding="utf-8")
    return config, load(text, {})


async def test_killed_at_random_moments_while_leads_are_linked(bootstrap: str, tmp_path: Path) -> None:
    seed = random.randrange(1 << 30)
    print("seed", seed)
    chance = random.Random(seed)
    config, settings = configured(bootstrap, tmp_path)
    await make_topics(settings)
    some = story(3000, 400, seed=seed, links=0.5)

    def committed() -> int:
        topic = settings.kafka.topic_prefix + topics.CONTACTS.name
        return sum(committed_offsets(bootstrap, settings.kafka.group, topic).values())

    share = -(-len(some) // KILLS)
    for number in range(KILLS):
        # These events wait for this worker, so that it has records to fold when it is killed.
        sending = asyncio.create_task(send_events(settings, some[number * share : (number + 1) * share]))
        process = WorkerProcess("w1", config, tmp_path / "w1.log")
        try:
            process.await_url()
            before = committed()
            await asyncio.to_thread(eventually, lambda: committed() > before, within_s=60, what="something is folded")  # noqa: B023 - at once
            await asyncio.sleep(chance.uniform(0, 0.6))
        finally:
            process.kill()
        print("killed", number, "behind", committed())
        await sending
    agreed = await agree(settings)  # as the killed workers recorded: it determines the mark of facts
    worker = await Worker(settings, agreed.topics, named_facts=agreed.named_facts, deal_rows=agreed.deal_rows).start()
    try:
        await all_folded(worker)
        assert_exact(some, worker)
        assert worker.parts.state.tables["leads"].restored < 3000  # it had most of it on disk
        await worker.stop()
    finally:
        await end_tasks()


def test_a_second_worker_of_the_same_name_ends_with_an_error_that_says_why(bootstrap: str, tmp_path: Path) -> None:
    config, settings = configured(bootstrap, tmp_path)
    asyncio.run(make_topics(settings))
    first = WorkerProcess("w1", config, tmp_path / "first.log")
    try:
        first.await_url()
        begun = time.monotonic()
        second = subprocess.run(
            [sys.executable, "-m", "agents.cli", "worker", "--config", str(config)],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert time.monotonic() - begun < 60  # not after a deadline: at once, on a busy machine
        assert second.returncode == 70, second.stderr
        assert "no two workers may have the same worker.id" in " ".join(second.stderr.split())
        assert "Traceback" not in second.stderr
        assert first.status is None
    finally:
        first.kill()

"""A worker that gets a signal while it is still starting: it ends in good order at any moment."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest

from streams.settings.settings import load
from tests.broker.in_process import make_topics, settings_text
from tests.faults.workers import WorkerProcess
from tests.kafka_fixture import unique

pytestmark = [pytest.mark.broker, pytest.mark.no_cover, pytest.mark.timeout(180)]


@pytest.mark.parametrize("after_s", [0.0, 0.3, 0.8])
def test_asked_to_end_before_it_is_ready(bootstrap: str, tmp_path: Path, after_s: float) -> None:
    text = settings_text(bootstrap, tmp_path / "data", group=unique("ends"))
    config = tmp_path / "callpulse.toml"
    config.write_text(text, encoding="utf-8")
    asyncio.run(make_topics(load(text, {})))
    worker = WorkerProcess("w1", config, tmp_path / "w1.log", is_measured=True)
    worker.await_url()
    time.sleep(after_s)
    assert worker.terminate() == 0, worker.tail()
    assert "Traceback" not in worker.said()

"""The end of a worker: a part that hangs does not keep it alive, and a stop without Kafka is quick."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from agents import worker
from tests.agents.stand_in import StandIn, stand_in


class Stopped:
    """The actions of a worker at its end. Its checkpoint hangs, as without Kafka."""

    def __init__(self, parts: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
        self.left: list[bool] = []
        self.failures = parts.failures
        app: Any = SimpleNamespace(stop=asyncio.Event().wait)
        self.worker = parts.worker._replace(app=app)
        monkeypatch.setattr(self.worker.state, "run_checkpoint", lambda _: asyncio.Event().wait())

    async def finish(self) -> Stopped:
        async with asyncio.timeout(5):
            await worker._finish(self.worker, lambda: self.left.append(True))
        assert self.worker.recovery.stopping
        return self


async def test_a_stop_that_hangs_ends_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "STOP_DEADLINE_S", 0.05)
    parts = stand_in().own(0, 1)
    parts.session.heard()
    stopped = await Stopped(parts, monkeypatch).finish()
    assert [str(failure) for failure in stopped.failures] == ["the worker did not stop within 0.05 s"]
    assert stopped.left == []


async def test_without_an_answer_of_kafka_it_ends_at_once_and_in_good_order(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    parts = stand_in().own(0, 1)
    parts.session.heard()
    parts.now += 6.1  # two heartbeats
    stopped = await Stopped(parts, monkeypatch).finish()
    assert (stopped.left, stopped.failures) == ([True], [])
    assert "Kafka does not answer" in caplog.text


async def test_a_worker_that_owns_nothing_yet_ends_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    stopped = await Stopped(stand_in(), monkeypatch).finish()
    assert (stopped.left, stopped.failures) == ([True], [])

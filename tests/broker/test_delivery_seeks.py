"""Seeks while records are fetched: aiokafka fetches in a thread of its own, and a seek in another loses a batch."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.broker.in_process import Worker, make_topics, send, settings_for, wait_until, wait_until_it_stays

N = 20_000


@pytest.mark.broker
@pytest.mark.no_cover  # a worker of which every line is traced takes minutes
@pytest.mark.timeout(300)
async def test_seeks_while_fetching_lose_nothing_and_double_nothing(bootstrap: str, tmp_path: Path) -> None:
    settings = settings_for(bootstrap, tmp_path)
    await make_topics(settings)
    await send(settings, range(N))
    worker = Worker(settings)
    seeks = 0

    async def seek_without_end() -> None:
        nonlocal seeks
        while True:
            for tp in list(worker.app.delivery.tracker.snapshot()):
                await worker.parts.loop.fetch_again(tp)
                seeks += 1
            await asyncio.sleep(0.02)

    await worker.start()
    seeking = asyncio.create_task(seek_without_end())
    try:
        await wait_until(lambda: worker.calls() >= N / 2 or worker.failures, "half is folded", within_s=100)
        seeking.cancel()
        await wait_until_it_stays(lambda: worker.open_leads() == N or worker.failures, "all is folded", within_s=150)
        assert worker.failures == []
        assert seeks > 10
        assert (worker.calls(), worker.open_leads()) == (N, N)
    finally:
        seeking.cancel()
        await worker.crash()

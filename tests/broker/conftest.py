"""Workers inside the test's own process, on topics of their own, for tests that cause faults in them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from streams.settings.settings import Settings
from tests.broker import command_line
from tests.broker.in_process import Start, Worker, end_tasks, make_topics, settings_for


@pytest.fixture(scope="session", autouse=True)
def server_of_commands() -> Iterator[None]:
    """End it with the session."""
    yield
    command_line.stop()


@pytest.fixture
async def start() -> AsyncIterator[Start]:
    """Start workers, and end those that are left."""
    workers: list[Worker] = []

    async def start(settings: Settings) -> Worker:
        worker = Worker(settings)
        workers.append(worker)
        return await worker.start()

    yield start
    try:
        for worker in workers:
            if worker.app.started and not worker.app.should_stop:
                await worker.crash()
    finally:
        await end_tasks()


@pytest.fixture
async def settings(bootstrap: str, tmp_path: Path) -> Settings:
    made = settings_for(bootstrap, tmp_path)
    await make_topics(made)
    return made

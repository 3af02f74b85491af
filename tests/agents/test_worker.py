"""How a worker ends: what hangs does not keep it alive."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from agents import worker
from tests.agents.stand_in import stand_in


async def test_a_stop_that_hangs_ends_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "STOP_DEADLINE_S", 0.05)
    released: list[bool] = []
    failures: list[BaseException] = []
    parts = stand_in().own(0, 1).worker
    app: Any = SimpleNamespace(consumer=None, stop=asyncio.Event().wait)
    parts = parts._replace(app=app, fail=failures.append)
    monkeypatch.setattr(parts.state, "release_all", lambda: released.append(True))
    async with asyncio.timeout(5):
        await worker._finish(parts)
    assert parts.recovery.stopping
    assert released
    assert [str(failure) for failure in failures] == ["the worker did not stop within 0.05 s"]

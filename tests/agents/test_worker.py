"""How a worker ends: what hangs does not keep it alive."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace

import pytest

from agents import worker


async def test_a_stop_that_hangs_ends_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "STOP_DEADLINE_S", 0.05)
    released: list[bool] = []
    failures: list[BaseException] = []
    core = SimpleNamespace(tables_owned=False, stopping=False, release_all=lambda: released.append(True))
    app = SimpleNamespace(callpulse=core, consumer=None, stop=asyncio.Event().wait)
    async with asyncio.timeout(5):
        await worker._finish(app, failures.append)  # type: ignore[arg-type]  # a stand-in
    assert core.stopping
    assert released
    assert [str(failure) for failure in failures] == ["the worker did not stop within 0.05 s"]

"""Faust's defects without the counter-measures: they show that each test of `test_delivery.py` can fail."""

from __future__ import annotations

from typing import Any

import pytest
from faust.types import TP

from agents.delivery.offsets import Batch, OffsetTracker
from agents.delivery.outbox import Outbox
from agents.delivery.transport import BatchConsumer
from streams.contract import topics
from streams.contract.facts import Outcome
from streams.settings.settings import Settings
from streams.tables.outcome import fold as outcome
from streams.tables.outcome.fold import OutcomeRow
from tests.broker.in_process import Start, send, wait_until
from tests.broker.test_delivery import N, WithoutKafka, folded

pytestmark = [pytest.mark.broker, pytest.mark.timeout(180)]


def commits_calls(committed: dict[TP, int]) -> bool:
    return any(tp.topic.endswith("-calls") and offset for tp, offset in committed.items())


async def test_without_an_eye_on_acknowledgements_what_kafka_never_took_is_committed(
    start: Start,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Outbox, "_fail", lambda _self, _error: None)
    worker = await start(settings)
    real = worker.parts.outbox.producer()
    worker.parts.outbox.producer = lambda: WithoutKafka(real)
    await send(settings, range(100))
    await wait_until(lambda: worker.calls() >= 100, "all is folded")
    await worker.parts.state.run_checkpoint()
    assert commits_calls(worker.committed())


async def test_where_a_batch_is_done_before_its_fold_an_error_is_committed_past(
    start: Start,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def broken(*_: Any) -> None:
        raise ValueError("a defect in the fold")

    take = OffsetTracker.take

    def done_at_once(self: OffsetTracker, batch: Batch) -> list[Any] | None:
        records = take(self, batch)
        if records:
            self.done(batch.tp, batch.end)
        return records

    monkeypatch.setattr("agents.calls.CallsAgent.fold", broken)
    monkeypatch.setattr(OffsetTracker, "take", done_at_once)
    await send(settings, range(100))
    worker = await start(settings)
    await wait_until(lambda: worker.failures, "the worker gives up")
    await worker.parts.state.run_checkpoint()
    assert commits_calls(worker.committed())


async def test_where_rows_do_not_know_what_they_have_applied_a_restart_counts_it_again(
    start: Start,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def not_committed(self: Any, offsets: Any) -> bool:  # noqa: ARG001 - as the method it replaces
        return True

    fold = outcome.fold

    def forgetful(row: OutcomeRow, fact: Outcome) -> Any:
        row.state.applied.clear()
        return fold(row, fact)

    await send(settings, range(N))
    with monkeypatch.context() as patch:
        patch.setattr(BatchConsumer, "commit_offsets", not_committed)
        first = await start(settings)
        await folded(first, N)
        await first.parts.state.run_checkpoint()
        await first.crash()
    monkeypatch.setattr(outcome, "fold", forgetful)
    second = await start(settings)
    await wait_until(lambda: second.counted("records_total", topics.OUTCOMES) >= N, "all is read again")
    await folded(second, N)
    assert second.calls() == N
    assert second.open_leads() > N

"""The outbox beside a producer that keeps its batches."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from agents.delivery.outbox import _SPACING_S, Outbox
from tests.agents.stand_in import eventually


class Batch(list[tuple[bytes, bytes]]):
    """A batch of any size."""

    def append(self, *, key: bytes, value: bytes, **_: Any) -> bool:  # type: ignore[override]  # as aiokafka's
        super().append((key, value))
        return True


class Metadata:
    """The place of a stored batch."""

    offset = 0


class Producer:
    """Stores each batch at once, and answers an empty one with None, as aiokafka's does."""

    def __init__(self) -> None:
        self.stored: list[tuple[str, int, list[tuple[bytes, bytes]]]] = []

    def create_batch(self) -> Batch:
        return Batch()

    async def send_batch(self, batch: Batch, topic: str, *, partition: int) -> asyncio.Future[Metadata | None]:
        self.stored.append((topic, partition, list(batch)))
        answer: asyncio.Future[Metadata | None] = asyncio.get_running_loop().create_future()
        answer.set_result(Metadata() if batch else None)
        return answer


async def test_rows_that_encode_to_no_record_send_no_batch() -> None:
    producer, errors = Producer(), list[BaseException]()
    asyncio.get_running_loop().set_exception_handler(lambda _, context: errors.append(context["exception"]))
    outbox = Outbox(lambda: producer, errors.append)
    outbox.add_all("changelog", 0, [])
    outbox.add_all("changelog", 1, iter([(b"a", b"1"), (b"b", b"2")]))
    await outbox.drain()
    assert producer.stored == [("changelog", 1, [(b"a", b"1"), (b"b", b"2")])]
    assert errors == []


class Clock:
    """The time of the outbox: it stands still until the outbox sleeps, and each sleep waits for the test."""

    def __init__(self) -> None:
        self.now_s = 1000.0
        self.slept_s: list[float] = []
        self.wake = asyncio.Event()

    def monotonic(self) -> float:
        return self.now_s

    async def sleep(self, seconds: float) -> None:
        self.slept_s.append(seconds)
        await self.wake.wait()
        self.now_s += seconds


@pytest.mark.source  # it replaces the clock
async def test_the_first_records_are_sent_at_once_and_what_follows_in_one_batch(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = Clock()
    monkeypatch.setattr("agents.delivery.outbox.time", clock)
    monkeypatch.setattr("agents.delivery.outbox.asyncio", SimpleNamespace(**vars(asyncio) | {"sleep": clock.sleep}))
    producer, errors = Producer(), list[BaseException]()
    outbox = Outbox(lambda: producer, errors.append)
    running = asyncio.ensure_future(outbox.run())
    try:
        outbox.add("contacts", 0, b"a", b"1")
        await eventually(lambda: bool(producer.stored))
        clock.now_s += 0.25 * _SPACING_S
        outbox.add("contacts", 0, b"b", b"1")
        await eventually(lambda: bool(clock.slept_s))
        outbox.add("contacts", 0, b"c", b"1")
        assert producer.stored == [("contacts", 0, [(b"a", b"1")])]
        assert clock.slept_s == [pytest.approx(0.75 * _SPACING_S)]
        clock.wake.set()
        await eventually(lambda: len(producer.stored) > 1)
        assert producer.stored[1:] == [("contacts", 0, [(b"b", b"1"), (b"c", b"1")])]
    finally:
        running.cancel()
    assert errors == []

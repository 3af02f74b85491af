"""The events that a listener reads back at its start: all of them, or an error with the reason, and never a part."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from types import SimpleNamespace
from typing import Any

import pytest

from agents.gateway import live_service
from agents.kafka.clients import KafkaUnusableError
from streams.contract.events import encode
from streams.settings.settings import Settings
from tests.broker.gateway_process import event

AWAY = KafkaUnusableError("Kafka does not answer.")


class Topic:
    """Reads of a topic, one after the other: records, an error, or None for one that has no end."""

    def __init__(self, *reads: Iterable[Any] | Exception | None) -> None:
        self.reads = list(reads)

    async def __call__(self, *_: object, **__: object) -> AsyncIterator[Any]:
        now = self.reads.pop(0)
        if isinstance(now, Exception):
            raise now
        for number, value in enumerate(now or [encode(event(0))]):
            yield SimpleNamespace(value=value, timestamp=-number)
        if now is None:
            await asyncio.Event().wait()


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live_service, "_RECALL_S", 0.05)
    monkeypatch.setattr(live_service, "_AGAIN_S", 0.01)


def topic(monkeypatch: pytest.MonkeyPatch, *reads: Iterable[Any] | Exception | None) -> Topic:
    made = Topic(*reads)
    monkeypatch.setattr(live_service, "records_to_end", made)
    return made


FOUND = [encode(event(1)), None, b"{", encode(event(2)), b'{"source":"other"}']


@pytest.mark.parametrize(
    "before", [[], [None], [AWAY, AWAY, AWAY], [AWAY, None]], ids=["at once", "slow", "away", "away, then slow"]
)
async def test_what_was_stored_is_read_whole_however_often_that_is_tried(
    before: list[Exception | None], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    topic(monkeypatch, *before, FOUND)
    found = await live_service.stored_events(Settings(), "pbx")
    assert [one.id for one in found] == ["2", "1"]
    assert caplog.text.count("Trying again") == len(before)


async def test_a_topic_that_has_no_end_is_an_error_and_not_a_part_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    reads = topic(monkeypatch, None, None, FOUND)
    with pytest.raises(KafkaUnusableError, match="not read to its end"):
        await live_service.stored_events(Settings(), "pbx")
    assert reads.reads == [FOUND]


async def test_a_listener_hears_what_comes_though_it_cannot_read_what_was(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(live_service, "_AWAY_S", 0.0)
    topic(monkeypatch, AWAY, AWAY)
    assert await live_service._recalled(Settings(), "pbx") == []
    assert "Kafka does not answer. Calls in progress begin anew" in caplog.text

"""Statements through a real Kafka: joined once, by several gateways, over restarts, and from before their start."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Coroutine, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import pytest

from agents.gateway.joining import Joiner
from agents.gateway.kafka_sink import KafkaSink
from streams.contract.events import CallAnswered
from streams.settings.settings import Settings
from streams.sources.frame import Joined, KeptStatement, Statement
from streams.sources.joins import MOST_STATEMENTS
from tests.broker.gateway_sender import make_topics, settings_of
from tests.broker.in_process import recreate_topics
from tests.gateway.fake_sink import FakeSink
from tests.kafka_fixture import consume

pytestmark = pytest.mark.broker
AT = 1_795_435_200_000
LATE = "c9"
LATER_MS = 2_500
"""The time after its last statement at which the event of a call is certain."""


class Halves:
    """A join that makes an event of each call with both halves."""

    keep_ms = 3_600_000

    def join(self, statements: Sequence[KeptStatement], now_ms: int) -> Joined:
        assert now_ms > AT
        said = [msgspec.json.decode(one.body) for one in statements]
        if {one["half"] for one in said} != {1, 2}:
            return Joined(missing="a half is missing")
        call = said[0]["call"]
        if call == LATE and now_ms < statements[-1].at_ms + LATER_MS:
            return Joined(again_ms=statements[-1].at_ms + LATER_MS)
        return Joined(events=[CallAnswered(v=1, id=f"x:{call}", at=AT, source="x", call=call, manager="anna")])


def half(call: int, number: int) -> Statement:
    return Statement(call=f"c{call}", body=msgspec.json.encode({"call": f"c{call}", "half": number}))


@pytest.fixture
async def settings(bootstrap: str, tmp_path: Path) -> Settings:
    made = settings_of(bootstrap, tmp_path)
    await make_topics(made)
    return made


class Committing(Joiner):
    """Counts its rounds of commits. One that ends after an event was stored covers it: they take turns."""

    rounds = 0

    async def _commit(self, consumer: Any, now_ms: int) -> None:
        await super()._commit(consumer, now_ms)
        self.rounds += 1


@contextlib.asynccontextmanager
async def joining(settings: Settings, sink: FakeSink | KafkaSink) -> AsyncIterator[Committing]:
    joiner = Committing(settings, {"x": Halves()}, sink)
    async with running(joiner.run()):
        yield joiner


@contextlib.asynccontextmanager
async def running(work: Coroutine[None, None, None]) -> AsyncIterator[None]:
    task = asyncio.create_task(work)
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


def add(counts: Counter[str], source: str, count: int) -> None:
    counts[source] += count


async def until(sink: FakeSink, count: int) -> None:
    async with asyncio.timeout(40):
        while len(sink.events) < count:  # noqa: ASYNC110 - a fake sink has no event to wait for
            await asyncio.sleep(0.02)


async def committed(joiner: Committing) -> None:
    """Wait until offsets are committed that cover all that was stored, and all that was joined before."""
    before = joiner.rounds
    async with asyncio.timeout(40):
        while joiner.rounds == before or joiner._stored or not all(one.is_caught_up for one in joiner._mine.values()):  # noqa: ASYNC110 - as above
            await asyncio.sleep(0.02)


async def test_statements_of_several_deliveries_become_an_event_in_kafka(settings: Settings) -> None:
    async with KafkaSink(settings) as sink, joining(settings, sink):
        await sink.keep("x", [half(1, 1), half(2, 1)])
        await sink.keep("x", [half(1, 2), half(1, 2)])
        async with asyncio.timeout(40):
            while not (found := consume(settings.kafka.bootstrap, settings.kafka.topic_prefix + "calls")):  # noqa: ASYNC110 - another process's topic
                await asyncio.sleep(0.1)
    assert [msgspec.json.decode(record.value)["call"] for record in found] == ["c1"]


async def test_a_restart_goes_on_with_the_calls_that_are_open_and_stores_nothing_again(settings: Settings) -> None:
    before, after = FakeSink(), FakeSink()
    async with KafkaSink(settings) as kafka:
        await kafka.keep("x", [half(1, 1), half(2, 1), half(2, 2), half(9, 1), half(9, 2)])
        async with joining(settings, before) as joiner:
            await until(before, 2)
            await committed(joiner)
        await kafka.keep("x", [half(1, 2), half(3, 1), half(3, 2)])
        async with joining(settings, after):
            await until(after, 2)
            await asyncio.sleep(0.5)  # time for further events, if there were any
    assert {event.id for event in before.events} == {"x:c2", f"x:{LATE}"}
    assert {event.id for event in after.events} == {"x:c1", "x:c3"}, "what was stored before is not stored again"


async def test_two_gateways_share_the_calls_and_one_takes_over_from_the_other(settings: Settings) -> None:
    one, two = FakeSink(), FakeSink()
    async with KafkaSink(settings) as kafka, joining(settings, one):
        async with joining(settings, two):
            for call in range(100):
                await kafka.keep("x", [half(call, 1)])
            await kafka.keep("x", [half(call, 2) for call in range(50)])
            async with asyncio.timeout(40):
                while len({event.id for event in [*one.events, *two.events]}) < 50:  # noqa: ASYNC110 - as above
                    await asyncio.sleep(0.02)
        await kafka.keep("x", [half(call, 2) for call in range(50, 100)])
        async with asyncio.timeout(40):
            while len({event.id for event in [*one.events, *two.events]}) < 100:  # noqa: ASYNC110 - as above
                await asyncio.sleep(0.02)


async def test_a_call_with_too_many_statements_is_counted_and_said_without_its_id(
    settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    before, after = Counter[str](), Counter[str]()
    async with KafkaSink(settings) as kafka:
        many = [Statement(call="c7", body=b'{"call":"c7","half":1,"n":%d}' % n) for n in range(MOST_STATEMENTS + 5)]
        for begin in range(0, len(many), 200):
            await kafka.keep("x", many[begin : begin + 200])
        for call, counts in enumerate((before, after)):
            sink, left_out = FakeSink(), partial(add, counts)
            await kafka.keep("x", [half(call, 1), half(call, 2)])
            joiner = Committing(settings, {"x": Halves()}, sink, on_left_out=left_out)
            async with running(joiner.run()):
                await until(sink, 1)
                async with asyncio.timeout(40):
                    while call == 0 and before["x"] < 5:  # noqa: ASYNC110 - as above
                        await asyncio.sleep(0.02)
                await committed(joiner)
    assert (before, after) == ({"x": 5}, {"x": 0})
    said = [record.message for record in caplog.records if "left out" in record.message]
    assert said == ["source x: 1 calls have more than 1000 statements each; what comes after them is left out"]


async def test_a_topic_that_was_made_anew_is_joined_from_its_start(settings: Settings) -> None:
    before, after = FakeSink(), FakeSink()
    async with KafkaSink(settings) as kafka:
        for call in range(20):
            await kafka.keep("x", [half(call, 1), half(call, 2)])
        async with joining(settings, before) as joiner:
            await until(before, 20)
            await committed(joiner)
    await recreate_topics(settings, settings.kafka.topic_prefix + "statements")
    async with KafkaSink(settings) as kafka:
        await kafka.keep("x", [half(call, number) for call in range(100, 103) for number in (1, 2)])
        async with joining(settings, after):
            await until(after, 3)
    assert {event.id for event in after.events} == {"x:c100", "x:c101", "x:c102"}

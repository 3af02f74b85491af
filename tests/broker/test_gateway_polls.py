"""Two gateways share the polls: one polls at a time, doorbells reach it, and the other takes over from its cursor."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable

import pytest

from agents.gateway import poll_group
from agents.gateway.metrics import GatewayMetrics
from agents.gateway.polling import Polling
from streams.settings.settings import Settings, load
from streams.sources.registry import SOURCES
from tests.gateway.dialit import DIALIT
from tests.gateway.polled import Api
from tests.gateway.served import MemorySink
from tests.gateway.test_polls import Dialit

pytestmark = [pytest.mark.broker, pytest.mark.slow]

WITHIN_S = 60.0


class Gateway:
    """The polls of one gateway."""

    def __init__(self, settings: Settings) -> None:
        self.sink = MemorySink()
        source = DIALIT["dialit_poll"](settings)
        self.polling = Polling(settings, {"dialit": source}, self.sink, GatewayMetrics())
        self.task = asyncio.create_task(self.polling.run())

    @property
    def polls(self) -> bool:
        return "dialit" in self.polling._pollers

    async def end(self) -> None:
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(WITHIN_S):
        while not condition():  # noqa: ASYNC110 - the condition is in other tasks
            await asyncio.sleep(0.02)


@pytest.fixture
async def api() -> AsyncIterator[Api]:
    async with Api(Dialit(rows=20)).serving() as made:
        yield made


@pytest.fixture
async def asked(settings: Settings, api: Api) -> Settings:
    text = f"""
[kafka]
bootstrap = "{settings.kafka.bootstrap}"
topic_prefix = "{settings.kafka.topic_prefix}"
group = "{settings.kafka.group}"
session_timeout = "6s"
heartbeat_interval = "500ms"
[privacy]
lead_secret = "sixteen characters and more"
[sources.dialit]
address = "{api.url}"
api_key = "a-key-that-nobody-must-see"
"""
    return load(text, {}, {**SOURCES, "dialit": DIALIT["DialitSettings"]})


async def test_one_polls_doorbells_reach_it_and_the_other_takes_over(
    asked: Settings, api: Api, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(poll_group, "_RING_APART_S", 0.05)
    caplog.set_level(logging.INFO, "callpulse")
    async with contextlib.AsyncExitStack() as stack:
        gateways = [Gateway(asked), Gateway(asked)]
        for one in gateways:
            stack.push_async_callback(one.end)
        await until(lambda: sum(one.polls for one in gateways) == 1 and any(one.sink.events for one in gateways))
        # Once one of them is told that others poll, both are in the group, and who polls is settled.
        await until(lambda: "no source; others do" in caplog.text and sum(one.polls for one in gateways) == 1)
        (mine,) = (one for one in gateways if one.polls)
        (other,) = (one for one in gateways if not one.polls)

        api.handler = Dialit(rows=30)
        other.polling.ring("dialit")
        await until(lambda: len(mine.sink.events) == 30)
        assert other.sink.events == []

        asked_before = len(api.requests)
        await mine.end()
        await until(lambda: other.polls and len(api.requests) > asked_before + 1)
        api.handler = Dialit(rows=35)
        other.polling.ring("dialit")
        await until(lambda: other.sink.events)
        numbers = sorted(int(getattr(event, "call", "0")) for event in other.sink.events)
        assert numbers[0] > 20, "it goes on from the cursor of the one that left"
        await until(lambda: len(other.sink.events) >= 5)


async def test_without_kafka_nothing_is_asked_and_nothing_ends(api: Api) -> None:
    away = load(
        f'[kafka]\nbootstrap = "127.0.0.1:1"\n[sources.dialit]\naddress = "{api.url}"\n',
        {},
        {**SOURCES, "dialit": DIALIT["DialitSettings"]},
    )
    one = Gateway(away)
    await asyncio.sleep(0.5)
    assert not one.task.done()
    await one.end()
    assert api.requests == []

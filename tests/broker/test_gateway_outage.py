"""Kafka is away: the gateway goes on, and each acknowledged event is stored once."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from pathlib import Path

import pytest

from agents.embedded import EmbeddedKafka
from agents.gateway.folder import FolderError
from agents.gateway.kafka_sink import KafkaSink
from agents.gateway.sink import NotStoredError
from tests.broker import outage
from tests.broker.gateway_process import event
from tests.broker.gateway_sender import check, in_topic, make_topics, sender_of, settings_of

pytestmark = [pytest.mark.broker, pytest.mark.no_cover, pytest.mark.slow]


def test_kafka_is_away_under_load_and_the_gateway_is_killed_meanwhile(own_kafka: EmbeddedKafka, tmp_path: Path) -> None:
    sender = sender_of(own_kafka.bootstrap, tmp_path, spool_after_ms=300)
    sender.start()
    sender.load(1)
    own_kafka.kill()
    sender.load(4)
    sender.until(lambda: len(sender.stored) > 3_000, 30)  # the spool answers
    before = len(sender.stored)
    sender.kill()
    sender.start()  # and takes events without Kafka, too
    sender.load(1)
    sender.until(lambda: len(sender.stored) > before + 500, 30)
    own_kafka.start()
    sender.load(3)
    sender.answers(30)
    sender.stop()
    assert not sender.unanswered
    assert not sender.refused
    check(sender)


@pytest.mark.timeout(280)
def test_requests_come_in_over_http_while_kafka_is_away_slow_and_restarted(
    own_kafka: EmbeddedKafka, tmp_path: Path
) -> None:
    """`python -m tests.broker.outage` does the same for ten minutes."""
    taken = outage.run(own_kafka, tmp_path, outage.Phases(up=1, down=2, back=0.5, slow=1.5, after=0.5), 500)
    print(taken.text())
    assert taken.is_good, taken.text()
    assert taken.spool_most > 0
    assert taken.down_per_second > 50


async def test_a_full_spool_refuses_and_takes_again_once_kafka_is_back(
    own_kafka: EmbeddedKafka, tmp_path: Path
) -> None:
    settings = settings_of(own_kafka.bootstrap, tmp_path, spool_after_ms=200, spool_max_bytes=1 << 20)
    await make_topics(settings)
    stored = []
    async with KafkaSink(settings) as sink:
        await asyncio.to_thread(own_kafka.kill)
        number = 0
        with pytest.raises(NotStoredError, match="spool is full") as refused:  # noqa: PT012 - one of many is refused
            while True:
                number += 1
                await sink.store("mine", [event(number)])
                stored.append(number)
        assert not refused.value.maybe
        assert refused.value.retry_after_s > 0
        assert sink.why_not_ready()
        assert sink.spool.size <= 1 << 20
        await asyncio.to_thread(own_kafka.start)
        deadline = time.monotonic() + 60
        while True:
            try:
                assert await sink.store("mine", [event(number)]) == ["accepted"]
                break
            except NotStoredError:
                assert time.monotonic() < deadline
                await asyncio.sleep(0.2)
        assert not sink.why_not_ready()
        stored.append(number)
    async with KafkaSink(settings) as sink:
        await sink.store("mine", [event(0)])
    assert Counter(in_topic(settings)) == Counter([0, *stored])


async def test_two_gateways_on_one_source_go_on_without_each_other(bootstrap: str, tmp_path: Path) -> None:
    """An event that one gateway acknowledged is stored once. One that both got may be there twice: workers skip it."""
    settings = settings_of(bootstrap, tmp_path)
    await make_topics(settings)
    async with KafkaSink(settings, "one") as one, KafkaSink(settings, "two") as two:
        for number in range(0, 300, 3):
            await asyncio.gather(
                one.store("mine", [event(number), event(number + 1)]),
                two.store("mine", [event(number), event(number + 2)]),
            )
    found = Counter(in_topic(settings))
    assert set(found) == set(range(300))
    assert {number for number, times in found.items() if times > 1} == set(range(0, 300, 3))


async def test_one_folder_has_one_owner(bootstrap: str, tmp_path: Path) -> None:
    settings = settings_of(bootstrap, tmp_path)
    await make_topics(settings)
    async with KafkaSink(settings):
        with pytest.raises(FolderError, match="in use by another process"):
            await KafkaSink(settings).__aenter__()
    async with KafkaSink(settings) as sink:
        await sink.store("mine", [event(1)])

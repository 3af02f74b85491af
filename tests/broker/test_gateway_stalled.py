"""Kafka is suspended during a transaction: whether it is committed is not known until Kafka answers again."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections import Counter
from pathlib import Path

import pytest

from agents.embedded import EmbeddedKafka
from agents.gateway.kafka_sink import KafkaSink
from agents.gateway.sink import NotStoredError
from tests.broker.gateway_process import event
from tests.broker.gateway_sender import check, in_topic, make_topics, sender_of, settings_of

pytestmark = [pytest.mark.broker, pytest.mark.no_cover, pytest.mark.slow]


@pytest.mark.parametrize("pause_s", [2, 8], ids=["the transaction goes on", "the transaction is given up"])
def test_kafka_stands_still_with_a_transaction_on_its_way(
    own_kafka: EmbeddedKafka, tmp_path: Path, pause_s: float
) -> None:
    sender = sender_of(own_kafka.bootstrap, tmp_path, spool_after_ms=300)
    sender.start()
    sender.load(1)
    assert own_kafka.pid
    os.kill(own_kafka.pid, signal.SIGSTOP)
    try:
        before = len(sender.stored)
        sender.load(pause_s, 500)
        sender.until(lambda: len(sender.stored) - before > 200 * pause_s, 30)  # in the spool; some wait for Kafka
    finally:
        os.kill(own_kafka.pid, signal.SIGCONT)
    sender.load(2, 500)
    sender.answers(40)
    sender.stop()
    assert not sender.unanswered
    assert not sender.refused
    check(sender)


async def test_after_the_deadline_the_sender_is_told_that_it_is_not_known(
    own_kafka: EmbeddedKafka, tmp_path: Path
) -> None:
    settings = settings_of(own_kafka.bootstrap, tmp_path, spool_after_ms=60_000, deadline_ms=1_000)
    await make_topics(settings)
    async with KafkaSink(settings) as sink:
        await sink.store("mine", [event(0)])
        assert own_kafka.pid
        os.kill(own_kafka.pid, signal.SIGSTOP)
        try:
            with pytest.raises(NotStoredError, match="deadline") as refused:
                await sink.store("mine", [event(1)])
            assert refused.value.maybe
            with pytest.raises(NotStoredError, match="not known yet"):
                await sink.store("mine", [event(1)])
        finally:
            os.kill(own_kafka.pid, signal.SIGCONT)
        deadline = time.monotonic() + 20
        while True:
            try:
                assert await sink.store("mine", [event(1)]) == ["duplicate"]  # it was stored after all
                break
            except NotStoredError:
                assert time.monotonic() < deadline
                await asyncio.sleep(0.1)
    assert Counter(in_topic(settings)) == Counter([0, 1])

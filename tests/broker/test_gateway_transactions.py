"""Transactions of the gateway on a real Kafka: the readers that an open one delays, and the length of the delay."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer
from aiokafka.structs import TopicPartition

from agents.gateway import transactions
from agents.gateway.entries import records_of
from agents.gateway.transactions import Transactions
from agents.kafka.clients import KafkaUnusableError
from streams.contract.events import CallAnswered
from tests.broker.gateway_sender import make_topics, settings_of

pytestmark = pytest.mark.broker

AT = 1_795_435_200_000
LONG_MS = 300_000


def records(name: str) -> Any:
    return records_of([CallAnswered(v=1, id=name, at=AT, source="pbx", call=name, manager="anna")])


async def ends(bootstrap: str, topic: str, isolation: str) -> int:
    """The end of a topic for a reader of this isolation."""
    async with AIOKafkaConsumer(bootstrap_servers=bootstrap, isolation_level=isolation) as consumer:
        found = await consumer.end_offsets([TopicPartition(topic, partition) for partition in range(2)])
        return sum(found.values())


async def test_a_restart_frees_the_readers_behind_an_open_transaction_at_once(
    bootstrap: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transactions, "TIMEOUT_MS", LONG_MS)  # so that no timeout ends it
    settings = settings_of(bootstrap, tmp_path)
    await make_topics(settings)
    topic = f"{settings.kafka.topic_prefix}calls"
    other = await Transactions.begin(settings.kafka, "two")
    dead = await Transactions.begin(settings.kafka, "one")
    dead._producer.commit_transaction = asyncio.Event().wait  # as a process that is killed before its commit
    sending = asyncio.create_task(dead.send(records("open"), 1))
    while not await ends(bootstrap, topic, "read_uncommitted"):  # noqa: ASYNC110 - Kafka has no event for it
        await asyncio.sleep(0.02)
    sending.cancel()
    await dead._producer.client.close()
    await other.send(records("behind"), 1)
    assert await ends(bootstrap, topic, "read_committed") == 0
    begun_s = time.monotonic()
    again = await Transactions.begin(settings.kafka, "one")
    while await ends(bootstrap, topic, "read_committed") != await ends(bootstrap, topic, "read_uncommitted"):
        assert time.monotonic() - begun_s < LONG_MS / 10_000
        await asyncio.sleep(0.02)
    assert again.committed == 0
    await again.send(records("later"), 2)
    for one in (dead, other, again):
        await one.close()


async def test_a_transaction_that_takes_too_long_gets_more_time_the_next_time(
    bootstrap: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transactions, "TIMEOUT_MS", 500)
    settings = settings_of(bootstrap, tmp_path)
    await make_topics(settings)
    allowed_ms = [500]
    last: Transactions | None = None
    for _ in range(3):
        last = await Transactions.begin(settings.kafka, "slow", after=last)
        assert last.timeout_ms == allowed_ms[-1]
        last._producer.commit_transaction = asyncio.Event().wait
        with pytest.raises(KafkaUnusableError):
            await last.send(records("slow"), 1)
        await last.close()
        allowed_ms.append(2 * allowed_ms[-1])
    last = await Transactions.begin(settings.kafka, "slow", after=last)
    await last.send(records("slow"), 1)
    await last.close()
    assert (await Transactions.begin(settings.kafka, "slow", after=last)).timeout_ms == 500

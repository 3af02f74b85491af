"""Records without a fact in the topics between the agents: kept unchanged, counted by reason, and passed over."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiokafka import AIOKafkaProducer

from streams.contract import events, facts, topics
from tests.broker.in_process import PARTITIONS, Worker, call_ended, end_tasks, make_topics, settings_for, wait_until
from tests.kafka_fixture import consume

pytestmark = [pytest.mark.broker, pytest.mark.timeout(120)]

CONTACT = facts.Contact(
    src="x/0",
    seq=1,
    lead="lead-1",
    manager="m001",
    call="c1",
    day=20_000,
    at=1_790_000_000_000,
    started_at=1_790_000_000_000,
    direction="outbound",
    kind="cold",
    disposition="answered",
    answered=True,
    conversation=True,
    talk_ms=90_000,
)
OUTCOME = facts.Outcome(src="x/0", seq=1, manager="m002", changes=(("sum", 20_000, 1),))
VALUES: tuple[bytes | None, ...] = (
    b"not json",
    None,
    b"[]",
    b'{"v": 99}',
    b"[" * 100_000,
    b'{"lead": "\xff"}',
    b'{"seq": NaN}',
    b"x" * (1 << 20),
)


def cases(fact: facts.Contact | facts.Outcome) -> list[tuple[bytes | None, bytes | None, str]]:
    """Key, value and reason of records that are no facts, or whose key is wrong."""
    keys = (None, b"another", b"\xff\xfe")
    return [(b"m", value, "invalid_field") for value in VALUES] + [
        (key, facts.encode(fact), "wrong_key") for key in keys
    ]


@pytest.fixture
async def worker(bootstrap: str, tmp_path: Path) -> AsyncIterator[Worker]:
    settings = settings_for(bootstrap, tmp_path)
    await make_topics(settings)
    made = await Worker(settings).start()
    yield made
    try:
        await made.stop()
    finally:
        await end_tasks()


@pytest.mark.parametrize(
    ("topic", "fact"), [(topics.CONTACTS, CONTACT), (topics.OUTCOMES, OUTCOME)], ids=["contacts", "outcomes"]
)
async def test_what_is_no_fact_ends_in_rejected_and_the_partition_goes_on(
    worker: Worker, topic: topics.Topic, fact: facts.Contact | facts.Outcome
) -> None:
    bad = cases(fact)
    kafka = worker.settings.kafka
    producer = AIOKafkaProducer(bootstrap_servers=kafka.bootstrap, max_request_size=1 << 22)
    await producer.start()
    name = worker.parts.name(topic)
    for key, value, _ in bad:
        for partition in range(PARTITIONS):
            await producer.send(name, value, key, partition=partition)
    # A call follows them all, and its facts pass through the same partitions.
    good = call_ended(1, "m001")
    home = topics.partition_of(b"m001", PARTITIONS)
    await producer.flush()
    await producer.send_and_wait(worker.parts.name(topics.CALLS), events.encode(good), b"m001", partition=home)
    await producer.stop()
    await wait_until(lambda: worker.open_leads() == 1, "the call behind the bad records has come through")
    # On a thread: the worker, which runs in this event loop, may still have letters to send.
    letters = await asyncio.to_thread(
        consume, kafka.bootstrap, worker.parts.name(topics.REJECTED), at_least=len(bad) * PARTITIONS
    )
    found = Counter(
        (dict(letter.headers).get("key"), letter.value, dict(letter.headers)["reason"]) for letter in letters
    )
    assert found == Counter({(key, value or b"", reason.encode()): PARTITIONS for key, value, reason in bad})
    for reason in ("invalid_field", "wrong_key"):
        labels = {"topic": name, "reason": reason}
        counted = worker.parts.metrics.registry.get_sample_value("callpulse_rejected_total", labels)
        assert counted == PARTITIONS * sum(case[2] == reason for case in bad)
    assert worker.failures == []

"""Records of transactions: committed ones count once, aborted ones never, open ones not before they end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable

import pytest
from aiokafka import AIOKafkaProducer
from faust.types import TP

from agents.kafka import evidence
from agents.kafka.catch_up import catch_up
from agents.kafka.clients import KafkaUnusableError
from streams.contract import events, topics
from streams.settings.settings import Settings
from tests.broker.in_process import PARTITIONS, Start, Worker, call_ended, send, wait_until

pytestmark = [pytest.mark.broker, pytest.mark.timeout(180)]

ANNA = b"m001"
HOME = topics.partition_of(ANNA, PARTITIONS)


class Transactions:
    """A producer that writes calls of one manager in transactions."""

    def __init__(self, settings: Settings) -> None:
        self.topic = settings.kafka.topic_prefix + topics.CALLS.name
        self.producer = AIOKafkaProducer(
            bootstrap_servers=settings.kafka.bootstrap, transactional_id=settings.kafka.group
        )

    async def write(self, numbers: Iterable[int], managers: Iterable[bytes] = (ANNA,)) -> None:
        """Begin a transaction and write a call for each number and manager."""
        await self.producer.begin_transaction()
        for number in numbers:
            for manager in managers:
                value = events.encode(call_ended(number, manager.decode(), id=f"{number}-{manager.decode()}"))
                await self.producer.send_and_wait(
                    self.topic, value, manager, partition=topics.partition_of(manager, PARTITIONS)
                )


@pytest.fixture
async def transactions(settings: Settings) -> AsyncIterator[Transactions]:
    made = Transactions(settings)
    await made.producer.start()
    yield made
    await made.producer.stop()


def is_folded(worker: Worker) -> bool:
    """Return whether no partition has lag."""
    return not any(worker.parts.lag.now().values())


async def test_aborted_records_do_not_count_and_committed_ones_count_once(
    start: Start, settings: Settings, transactions: Transactions
) -> None:
    await transactions.write(range(5))
    await transactions.producer.abort_transaction()
    await transactions.write(range(5, 8))
    await transactions.producer.commit_transaction()
    worker = await start(settings)
    await wait_until(lambda: worker.calls() >= 3, "the committed calls are folded")
    # One partition has aborted and committed transactions in turn, with plain records between them.
    for number in range(8, 28, 2):
        await transactions.write([number])
        await transactions.producer.abort_transaction()
        await send(settings, [number * 20 + 1])  # the manager m001 again
        await transactions.write([number + 1])
        await transactions.producer.commit_transaction()
    await wait_until(lambda: worker.calls() >= 23, "all but the aborted calls are folded")
    await wait_until(lambda: is_folded(worker), "there is no lag")
    await worker.parts.state.run_checkpoint()
    assert worker.calls() == 23
    assert worker.parts.tracker.gaps == 0
    known = await evidence.read(settings, ANNA.decode())
    assert len(list(known.calls.all())) == 23


async def test_a_topic_that_ends_with_an_abort_has_no_lag(
    start: Start, settings: Settings, transactions: Transactions
) -> None:
    worker = await start(settings)
    await transactions.write(range(3))
    await transactions.producer.abort_transaction()
    await wait_until(lambda: worker.parts.lag.now().get(TP(transactions.topic, HOME)) == 0, "there is no lag")
    assert worker.calls() == 0
    await send(settings, [1])
    await wait_until(lambda: worker.calls() == 1, "the next call is folded")
    assert worker.failures == []


async def test_a_group_has_caught_up_with_topics_that_end_with_a_marker(
    start: Start, settings: Settings, transactions: Transactions
) -> None:
    worker = await start(settings)
    await transactions.write(range(3))
    await transactions.producer.commit_transaction()
    await transactions.write([3])
    await transactions.producer.abort_transaction()
    await transactions.write(range(4, 6), [b"m003"])
    await transactions.producer.commit_transaction()
    async with asyncio.timeout(30):
        assert await catch_up(settings.kafka, lambda: None) >= 5
    assert worker.calls() == 5


async def test_a_group_that_has_not_folded_the_records_before_a_marker_has_not_caught_up(
    settings: Settings, transactions: Transactions
) -> None:
    await transactions.write(range(3))
    await transactions.producer.commit_transaction()
    looks = 0

    def check() -> None:
        nonlocal looks
        looks += 1
        if looks == 6:
            raise TimeoutError

    with pytest.raises(KafkaUnusableError):
        await catch_up(settings.kafka, check)
    assert looks == 6


async def test_an_open_transaction_holds_back_what_is_behind_it_and_is_no_lag(
    start: Start, settings: Settings, transactions: Transactions
) -> None:
    worker = await start(settings)
    await transactions.write(range(3))
    await send(settings, [21])  # behind the open transaction, in its partition
    await send(settings, [3])  # in another partition
    assert topics.partition_of(b"m003", PARTITIONS) != HOME
    await wait_until(lambda: worker.calls() == 1, "the other partition is folded")
    await wait_until(lambda: is_folded(worker), "there is no lag")
    assert worker.calls() == 1
    await transactions.producer.commit_transaction()
    await wait_until(lambda: worker.calls() == 5, "all calls are folded")

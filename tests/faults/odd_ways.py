"""Sends records to Kafka in unusual ways: to wrong partitions, in transactions, in aborted transactions."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Final

import orjson
from aiokafka import AIOKafkaProducer

from streams.contract import topics
from streams.settings.settings import Kafka

Sent = tuple[str, bytes | None, bytes]
"""Topic without its prefix, key and value of a record."""

_GROUP: Final = 250
_STRAY: Final = 0.02
_IN_TRANSACTION: Final = 0.3
_ABORTED: Final = 25
"""Most records of each aborted transaction."""


def send_oddly(kafka: Kafka, records: Iterable[Sent], seed: int) -> int:
    """Send records in groups, and return how many went to a wrong partition.

    Only calls with a single event do so: a worker counts a call again if its second end arrives later than the retry
    horizon.

    Some groups are transactions. After each group, some of its records follow in an aborted transaction, with ids of
    their own: they would count if a worker read them.
    """
    return asyncio.run(_send(kafka, list(records), random.Random(seed)))


async def _send(kafka: Kafka, records: Sequence[Sent], rng: random.Random) -> int:
    plain = AIOKafkaProducer(bootstrap_servers=kafka.bootstrap, linger_ms=5)
    transactions = AIOKafkaProducer(bootstrap_servers=kafka.bootstrap, transactional_id=f"{kafka.group}-{rng.random()}")
    strays = 0
    events_of = Counter(call for topic, _, value in records if topic == "calls" for call in [_call(value)])
    await plain.start()
    await transactions.start()
    try:
        for start in range(0, len(records), _GROUP):
            group = records[start : start + _GROUP]
            in_transaction = rng.random() < _IN_TRANSACTION
            producer = transactions if in_transaction else plain
            if in_transaction:
                await producer.begin_transaction()
            for topic, key, value in group:
                home = 0 if key is None else topics.partition_of(key, kafka.partitions)
                may_stray = key is not None and (topic == "crm" or events_of[_call(value)] == 1)
                stray = may_stray and rng.random() < _STRAY
                strays += stray
                partition = (home + rng.randrange(1, kafka.partitions)) % kafka.partitions if stray else home
                await producer.send(kafka.topic_prefix + topic, value, key, partition=partition)
            if in_transaction:
                await producer.commit_transaction()
            await plain.flush()
            await transactions.begin_transaction()
            for topic, key, value in rng.sample(group, min(len(group), _ABORTED)):
                if key is not None:
                    home = topics.partition_of(key, kafka.partitions)
                    await transactions.send(kafka.topic_prefix + topic, _of_its_own(value), key, partition=home)
            await transactions.abort_transaction()
    finally:
        await plain.stop()
        await transactions.stop()
    return strays


def _call(value: bytes) -> str:
    return str(orjson.loads(value)["call"])


def _of_its_own(value: bytes) -> bytes:
    """Return the event with another id, call and deal."""
    event = orjson.loads(value)
    return orjson.dumps(event | {name: f"aborted {event[name]}" for name in ("id", "call", "deal") if name in event})

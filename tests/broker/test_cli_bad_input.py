"""Records without an event, through a real worker: refused with reason and bytes, counted, and the rest goes on."""

from __future__ import annotations

import asyncio
import time
import urllib.request
from collections import Counter
from pathlib import Path

import msgspec
import orjson
import pytest

from agents.kafka import dead_letters
from agents.kafka.dead_letters import Filter
from agents.kafka.producer import BatchProducer
from streams.contract import topics
from streams.contract.events import LATEST_MS
from streams.settings.settings import Kafka
from tests.broker.installation import Installation
from tests.kafka_fixture import consume, eventually
from tests.streams.test_contract import BAD, ENDED

# Other tests run all lines of these.
pytestmark = [pytest.mark.broker, pytest.mark.slow, pytest.mark.no_cover]

CALLS = [(b"anna", value, reason) for _, topic, value, reason in BAD if topic == "calls"]
OF_THE_RECORD = [
    (None, msgspec.json.encode({**ENDED, "id": "no-key"}), "no_key"),
    (b"boris", msgspec.json.encode({**ENDED, "id": "wrong-key"}), "wrong_key"),
    (b"\xff\xfe", msgspec.json.encode({**ENDED, "id": "odd-key"}), "wrong_key"),
    (b"anna", msgspec.json.encode({**ENDED, "id": "future", "at": LATEST_MS}), "future"),
]
CASES = CALLS + OF_THE_RECORD


async def test_what_is_no_event_ends_in_rejected_and_can_be_sent_back(bootstrap: str, tmp_path: Path) -> None:
    callpulse = Installation(bootstrap, tmp_path)
    assert callpulse("topics", "create").returncode == 0
    kafka = Kafka(
        bootstrap=bootstrap,
        group=callpulse.environment["CALLPULSE_KAFKA__GROUP"],
        topic_prefix=callpulse.environment["CALLPULSE_KAFKA__TOPIC_PREFIX"],
    )
    home = topics.partition_of(b"anna", kafka.partitions)
    async with BatchProducer(kafka) as producer:
        for number, (key, value, _) in enumerate(CASES):
            # All in one partition, each between two good events: the worker must go on behind each of them.
            await producer.add(callpulse.calls, key, value, partition=home)
            await producer.add(callpulse.calls, b"anna", good(number), partition=home)
    with callpulse.worker() as (_, url):
        eventually(lambda: callpulse.standing(url)["feed"]["rejected"] >= len(CASES), within_s=60, every_s=0.3)
        letters = await all_letters(kafka, len(CASES))
        assert {(letter.key, letter.value, letter.reason) for letter in letters} == set(CASES)
        assert {letter.topic for letter in letters} == {callpulse.calls}
        eventually(lambda: callpulse.standing(url)["feed"]["lag"] == 0, every_s=0.3)
        assert callpulse.standing(url)["feed"]["rejected"] == len(CASES)
        assert applied(callpulse, url) == len(CASES)

        listed = callpulse("rejected", "list", "--json", "--limit", 1000)
        reasons = Counter(letter["reason"] for letter in orjson.loads(listed.stdout)["letters"])
        assert reasons == Counter(reason for *_, reason in CASES)

        back = callpulse("rejected", "redrive", "--json")
        assert orjson.loads(back.stdout)["sent"] == len(CASES)
        again = await all_letters(kafka, 2 * len(CASES))
        assert Counter(letter.reason for letter in again if not letter.redriven_ms) == reasons
        assert applied(callpulse, url) == len(CASES)
    assert len(consume(bootstrap, callpulse.calls)) == 3 * len(CASES)


def good(number: int) -> bytes:
    return msgspec.json.encode({**ENDED, "id": f"good-{number}", "call": f"good-{number}"})


def applied(callpulse: Installation, url: str) -> int:
    """Return the number of events that the worker has applied."""
    with urllib.request.urlopen(f"{url}/metrics", timeout=10) as answer:  # noqa: S310 - a worker on this machine
        text = answer.read().decode()
    name = f'callpulse_events_applied_total{{topic="{callpulse.calls}"}} '
    return int(float(next(line for line in text.splitlines() if line.startswith(name)).removeprefix(name)))


async def all_letters(kafka: Kafka, count: int) -> list[dead_letters.Letter]:
    """Return the dead letters, once they are as many as expected."""
    deadline = time.monotonic() + 60
    while len(letters := await dead_letters.read(kafka, Filter())) < count:
        if time.monotonic() > deadline:
            pytest.fail(f"{len(letters)} dead letters, {count} wanted")
        await asyncio.sleep(0.2)
    return letters

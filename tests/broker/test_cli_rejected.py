"""Dead letters through a real broker: listed without customers' words, and sent back once to their topics."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import orjson
import pytest
from aiokafka.structs import ConsumerRecord
from faust.types import TP

from agents.kafka import admin, dead_letters
from agents.kafka.clients import KafkaUnusableError
from agents.kafka.dead_letter import MAX_KEPT, dead_letter, of_source
from agents.kafka.dead_letters import Filter, Letter
from agents.kafka.producer import BatchProducer
from streams.contract import topics
from streams.contract.events import Rejection
from streams.settings.settings import Kafka
from tests.broker import command_line
from tests.kafka_fixture import consume, unique

pytestmark = pytest.mark.broker

ROOT = Path(__file__).parents[2]
WORDS = "call me on +49 30 901820"


async def an_installation(bootstrap: str) -> Kafka:
    name = unique("letters")
    kafka = Kafka(bootstrap=bootstrap, group=name, topic_prefix=f"{name}.", partitions=3)
    await admin.create(kafka)
    return kafka


def refused(kafka: Kafka, offset: int, value: bytes | None, reason: str, **more: Any) -> tuple[Any, Rejection]:
    """A record of `calls`, and the reason for which a worker refuses it."""
    record = ConsumerRecord(
        topic=kafka.topic_prefix + more.get("topic", "calls"),
        partition=more.get("partition", 1),
        offset=offset,
        timestamp=0,
        timestamp_type=1,
        key=more.get("key", b"anna"),
        value=value,
        checksum=None,
        serialized_key_size=0,
        serialized_value_size=0,
        headers=(),
    )
    return record, Rejection(reason, f"the detail of {reason}")  # type: ignore[arg-type]  # reasons are words


async def reject(kafka: Kafka, *cases: tuple[Any, Rejection], times: int = 1) -> None:
    """Put dead letters into the topic, as the workers do."""
    async with BatchProducer(kafka) as producer:
        for record, rejection in cases * times:
            letter = dead_letter(TP(record.topic, record.partition), record, rejection)
            await producer.add(kafka.topic_prefix + "rejected", letter.key, letter.value, letter.headers)


async def test_a_letter_is_read_back_with_its_place_reason_key_and_bytes(bootstrap: str) -> None:
    kafka = await an_installation(bootstrap)
    await reject(kafka, refused(kafka, 7, b"\xff\x00 no json", "not_json", key=b"an\xffna"))
    (letter,) = await dead_letters.read(kafka, Filter())
    assert letter.at_ms > 0
    assert letter == Letter(
        id=f"{kafka.topic_prefix}calls:1:7",
        topic=f"{kafka.topic_prefix}calls",
        partition=1,
        offset=7,
        reason="not_json",
        detail="the detail of not_json",
        at_ms=letter.at_ms,
        key=b"an\xffna",
        value=b"\xff\x00 no json",
        size=10,
    )


async def test_a_letter_that_was_sent_twice_is_one(bootstrap: str) -> None:
    kafka = await an_installation(bootstrap)
    await reject(kafka, refused(kafka, 7, b"x", "not_json"), refused(kafka, 8, b"y", "not_json"), times=2)
    assert sorted(letter.offset for letter in await dead_letters.read(kafka, Filter())) == [7, 8]


async def test_letters_are_chosen_by_reason_topic_and_time(bootstrap: str) -> None:
    kafka = await an_installation(bootstrap)
    await reject(kafka, refused(kafka, 1, b"x", "not_json"), refused(kafka, 2, b"x", "future"))
    await reject(kafka, refused(kafka, 3, b"x", "future", topic="crm"))

    async def chosen(**how: Any) -> list[int]:
        return sorted(letter.offset for letter in await dead_letters.read(kafka, Filter(**how)))

    assert await chosen() == [1, 2, 3]
    assert await chosen(reasons=frozenset({"future"})) == [2, 3]
    assert await chosen(topics=frozenset({"crm"})) == [3]
    assert await chosen(topics=frozenset({f"{kafka.topic_prefix}crm"})) == [3]
    newest = max(letter.at_ms for letter in await dead_letters.read(kafka, Filter()))
    assert await chosen(since_ms=newest + 1) == []
    assert await chosen(until_ms=newest + 1) == [1, 2, 3]
    assert await chosen(until_ms=0) == []


async def test_a_record_goes_back_to_its_topic_with_its_own_key_and_bytes_and_only_once(bootstrap: str) -> None:
    kafka = await an_installation(bootstrap)
    cases = {b"anna": b"\xff raw", b"boris": b"", b"carla": None, None: b"no key"}
    await reject(
        kafka,
        *(refused(kafka, at, value, "not_json", key=key, partition=2) for at, (key, value) in enumerate(cases.items())),
    )
    done = await dead_letters.redrive(kafka, await dead_letters.read(kafka, Filter(redriven=False)))
    assert (done.sent, done.cut, done.by_topic) == (4, 0, {f"{kafka.topic_prefix}calls": 4})
    records = consume(bootstrap, f"{kafka.topic_prefix}calls", at_least=4)
    assert {record.key: record.value for record in records} == cases
    for record in records:
        assert record.partition == (2 if record.key is None else topics.partition_of(record.key, 3))
    assert await dead_letters.read(kafka, Filter(redriven=False)) == []
    assert all(letter.redriven_ms for letter in await dead_letters.read(kafka, Filter()))


async def test_a_record_that_was_not_kept_whole_stays_where_it_is(bootstrap: str) -> None:
    kafka = await an_installation(bootstrap)
    await reject(kafka, refused(kafka, 1, b"x" * (MAX_KEPT + 1), "too_large"), refused(kafka, 2, b"y", "too_large"))
    letters = sorted(await dead_letters.read(kafka, Filter()), key=lambda letter: letter.offset)
    assert [(letter.size, bool(letter.cut)) for letter in letters] == [(MAX_KEPT + 1, True), (1, False)]
    done = await dead_letters.redrive(kafka, letters)
    assert (done.sent, done.cut) == (1, 1)
    assert [letter.offset for letter in await dead_letters.read(kafka, Filter(redriven=False))] == [1]


async def test_without_the_topic_the_way_to_make_it_is_told(bootstrap: str) -> None:
    with pytest.raises(KafkaUnusableError, match="callpulse topics create"):
        await dead_letters.read(Kafka(bootstrap=bootstrap, topic_prefix=f"{unique('nothing')}."), Filter())


async def test_the_command_lists_without_keys_and_values_unless_they_are_asked_for(bootstrap: str) -> None:
    kafka = await an_installation(bootstrap)
    await reject(kafka, refused(kafka, 7, WORDS.encode(), "not_json"))
    for more in ((), ("--json",)):
        listed = callpulse(kafka, "rejected", "list", *more)
        assert listed.returncode == 0, listed.stderr
        assert "not_json" in listed.stdout
        assert "the detail of not_json" in listed.stdout
        assert "901820" not in listed.stdout + listed.stderr
        assert "anna" not in listed.stdout + listed.stderr
        shown = callpulse(kafka, "rejected", "list", "--show-value", *more)
        assert "901820" in shown.stdout


async def test_the_command_sends_back_what_is_chosen_and_counts_it(bootstrap: str) -> None:
    kafka = await an_installation(bootstrap)
    await reject(kafka, *(refused(kafka, at, b"x", "future") for at in range(3)), refused(kafka, 9, b"x", "not_json"))
    tried = callpulse(kafka, "rejected", "redrive", "--reason", "future", "--dry-run", "--json")
    assert orjson.loads(tried.stdout) == {
        "sent": 3,
        "cut": 0,
        "from_sources": 0,
        "by_topic": {f"{kafka.topic_prefix}calls": 3},
        "dry_run": True,
    }
    assert consume(bootstrap, f"{kafka.topic_prefix}calls") == []
    for expected in (2, 1, 0):
        done = callpulse(kafka, "rejected", "redrive", "--reason", "future", "--limit", "2", "--json")
        assert orjson.loads(done.stdout)["sent"] == expected
    again = callpulse(kafka, "rejected", "redrive", "--since", "1h", "--again")
    assert again.stdout.startswith("4 records went back.")


async def test_a_letter_of_a_source_is_listed_with_its_place_there_and_is_not_sent_back(bootstrap: str) -> None:
    kafka = await an_installation(bootstrap)
    async with BatchProducer(kafka) as producer:
        letter = of_source("mango", "invalid_time", "`at` is in seconds", "row 7", b'{"at":"999"}', 1, 0)
        await producer.add(kafka.topic_prefix + "rejected", letter.key, letter.value, letter.headers)
    await reject(kafka, refused(kafka, 7, b"x", "not_json"))
    listed = callpulse(kafka, "rejected", "list")
    assert "source mango, row 7" in listed.stdout
    assert "`at` is in seconds" in listed.stdout
    (of_mango,) = orjson.loads(
        callpulse(kafka, "rejected", "list", "--json", "--show-value", "--reason", "invalid_time").stdout
    )["letters"]
    assert {name: of_mango[name] for name in ("source", "where", "topic", "partition", "value")} == {
        "source": "mango",
        "where": "row 7",
        "topic": None,
        "partition": None,
        "value": '{"at":"999"}',
    }
    for more in ("--dry-run", "--again"):
        sent = callpulse(kafka, "rejected", "redrive", more)
        assert sent.returncode == 0, sent.stderr
        assert "1 records" in sent.stdout
        assert "1 were never in a topic" in sent.stderr
    calls = consume(bootstrap, kafka.topic_prefix + "calls")
    assert [record.value for record in calls] == [b"x"]


async def test_a_reason_or_a_time_that_cannot_be_is_a_usage_error(bootstrap: str) -> None:
    kafka = Kafka(bootstrap=bootstrap)
    wrong = callpulse(kafka, "rejected", "list", "--reason", "not_jason")
    assert (wrong.returncode, "did you mean not_json" in wrong.stderr) == (2, True)
    wrong = callpulse(kafka, "rejected", "list", "--since", "yesterday")
    assert (wrong.returncode, "neither a span" in wrong.stderr) == (2, True)


def callpulse(kafka: Kafka, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command line as a process of its own, in the installation."""
    environment = {
        "CALLPULSE_BOOTSTRAP": kafka.bootstrap,
        "CALLPULSE_KAFKA__GROUP": kafka.group,
        "CALLPULSE_KAFKA__TOPIC_PREFIX": kafka.topic_prefix,
        "PATH": "/usr/bin:/bin",
        "COLUMNS": "200",
    }
    return command_line.run(*arguments, environment=environment)

"""`callpulse topics` and `callpulse kafka` against a real broker."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import orjson
import psutil
import pytest
from aiokafka.admin import AIOKafkaAdminClient

from agents.kafka import admin
from agents.kafka.clients import KafkaUnusableError, client_options, connected
from streams.contract import topics
from streams.settings.settings import Kafka, Secret
from streams.units import DAY_MS
from tests.broker import command_line
from tests.kafka_fixture import create_topic, unique

pytestmark = pytest.mark.broker

ROOT = Path(__file__).parents[2]


def an_installation(bootstrap: str, **more: object) -> Kafka:
    """Settings with names of their own on the shared broker."""
    name = unique("cli")
    return Kafka(bootstrap=bootstrap, group=name, topic_prefix=f"{name}.", **more)  # type: ignore[arg-type]  # some field


async def test_topics_are_made_as_declared_and_a_second_time_nothing_is_done(bootstrap: str) -> None:
    kafka = an_installation(bootstrap)
    names = [topic.name for topic in topics.declared(kafka.group, kafka.topic_prefix)]
    assert [difference.key for difference in await admin.check(kafka)] == ["topic"] * len(names)
    assert await admin.create(kafka) == (tuple(names), (), ())
    assert await admin.check(kafka) == []
    assert await admin.create(kafka) == ((), tuple(names), ())


async def test_a_new_changelog_is_compacted_after_a_day_and_one_without_that_is_as_declared(bootstrap: str) -> None:
    kafka = an_installation(bootstrap)
    declared = topics.changelog("managers", kafka.group)
    config = {key.replace(".", "_"): value for key, value in declared.config.items()}
    create_topic(bootstrap, declared.name, partitions=kafka.partitions, **config)
    made = await admin.create(kafka)
    assert (made.existing, made.differences) == ((declared.name,), ())
    names = {topics.changelog(table, kafka.group).name for table in topics.TABLES}
    async with connected(AIOKafkaAdminClient(**client_options(kafka)), kafka) as client:
        found = await admin._settings(client, kafka, names)
    largest = {name: int(settings["max.compaction.lag.ms"]) for name, settings in found.items()}
    assert largest.pop(declared.name) > 365 * DAY_MS
    assert set(largest.values()) == {DAY_MS}


async def test_a_topic_with_other_partitions_policy_and_retention_is_told_by_each_of_them(bootstrap: str) -> None:
    kafka = an_installation(bootstrap, partitions=3)
    calls = create_topic(
        bootstrap,
        f"{kafka.topic_prefix}calls",
        partitions=2,
        cleanup_policy="compact",
        retention_ms="1000",
        message_timestamp_type="LogAppendTime",
    )
    made = await admin.create(kafka)
    assert {(found.topic, found.key, found.found, found.wanted) for found in made.differences} == {
        (calls, "partitions", "2", "3"),
        (calls, "cleanup.policy", "compact", "delete"),
        (calls, "retention.ms", "1000", str(90 * 86_400_000)),
    }
    assert calls not in made.created
    assert await admin.check(kafka) == list(made.differences)


async def test_more_copies_than_brokers_is_told_by_the_setting(bootstrap: str) -> None:
    with pytest.raises(KafkaUnusableError, match=r"kafka.replication 3: the cluster has fewer brokers"):
        await admin.create(an_installation(bootstrap, replication=3))


async def test_a_password_that_the_broker_does_not_want_is_refused_without_being_told(bootstrap: str) -> None:
    kafka = an_installation(
        bootstrap,
        security_protocol="SASL_PLAINTEXT",
        sasl_mechanism="PLAIN",
        sasl_username="anna",
        sasl_password=Secret("correct horse"),
    )
    with pytest.raises(KafkaUnusableError, match="refuses to authenticate") as refused:
        await admin.check(kafka)
    assert "kafka.sasl_password" in str(refused.value)
    assert "horse" not in str(refused.value)


def test_the_command_makes_the_topics_and_check_finds_nothing(bootstrap: str) -> None:
    name = unique("cli")
    environment = {"CALLPULSE_KAFKA__GROUP": name, "CALLPULSE_KAFKA__TOPIC_PREFIX": f"{name}."}
    before = callpulse("topics", "check", "--bootstrap", bootstrap, "--json", **environment)
    assert before.returncode == 1
    assert len(orjson.loads(before.stdout)["differences"]) == len(topics.declared())
    made = callpulse("topics", "create", "--bootstrap", bootstrap, **environment)
    assert made.returncode == 0, made.stderr
    assert f"{len(topics.declared())} topics made" in made.stdout
    after = callpulse("topics", "check", "--bootstrap", bootstrap, **environment)
    assert (after.returncode, after.stdout) == (0, f"{len(topics.declared())} topics are as declared.\n")


@pytest.mark.slow
def test_the_broker_of_the_command_line_serves_until_it_is_told_to_end_and_leaves_nothing() -> None:
    command = [sys.executable, "-m", "agents.cli", "kafka", "--port", "0", "--json"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process, ending(process):
        assert process.stdout is not None
        told = orjson.loads(process.stdout.readline())
        checked = callpulse("topics", "check", "--bootstrap", told["bootstrap"], "--json")
        assert len(orjson.loads(checked.stdout)["differences"]) == len(topics.declared())
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 0
        assert not psutil.pid_exists(told["pid"])
        assert not Path(told["log"]).parent.exists()


@contextlib.contextmanager
def ending(process: subprocess.Popen[str]) -> Iterator[None]:
    """End the process when the test is over, however that went."""
    try:
        yield
    finally:
        process.kill()


def callpulse(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the command line as a process of its own."""
    return command_line.run(*arguments, environment={**os.environ, **environment})

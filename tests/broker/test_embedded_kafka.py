"""The embedded Kafka is a real broker, keeps its data, and never outlives its owner."""

import pytest

from agents.embedded import EmbeddedKafka
from tests.kafka_fixture import committed_offsets, consume, create_topic, end_offsets, produce, unique

pytestmark = pytest.mark.broker


def test_records_come_back_as_they_were_sent(bootstrap: str) -> None:
    topic = create_topic(bootstrap, unique("echo"), partitions=2)
    sent = [(b"a", b"1"), (None, b"2"), (b"b", None), (b"big", b"x" * 2 * 1024 * 1024)]
    places = produce(bootstrap, topic, sent)
    read = consume(bootstrap, topic)
    assert sorted((r.partition, r.offset) for r in read) == sorted(places)
    assert {(r.partition, r.offset): (r.key, r.value) for r in read} == dict(zip(places, sent, strict=True))
    assert sum(end_offsets(bootstrap, topic).values()) == 4
    assert committed_offsets(bootstrap, unique("group"), topic) == {}


async def test_the_helpers_work_inside_an_event_loop(bootstrap: str) -> None:
    topic = create_topic(bootstrap, unique("loop"), partitions=1)
    assert produce(bootstrap, topic, [(None, b"1")]) == [(0, 0)]


def test_a_killed_broker_comes_back_with_its_data_on_its_port(own_kafka: EmbeddedKafka) -> None:
    address, first = own_kafka.bootstrap, own_kafka.pid
    topic = create_topic(address, unique("kept"), partitions=1)
    produce(address, topic, [(None, b"%d" % n) for n in range(100)])
    own_kafka.kill()
    assert not own_kafka.running
    own_kafka.restart()
    assert (own_kafka.bootstrap, own_kafka.pid != first) == (address, True)
    assert [r.value for r in consume(address, topic)] == [b"%d" % n for n in range(100)]

"""Fixtures that every folder of tests may use."""

from tests.kafka_fixture import bootstrap, kafka, own_kafka

__all__ = ["bootstrap", "kafka", "own_kafka"]

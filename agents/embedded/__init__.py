"""A real Apache Kafka, one node, started from Python: `with EmbeddedKafka() as kafka: ... kafka.bootstrap`."""

from agents.embedded.broker import EmbeddedKafka
from agents.embedded.runtime import EmbeddedKafkaError

__all__ = ["EmbeddedKafka", "EmbeddedKafkaError"]

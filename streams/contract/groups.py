"""The names by which processes are known to Kafka: consumer groups and transactional ids. Workers: `kafka.group`."""

from __future__ import annotations

from streams.contract.topics import APP


def joins(prefix: str = "") -> str:
    """Return the consumer group of the gateways that join statements; `prefix` is `kafka.topic_prefix`."""
    # Not by `kafka.group`: a rebuild changes that, and a new group would join the statements of two days again.
    return f"{prefix}{APP}-joins"


def polls(group: str = APP) -> str:
    """Return the consumer group of the gateways that poll; `group` is `kafka.group`."""
    return f"{group}-polls"


def transactional_id(identity: str, prefix: str = "") -> str:
    """Return the transactional id of the process of the way in with this identity; "" for the beginning of all ids.

    `prefix` is `kafka.topic_prefix`.
    """
    return f"{prefix}{APP}-gateway-{identity}"

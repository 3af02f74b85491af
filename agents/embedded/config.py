"""Configuration of the embedded Kafka: one small node, broker and controller at once, quick to start, on loopback."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

HOST = "127.0.0.1"
NODE_ID = 1
CLUSTER_ID = "callpulse-embedded-kafka"[:22]
"""Any 22 characters of URL-safe base 64; fixed, so that the same folder is the same cluster."""
MAX_RECORD_BATCH_BYTES = 4 * 1024 * 1024
"""Largest batch a producer may send: changelog values of 2 MiB with their keys and headers fit."""

LOG4J2 = """\
status=error
appender.out.type=Console
appender.out.name=out
appender.out.layout.type=PatternLayout
appender.out.layout.pattern=[%d] %p %m (%c)%n
rootLogger.level=WARN
rootLogger.appenderRef.out.ref=out
"""
"""Log4j writes to standard output, which is the log file: the last messages of a dying JVM are in the same file."""


def server_properties(log_dir: Path, port: int, controller_port: int, more: Mapping[str, str]) -> str:
    """Return the text of the broker's configuration file. `more` replaces and adds properties.

    A property that is not here has Kafka's default, retention among them.
    """
    settings: dict[str, object] = {
        "process.roles": "broker,controller",
        "node.id": NODE_ID,
        "controller.quorum.voters": f"{NODE_ID}@{HOST}:{controller_port}",
        "listeners": f"PLAINTEXT://{HOST}:{port},CONTROLLER://{HOST}:{controller_port}",
        "advertised.listeners": f"PLAINTEXT://{HOST}:{port}",
        "controller.listener.names": "CONTROLLER",
        "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
        "log.dirs": log_dir,
        # One node holds every copy.
        "offsets.topic.replication.factor": 1,
        "offsets.topic.num.partitions": 4,
        "transaction.state.log.replication.factor": 1,
        "transaction.state.log.min.isr": 1,
        "transaction.state.log.num.partitions": 4,
        "share.coordinator.state.topic.replication.factor": 1,
        "share.coordinator.state.topic.min.isr": 1,
        # A group is complete when its first member joins; tests and demos do not wait for further members.
        "group.initial.rebalance.delay.ms": 0,
        "group.min.session.timeout.ms": 1000,
        # After kill -9 the controller admits the new broker only when the old one's session is over (9 s by default).
        "broker.session.timeout.ms": 2000,
        "broker.heartbeat.interval.ms": 500,
        # An empty record twice a second is for clusters whose members watch each other's progress.
        "metadata.max.idle.interval.ms": 0,
        # A topic exists because it was declared; a misspelt name must fail, not appear with one partition.
        "auto.create.topics.enable": "false",
        "message.max.bytes": MAX_RECORD_BATCH_BYTES,
        "replica.fetch.max.bytes": MAX_RECORD_BATCH_BYTES,
        # A laptop, not a server.
        "num.network.threads": 2,
        "num.io.threads": 4,
        "background.threads": 2,
        "num.recovery.threads.per.data.dir": 2,
        "log.cleaner.dedupe.buffer.size": 32 * 1024 * 1024,
    }
    return "".join(f"{key}={value}\n" for key, value in (settings | dict(more)).items())

"""A Kafka cluster of three brokers on loopback; each can be killed and started again by its number."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from agents.embedded import EmbeddedKafka, config, ports
from tests.kafka_fixture import eventually

NODES: Final = (1, 2, 3)
CONTROLLER: Final = 1
"""The node that is the controller too. The others are brokers only."""
HEAP: Final = "160m"


class Cluster:
    """Three brokers. A topic without a declaration of its own, such as that of the offsets, has three copies too.

    One controller is lighter than three, and with two brokers down it still decides which copies are in sync.
    """

    def __init__(self, folder: Path) -> None:
        free: set[int] = set()
        while len(free) <= len(NODES):
            free.add(ports.find_free())
        controller, *brokers = free
        self._brokers = {
            node: EmbeddedKafka(
                _formatted(folder / f"broker-{node}", node),
                port=port,
                heap=HEAP,
                properties=_properties(node, port, controller),
            )
            for node, port in zip(NODES, brokers, strict=True)
        }
        self._pool = ThreadPoolExecutor(len(NODES))

    @property
    def bootstrap(self) -> str:
        """The addresses of all three."""
        return ",".join(broker.bootstrap for broker in self._brokers.values())

    def kill(self, *nodes: int) -> None:
        """End brokers as `kill -9` does."""
        for node in nodes:
            self._brokers[node].kill()

    def restart(self, *nodes: int) -> None:
        """Start killed brokers again, all at once; return when they serve clients."""
        list(self._pool.map(lambda node: self._brokers[node].restart(), nodes))

    def await_in_sync(self, topics: Iterable[str], nodes: Iterable[int] = NODES) -> None:
        """Wait until the copies on `nodes`, and no others, are in sync for every partition of the topics."""
        names, wanted = list(topics), set(nodes)
        eventually(lambda: asyncio.run(self._in_sync(names)) == wanted, what=f"{wanted} are in sync", every_s=0.2)

    async def _in_sync(self, topics: list[str]) -> set[int]:
        """Return the nodes that are in sync in every partition, 0 among them if some are in some partitions only."""
        alive = ",".join(broker.bootstrap for broker in self._brokers.values() if broker.running)
        admin = AIOKafkaAdminClient(bootstrap_servers=alive)
        try:
            await admin.start()
            sets = {
                frozenset(partition["isr"])
                for described in await admin.describe_topics(topics)
                for partition in described["partitions"]
            }
        except KafkaError:  # the request may go to a broker that has just gone
            return {0}
        finally:
            await admin.close()
        return set(*sets) if len(sets) == 1 else {0}

    def send_one_to_each(self, topics: Iterable[str]) -> list[object]:
        """Send a record to each topic; return the result of each: its metadata, or the final error."""

        async def send() -> list[object]:
            async with AIOKafkaProducer(
                bootstrap_servers=self.bootstrap, acks="all", request_timeout_ms=2000
            ) as producer:
                sent = (producer.send_and_wait(topic, b"{}", key=b"nobody") for topic in topics)
                return list(await asyncio.gather(*sent, return_exceptions=True))

        return asyncio.run(send())

    def __enter__(self) -> Self:
        try:
            list(self._pool.map(EmbeddedKafka.start, self._brokers.values()))
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if kind is not None:
            for node, broker in self._brokers.items():
                print(f"--- broker {node} said last:\n{broker.log_tail()}")
        self._stop()

    def _stop(self) -> None:
        self._pool.shutdown()
        for broker in self._brokers.values():
            broker.kill()  # the data of the broker is not read again


def _formatted(folder: Path, node: int) -> Path:
    """Return the data folder of a node. Kafka's tool, which takes a JVM, would write the same lines for a broker."""
    if node != CONTROLLER:
        (folder / "data").mkdir(parents=True)
        lines = f"version=1\ncluster.id={config.CLUSTER_ID}\nnode.id={node}\n"
        (folder / "data" / "meta.properties").write_text(lines, encoding="utf-8")
    return folder


def _properties(node: int, port: int, controller_port: int) -> dict[str, str]:
    client, controller = f"PLAINTEXT://{config.HOST}:{port}", f"CONTROLLER://{config.HOST}:{controller_port}"
    return {
        "process.roles": "broker,controller" if node == CONTROLLER else "broker",
        "node.id": str(node),
        "controller.quorum.voters": f"{CONTROLLER}@{config.HOST}:{controller_port}",
        "listeners": f"{client},{controller}" if node == CONTROLLER else client,
        "offsets.topic.replication.factor": "3",
        # The broker's own default for min.insync.replicas stays: topics must set theirs.
        # A killed copy leaves those in sync when its session is over; one that falls behind, after this time.
        "replica.lag.time.max.ms": "4000",
    }

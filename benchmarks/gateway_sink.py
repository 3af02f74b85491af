"""`python -m benchmarks.gateway_sink`: the sink of the way in beside aiokafka's own producer, without HTTP."""

from __future__ import annotations

import asyncio
import itertools
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from typing import Final

from aiokafka import AIOKafkaProducer
from msgspec.structs import replace

from agents.embedded import EmbeddedKafka
from agents.gateway.kafka_sink import KafkaSink
from agents.kafka import admin
from benchmarks.measures import Result, Target, percentile
from streams.contract import topics
from streams.contract.events import CallEnded, Event, encode
from streams.settings.gateway import Gateway
from streams.settings.settings import Kafka, Settings

BATCH: Final = 100
SENDERS: Final = 16
SINGLE_SENDERS: Final = 256
RATE: Final = 1_250
"""Single requests a second at which the latency is measured: half of the target."""
EVENTS_TARGET: Final = 15_000
SINGLES_TARGET: Final = 2_500
P99_TARGET_MS: Final = 100
_AT: Final = 1_795_435_200_000

Store = Callable[[list[Event]], Awaitable[object]]


def events() -> Iterator[Event]:
    """Yield ends of calls, of 40 managers, each with an id of its own."""
    for number in itertools.count():
        yield CallEnded(
            v=1,
            id=f"bench:{number}:end",
            at=_AT + number,
            source="bench",
            call=f"call-{number}",
            manager=f"manager-{number % 40}",
            lead="phone:174605dd995a9e798138e50e3eab9f7d",
            direction="outbound",
            started_at=_AT,
            talk_ms=61_000,
            disposition="answered",
        )


async def closed_loop(store: Store, source: Iterator[Event], count: int, batch: int, senders: int) -> float:
    """Return events a second: each sender sends its next request when the last one is answered."""
    left = iter(range(count // batch))

    async def send() -> None:
        for _ in left:
            await store(list(itertools.islice(source, batch)))

    begun = time.perf_counter()
    await asyncio.gather(*(send() for _ in range(senders)))
    return count / (time.perf_counter() - begun)


async def open_loop(store: Store, source: Iterator[Event], rate: int, seconds: float) -> list[float]:
    """Return the latencies in seconds of single requests that come at a fixed rate, independent of the answers."""
    latencies: list[float] = []

    async def send(due: float) -> None:
        await store([next(source)])
        latencies.append(time.perf_counter() - due)

    begun = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for number in range(int(rate * seconds)):
            due = begun + number / rate
            if (wait := due - time.perf_counter()) > 0:
                await asyncio.sleep(wait)
            group.create_task(send(due))
    return latencies


async def run(bootstrap: str, count: int) -> Result:
    """Measure the sink and the bare producer in turn."""
    kafka = Kafka(bootstrap=bootstrap, topic_prefix="bench.")
    await admin.create(kafka, topics.of_gateway(kafka.topic_prefix))
    source = events()
    rows = [
        ["way", "events/s, 100 a request", "requests/s, 1 event each", f"p50 ms at {RATE}/s", f"p99 ms at {RATE}/s"]
    ]
    figures: dict[str, object] = {}
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(kafka=kafka, gateway=replace(Gateway(), data_dir=folder))
        async with KafkaSink(settings) as sink:
            measured = await _measure(lambda part: sink.store("bench", part), source, count)
            spooled = sink.metrics.gauge("spool_bytes")
            sink.refresh()
            spool_bytes = spooled._value.get()
    rows.append(["sink", *(f"{value:,.0f}" for value in measured[:2]), *(f"{value:.1f}" for value in measured[2:])])
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap, enable_idempotence=True, acks="all", linger_ms=2)
    await producer.start()

    async def bare(part: list[Event]) -> None:
        sent = [
            await producer.send("bench.calls", encode(event), key=event.manager.encode())  # type: ignore[attr-defined] # ends of calls have one
            for event in part
        ]
        await asyncio.gather(*sent)

    try:
        other = await _measure(bare, source, count)
    finally:
        await producer.stop()
    rows.append(["aiokafka", *(f"{value:,.0f}" for value in other[:2]), *(f"{value:.1f}" for value in other[2:])])
    for name, values in (("sink", measured), ("aiokafka", other)):
        figures[name] = dict(zip(("events_s", "singles_s", "p50_ms", "p99_ms"), values, strict=True))
    return Result(
        "The sink of the way in",
        figures,
        rows,
        [
            Target("events a second in batches", measured[0], at_least=EVENTS_TARGET),
            Target("single requests a second", measured[1], at_least=SINGLES_TARGET),
            Target(f"p99 in ms at {RATE} single requests a second", measured[3], at_most=P99_TARGET_MS),
        ],
        [f"One process beside its broker; {spool_bytes:.0f} bytes in the spool at the end."],
        [],
    )


async def _measure(store: Store, source: Iterator[Event], count: int) -> tuple[float, float, float, float]:
    await closed_loop(store, source, 5_000, BATCH, SENDERS)  # the warm-up
    batches = await closed_loop(store, source, count, BATCH, SENDERS)
    singles = await closed_loop(store, source, count // 5, 1, SINGLE_SENDERS)
    latencies = await open_loop(store, source, RATE, 10)
    return batches, singles, percentile(latencies, 0.5) * 1000, percentile(latencies, 0.99) * 1000


def main() -> int:
    """Measure with a broker of its own, and print the result."""
    with EmbeddedKafka() as kafka:
        result = asyncio.run(run(kafka.bootstrap, int(sys.argv[1]) if len(sys.argv) > 1 else 100_000))
    print(result.text())
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Restore after a day: the time of a restart with a shift of 1,000 managers in the changelogs, not compacted.

The shift (of eight hours, or fewer) is sent as fast as the worker writes checkpoints, in steps of a few events. So the
changelogs of managers and outcomes get many records of each row, as at the rate of a real department, where a
checkpoint comes every second and a second has eleven events. Their records are counted. Then the worker is started
again: with its folder, without the copies of managers and outcomes, and without the folder.
"""

from __future__ import annotations

import asyncio
import random
import signal
import time
from collections.abc import Iterator, Sequence
from statistics import median
from typing import Any, Final

from aiokafka import AIOKafkaConsumer, TopicPartition
from msgspec import Struct
from msgspec.structs import replace

from benchmarks import broker, changelogs, outbound
from benchmarks.changelogs import Changelog
from benchmarks.installation import Installation, environment_note
from benchmarks.measures import Result, Target, span, spread
from benchmarks.restore import Start
from benchmarks.workload import PARTITIONS, Record
from streams.contract import topics
from streams.contract.events import CallAnswered, CallEnded, CallStarted, encode
from streams.contract.topics import partitioner
from streams.units import HOUR_MS

MANAGERS: Final = 1_000
CALLS_AN_HOUR: Final = 16_900
"""With 45 % of them answered: 2.45 events a call, 11.5 a second."""
LEADS_A_MANAGER: Final = 100
STEP: Final = 250
"""Events between two checkpoints. Few managers have several of them, so most events make a record of their own."""
COMMIT_INTERVAL: Final = "100ms"
READY_S: Final = 5.0
COPIED: Final = ("managers", "outcomes")
FOLD_DEADLINE_S: Final = 900.0


class Way(Struct, frozen=True):
    """One way to start: `lost` are the folders that are removed before it."""

    name: str
    title: str
    lost: tuple[str, ...]


WAYS: Final = (
    Way("intact", "the folder as it was left", ()),
    Way("leads_only", "without the copies of managers and outcomes", COPIED),
    Way("gone", "the folder gone", ("leads", *COPIED)),
)


def _note(name: str, log: Changelog, hours: int) -> str:
    """Return the contents of the changelog of the table `name`, for a person."""
    rate = log.size / (hours * HOUR_MS)
    return (
        f"Changelog of {name}: {log.records:,} records, {log.size / 1e6:,.0f} MB, "
        f"{log.size / max(1, log.records):,.0f} bytes a record, {rate:.1f} KB a second of the shift."
    )


def measure(bootstrap: str, *, runs: int, hours: int, **_others: Any) -> Result:
    """Send a shift of `hours`, then restart in all ways, `runs` times."""
    starts: dict[str, list[Start]] = {way.name: [] for way in WAYS}
    with Installation(bootstrap, MANAGERS, commit_interval=COMMIT_INTERVAL) as installation:
        events = _work(installation, hours)
        written = {
            name: changelogs.written(bootstrap, topics.changelog(name, installation.name).name) for name in COPIED
        }
        for _ in range(runs):
            for way in WAYS:
                installation.lose_rows(*way.lost)
                worker = installation.start()
                worker.wait_ready()
                ready_at = time.time()
                starts[way.name].append(Start(worker.started_at, ready_at, worker.restored()))
    read = {way: [start.restored.copied for start in found] for way, found in starts.items()}
    waits = {way: [start.to_ready for start in found] for way, found in starts.items()}
    restores = {way: [start.restore_to_ready for start in found] for way, found in starts.items()}
    figures = {
        "hours": hours,
        "events": events,
        **{f"start_to_ready_seconds_{way}": spread(found) for way, found in waits.items()},
        **{f"restore_to_ready_seconds_{way}": spread(found) for way, found in restores.items()},
        "records_read": read,
        "records_written": {name: one.records for name, one in written.items()},
        "bytes_written": {name: one.size for name, one in written.items()},
    }
    table = [
        ["what", "median", "least to most"],
        *(_row(f"start of the restore to ready, {way.title}, s", restores[way.name]) for way in WAYS),
        *(_row(f"start of the worker to ready, {way.title}, s", waits[way.name]) for way in WAYS),
    ]
    counts = ", ".join(f"{way.title}: {read[way.name][-1]:,}" for way in WAYS)
    events_note = (
        f"{events:,} events of {MANAGERS:,} managers: {hours} h of a shift. The worker wrote a checkpoint every "
        f"{COMMIT_INTERVAL}, {STEP} events apart at most. Nothing was compacted. {environment_note()}"
    )
    notes = [
        *(_note(name, one, hours) for name, one in written.items()),
        events_note,
        f"Records of managers and outcomes read: {counts}.",
    ]
    most = len(COPIED) * PARTITIONS
    wrong = [
        f"intact: {records:,} records of managers and outcomes were read instead of {most} at most"
        for records in read["intact"]
        if records > most
    ]
    targets = [
        Target("folder intact, restore to ready, seconds", median(restores["intact"]), at_most=READY_S),
        Target("folder intact, start to ready, seconds", median(waits["intact"]), at_most=READY_S),
    ]
    return Result("restore-day", figures, table, targets, notes, wrong)


def _row(head: str, values: list[float]) -> list[str]:
    return [head, f"{median(values):.2f}", span(values, ".2f")]


def _work(installation: Installation, hours: int) -> int:
    """Fold the shift in a worker; return the number of events. The worker has ended in good order."""
    worker = installation.start()
    worker.wait_ready()
    shift = list(shift_of(installation.managers, int(time.time() * 1000), hours))
    asyncio.run(_feed(installation, shift))
    worker.wait_applied({installation.calls: len(shift)}, FOLD_DEADLINE_S)
    worker.end(signal.SIGTERM)
    return len(shift)


def shift_of(managers: Sequence[str], end_ms: int, hours: int) -> Iterator[Record]:
    """Yield the events of the `hours` before `end_ms`, in the order of time. All calls end in them."""
    rng = random.Random(3)
    place = partitioner(PARTITIONS)
    events: list[CallStarted | CallAnswered | CallEnded] = []
    for number in range(hours * CALLS_AN_HOUR):
        at = end_ms - 1 - rng.randrange(hours * HOUR_MS)
        events += _call(f"day-{number}", managers[rng.randrange(len(managers))], at, end_ms, rng)
    events.sort(key=lambda event: event.at)
    for event in events:
        key = event.manager.encode()
        yield place(key), key, encode(event)


def _call(
    call: str, manager: str, at: int, latest: int, rng: random.Random
) -> Iterator[CallStarted | CallAnswered | CallEnded]:
    lead = f"lead-{manager}-{rng.randrange(LEADS_A_MANAGER)}"
    talk_ms = outbound.talk_of(rng)
    answered_at = min(latest, at + rng.randrange(5_000, 25_000))
    yield outbound.started(call, manager, lead, at)
    if talk_ms is not None:
        yield outbound.answered(call, manager, answered_at)
    end = outbound.ended(call, manager, lead, min(answered_at + (talk_ms or 0), latest), talk_ms=talk_ms)
    yield replace(end, started_at=at, answered_at=None if talk_ms is None else answered_at)


async def _feed(installation: Installation, shift: Sequence[Record]) -> None:
    """Send the shift in steps. A step is sent once the rows that the one before changed are in the changelog."""
    producer = await broker.started_producer(installation.bootstrap)
    consumer = AIOKafkaConsumer(bootstrap_servers=installation.bootstrap)
    await consumer.start()
    name = topics.changelog("managers", installation.name).name
    partitions = [TopicPartition(name, number) for number in range(PARTITIONS)]
    deadline = time.monotonic() + FOLD_DEADLINE_S
    end = 0
    try:
        for first in range(0, len(shift), STEP):
            some = shift[first : first + STEP]
            await broker.send_batches(producer, installation.calls, some)
            await producer.flush()
            least = end + len({key for _, key, _ in some})
            while (end := sum((await consumer.end_offsets(partitions)).values())) < least:
                if time.monotonic() > deadline:
                    raise TimeoutError(f"the shift was not folded within {FOLD_DEADLINE_S:g} s")
                await asyncio.sleep(0.01)
    finally:
        await consumer.stop()
        await producer.stop()

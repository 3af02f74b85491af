"""A simulated month with transcripts through real Kafka and crashes: the figures are those of the real speech."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Final

import pytest
from aiokafka import AIOKafkaProducer
from msgspec.structs import replace

from streams.contract import topics
from streams.settings.settings import Settings
from streams.simulator import Department, FaultRates, Recognition, Record, SpeechOptions, simulate
from streams.simulator.speech.speakers import Transcribed
from streams.units import DAY_MS, HOUR_MS
from tests.broker.in_process import PARTITIONS, Start, Worker, wait_until
from tests.broker.leads_fixture import all_folded

pytestmark = [pytest.mark.broker, pytest.mark.no_cover, pytest.mark.slow, pytest.mark.timeout(600)]
START_MS: Final = 1_790_553_600_000  # a Monday
IN_PIECES: Final = Recognition(
    crumbled=0.3, interims=0.3, revised=0.3, late=0.2, repeated=0.2, dropped=0, replaced=0, afterwards=0.2
)
MEASURES: Final = ("heard", "talk_manager", "talk_customer", "interruptions", "silence")


def expected(truth: list[Transcribed]) -> Counter[tuple[str, str]]:
    """Return the real speech of the simulation, summed per manager, without the transcripts."""
    sums: Counter[tuple[str, str]] = Counter()
    for each in truth:
        sums[each.manager, "heard"] += 1
        if {one.role for one in each.talk.said} != {"manager", "customer"}:
            continue
        sums[each.manager, "talk_manager"] += each.talk.talk_ms("manager")
        sums[each.manager, "talk_customer"] += each.talk.talk_ms("customer")
        sums[each.manager, "interruptions"] += sum(role == "manager" for _, role in each.talk.interruptions)
        sums[each.manager, "silence"] += sum(end - start for start, end in each.talk.silences)
    return +sums


def found(worker: Worker) -> Counter[tuple[str, str]]:
    sums: Counter[tuple[str, str]] = Counter()
    for key, row in worker.rows("coaching"):
        for measure in MEASURES:
            sums[key.decode(), measure] = sum(row.state.steps.get(measure, {}).values())
    return +sums


async def send(settings: Settings, records: list[Record]) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=settings.kafka.bootstrap, linger_ms=20)
    await producer.start()
    try:
        for record in records:
            partition = topics.partition_of((record.key or "").encode(), PARTITIONS)
            name = settings.kafka.topic_prefix + record.topic
            await producer.send(name, record.value, (record.key or "").encode(), partition=partition)
        await producer.flush()
    finally:
        await producer.stop()


async def test_a_month_of_transcripts_is_what_was_said(start: Start, settings: Settings) -> None:
    speech = replace(settings.speech, min_calls=1, plausible_overlap_share=1.0, grace_ms=3_600_000)
    settings = replace(settings, speech=speech)
    truth: list[Transcribed] = []
    department = Department.make(11, 4, 2)
    options = SpeechOptions(share=0.5, recognition=IN_PIECES, heard=truth.append)
    end_ms = START_MS + 26 * DAY_MS + 20 * HOUR_MS
    faults = replace(FaultRates.none(), duplicates=0.05, disorder=0.05)
    records = list(simulate(department, START_MS, end_ms, faults=faults, speech=options, crm=False))
    assert len(truth) > 200
    worker = await start(settings)
    step = len(records) // 4 + 1
    for place in range(0, len(records), step):
        await send(settings, records[place : place + step])
        await asyncio.sleep(0.5)
        await worker.crash()
        worker = await start(settings)
    await all_folded(worker, within_s=300)
    # Utterances after the end of a transcript count when callpulse ends it once more.
    await wait_until(lambda: found(worker) == expected(truth), "the figures are those of what was said", 120)

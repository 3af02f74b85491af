"""`python -m benchmarks.speech_paced JOB`: a paced stream of growing transcripts, in a process of its own.

In every call there is speech all the time, and a recogniser sends ten interim versions before an utterance is final.
One manager, MARKED, talks without a pause; each mark is a version of one long utterance that is a second longer than
the one before, so that the seconds on /metrics are the number of the last mark.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Final

import msgspec
from msgspec.structs import replace

from benchmarks import broker, speech_load
from benchmarks.load import TICK_S, Pace
from benchmarks.workload import PARTITIONS, Record
from streams.contract.events import SpeechUtterance, encode
from streams.contract.topics import partitioner

MARKED: Final = "manager-0000"
"""The manager of the marks, who is on the roster of an `Installation`, and of no other call."""
CALLS: Final = 1_000
VERSIONS: Final = speech_load.INTERIMS + 1
_CALL, _MANAGER, _ID = "@CALL", "@MANAGER", "@ID"


def stream(managers: int, calls: int = CALLS) -> Iterator[Record]:
    """Yield records without end: the next version of an utterance in each of `calls` calls, in turn.

    `managers` have the calls, MARKED none of them. Half of the calls have times of words.
    """
    place = partitioner(PARTITIONS)
    speakers = [f"manager-{1 + call % (managers - 1):04d}" for call in range(calls)]
    keys = [(place(one.encode()), one.encode()) for one in speakers]
    for number, said in enumerate(speech_load.finals(1, 1_000_000, at_ms=0)):
        for version, event in enumerate((*speech_load.interims(said), said)):
            at_ms = int(time.time() * 1000)
            forms = [
                encode(replace(one, id=_ID, call=_CALL, manager=_MANAGER, at=at_ms))
                for one in (event, replace(event, words=()))
            ]
            for call, (partition, key) in enumerate(keys):
                name = f"live-{call:05d}"
                value = forms[call % 2].replace(_CALL.encode(), name.encode()).replace(_MANAGER.encode(), key)
                yield partition, key, value.replace(_ID.encode(), f"{name}-{number}-{version}".encode())


def marks() -> Iterator[SpeechUtterance]:
    """Yield an utterance of the customer, and then one mark after the other. The sender sets `at`."""
    event = SpeechUtterance(
        v=1,
        id="marked",
        at=0,
        source="recogniser.example",
        call="marked",
        manager=MARKED,
        utterance="customer",
        role="customer",
        start_ms=0,
        end_ms=500,
        text="Who is it?",
        final=True,
    )
    yield event
    for number in count(1):
        yield replace(
            event,
            id=f"marked-{number}",
            utterance="manager",
            role="manager",
            start_ms=1_000,
            end_ms=1_000 + 1_000 * number,
            text="We offer a system",
            final=False,
            revision=number,
        )


async def send(job: Pace) -> float:
    """Send the stream and return the rate that was reached."""
    producer = await broker.started_producer(job.bootstrap)
    place = partitioner(PARTITIONS)
    said, marked = stream(job.managers), marks()
    key = MARKED.encode()
    first = next(marked)
    sent = sent_marks = 0
    try:
        now_ms = int(time.time() * 1000)
        await broker.send_batches(producer, job.topic, [(place(key), key, encode(replace(first, at=now_ms)))])
        begun = time.time()
        with Path(job.marks).open("w", encoding="ascii", buffering=1) as file:  # noqa: ASYNC230 - the page cache
            while (passed := time.time() - begun) < job.seconds:
                now = time.time()
                due = int(passed * job.marks_per_second) - sent_marks
                records: list[Record] = []
                for _ in range(due):
                    sent_marks += 1
                    records.append((place(key), key, encode(replace(next(marked), at=int(now * 1000)))))
                    file.write(f"{now:.6f}\n")
                records += [next(said) for _ in range(int(passed * job.rate) - sent - due)]
                sent += len(records)
                await broker.send_batches(producer, job.topic, records)
                await asyncio.sleep(max(0.0, TICK_S - (time.time() - now)))
            await producer.flush()
        return sent / (time.time() - begun)
    finally:
        await producer.stop()


if __name__ == "__main__":
    print(asyncio.run(send(msgspec.json.decode(sys.argv[1], type=Pace))))

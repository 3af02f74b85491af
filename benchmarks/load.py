"""Load on a running worker: a past history, and a paced stream of present events.

`python -m benchmarks.load JOB` sends a paced stream from a process of its own, so that it disturbs neither the worker
nor the measurement. One manager, MARKED, gets only numbered marks, which are finished calls, so that the number of
calls on /metrics is the number of the last mark.
"""

from __future__ import annotations

import asyncio
import os
import random
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from itertools import cycle
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import msgspec
from msgspec import Struct

from benchmarks import broker, outbound
from benchmarks.installation import Installation, Metrics
from benchmarks.peers.catalogue import ROOT
from benchmarks.workload import OPENS_MS, PARTITIONS, Record
from streams.contract.events import CallAnswered, CallEnded, CallStarted, Direction, encode
from streams.contract.topics import partitioner
from streams.units import DAY_MS, HOUR_MS

MARKED: Final = "marked-manager"
LEADS_A_MANAGER: Final = 100
OUTBOUND: Final = 0.85
"""The share of outbound calls."""
TICK_S: Final = 0.01
_WORK_MS: Final = 9 * HOUR_MS


def history(managers: Sequence[str], days: int, calls_a_day: int, *, now_ms: int) -> Iterator[Record]:
    """Yield finished calls of the `days` days before today, in the order of time."""
    rng = random.Random(1)
    place = partitioner(PARTITIONS)
    today = now_ms // DAY_MS
    for day in range(today - days + 1, today + 1):
        opens = day * DAY_MS + OPENS_MS
        moments = sorted(rng.randrange(_WORK_MS) for _ in range(calls_a_day * len(managers)))
        for number, moment in enumerate(moments):
            at = opens + moment
            if at > now_ms:
                break
            manager = managers[rng.randrange(len(managers))]
            key = manager.encode()
            yield place(key), key, encode(_ended(f"h{day}-{number}", manager, at, rng))


class Pace(Struct, frozen=True, kw_only=True):
    """The events to send: `rate` events a second for `seconds`, among them `marks_per_second` marks.

    The file `marks` gets the moment of each mark, seconds since epoch, a line each.
    """

    bootstrap: str
    topic: str
    managers: int
    rate: int
    seconds: float
    marks_per_second: int
    marks: str


class Paced:
    """A paced stream in its own process: of `module`, which takes a `Pace`, into `topic`. Ends it when left."""

    def __init__(
        self,
        installation: Installation,
        *,
        rate: int,
        seconds: float,
        marks_per_second: int = 20,
        module: str = "benchmarks.load",
        topic: str | None = None,
    ) -> None:
        self._module = module
        self._marks = installation.folder / f"marks-{time.monotonic_ns()}"
        self._job = Pace(
            bootstrap=installation.bootstrap,
            topic=topic or installation.calls,
            managers=len(installation.managers),
            rate=rate,
            seconds=seconds,
            marks_per_second=marks_per_second,
            marks=str(self._marks),
        )

    def __enter__(self) -> Self:
        job = msgspec.json.encode(self._job).decode()
        self._process = subprocess.Popen([sys.executable, "-m", self._module, job], cwd=ROOT, stdout=subprocess.PIPE)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()

    @property
    def running(self) -> bool:
        """True while it sends."""
        return self._process.poll() is None

    def marks(self) -> list[float]:
        """Return the moments of the marks so far, seconds since epoch."""
        if not self._marks.exists():
            return []
        return [
            float(line)
            for line in self._marks.read_text(encoding="ascii").splitlines(keepends=True)
            if line[-1] == "\n"
        ]

    def achieved(self) -> float:
        """Wait for the end and return the real rate, events a second."""
        output, _ = self._process.communicate()
        if self._process.returncode:
            raise RuntimeError(f"the load ended with status {self._process.returncode}")
        return float(output)


def marks_seen(metrics: Metrics) -> int:
    """Return the number of marks that have arrived on /metrics."""
    return int(metrics.sum("calls", manager=MARKED, window="1h", direction="outbound"))


async def send(job: Pace) -> float:
    """Send the stream and return the rate that was reached."""
    producer = await broker.started_producer(job.bootstrap)
    place = partitioner(PARTITIONS)
    managers = cycle(f"manager-{number:04d}" for number in range(job.managers))
    stream = _stream(managers)
    sent = marks = 0
    begun = time.time()
    try:
        # A line to a file in the page cache blocks for less time than passing it to a thread would take.
        with Path(job.marks).open("w", encoding="ascii", buffering=1) as file:  # noqa: ASYNC230
            while (passed := time.time() - begun) < job.seconds:
                records: list[Record] = []
                now = time.time()
                due_marks = int(passed * job.marks_per_second) - marks
                for _ in range(due_marks):
                    marks += 1
                    mark = outbound.ended(f"mark-{os.getpid()}-{marks}", MARKED, None, int(now * 1000), talk_ms=0)
                    key = MARKED.encode()
                    records.append((place(key), key, encode(mark)))
                    file.write(f"{now:.6f}\n")
                for _ in range(int(passed * job.rate) - sent - due_marks):
                    event = next(stream)
                    key = event.manager.encode()
                    records.append((place(key), key, encode(msgspec.structs.replace(event, at=int(now * 1000)))))
                sent += len(records)
                await broker.send_batches(producer, job.topic, records)
                await asyncio.sleep(max(0.0, TICK_S - (time.time() - now)))
            await producer.flush()
        return sent / (time.time() - begun)
    finally:
        await producer.stop()


def _stream(managers: Iterator[str]) -> Iterator[CallStarted | CallAnswered | CallEnded]:
    """Yield events for ever: every manager begins, answers and ends a call in turn. The sender sets `at`."""
    number = 0
    groups = [[next(managers) for _ in range(50)] for _ in range(20)]
    rng = random.Random(2)
    while True:
        group = groups[number % len(groups)]
        number += 1
        now_ms = int(time.time() * 1000)
        calls = [(manager, f"call-{os.getpid()}-{number}-{place}") for place, manager in enumerate(group)]
        for manager, call in calls:
            lead = f"lead-{manager}-{rng.randrange(LEADS_A_MANAGER)}"
            yield outbound.started(call, manager, lead, now_ms)
        for manager, call in calls:
            yield outbound.answered(call, manager, now_ms)
        for manager, call in calls:
            yield _ended(call, manager, now_ms, rng)
        group[:] = [next(managers) for _ in group]


def _ended(call: str, manager: str, at: int, rng: random.Random) -> CallEnded:
    talk_ms = outbound.talk_of(rng)
    lead = f"lead-{manager}-{rng.randrange(LEADS_A_MANAGER)}"
    direction: Direction = "outbound" if rng.random() < OUTBOUND else "inbound"
    return outbound.ended(call, manager, lead, at, talk_ms=talk_ms, direction=direction)


if __name__ == "__main__":
    print(asyncio.run(send(msgspec.json.decode(sys.argv[1], type=Pace))))

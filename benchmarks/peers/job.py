"""The job and the answer of a peer: one JSON argument in, one JSON line out."""

from __future__ import annotations

import os
import sys
import time

import msgspec
from msgspec import Struct

from benchmarks.workload import Totals

ONE_SECOND = 1.0
"""Every peer with durable state commits as often as callpulse does."""


class Job(Struct, frozen=True, kw_only=True):
    """Process `events` records of `topic` from its start; several topics have commas between them.

    `run` is unique: group, application and table names.
    """

    bootstrap: str
    topic: str
    events: int
    run: str
    folder: str  # an empty folder for local state
    variant: str = ""
    store: str = "rocksdb"  # the store of callpulse's lead rows


class Answer(Struct, frozen=True, kw_only=True):
    """`seconds` from the first record in hand to the last one folded; `cpu_seconds` of the process in that time.

    `durable_seconds`: until the last record was committed, if the peer reports it. `totals`: those of calls, None for
    the raw limit and for peers that fold more than calls. These give `sums` (`mix.Mix.sums`).
    """

    events: int
    seconds: float
    cpu_seconds: float
    totals: Totals | None = None
    durable_seconds: float | None = None
    sums: dict[str, int] | None = None


def read() -> Job:
    """Return the job of the command line."""
    return msgspec.json.decode(sys.argv[1], type=Job)


class Stopwatch:
    """Runs from the first record to the last."""

    def __init__(self) -> None:
        self._wall = self._cpu = 0.0
        self.running = False

    def start(self) -> None:
        """Start; later calls do nothing."""
        if not self.running:
            self.running = True
            self._wall, self._cpu = time.perf_counter(), time.process_time()

    def read(self) -> tuple[float, float]:
        """Return wall and CPU seconds since the start."""
        return time.perf_counter() - self._wall, time.process_time() - self._cpu


def answer(events: int, elapsed: tuple[float, float], totals: Totals | None, durable: float | None = None) -> None:
    """Write the answer and end the process at once: the shutdown of a framework is not measured."""
    _tell(Answer(events=events, seconds=elapsed[0], cpu_seconds=elapsed[1], totals=totals, durable_seconds=durable))


def answer_sums(events: int, elapsed: tuple[float, float], sums: dict[str, int], durable: float | None = None) -> None:
    """Write the answer of a peer that folds more than calls, and end the process."""
    _tell(Answer(events=events, seconds=elapsed[0], cpu_seconds=elapsed[1], sums=sums, durable_seconds=durable))


def _tell(reply: Answer) -> None:
    os.write(1, b"\n" + msgspec.json.encode(reply) + b"\n")  # Faust turns sys.stdout into its log
    os._exit(0)

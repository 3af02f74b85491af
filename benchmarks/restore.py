"""Restore: a million leads from their changelog into memory, to disk and from disk, and from kill -9 to fresh metrics.

Rows on the worker's disk are not read from the changelog again, so each run removes the folder or leaves it, and the
records that were read are counted inside the worker (`watched_worker`).
"""

from __future__ import annotations

import signal
import time
from statistics import median
from typing import Any, Final

from msgspec import Struct

from benchmarks import broker, many_leads
from benchmarks.installation import Installation, Store, Worker, environment_note
from benchmarks.load import Paced, history, marks_seen
from benchmarks.many_leads import LEADS
from benchmarks.measures import Result, Target, span, spread
from benchmarks.watched_worker import Restored
from benchmarks.workload import PARTITIONS

SELLERS: Final = 200
MANAGERS: Final = 1_000
DAYS: Final = 90
CALLS_A_DAY: Final = 2
RATE: Final = 1_000
FRESH_DEADLINE_S: Final = 120.0
FOLD_DEADLINE_S: Final = 900.0


class Way(Struct, frozen=True, kw_only=True):
    """One way to start.

    `reads`: the least and the most changelog records that it must read, otherwise it was another way.
    """

    name: str
    title: str
    store: Store = "rocksdb"
    folder: bool = False  # true if the rows on disk exist
    reads: tuple[int, int] = (LEADS, LEADS)

    def complaint(self, told: Restored) -> str | None:
        """Return the error of a restore, None for an expected one."""
        if told.rows != LEADS:
            return f"{self.name}: {told.rows:,} lead rows were there in the end instead of {LEADS:,}"
        least, most = self.reads
        if not least <= told.records <= most:
            return f"{self.name}: {told.records:,} changelog records were read instead of {least:,} to {most:,}"
        return None


MEMORY: Final = Way(name="memory", title='into memory (`store = "memory"`)', store="memory")
GONE: Final = Way(name="gone", title="the folder gone")
# The last record of each partition is read to identify the changelog.
INTACT: Final = Way(name="intact", title="the folder as it was left", folder=True, reads=(1, PARTITIONS))
WAYS: Final = (MEMORY, GONE, INTACT)


class Start(Struct, frozen=True):
    """One start of a worker: the moments of its beginning and readiness, seconds since epoch, and its restore."""

    started_at: float
    ready_at: float
    restored: Restored

    @property
    def to_ready(self) -> float:
        """Seconds from the start of the process until it was ready."""
        return self.ready_at - self.started_at

    @property
    def restore_to_ready(self) -> float:
        """Seconds from the start of the restore until the worker was ready."""
        return self.ready_at - self.restored.assigned_at


def measure(bootstrap: str, *, runs: int, **_: Any) -> Result:
    """Measure all ways to start, one after the other, `runs` times; then the kills."""
    starts, empty, wrong = _starts(bootstrap, runs)
    fresh = _kill_to_fresh(bootstrap, runs)
    rates = {way: [start.restored.records_per_second for start in starts[way]] for way in ("memory", "gone")}
    waits = {way: [start.restore_to_ready for start in found] for way, found in starts.items()}
    figures = {
        "rows": LEADS,
        **{f"rows_per_second_{way}": spread(found) for way, found in rates.items()},
        **{f"restore_to_ready_seconds_{way}": spread(found) for way, found in waits.items()},
        **{f"start_to_ready_seconds_{way}": spread([one.to_ready for one in found]) for way, found in starts.items()},
        "start_to_ready_seconds_empty": spread(empty),
        "records_read": {way: [start.restored.records for start in found] for way, found in starts.items()},
        "kill_to_fresh_seconds": spread(fresh),
    }
    table = [
        ["what", "median", "least to most"],
        _row(f"restore of {LEADS:,} small rows {MEMORY.title}, rows/s", rates["memory"], ",.0f"),
        _row("the same to disk, rows/s", rates["gone"], ",.0f"),
        *(_row(f"start of the restore to ready, {way.title}, s", waits[way.name], ".2f") for way in WAYS),
        *(
            _row(f"start of the worker to ready, {way.title}, s", [s.to_ready for s in starts[way.name]], ".2f")
            for way in WAYS
        ),
        _row("start of the worker to ready, nothing to restore, s", empty, ".2f"),
        _row(f"kill -9 to fresh metrics with {MANAGERS:,} managers, s", fresh, ".2f"),
    ]
    targets = [
        Target("rows/s restored into memory", median(rates["memory"]), at_least=150_000),
        Target("folder gone, restore to ready, seconds", median(waits["gone"]), at_most=20),
        Target("folder intact, restore to ready, seconds", median(waits["intact"]), at_most=5),
        Target("kill -9 to fresh metrics, seconds", median(fresh), at_most=10),
    ]
    read = ", ".join(f"{way.title}: {starts[way.name][-1].restored.records:,}" for way in WAYS)
    rates_note = (
        "A rate is that of the records, from the first in hand to the last applied. A restore begins when the worker "
        "knows its partitions."
    )
    counts_note = (
        f"Changelog records read, counted in the worker: {read}. Each time {LEADS:,} rows were there in the end, "
        "counted by reading them."
    )
    fresh_note = (
        f"Fresh: /metrics shows an event that was produced after the kill; {RATE:,} events/s flow all the time, "
        f"{DAYS} days of history; {environment_note()}"
    )
    notes = [rates_note, counts_note, fresh_note]
    return Result("restore", figures, table, targets, notes, wrong)


def restart(installation: Installation, way: Way) -> Worker:
    """Start a worker with the part of the folder that `way` keeps, and wait until it is ready."""
    if not way.folder and way.store == "rocksdb":
        installation.lose_rows("managers", "leads", "outcomes")
    worker = installation.start(way.store)
    worker.wait_ready()
    return worker


def _starts(bootstrap: str, runs: int) -> tuple[dict[str, list[Start]], list[float], list[str]]:
    """Return the starts by way, the seconds until ready without rows to restore, and the errors."""
    starts: dict[str, list[Start]] = {way.name: [] for way in WAYS}
    seconds, wrong = [], []
    with Installation(bootstrap, SELLERS) as empty, Installation(bootstrap, SELLERS) as full:
        broker.fill(bootstrap, full.contacts, many_leads.missed_calls(full.calls, full.managers))
        worker = full.start()
        worker.wait_ready()
        worker.wait_applied({full.contacts: LEADS}, FOLD_DEADLINE_S)
        worker.end(signal.SIGTERM)
        written = broker.records_in(bootstrap, full.changelog)
        if written != LEADS:
            raise RuntimeError(f"the changelog has {written:,} records instead of one for each of {LEADS:,} leads")
        for _ in range(runs):
            for way in WAYS:
                worker = restart(full, way)
                ready_at = time.time()
                start = Start(worker.started_at, ready_at, worker.restored())
                if (complaint := way.complaint(start.restored)) is not None:
                    wrong.append(complaint)
                starts[way.name].append(start)
            worker = empty.start()
            seconds.append(worker.wait_ready())
            worker.end(signal.SIGTERM)
    return starts, seconds, wrong


def _row(head: str, values: list[float], form: str) -> list[str]:
    return [head, f"{median(values):{form}}", span(values, form)]


def _kill_to_fresh(bootstrap: str, runs: int) -> list[float]:
    seconds = []
    with Installation(bootstrap, MANAGERS) as installation:
        past = list(history(installation.managers, DAYS, CALLS_A_DAY, now_ms=int(time.time() * 1000)))
        broker.fill(bootstrap, installation.calls, past)
        worker = installation.start()
        worker.wait_ready()
        worker.wait_caught_up(len(past))
        with Paced(installation, rate=RATE, seconds=runs * FRESH_DEADLINE_S + 60) as paced:
            for _ in range(runs):
                worker, took = _kill_once(installation, worker, paced)
                seconds.append(took)
    return seconds


def _kill_once(installation: Installation, worker: Worker, paced: Paced) -> tuple[Worker, float]:
    """Kill a fresh worker and start the next one at once. Return it and the time until fresh metrics."""
    worker.wait(lambda: bool(paced.marks()), "fed", FRESH_DEADLINE_S)
    sent = len(paced.marks())
    worker.wait(lambda: marks_seen(worker.metrics()) >= sent, "fresh", FRESH_DEADLINE_S)
    killed = time.time()
    worker.end(signal.SIGKILL)
    following = installation.start()

    def fresh() -> bool:
        count = marks_seen(following.metrics())
        return count > sum(sent <= killed for sent in paced.marks())

    following.wait(fresh, "fresh again", FRESH_DEADLINE_S)
    return following, time.time() - killed

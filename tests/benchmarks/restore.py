"""Restore: rows a second from a changelog of a million small rows, and the time from kill -9 to fresh metrics."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from statistics import median
from typing import Any, Final

from streams import facts
from streams.topics import partitioner
from tests.benchmarks import broker
from tests.benchmarks.installation import POLL_S, Installation, Worker, environment_note
from tests.benchmarks.load import Paced, history, marks_seen
from tests.benchmarks.measures import Result, Target, span, spread
from tests.benchmarks.workload import DAY_MS, PARTITIONS, Record

ROWS: Final = 1_000_000
SELLERS: Final = 200
MANAGERS: Final = 1_000
DAYS: Final = 90
CALLS_A_DAY: Final = 2
RATE: Final = 1_000
FRESH_DEADLINE_S: Final = 120.0


def measure(bootstrap: str, *, runs: int, **_: Any) -> Result:
    """Measure both, `runs` times each."""
    startups, restores, ready = _restore_rows(bootstrap, runs)
    fresh = _kill_to_fresh(bootstrap, runs)
    rates = [ROWS / seconds for seconds in restores]
    figures = {
        "rows": ROWS,
        "rows_per_second": spread(rates),
        "seconds_to_ready": spread(ready),
        "seconds_to_ready_empty": spread(startups),
        "kill_to_fresh_seconds": spread(fresh),
    }
    table = [
        ["what", "median", "least to most"],
        [f"restore of {ROWS:,} lead rows, rows/s", f"{median(rates):,.0f}", span(rates, ",.0f")],
        ["start to ready with them, s", f"{median(ready):.2f}", span(ready, ".2f")],
        ["start to ready with nothing, s", f"{median(startups):.2f}", span(startups, ".2f")],
        [f"kill -9 to fresh metrics with {MANAGERS:,} managers, s", f"{median(fresh):.2f}", span(fresh, ".2f")],
    ]
    targets = [
        Target("restored rows/s", median(rates), at_least=150_000),
        Target("kill -9 to fresh metrics, seconds", median(fresh), at_most=10),
    ]
    fresh_note = (
        f"Fresh: /metrics shows an event that was produced after the kill; {RATE:,} events/s flow all the time, "
        f"{DAYS} days of history; {environment_note()}"
    )
    notes = [
        "Restoring is timed from the last look that showed no progress to the first that showed the tables whole.",
        fresh_note,
    ]
    return Result("restore", figures, table, targets, notes, [])


def _restore_rows(bootstrap: str, runs: int) -> tuple[list[float], list[float], list[float]]:
    startups = []
    with Installation(bootstrap, SELLERS) as empty:
        for _ in range(runs):
            worker = empty.start()
            startups.append(worker.wait_ready())
            worker.end(signal.SIGTERM)
    restores, ready = [], []
    with Installation(bootstrap, SELLERS) as installation:
        broker.fill(bootstrap, installation.contacts, _contacts(installation))
        worker = installation.start()
        worker.wait_ready()
        worker.wait(
            lambda: (found := worker.metrics()).sum("rows", table="leads") >= ROWS and not found.sum("lag_records"),
            "through the facts",
            600,
            every_s=0.5,
        )
        worker.end(signal.SIGTERM)
        for _ in range(runs):
            worker = installation.start()
            restores.append(_restore_seconds(worker))
            ready.append(worker.wait_ready())
            found = worker.metrics().sum("rows", table="leads")
            if found != ROWS:
                raise RuntimeError(f"{found:,.0f} lead rows were restored instead of {ROWS:,}")
            worker.end(signal.SIGTERM)
    return startups, restores, ready


def _restore_seconds(worker: Worker) -> float:
    """Return how long the progress of the leads' table took from nothing to whole."""
    begun = time.time()

    def whole() -> bool:
        nonlocal begun
        looked = time.time()
        shown = worker.metrics().samples("restore_progress_ratio", table="leads")
        progress = shown[0][1] if shown else 0.0
        if not progress:
            begun = looked
        return progress >= 1

    worker.wait(whole, "restored", 300, every_s=POLL_S)
    return time.time() - begun


def _contacts(installation: Installation) -> Iterator[Record]:
    """Yield a fact about one call for each of a million leads."""
    place = partitioner(PARTITIONS, remembered=1)
    at = int(time.time() * 1000)
    for number in range(ROWS):
        lead = f"lead-{number:07d}"
        key = lead.encode()
        contact = facts.Contact(
            src=f"{installation.calls}/0",
            seq=number * facts.SLOTS,
            lead=lead,
            manager=installation.managers[number % SELLERS],
            call=f"call-{number}",
            day=at // DAY_MS,
            at=at,
            started_at=at - 60_000,
            direction="outbound",
            kind="cold",
            disposition="no_answer",
        )
        yield place(key), key, facts.encode(contact)


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
    """Kill a fresh worker, start the next one as a supervisor would, at once; return it and the time until fresh."""
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

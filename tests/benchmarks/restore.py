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
from tests.benchmarks.measures import Result, Target, spread
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
    startups, restores, ratios = _restore_rows(bootstrap, runs)
    fresh = _kill_to_fresh(bootstrap, runs)
    rates = [ROWS / seconds for seconds in restores]
    figures = {
        "rows": ROWS,
        "rows_per_second": spread(rates),
        "seconds_to_ready": spread(ratios),
        "seconds_to_ready_empty": spread(startups),
        "kill_to_fresh_seconds": spread(fresh),
    }
    table = [
        ["what", "median", "least – most"],
        [f"restore of {ROWS:,} lead rows, rows/s", f"{median(rates):,.0f}", f"{min(rates):,.0f} – {max(rates):,.0f}"],
        ["start to ready with them", f"{median(ratios):.2f} s", f"{min(ratios):.2f} – {max(ratios):.2f} s"],
        ["start to ready with nothing", f"{median(startups):.2f} s", f"{min(startups):.2f} – {max(startups):.2f} s"],
        [
            f"kill -9 to fresh metrics, {MANAGERS:,} managers",
            f"{median(fresh):.2f} s",
            f"{min(fresh):.2f} – {max(fresh):.2f} s",
        ],
    ]
    targets = [
        Target("restored rows/s", median(rates), at_least=150_000),
        Target("kill -9 to fresh metrics, seconds", median(fresh), at_most=10),
    ]
    notes = [
        "Restoring is timed from the last look that showed no progress to the first that showed the tables whole.",
        f"Fresh: /metrics shows an event that was produced after the kill; {RATE:,} events/s flow all the time, "
        f"{DAYS} days of history; {environment_note()}",
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
                worker.wait(lambda: marks_seen(worker.metrics()) >= len(paced.marks()) > 0, "fresh", FRESH_DEADLINE_S)
                killed = time.time()
                worker.end(signal.SIGKILL)
                # The next one starts when a supervisor would start it: at once.
                worker = installation.start()
                worker.wait(lambda: _shows_after(worker, paced, killed), "fresh again", FRESH_DEADLINE_S)
                seconds.append(time.time() - killed)
    return seconds


def _shows_after(worker: Worker, paced: Paced, moment: float) -> bool:
    count = marks_seen(worker.metrics())
    return count > 0 and count > sum(sent <= moment for sent in paced.marks())

"""Delay: from passing an event to the producer until /metrics shows it, while 10,000 events a second flow."""

from __future__ import annotations

import time
from typing import Any, Final

from benchmarks.installation import Installation, environment_note
from benchmarks.load import Paced, marks_seen
from benchmarks.measures import Result, Target, percentile

MANAGERS: Final = 200
RATE: Final = 10_000
SECONDS: Final = 40.0
WARM_UP_S: Final = 10.0
PAUSE_S: Final = 0.05


def measure(bootstrap: str, **_: Any) -> Result:
    """Send marks in the stream, scrape without a pause, and find the moment at which each mark was first seen."""
    with Installation(bootstrap, MANAGERS) as installation:
        worker = installation.start()
        worker.wait_ready()
        seen: list[tuple[float, int]] = []  # the moment at which a scrape was complete, and its number of marks
        with Paced(installation, rate=RATE, seconds=SECONDS) as paced:
            while paced.running:
                count = marks_seen(worker.metrics())
                seen.append((time.time(), count))
                time.sleep(PAUSE_S)
            achieved = paced.achieved()
            marks = paced.marks()
        worker.wait(lambda: _shown(seen, marks_seen(worker.metrics())) >= len(marks), "showing all marks", 30)
    delays = delays_of(marks, seen)
    p50, p99 = percentile(delays, 0.5), percentile(delays, 0.99)
    wrong = [] if achieved > 0.95 * RATE else [f"only {achieved:,.0f} events/s could be sent: the machine is too busy"]
    figures = {
        "p50_seconds": p50,
        "p99_seconds": p99,
        "max_seconds": max(delays),
        "marks": len(delays),
        "rate": achieved,
    }
    table = [
        ["event → /metrics", "p50", "p99", "max"],
        [f"{achieved:,.0f} events/s, {MANAGERS} managers", f"{p50:.3f} s", f"{p99:.3f} s", f"{max(delays):.3f} s"],
    ]
    note = (
        f"{len(delays)} marks in {SECONDS - WARM_UP_S:.0f} s after {WARM_UP_S:.0f} s of warm-up; the time of the "
        f"scrape itself and up to {PAUSE_S * 1000:.0f} ms between scrapes are in the figures; {environment_note()}"
    )
    return Result("delay", figures, table, [Target("delay p99, seconds", p99, at_most=1.0)], [note], wrong)


def delays_of(marks: list[float], seen: list[tuple[float, int]], warm_up_s: float = WARM_UP_S) -> list[float]:
    """Return the time until a scrape showed it, in seconds, for every mark after the warm-up."""
    delays = []
    scrapes = iter(seen)
    at, count = next(scrapes)
    for number, sent in enumerate(marks, start=1):
        while count < number:
            at, count = next(scrapes)
        if sent - marks[0] >= warm_up_s:
            delays.append(at - sent)
    return delays


def _shown(seen: list[tuple[float, int]], count: int) -> int:
    seen.append((time.time(), count))
    return count

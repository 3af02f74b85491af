"""Scrape: the time of /metrics with 1,000 managers and 10,000 events a second, and the stalls of the event loop."""

from __future__ import annotations

import time
from typing import Any, Final

from benchmarks import broker
from benchmarks.installation import PROMETHEUS_HEADERS, Installation, Metrics, environment_note
from benchmarks.load import Paced, history
from benchmarks.measures import Result, Target, percentile

MANAGERS: Final = 1_000
DAYS: Final = 90
CALLS_A_DAY: Final = 2
RATE: Final = 10_000
SECONDS: Final = 60.0
EVERY_S: Final = 1.0
LONGEST_STALL_S: Final = 0.2


def measure(bootstrap: str, **_: Any) -> Result:
    """Scrape once a second as Prometheus does."""
    with Installation(bootstrap, MANAGERS) as installation:
        past = list(history(installation.managers, DAYS, CALLS_A_DAY, now_ms=int(time.time() * 1000)))
        broker.fill(bootstrap, installation.calls, past)
        worker = installation.start()
        worker.wait_ready()
        worker.wait_caught_up(len(past))
        before = worker.metrics()
        times: list[float] = []
        sizes: list[int] = []
        with Paced(installation, rate=RATE, seconds=SECONDS) as paced:
            while paced.running:
                begun = time.monotonic()
                status, body = worker.get("/metrics", PROMETHEUS_HEADERS)
                times.append(time.monotonic() - begun)
                sizes.append(len(body))
                if status != 200:
                    raise RuntimeError(f"/metrics answered with status {status}")
                time.sleep(max(0.0, EVERY_S - (time.monotonic() - begun)))
            achieved = paced.achieved()
        after = worker.metrics()
    p50, p95 = percentile(times, 0.5), percentile(times, 0.95)
    stall = longest_stall(before, after)
    over = stalls_over(before, after, LONGEST_STALL_S)
    figures = {
        "p50_seconds": p50,
        "p95_seconds": p95,
        "max_seconds": max(times),
        "scrapes": len(times),
        "bytes_sent": max(sizes),
        "bytes_plain": len(after.text),
        "series": after.series,
        "rate": achieved,
        "longest_stall_at_most_seconds": stall,
        "stalls_over_200_ms": over,
    }
    table = [
        [f"/metrics with {MANAGERS:,} managers", "p50", "p95", "max", "series", "size", "loop stalls at most"],
        [
            f"{achieved:,.0f} events/s",
            f"{p50:.3f} s",
            f"{p95:.3f} s",
            f"{max(times):.3f} s",
            f"{after.series:,}",
            f"{max(sizes) / 2**20:.1f} MiB sent, {len(after.text) / 2**20:.1f} MiB plain",
            f"{stall:g} s",
        ],
    ]
    targets = [
        Target("scrape p95, seconds", p95, at_most=0.5),
        Target(f"loop stalls over {LONGEST_STALL_S} s", over, at_most=0),
    ]
    wrong = [] if achieved > 0.95 * RATE else [f"only {achieved:,.0f} events/s could be sent: the machine is too busy"]
    notes = [f"{len(times)} scrapes, one a second, {DAYS} days of history; {environment_note()}"]
    return Result("scrape", figures, table, targets, notes, wrong)


def longest_stall(before: Metrics, after: Metrics) -> float:
    """Return the upper bound of the highest bucket of the stall histogram that grew; infinity above the last bound."""
    grown = _grown(before, after)
    total = max(grown.values(), default=0)
    return min((bound for bound, count in grown.items() if count >= total), default=0.0)


def stalls_over(before: Metrics, after: Metrics, limit_s: float) -> float:
    """Return the number of stalls that may exceed `limit_s`: those above the last bucket bound up to it."""
    grown = _grown(before, after)
    within = [count for bound, count in grown.items() if bound <= limit_s]
    return max(grown.values(), default=0) - max(within, default=0)


def _grown(before: Metrics, after: Metrics) -> dict[float, float]:
    """Return the growth of each cumulative bucket."""
    old = {labels["le"]: count for labels, count in before.samples("loop_stall_seconds_bucket")}
    new = after.samples("loop_stall_seconds_bucket")
    return {float(labels["le"]): count - old.get(labels["le"], 0) for labels, count in new}

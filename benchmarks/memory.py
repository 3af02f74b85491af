"""Memory of a worker with 1,000 managers and 90 days of history."""

from __future__ import annotations

import signal
import time
from typing import Any, Final

from benchmarks import broker
from benchmarks.installation import Installation
from benchmarks.load import LEADS_A_MANAGER, history
from benchmarks.measures import Result, Target

MANAGERS: Final = 1_000
DAYS: Final = 90
CALLS_A_DAY: Final = 15


def measure(bootstrap: str, **_: Any) -> Result:
    """Fold the history and measure; start again and measure."""
    with Installation(bootstrap, MANAGERS) as installation:
        past = history(installation.managers, DAYS, CALLS_A_DAY, now_ms=int(time.time() * 1000))
        broker.fill(bootstrap, installation.calls, past)
        records = broker.records_in(bootstrap, installation.calls)
        worker = installation.start()
        empty = _settled(worker.wait_ready, worker.rss_mib)
        worker.wait_caught_up(records)
        worker.metrics()  # the memory of a scrape is part of it
        folded, peak = worker.rss_mib(), worker.peak_mib()
        worker.end(signal.SIGTERM)
        again = installation.start()
        again.wait_ready()
        metrics = again.metrics()
        restored, restored_peak = again.rss_mib(), again.peak_mib()
        rows = {labels["table"]: count for labels, count in metrics.samples("rows")}
    figures = {
        "records": records,
        "rows": rows,
        "ready_mib": empty,
        "after_folding_mib": folded,
        "peak_folding_mib": peak,
        "after_restoring_mib": restored,
        "peak_restoring_mib": restored_peak,
    }
    table = [
        ["resident memory, MiB", "now", "peak"],
        [f"after folding {records:,} calls", f"{folded:.0f}", _mib(peak)],
        ["after a restart", f"{restored:.0f}", _mib(restored_peak)],
    ]
    note = (
        f"{MANAGERS:,} managers, {DAYS} days of history, {CALLS_A_DAY} calls a manager and day on "
        f"{LEADS_A_MANAGER} leads each; all three tables in one worker: "
        f"rows of {', '.join(f'{count:,.0f} {name}' for name, count in rows.items())}."
    )
    target = Target("resident memory, MiB", max(folded, restored), at_most=600)
    return Result("memory", figures, table, [target], [note], [])


def _settled(wait: Any, look: Any) -> float:
    wait()
    return float(look())


def _mib(value: float | None) -> str:
    return "not told" if value is None else f"{value:.0f}"

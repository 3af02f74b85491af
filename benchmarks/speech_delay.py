"""Speech delay: from passing an interim utterance to the producer until /metrics shows its change.

10,000 records a second of calls in progress flow meanwhile, ten interims to a final.
"""

from __future__ import annotations

import time
from typing import Any, Final

from benchmarks import speech_load, speech_paced
from benchmarks.changelogs import written
from benchmarks.delay import PAUSE_S, WARM_UP_S, delays_of
from benchmarks.installation import Installation, Metrics, environment_note
from benchmarks.load import Paced
from benchmarks.measures import Result, Target, percentile
from streams.contract import topics

MANAGERS: Final = 1_001
RATE: Final = 10_000
SECONDS: Final = 40.0


def measure(bootstrap: str, **_: Any) -> Result:
    """Send marks in the stream, scrape without a pause, and find the moment at which each mark was first seen."""
    with Installation(bootstrap, MANAGERS) as installation:
        worker = installation.start()
        worker.wait_ready()
        before_mib = worker.rss_mib()
        seen: list[tuple[float, int]] = []  # the moment at which a scrape was complete, and its number of marks
        with Paced(
            installation, rate=RATE, seconds=SECONDS, module="benchmarks.speech_paced", topic=installation.speech
        ) as paced:
            while paced.running:
                shown = marks_seen(worker.metrics())
                seen.append((time.time(), shown))
                time.sleep(PAUSE_S)
            achieved, marks = paced.achieved(), paced.marks()

        def all_shown() -> bool:
            seen.append((time.time(), marks_seen(worker.metrics())))
            return seen[-1][1] >= len(marks)

        worker.wait(all_shown, "showing all marks", 120)
        held_mib = worker.rss_mib() - before_mib
        metrics = worker.metrics()
        log = written(bootstrap, topics.changelog("transcripts", installation.name).name)
    delays = delays_of(marks, seen)
    p50, p99 = percentile(delays, 0.5), percentile(delays, 0.99)
    finals = achieved * SECONDS / speech_paced.VERSIONS
    figures = {
        "p50_seconds": p50,
        "p99_seconds": p99,
        "max_seconds": max(delays),
        "marks": len(delays),
        "rate": achieved,
        "held_mib": held_mib,
        "changelog_bytes_per_utterance": log.size / finals,
        "changelog_records": log.records,
    }
    table = [
        ["interim → /metrics", "p50", "p99", "max"],
        [
            f"{achieved:,.0f} records/s, {speech_paced.CALLS:,} calls in progress",
            f"{p50:.3f} s",
            f"{p99:.3f} s",
            f"{max(delays):.3f} s",
        ],
    ]
    marks_note = (
        f"{len(delays)} marks in {SECONDS - WARM_UP_S:.0f} s after {WARM_UP_S:.0f} s of warm-up; the time of the "
        f"scrape itself and up to {PAUSE_S * 1000:.0f} ms between scrapes are in the figures; {environment_note()}"
    )
    log_note = (
        f"{finals:,.0f} final utterances of {speech_load.WORDS} words, Russian and English in turn, half of the calls "
        f"with times of words. The changelog got {log.size / finals:,.0f} bytes for each, in {log.records:,} records "
        f"of {log.size / max(1, log.records):,.0f} bytes: a leg is written whole with each checkpoint before which it "
        "changed, once a second at most."
    )
    memory_note = (
        f"The worker's resident memory grew by {held_mib:,.0f} MiB meanwhile, with "
        f"{metrics.sum('rows', table='transcripts'):,.0f} open legs of {finals / speech_paced.CALLS:.0f} utterances."
    )
    notes = [marks_note, log_note, memory_note]
    wrong = [] if achieved > 0.95 * RATE else [f"only {achieved:,.0f} records/s could be sent: the machine is too busy"]
    return Result("speech-delay", figures, table, [Target("delay p99, seconds", p99, at_most=1.0)], notes, wrong)


def marks_seen(metrics: Metrics) -> int:
    """Return the number of marks on /metrics: the monologue of the marked manager has a second for each."""
    return round(metrics.sum("talking_seconds", manager=speech_paced.MARKED))

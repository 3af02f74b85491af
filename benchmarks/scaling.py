"""Scaling: one worker folds a backlog, then two, then four of the same group; then all of them at a paced load.

The backlog is the events of 1,000 managers and their CRM in some working days. Another worker starts while much of it
is left, so that partitions move from one worker to another under load. Each worker notes its steps of folding with
their times: they give the events a second of each phase and the longest pause of a partition. After the backlog, events
flow at a pace that all can process, and marks among them give the freshness of /metrics, with four workers, two and
one.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Sequence
from itertools import pairwise
from typing import Any, Final

from msgspec import Struct

from agents.embedded.ports import find_free
from benchmarks import department, progress_worker
from benchmarks.delay import PAUSE_S, delays_of
from benchmarks.installation import Installation, Worker, environment_note
from benchmarks.load import MARKED, Paced, marks_seen
from benchmarks.measures import Result, Target, percentile
from benchmarks.progress_worker import Step
from benchmarks.workload import PARTITIONS

LONGEST_PAUSE_S: Final = 10.0
FRESH_S: Final = 1.0
BIN_S: Final = 1.0
DRAIN_DEADLINE_S: Final = 600.0
MARKS_DEADLINE_S: Final = 60.0


class Size(Struct, frozen=True, kw_only=True):
    """The size of the benchmark.

    `days` is the number of working days, all like the first; `seconds` are those of a phase.

    `counts` are the numbers of workers, in turn. Each paced load lasts `paced_seconds`, the first `warm_up_seconds` of
    which do not count.
    """

    managers: int = 1_000
    days: int = 6
    counts: tuple[int, ...] = (1, 2, 4)
    seconds: float = 7.0
    rate: int = 2_000
    paced_seconds: float = 13.0
    warm_up_seconds: float = 5.0


class Phase(Struct, frozen=True):
    """The phase of a number of workers.

    It begins once all of them fold, and ends with the start of the next one or with the backlog.
    """

    workers: int
    begun: float
    ended: float
    events: int
    all_records: int

    @property
    def rate(self) -> float:
        """Events of calls and crm a second."""
        return self.events / (self.ended - self.begun)


class Pause(Struct, frozen=True):
    """A pause of a partition: from one step of folding to the next, with records left between them."""

    seconds: float
    begun: float
    partition: int


class Fresh(Struct, frozen=True):
    """Seconds from a mark to /metrics, and the events a second that flowed."""

    workers: int
    delays: list[float]
    rate: float


def measure(bootstrap: str, *, size: Size | None = None, **_others: Any) -> Result:
    """Fold the backlog with more and more workers, then measure the freshness with fewer and fewer."""
    size = size or Size()
    with Installation(bootstrap, size.managers) as installation:
        backlog = _fill(installation, size)
        workers: list[Worker] = []
        moments: list[tuple[int, float, float]] = []
        for count in size.counts:
            started = time.time()
            new = [_start(installation, len(workers) + number) for number in range(count - len(workers))]
            workers += new
            for worker in new:
                worker.wait_ready()
            _wait_folding(new)
            moments.append((count, started, time.time()))
            time.sleep(size.seconds)
        installation.wait_caught_up(workers)
        steps = progress_worker.read(worker.told for worker in workers)
        fresh: list[Fresh] = []
        marks = 0
        for count in reversed(size.counts):
            while len(workers) > count:
                workers.pop().end(signal.SIGTERM)
            _wait_owned(installation, workers)
            one, marks = _freshness(installation, workers, size, marks)
            fresh.append(one)
    return _result(size, backlog, steps, moments, fresh, installation)


def _fill(installation: Installation, size: Size) -> int:
    """Fill calls and crm; return the number of records."""
    first_ms = department.start_of(size.days, int(time.time() * 1000))
    day = list(department.hours(size.managers, 1, first_ms))
    count = 0
    for days in range(size.days):
        for hour in day:
            calls, crm = (department.later(records, days) for records in (hour.calls, hour.crm))
            moved = department.Hour(hour.due_ms, list(calls), list(crm)) if days else hour
            count += department.fill(installation, moved)
    return count


def _start(installation: Installation, number: int) -> Worker:
    return installation.start(name=f"bench-{number + 1}", port=find_free(), module="benchmarks.progress_worker")


def _wait_folding(workers: Sequence[Worker]) -> None:
    """Wait until each of them has folded a record, or has no record left to fold."""

    def folding() -> bool:
        return all(progress_worker.read([worker.told]) or not worker.metrics().sum("lag_records") for worker in workers)

    workers[0].wait(folding, "folding", DRAIN_DEADLINE_S, every_s=0.2)


def _wait_owned(installation: Installation, workers: Sequence[Worker]) -> None:
    """Wait until the workers that are left own all partitions, with their rows restored."""

    def owned() -> bool:
        each = [
            worker.metrics().sum("partitions_owned", topic=installation.calls) for worker in workers if worker.ready
        ]
        return len(each) == len(workers) and sum(each) >= PARTITIONS

    workers[0].wait(owned, "owning all partitions", MARKS_DEADLINE_S, every_s=0.2)


def _freshness(installation: Installation, workers: Sequence[Worker], size: Size, before: int) -> tuple[Fresh, int]:
    """Send marks in a paced load, and find the moment at which /metrics of the manager's worker showed each.

    `before` marks were sent earlier. Return the new number of marks, too.
    """
    seen: list[tuple[float, int]] = []
    owner: Worker | None = None

    def look() -> int:
        nonlocal owner
        owner = owner or next((one for one in workers if one.metrics().sum("manager_info", manager=MARKED)), None)
        count = 0 if owner is None else max(0, marks_seen(owner.metrics()) - before)
        seen.append((time.time(), count))
        return count

    with Paced(installation, rate=size.rate, seconds=size.paced_seconds) as paced:
        while paced.running:
            look()
            time.sleep(PAUSE_S)
        rate, marks = paced.achieved(), paced.marks()
    workers[0].wait(lambda: look() >= len(marks), "showing all marks", MARKS_DEADLINE_S)
    return Fresh(len(workers), delays_of(marks, seen, size.warm_up_seconds), rate), before + len(marks)


def phases(steps: Sequence[Step], moments: Sequence[tuple[int, float, float]], sources: set[str]) -> list[Phase]:
    """Return the phases with records left to fold.

    `moments` have the number of workers, the start of the last of them, and the moment at which all of them had folded
    a record.
    """
    found = []
    last = max(step.at for step in steps if step.topic in sources)
    for number, (count, _, begun) in enumerate(moments):
        ended = min(last, moments[number + 1][1]) if number + 1 < len(moments) else last
        if begun < ended:
            within = [step for step in steps if begun < step.at <= ended]
            events = sum(step.records for step in within if step.topic in sources)
            found.append(Phase(count, begun, ended, events, sum(step.records for step in within)))
    return found


def longest_pauses(steps: Sequence[Step], moments: Sequence[tuple[int, float, float]], topic: str) -> dict[int, Pause]:
    """Return by number of workers the longest pause of a partition of `topic` while their last ones were added."""
    by_partition: dict[int, list[float]] = {}
    for step in steps:
        if step.topic == topic:
            by_partition.setdefault(step.partition, []).append(step.at)
    found: dict[int, Pause] = {}
    for count, started, settled in moments[1:]:
        pauses = [
            Pause(after - before, before, partition)
            for partition, moments_of in by_partition.items()
            for before, after in pairwise(moments_of)
            if before <= settled and after >= started
        ]
        if pauses:
            found[count] = max(pauses, key=lambda pause: pause.seconds)
    return found


def rates(steps: Sequence[Step], sources: set[str]) -> list[tuple[float, float]]:
    """Return seconds since the first event and the events a second, for each BIN_S until the last."""
    folded = [step for step in steps if step.topic in sources]
    first = folded[0].at
    bins = [0] * (int((folded[-1].at - first) / BIN_S) + 1)
    for step in folded:
        bins[int((step.at - first) / BIN_S)] += step.records
    return [(number * BIN_S, count / BIN_S) for number, count in enumerate(bins)]


def _result(
    size: Size,
    backlog: int,
    steps: Sequence[Step],
    moments: Sequence[tuple[int, float, float]],
    fresh: Sequence[Fresh],
    installation: Installation,
) -> Result:
    sources = {installation.calls, installation.crm}
    found = phases(steps, moments, sources)
    pauses = longest_pauses(steps, moments, installation.calls)
    folded = sum(step.records for step in steps if step.topic in sources)
    first = min(step.at for step in steps if step.topic in sources)
    freshness = {one.workers: one for one in fresh}
    figures = {
        "backlog": backlog,
        "events_per_second": {str(phase.workers): phase.rate for phase in found},
        "records_per_second": {str(phase.workers): phase.all_records / (phase.ended - phase.begun) for phase in found},
        "phases": [
            {"workers": phase.workers, "begun": phase.begun - first, "ended": phase.ended - first} for phase in found
        ],
        "started": {str(count): started - first for count, started, _ in moments},
        "longest_pause_seconds": {str(count): pause.seconds for count, pause in pauses.items()},
        "fresh_p50_seconds": {str(count): percentile(one.delays, 0.5) for count, one in freshness.items()},
        "fresh_p99_seconds": {str(count): percentile(one.delays, 0.99) for count, one in freshness.items()},
        "fresh_max_seconds": {str(count): max(one.delays) for count, one in freshness.items()},
        "rates": rates(steps, sources),
    }
    by_count = {phase.workers: phase for phase in found}
    table = [
        ["workers", "events/s", "all records/s", "longest pause", "fresh p50", "fresh p99", "fresh max"],
        *(
            [
                str(count),
                f"{by_count[count].rate:,.0f}" if count in by_count else "-",
                f"{by_count[count].all_records / (by_count[count].ended - by_count[count].begun):,.0f}"
                if count in by_count
                else "-",
                f"{pauses[count].seconds:.1f} s" if count in pauses else "-",
                f"{percentile(freshness[count].delays, 0.5):.2f} s",
                f"{percentile(freshness[count].delays, 0.99):.2f} s",
                f"{max(freshness[count].delays):.2f} s",
            ]
            for count, _, _ in moments
        ),
    ]
    wrong = [f"{folded:,} events were folded instead of {backlog:,}"] if folded < backlog else []
    wrong += [f"nothing was left for {count} workers" for count, *_ in moments if count not in by_count]
    wrong += [
        f"only {one.rate:,.0f} events/s could be sent: the machine is too busy"
        for one in fresh
        if one.rate < 0.95 * size.rate
    ]
    longest = max((pause.seconds for pause in pauses.values()), default=0.0)
    targets = [
        Target("longest pause of a partition, seconds", longest, at_most=LONGEST_PAUSE_S),
        *(
            Target(f"fresh p99 with {count} workers, seconds", percentile(one.delays, 0.99), at_most=FRESH_S)
            for count, one in sorted(freshness.items())
        ),
    ]
    notes = [
        (
            f"{backlog:,} events of calls and CRM wait: {size.days} working days of {size.managers:,} managers, "
            f"{PARTITIONS} partitions. Events/s count them; all records/s also what follows of them in contacts and "
            "outcomes."
        ),
        "Pause: a partition of calls, from its last step of folding before to the first after, records left meanwhile.",
        f"Fresh: from a marked event to a complete scrape, while {size.rate:,} events/s flow.",
        f"More workers add no processor here: {environment_note()}",
    ]
    return Result("scaling", figures, table, targets, notes, wrong)

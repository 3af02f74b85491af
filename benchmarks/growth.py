"""Growth: the costs of an event, of a scrape and of memory with more managers, more leads, more days of history.

Each point is a whole worker of its own: it folds a history of its numbers of managers, leads and days, and then present
calls, whose processor time is counted. Then every manager gets a call before each scrape, so that all rows have
changed. One size at a time grows; the others are those of the point in the middle.
"""

from __future__ import annotations

import http.client
import random
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from itertools import cycle
from statistics import median
from typing import Any, Final

import msgspec
from msgspec import Struct

from benchmarks import broker, outbound
from benchmarks.installation import PROMETHEUS_HEADERS, Installation, Worker
from benchmarks.measures import Result, Target
from benchmarks.workload import OPENS_MS, PARTITIONS, Record
from streams.contract.events import CallAnswered, CallEnded, CallStarted, encode
from streams.contract.topics import partitioner
from streams.units import DAY_MS, HOUR_MS

MOST_EVENT_TIMES: Final = 1.5
MOST_SCRAPE_TIMES: Final = 1.3
"""The greatest factors of costs over the point in the middle.

The costs are those of an event, and of a scrape with more leads or days, or of each series of a scrape with more
managers.
"""
_WORK_MS: Final = 9 * HOUR_MS
_Call = CallStarted | CallAnswered | CallEnded


class Size(Struct, frozen=True, kw_only=True):
    """The sizes at a point. `grows` names the one that differs from the middle."""

    grows: str = ""
    managers: int = 1_000
    leads: int = 100_000
    days: int = 30


MIDDLE: Final = Size()
SIZES: Final = (
    Size(grows="managers", managers=100),
    MIDDLE,
    Size(grows="managers", managers=10_000),
    Size(grows="leads", leads=1_000_000),
    Size(grows="days", days=100),
    Size(grows="days", days=400),
)
LARGEST: Final = Size(grows="leads", leads=10_000_000)
EVENTS: Final = 120_000
SCRAPES: Final = 5


class Point(Struct, frozen=True, kw_only=True):
    """The costs of a worker of `size`. `history` calls were folded before; processor time is that of its process, and
    `disk_mib` the size of its folder."""

    size: Size
    history: int
    event_micros: float
    scrape_s: float
    scrape_cpu_s: float
    sent: int
    plain: int
    series: int
    memory_mib: float
    peak_mib: float | None
    disk_mib: float


def measure(
    bootstrap: str, *, largest: bool = False, sizes: Sequence[Size] = SIZES, count: int = EVENTS, **_others: Any
) -> Result:
    """Measure a worker at every point, and compare each with the one in the middle, whose `grows` is empty."""
    points: list[Point] = []
    wrong: list[str] = []
    for size in (*sizes, *([LARGEST] if largest else [])):
        where = f"{size.managers:,} managers, {size.leads:,} leads, {size.days} days"
        print(f"   {where}", file=sys.stderr)
        try:
            points.append(look(bootstrap, size, count))
        except RuntimeError as error:  # the other points are not to be lost
            wrong.append(f"{where}: {error}")
    middle = next((point for point in points if not point.size.grows), None)
    figures = {"events": count, "points": [msgspec.to_builtins(point) for point in points]}
    table = [
        [
            "managers",
            "leads",
            "days",
            "CPU µs/event",
            "events/s of a core",
            "scrape",
            "CPU of a scrape",
            "series",
            "sent",
            "plain",
            "memory",
            "peak",
            "disk",
        ],
        *(_row(point) for point in points),
    ]
    notes = [
        (
            f"Each line is a worker of its own with {PARTITIONS} partitions. History: a call a manager and day, and "
            f"one a lead, at least. Then {count:,} events of calls of now (begin, answer, end): the processor time of "
            "the worker for each, with the contacts and outcomes that follow. `events/s of a core` is a million "
            "divided by it."
        ),
        f"Before each of {SCRAPES} scrapes every manager has a call; the medians. The worker folds nothing meanwhile.",
    ]
    return Result("growth", figures, table, [] if middle is None else compared(points, middle), notes, wrong)


def compared(points: Sequence[Point], middle: Point) -> list[Target]:
    """Return the factors of costs over the middle, for the points with larger sizes."""
    targets = []
    for point in points:
        size, grows = point.size, point.size.grows
        if not grows or getattr(size, grows) < getattr(middle.size, grows):
            continue
        where = f"with {getattr(size, grows):,} {grows}"
        times = point.event_micros / middle.event_micros
        targets.append(Target(f"an event {where}, times as much", times, at_most=MOST_EVENT_TIMES))
        if grows == "managers":
            times = (point.scrape_cpu_s / point.series) / (middle.scrape_cpu_s / middle.series)
            targets.append(Target(f"a series of a scrape {where}, times as much", times, at_most=MOST_SCRAPE_TIMES))
        else:
            times = point.scrape_cpu_s / middle.scrape_cpu_s
            targets.append(Target(f"a scrape {where}, times as much", times, at_most=MOST_SCRAPE_TIMES))
    return targets


def _row(point: Point) -> list[str]:
    size = point.size
    return [
        f"{size.managers:,}",
        f"{size.leads:,}",
        f"{size.days}",
        f"{point.event_micros:.1f}",
        f"{1e6 / point.event_micros:,.0f}",
        f"{point.scrape_s:.2f} s",
        f"{point.scrape_cpu_s:.2f} s",
        f"{point.series:,}",
        f"{point.sent / 2**20:.1f} MiB",
        f"{point.plain / 2**20:.1f} MiB",
        f"{point.memory_mib:,.0f} MiB",
        "not told" if point.peak_mib is None else f"{point.peak_mib:,.0f} MiB",
        f"{point.disk_mib:,.0f} MiB",
    ]


def look(bootstrap: str, size: Size, events: int) -> Point:
    """Fold the history and the present events in a worker, and measure it."""
    with Installation(bootstrap, size.managers) as installation:
        now_ms = int(time.time() * 1000)
        count = max(size.leads, size.managers * size.days)
        broker.fill(bootstrap, installation.calls, past(installation.managers, size, count, now_ms))
        worker = installation.start()
        worker.wait_ready()
        installation.wait_caught_up([worker])
        before = worker.cpu_s()
        broker.fill(bootstrap, installation.calls, present(installation.managers, size.leads, events))
        installation.wait_caught_up([worker])
        micros = (worker.cpu_s() - before) / events * 1e6
        looks = [_scrape(installation, worker, number) for number in range(SCRAPES)]
        metrics = worker.metrics()
        memory_mib, peak_mib = worker.rss_mib(), worker.peak_mib()
        worker.end(signal.SIGTERM)  # its files stay as they are from here on
        return Point(
            size=size,
            history=count,
            event_micros=micros,
            scrape_s=median(seconds for seconds, *_ in looks),
            scrape_cpu_s=median(cpu_s for _, cpu_s, _ in looks),
            sent=max(sent for *_, sent in looks),
            plain=len(metrics.text),
            series=metrics.series,
            memory_mib=memory_mib,
            peak_mib=peak_mib,
            disk_mib=sum(file.stat().st_size for file in installation.data.rglob("*") if file.is_file()) / 2**20,
        )


def past(managers: list[str], size: Size, count: int, now_ms: int) -> Iterator[Record]:
    """Yield `count` finished calls of the days before today, in the order of time, in turn of all leads."""
    rng = random.Random(5)
    place = partitioner(PARTITIONS)
    first = now_ms // DAY_MS - size.days
    a_day = -(-count // size.days)
    for number in range(count):
        day, of_day = divmod(number, a_day)
        lead = number % size.leads
        manager = managers[lead % len(managers)]
        at = (first + day) * DAY_MS + OPENS_MS + _WORK_MS * of_day // a_day
        key = manager.encode()
        yield place(key), key, encode(_ended(f"past-{number}", manager, lead, at, rng))


def present(managers: list[str], leads: int, events: int) -> Iterator[Record]:
    """Yield about `events` present events: calls of all managers in turn with any of their leads, three events each."""
    rng = random.Random(6)
    place = partitioner(PARTITIONS)
    of_manager = cycle(range(len(managers)))
    for number in range(events // 3):
        manager = next(of_manager)
        lead = manager + len(managers) * rng.randrange(max(1, leads // len(managers)))
        key = managers[manager].encode()
        for event in _call(f"now-{number}", managers[manager], lead, int(time.time() * 1000), rng):
            yield place(key), key, encode(event)


def _scrape(installation: Installation, worker: Worker, number: int) -> tuple[float, float, int]:
    """Send a call of every manager, then scrape: return seconds, processor time and bytes sent."""
    rng = random.Random(number)
    now_ms = int(time.time() * 1000)
    place = partitioner(PARTITIONS)
    calls = (
        (
            place(manager.encode()),
            manager.encode(),
            encode(_ended(f"look-{number}-{index}", manager, index, now_ms, rng)),
        )
        for index, manager in enumerate(installation.managers)
    )
    broker.fill(installation.bootstrap, installation.calls, calls)
    installation.wait_caught_up([worker])
    before, begun = worker.cpu_s(), time.monotonic()
    status, body = worker.get("/metrics", PROMETHEUS_HEADERS)
    seconds = time.monotonic() - begun
    if status != http.client.OK:
        worker.check()
        raise RuntimeError(f"/metrics answered with status {status}")
    return seconds, worker.cpu_s() - before, len(body)


def _call(call: str, manager: str, lead: int, at: int, rng: random.Random) -> Iterator[_Call]:
    yield outbound.started(call, manager, f"lead-{lead}", at)
    yield outbound.answered(call, manager, at)
    yield _ended(call, manager, lead, at, rng)


def _ended(call: str, manager: str, lead: int, at: int, rng: random.Random) -> CallEnded:
    return outbound.ended(call, manager, f"lead-{lead}", at, talk_ms=outbound.talk_of(rng))

"""Rebuild of a quarter: the time in which a worker with empty tables makes them of calls and crm.

A quarter of 1,000 managers is 25 million events, which take longer to simulate than to fold. So two smaller numbers of
working days are rebuilt, one after the other. The time of an event must be the same in both; then the time of a quarter
follows from that of one more day. `--days 65` rebuilds a whole quarter.
"""

from __future__ import annotations

import signal
import time
from typing import Any, Final

from msgspec import Struct

from benchmarks import department
from benchmarks.department import QUARTER_DAYS
from benchmarks.installation import Installation, environment_note
from benchmarks.measures import Result, Target

MOST_MINUTES: Final = 20
MOST_TIMES: Final = 1.25
"""The greatest factor of the time of an event of the larger number of days over one of the smaller."""


class Size(Struct, frozen=True, kw_only=True):
    """The size of a rebuild: `few` and `days` working days of `managers`."""

    managers: int = 1_000
    few: int = 1
    days: int = 2


class Rebuilt(Struct, frozen=True):
    """The time of a rebuild: `seconds` from the worker's readiness until no record is left, `ready_s` before it."""

    days: int
    events: int
    ready_s: float
    seconds: float
    cpu_s: float
    peak_mib: float | None
    rows: dict[str, float]
    taken: float

    @property
    def micros(self) -> float:
        """Microseconds for each event of calls and crm, with all facts that follow from it."""
        return self.seconds / self.events * 1e6


def measure(bootstrap: str, *, days: int = Size().days, size: Size | None = None, **_others: Any) -> Result:
    """Simulate the days once, and rebuild both numbers of them."""
    size = size or Size(days=days, few=max(1, days // 2))
    start_ms = department.start_of(size.days, int(time.time() * 1000))
    with Installation(bootstrap, size.managers) as fewer, Installation(bootstrap, size.managers) as whole:
        fill(whole, fewer, size, start_ms)
        both = [(fewer, size.few), (whole, size.days)] if size.few < size.days else [(whole, size.days)]
        rebuilt = [_rebuild(installation, days) for installation, days in both]
    return _result(size, rebuilt)


def fill(whole: Installation, fewer: Installation, size: Size, start_ms: int) -> None:
    """Fill the topics of both, those of `fewer` with the records of the first days."""
    few_end_ms = department.end_of(size.few, start_ms)
    for hour in department.hours(size.managers, size.days, start_ms):
        department.fill(whole, hour)
        if hour.due_ms < few_end_ms and size.few < size.days:
            department.fill(fewer, hour)


def minutes_of_quarter(few: Rebuilt, many: Rebuilt) -> float:
    """Return the time of a quarter, minutes: as measured, or by the time of each further day."""
    if many.days >= QUARTER_DAYS:
        return (many.ready_s + many.seconds) / 60
    a_day = (many.seconds - few.seconds) / (many.days - few.days)
    return (many.ready_s + many.seconds + a_day * (QUARTER_DAYS - many.days)) / 60


def _rebuild(installation: Installation, days: int) -> Rebuilt:
    worker = installation.start()
    ready_s = worker.wait_ready()
    begun = time.time()
    events = installation.wait_caught_up([worker])
    seconds = time.time() - begun
    cpu_s, peak_mib, metrics = worker.cpu_s(), worker.peak_mib(), worker.metrics()
    worker.end(signal.SIGTERM)
    sources = (installation.calls, installation.crm)
    return Rebuilt(
        days=days,
        events=events,
        ready_s=ready_s,
        seconds=seconds,
        cpu_s=cpu_s,
        peak_mib=peak_mib,
        rows={labels["table"]: count for labels, count in metrics.samples("rows")},
        taken=sum(metrics.sum("records_total", topic=topic) for topic in sources) - metrics.sum("rejected_total"),
    )


def _result(size: Size, found: list[Rebuilt]) -> Result:
    many = found[-1]
    is_whole = many.days >= QUARTER_DAYS
    events = many.events if is_whole else round(many.events / many.days * QUARTER_DAYS)
    minutes = minutes_of_quarter(found[0], many)
    figures = {
        "managers": size.managers,
        "days": [one.days for one in found],
        "events": [one.events for one in found],
        "ready_seconds": [one.ready_s for one in found],
        "seconds": [one.seconds for one in found],
        "cpu_seconds": [one.cpu_s for one in found],
        "peak_mib": [one.peak_mib for one in found],
        "rows": [one.rows for one in found],
        "quarter_events": events,
        "quarter_minutes": minutes,
    }
    table = [
        ["rebuilt", "events", "time", "events/s", "µs/event", "CPU µs/event", "peak memory", "leads"],
        *(
            [
                f"{one.days} working days",
                f"{one.events:,}",
                f"{one.seconds:.0f} s",
                f"{one.events / one.seconds:,.0f}",
                f"{one.micros:.1f}",
                f"{one.cpu_s / one.events * 1e6:.1f}",
                "not told" if one.peak_mib is None else f"{one.peak_mib:,.0f} MiB",
                f"{one.rows.get('leads', 0):,.0f}",
            ]
            for one in found
        ),
        [
            f"a quarter, {QUARTER_DAYS} working days{'' if is_whole else ', extrapolated'}",
            f"{events:,}",
            f"{minutes:.1f} min",
            f"{events / minutes / 60:,.0f}",
            f"{minutes * 60e6 / events:.1f}",
            "",
            "",
            "",
        ],
    ]
    targets = [Target("a quarter of 1,000 managers, minutes", minutes, at_most=MOST_MINUTES)]
    if len(found) > 1:
        times = many.micros / found[0].micros
        targets.append(Target("time of an event of more days ÷ of fewer", times, at_most=MOST_TIMES))
    notes = [
        (
            f"{size.managers:,} managers, calls and CRM as simulated: {many.events / many.days / size.managers:,.0f} "
            "events a manager and working day. One worker with empty tables, from its readiness until all that "
            f"follows is folded and committed; {environment_note()}"
        )
    ]
    wrong = [
        f"{one.taken:,.0f} of {one.events:,} events of {one.days} days were folded"
        for one in found
        if one.taken < one.events
    ]
    return Result("rebuild-quarter", figures, table, targets, notes, wrong)

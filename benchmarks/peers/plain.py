"""The aggregation for a framework whose state is small values by key, not objects.

Per manager: open legs, a ring of 64 minutes, a row a day (direction, answered, short, meaningful, talk time, kind,
disposition, hour, histogram), presence and last activity. It does less than callpulse's own fold: no memory of ids, no
independence of the order of events, no transfers, no timeouts. `kstreams` does the same in Java, with the same layout
of a day.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from benchmarks.workload import HISTOGRAM_MS, Totals
from streams.contract.events import DISPOSITIONS, KINDS_AND_UNKNOWN
from streams.units import DAY_MS, HOUR_MS, MINUTE_MS

INBOUND: Final = 0
OUTBOUND: Final = 1
ANSWERED: Final = 2
CONNECTED: Final = 3
TALKED: Final = 4
SHORT: Final = 5
MEANINGFUL: Final = 6
CONVERSATIONS: Final = 7
TALK_MS: Final = 8
WIDTH_MINUTE: Final = 10
KIND: Final = WIDTH_MINUTE
DISPOSITION: Final = KIND + len(KINDS_AND_UNKNOWN)
HOUR_CALLS: Final = DISPOSITION + len(DISPOSITIONS)
HOUR_TALK_MS: Final = HOUR_CALLS + 24
HISTOGRAM: Final = HOUR_TALK_MS + 24
WIDTH_DAY: Final = HISTOGRAM + len(HISTOGRAM_MS) + 1
RING: Final = 64

_KINDS: Final = {None: KIND + len(KINDS_AND_UNKNOWN) - 1} | {
    kind: KIND + place for place, kind in enumerate(KINDS_AND_UNKNOWN)
}
_DISPOSITIONS: Final = {disposition: DISPOSITION + place for place, disposition in enumerate(DISPOSITIONS)}


def count(counts: list[int], end: Mapping[str, Any]) -> None:
    """Add the counts of a `call.ended` to the places that minutes and days share."""
    outbound = end["direction"] == "outbound"
    counts[OUTBOUND if outbound else INBOUND] += 1
    if end["disposition"] == "answered":
        talk_ms = end["talk_ms"]
        counts[ANSWERED] += 1
        counts[TALKED] += 1
        counts[TALK_MS] += talk_ms
        if outbound:
            counts[CONNECTED] += 1
        if talk_ms < 120_000:
            counts[SHORT] += 1
        if talk_ms >= MINUTE_MS:
            counts[CONVERSATIONS] += 1
        if talk_ms >= 300_000:
            counts[MEANINGFUL] += 1


def count_day(counts: list[int], end: Mapping[str, Any]) -> None:
    """Add the counts of a `call.ended` to its day."""
    count(counts, end)
    hour = end["at"] % DAY_MS // HOUR_MS
    counts[_KINDS[end.get("kind")]] += 1
    counts[_DISPOSITIONS[end["disposition"]]] += 1
    counts[HOUR_CALLS + hour] += 1
    if end["disposition"] == "answered":
        counts[HOUR_TALK_MS + hour] += end["talk_ms"]
        counts[HISTOGRAM + bisect_left(HISTOGRAM_MS, end["talk_ms"])] += 1


def count_minute(bucket: list[int] | None, end: Mapping[str, Any]) -> list[int]:
    """Return the bucket of the ring, `[minute, counts...]`, with `end` added; another minute's is begun anew."""
    minute = end["at"] // MINUTE_MS
    if bucket is None or bucket[0] != minute:
        bucket = [minute, *[0] * WIDTH_MINUTE]
    counts = bucket[1:]
    count(counts, end)
    return [minute, *counts]


def slot(at_ms: int) -> int:
    """Return the place in the ring of the minute of `at_ms`."""
    return at_ms // MINUTE_MS % RING


def totals(days: Iterable[Sequence[int]]) -> Totals:
    """Add up days."""
    total = [0] * WIDTH_DAY
    for day in days:
        total = [a + b for a, b in zip(total, day, strict=True)]
    kinds = zip(KINDS_AND_UNKNOWN, total[KIND:], strict=False)
    dispositions = zip(DISPOSITIONS, total[DISPOSITION:], strict=False)
    return Totals(
        calls=total[INBOUND] + total[OUTBOUND],
        inbound=total[INBOUND],
        outbound=total[OUTBOUND],
        answered=total[ANSWERED],
        short=total[SHORT],
        talk_ms=total[TALK_MS],
        kinds={kind: number for kind, number in sorted(kinds) if number},
        dispositions={disposition: number for disposition, number in sorted(dispositions) if number},
        histogram=total[HISTOGRAM:],
    )

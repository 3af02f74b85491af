"""Windows as sums over fixed buckets: a ring of minutes for the last hour, a row a local day for everything longer.

Event time decides the bucket an event counts in; the moment of reading decides which buckets a window holds. So one
write serves every window, bounds are exact and half-open, and a window decays to zero without any event.

    minutes   │ . │ . │ 3 │ . │ 1 │        1h    = the minute of `now` and the 59 before it
                                 now
    days      │ 17 │ 40 │ 38 │ 12 │        today = the manager's own local day that holds `now`
                            today          7d    = today and the 6 local days before it; 30d and 90d likewise
"""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping, Sequence
from itertools import islice
from types import MappingProxyType
from typing import Final

from streams.units import MINUTE_MS

HOUR_MINUTES: Final = 60

HOUR: Final = "1h"
TODAY: Final = "today"
# Windows made of whole local days: how many, today included.
DAYS: Final[Mapping[str, int]] = MappingProxyType({TODAY: 1, "7d": 7, "30d": 30, "90d": 90})
WINDOWS: Final = (HOUR, *DAYS)
PREVIOUS: Final = "previous"
"""The 90 days before the last 90."""


def total(buckets: Sequence[Sequence[int]], width: int) -> list[int]:
    """Return the sum of `buckets` place by place, for the first `width` places, which all of them must have."""
    return [sum(places) for places in islice(zip(*buckets, strict=False), width)] if buckets else [0] * width


def last_hour(ring: Mapping[int, Sequence[int]], now_ms: int) -> list[Sequence[int]]:
    """Return the buckets of the 60 minutes that end with the minute of `now_ms`, from a `ring` of minutes since epoch.

    A minute after `now_ms` (a source whose clock runs ahead) counts once its time has come.
    """
    last = now_ms // MINUTE_MS
    first = last - HOUR_MINUTES
    return [bucket for minute, bucket in ring.items() if first < minute <= last]


def merge_run(runs: list[list[int]], start_ms: int, end_ms: int, gap_ms: int) -> None:
    """Add `[start_ms, end_ms]` to `runs`, sorted and disjoint spans of activity; those less than `gap_ms` apart melt.

    The outcome does not depend on the order in which spans are added.
    """
    place = len(runs)
    while place and runs[place - 1][1] + gap_ms > start_ms:
        place -= 1
    # From `place` on, runs end late enough to touch the new span; those that begin early enough as well melt into it.
    last = place
    while last < len(runs) and runs[last][0] < end_ms + gap_ms:
        last += 1
    if last > place:
        start_ms = min(start_ms, runs[place][0])
        end_ms = max(end_ms, runs[last - 1][1])
    runs[place:last] = [[start_ms, end_ms]]


class Steps:
    """Counts of things whose number depends on how far back one looks: a sum over the days from a cut-off day on.

    A thing that holds for the cut-offs in `(a, b]` is +1 at day `b` and -1 at day `a`; the number of things that hold
    at cut-off `c` is the sum of all entries at days `>= c`. So a row of one small number a day answers "how many leads
    had exactly three calls in the last 30 days" at any moment, without a list of leads.
    """

    @staticmethod
    def change(steps: MutableMapping[int, int], day: int, by: int) -> None:
        """Add `by` to the entry of `day`; an entry that comes to 0 is removed."""
        count = steps.get(day, 0) + by
        if count:
            steps[day] = count
        else:
            del steps[day]

    @staticmethod
    def at(steps: Mapping[int, int], cutoff: int) -> int:
        """Return the sum of the entries at days `>= cutoff`."""
        return sum(count for day, count in steps.items() if day >= cutoff)

"""Windows as sums over fixed buckets: a ring of minutes for the last hour, a row per local day for longer windows.

Event time decides the bucket in which an event counts; the time of reading decides which buckets a window holds. So one
write serves every window, bounds are exact and half-open, and a window drains to zero without new events.

    minutes   │ . │ . │ 3 │ . │ 1 │        1h    = the minute of `now` and the 59 before it
                                 now
    days      │ 17 │ 40 │ 38 │ 12 │        today = the manager's own local day that holds `now`
                            today          7d    = today and the 6 local days before it; 30d and 90d likewise
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import islice
from types import MappingProxyType
from typing import Final

from streams.units import MINUTE_MS

HOUR_MINUTES: Final = 60

HOUR: Final = "1h"
TODAY: Final = "today"
# Windows of whole local days: the number of days, today included.
DAYS: Final[Mapping[str, int]] = MappingProxyType({TODAY: 1, "7d": 7, "30d": 30, "90d": 90})
WINDOWS: Final = (HOUR, *DAYS)
PREVIOUS: Final = "previous"
"""The 90 days before the last 90."""


def total(buckets: Sequence[Sequence[int]], width: int) -> list[int]:
    """Return the sum of `buckets` place by place, for the first `width` places.

    Each bucket has at least `width` places.
    """
    return [sum(places) for places in islice(zip(*buckets, strict=False), width)] if buckets else [0] * width


def last_hour(ring: Mapping[int, Sequence[int]], now_ms: int) -> list[Sequence[int]]:
    """Return the buckets of the 60 minutes that end with the minute of `now_ms`, from a `ring` of minutes since epoch.

    A minute after `now_ms` (a source whose clock runs ahead) counts once its time has come.
    """
    last = now_ms // MINUTE_MS
    first = last - HOUR_MINUTES
    return [bucket for minute, bucket in ring.items() if first < minute <= last]


def merge_run(runs: list[list[int]], start_ms: int, end_ms: int, gap_ms: int) -> None:
    """Add `[start_ms, end_ms]` to `runs`, sorted and disjoint spans; spans less than `gap_ms` apart are merged.

    The result does not depend on the order in which spans are added.
    """
    place = len(runs)
    while place and runs[place - 1][1] + gap_ms > start_ms:
        place -= 1
    # From `place` on, runs end late enough to touch the new span. Those that also begin early enough are merged.
    last = place
    while last < len(runs) and runs[last][0] < end_ms + gap_ms:
        last += 1
    if last > place:
        start_ms = min(start_ms, runs[place][0])
        end_ms = max(end_ms, runs[last - 1][1])
    runs[place:last] = [[start_ms, end_ms]]

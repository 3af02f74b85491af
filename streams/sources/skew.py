"""Skew: the time from an event's own moment to its receipt, and whether it looks like a wrong time zone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from streams.units import MINUTE_MS

_QUARTER_MS: Final = 15 * MINUTE_MS
_LARGEST_OFFSET_MS: Final = 14 * 60 * MINUTE_MS
_NEAR_MS: Final = MINUTE_MS
_FEWEST: Final = 20


def median(values: Sequence[int]) -> int:
    """Return the median of at least one value; the higher one of two in the middle."""
    return sorted(values)[len(values) // 2]


def nearest_zone(value_ms: int) -> int:
    """Return the difference of two time zones nearest to a skew, in milliseconds; 0 if it is over a minute away."""
    nearest = round(value_ms / _QUARTER_MS) * _QUARTER_MS
    is_near = abs(value_ms - nearest) <= _NEAR_MS and abs(nearest) <= _LARGEST_OFFSET_MS
    return nearest if is_near else 0


def looks_like_zone(skews_ms: Sequence[int]) -> bool:
    """Return whether skews in milliseconds look like a wrong time zone.

    Zones differ by multiples of 15 minutes, up to 14 hours. So the median is near such a multiple that is not 0, and
    half of the values are within two minutes of each other: a delay of another kind varies more.
    """
    if len(skews_ms) < _FEWEST:
        return False
    ordered = sorted(skews_ms)
    middle = ordered[len(ordered) // 2]
    spread_ms = ordered[3 * len(ordered) // 4] - ordered[len(ordered) // 4]
    return nearest_zone(middle) != 0 and spread_ms <= 2 * _NEAR_MS

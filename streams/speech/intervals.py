"""Intervals of time: [start, end) in ms, in order and apart wherever a function takes or returns several."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

Interval: TypeAlias = tuple[int, int]
Intervals: TypeAlias = list[Interval]


def union(spans: Sequence[Interval], gap: int) -> Intervals:
    """Return the union of intervals in any order.

    It bridges gaps of at most `gap` ms and omits intervals without length.
    """
    joined: Intervals = []
    begun, reached = 0, -1
    for start, end in sorted(spans):
        if start >= end:
            continue
        if reached >= 0 and start - reached <= gap:
            reached = max(reached, end)
            continue
        if reached >= 0:
            joined.append((begun, reached))
        begun, reached = start, end
    if reached >= 0:
        joined.append((begun, reached))
    return joined


def total(spans: Sequence[Interval]) -> int:
    """Return the total length of the intervals."""
    length = 0
    for start, end in spans:
        length += end - start
    return length


def common(one: Sequence[Interval], other: Sequence[Interval]) -> int:
    """Return the length of the intersection."""
    length = 0
    place, count = 0, len(other)
    for start, end in one:
        while place < count and other[place][1] <= start:
            place += 1
        ahead = place
        while ahead < count and other[ahead][0] < end:
            length += min(end, other[ahead][1]) - max(start, other[ahead][0])
            ahead += 1
    return length


def without(spans: Sequence[Interval], others: Sequence[Interval]) -> Intervals:
    """Return the parts of `spans` in which none of `others` is."""
    left: Intervals = []
    place, count = 0, len(others)
    for start, end in spans:
        begun = start
        while place < count and others[place][1] <= begun:
            place += 1
        ahead = place
        while ahead < count and others[ahead][0] < end:
            if others[ahead][0] > begun:
                left.append((begun, others[ahead][0]))
            begun = max(begun, others[ahead][1])
            ahead += 1
        if begun < end:
            left.append((begun, end))
    return left


def longest(spans: Sequence[Interval]) -> Interval | None:
    """Return the longest interval, of equal ones the first; None of none."""
    found: Interval | None = None
    length = 0
    for start, end in spans:
        if end - start > length:
            found, length = (start, end), end - start
    return found

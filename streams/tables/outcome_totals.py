"""The sums of an outcome row by window, kept up to date change by change, so that a scrape need not add up days.

An entry lies in the bin of its age, today less its day; a window is the sum of some bins:

    age        <= 0    1-6    7-29    30-89    90-179    older
    bin           0      1       2        3         4        5
    today      └──┘                                                what is dated ahead counts today
    7d         └─────────┘
    30d        └────────────────┘
    90d        └─────────────────────────┘
    previous                              └─────────┘

On the next day only the entries at the oldest age of a bin change bins.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, TypeAlias

from streams.windows import DAYS

PREVIOUS: Final = "previous"
Bins: TypeAlias = list[int]
NO_BINS: Final[Bins] = [0] * 6

DUE: Final = "due"
KEPT: Final = "kept"
PROMISES: Final = (DUE, KEPT)
"""Measures of days to come: they count once their day has come."""
STAGE: Final = "stage:"
REASON: Final = "reason:"
_SHARED: Final = (REASON, "reach:", "touch:")
_LAST_AGES: Final = (*(length - 1 for length in DAYS.values()), 2 * DAYS["90d"] - 1)  # of bins 0 to 4
_OLD: Final = len(_LAST_AGES)
_PLACES: Final = tuple(sum(age > last for last in _LAST_AGES) for age in range(_LAST_AGES[-1] + 1))
_AGES: Final = len(_PLACES)
_EMPTY_KEPT: Final = 64


class Totals:
    """The sums of all measures on the local day `today`, by measure.

    Some stand in a second place too: those that teams add up in `shared`, open leads by stage in `stages`, calls by
    reason and stage in `reasons`.
    """

    __slots__ = ("bins", "reasons", "shared", "stages", "today")

    def __init__(self, steps: Mapping[str, Mapping[int, int]], today: int) -> None:
        self._make(steps, today)

    def _make(self, steps: Mapping[str, Mapping[int, int]], today: int) -> None:
        self.today = today
        self.bins: dict[str, Bins] = {}
        self.shared: dict[str, Bins] = {}
        self.stages: dict[str, Bins] = {}
        self.reasons: dict[str, list[Bins]] = {}
        for measure, entries in steps.items():
            bins = self._made(measure)
            for day, count in entries.items():
                bins[_place(measure, today - day)] += count

    def add(self, measure: str, day: int, by: int) -> None:
        """Add `by` to what `measure` has on `day`."""
        bins = self.bins.get(measure)
        if bins is None:
            bins = self._made(measure)
        age = self.today - day
        bins[_PLACES[age] if 0 <= age < _AGES else _place(measure, age)] += by

    def advance(self, steps: Mapping[str, Mapping[int, int]], today: int) -> None:
        """Bring the sums to another day; `steps` is what they are the sums of."""
        if today != self.today + 1 or len(self.bins) > len(steps) + _EMPTY_KEPT:
            self._make(steps, today)
            return
        self.today = today
        last_days = [today - 1 - last for last in _LAST_AGES]
        for measure, entries in steps.items():
            bins = self.bins[measure]
            for place, day in enumerate(last_days):
                if day in entries:
                    count = entries[day]
                    bins[place] -= count
                    bins[place + 1] += count
            if measure in PROMISES and today in entries:
                bins[_OLD] -= entries[today]
                bins[0] += entries[today]

    def _made(self, measure: str) -> Bins:
        bins = self.bins[measure] = [0] * (_OLD + 1)
        if measure.startswith(_SHARED) or "@" in measure:
            self.shared[measure] = bins
        if measure.startswith(STAGE):
            self.stages[measure.removeprefix(STAGE)] = bins
        elif measure.startswith(REASON):
            self.reasons.setdefault(measure.removeprefix(REASON).partition("@")[0], []).append(bins)
        return bins


def _place(measure: str, age: int) -> int:
    """Return the bin of an entry. Promises that are not due yet lie in the last one, which no window holds."""
    if age < 0:
        return _OLD if measure in PROMISES else 0
    return _PLACES[age] if age < _AGES else _OLD

"""The sums of an outcome row by window. Each change updates them, so a scrape adds up no days.

Each window is a list with a place for every measure. The measures that are read for every manager come first, in the
same order in every row, so they are read as slices.

    age of an entry   <= 0    1-6    7-29    30-89    90-179    (today less its day; an entry of the future is of today)
    today             ████
    week              ███████████
    month             ███████████████████
    quarter           ████████████████████████████
    before                                           ███████

On the next day, only the entries that move to another age group change the sums.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import accumulate
from operator import itemgetter
from typing import Final, TypeAlias

from streams.tables.measures import PROMISES, REACH, REASON, STAGE, TOUCH, family, parse
from streams.windows import DAYS

Shared: TypeAlias = tuple[str, int, int]
"""(measure, its sum over 30 days, over 90 days) of a measure that teams add up."""

_STAGES: Final = family(STAGE)
_REASONS: Final = family(REASON)
_SHARED: Final = (_REASONS, family(REACH), family(TOUCH))
_LAST_AGES: Final = (*(length - 1 for length in DAYS.values()), 2 * DAYS["90d"] - 1)
_OLD: Final = len(_LAST_AGES)
_GROUPS: Final = tuple(sum(age > last for last in _LAST_AGES) for age in range(_LAST_AGES[-1] + 1))
_AGES: Final = len(_GROUPS)


class Layout:
    """The measures that have the first places in every row, in this order."""

    __slots__ = ("measures", "places")

    def __init__(self, *measures: str) -> None:
        self.measures = tuple(dict.fromkeys(measures))
        self.places = {measure: place for place, measure in enumerate(self.measures)}


NO_LAYOUT: Final = Layout()


class Totals:
    """The sums of a row on the local day `day`; `places` maps measures to their place in each window."""

    __slots__ = (
        "_shared",
        "before",
        "day",
        "layout",
        "month",
        "places",
        "quarter",
        "reasons",
        "stages",
        "today",
        "week",
    )

    def __init__(self, steps: Mapping[str, Mapping[int, int]], day: int, layout: Layout) -> None:
        self.day = day
        self.layout = layout
        self.places = layout.places.copy()
        width = len(self.places)
        self.today, self.week, self.month, self.quarter, self.before = ([0] * width for _ in range(5))
        self.stages: list[int] = []
        self.reasons: dict[str, list[int]] = {}
        self._shared: dict[str, int] = {}
        for measure, place in self.places.items():
            self._sort(measure, place)
        for measure, entries in steps.items():
            if measure not in self.places:
                self._place(measure)
            self._sum(measure, entries)

    def add(self, measure: str, day: int, by: int) -> None:
        """Add `by` to the entry of `measure` on `day`."""
        place = self.places.get(measure)
        if place is None:
            place = self._place(measure)
        age = self.day - day
        if 0 <= age < _AGES:
            group = _GROUPS[age]
        elif age < 0 and measure not in PROMISES:
            group = 0
        else:
            return
        if group < 4:  # noqa: PLR2004 - the groups of the picture above, from the left
            self.quarter[place] += by
            if group < 3:  # noqa: PLR2004
                self.month[place] += by
                if group < 2:  # noqa: PLR2004
                    self.week[place] += by
                    if not group:
                        self.today[place] += by
        else:
            self.before[place] += by

    def advance(self, steps: Mapping[str, Mapping[int, int]]) -> None:
        """Move the sums to the next day; `steps` are the entries that they sum."""
        day = self.day
        self.day = day + 1
        windows = (self.today, self.week, self.month, self.quarter, self.before)
        leaving = [(day - last, window) for last, window in zip(_LAST_AGES, windows, strict=True)]
        for measure, entries in steps.items():
            place = self.places[measure]
            for at, window in leaving:
                if at in entries:
                    window[place] -= entries[at]
            if day - _LAST_AGES[-2] in entries:
                self.before[place] += entries[day - _LAST_AGES[-2]]
            if measure in PROMISES and day + 1 in entries:
                for window in windows[:-1]:
                    window[place] += entries[day + 1]

    def shared(self) -> list[Shared]:
        """Return the sums that teams add up."""
        if len(self._shared) < 2:  # noqa: PLR2004 - itemgetter gives a tuple from two on
            return [(measure, self.month[place], self.quarter[place]) for measure, place in self._shared.items()]
        pick = itemgetter(*self._shared.values())
        return [*zip(self._shared, pick(self.month), pick(self.quarter), strict=True)]

    def _sum(self, measure: str, entries: Mapping[int, int]) -> None:
        """Add up all entries of a measure."""
        groups = [0] * (_OLD + 1)
        ahead = _OLD if measure in PROMISES else 0
        for day, count in entries.items():
            age = self.day - day
            groups[ahead if age < 0 else _GROUPS[age] if age < _AGES else _OLD] += count
        place = self.places[measure]
        self.today[place], self.week[place], self.month[place], self.quarter[place] = accumulate(groups[:4])
        self.before[place] = groups[4]

    def _place(self, measure: str) -> int:
        """Give `measure` the next place."""
        place = self.places[measure] = len(self.today)
        for window in (self.today, self.week, self.month, self.quarter, self.before):
            window.append(0)
        self._sort(measure, place)
        return place

    def _sort(self, measure: str, place: int) -> None:
        if measure.startswith(_SHARED) or "@" in measure:
            self._shared[measure] = place
        if measure.startswith(_STAGES):
            self.stages.append(place)
        elif measure.startswith(_REASONS):
            self.reasons.setdefault(parse(measure).label, []).append(place)

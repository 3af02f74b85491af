"""The series of a team: the sums of its managers of one partition.

A worker has only the managers of its partitions. So each partition is exported by itself, and queries add them up.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import lru_cache
from itertools import zip_longest
from typing import Final, NamedTuple, TypeAlias

from streams.metrics.catalogue import TEAM_METRICS
from streams.phone_numbers import has_number
from streams.settings.fields import WEEKDAYS
from streams.settings.results import CHANNELS, NONE, OTHER
from streams.settings.settings import Settings
from streams.tables.manager.baseline import Weekday
from streams.tables.manager.view import ManagerView
from streams.tables.measures import (
    AMOUNT,
    DIMENSIONS,
    PROPOSED,
    REACH,
    REASON,
    TOUCH,
    WON,
    by_dimension,
    labelled,
    parse,
)
from streams.tables.outcome.totals import Shared

STEPS: Final = ("call", "presentation", "proposal", "won")
_parse: Final = lru_cache(maxsize=4096)(parse)

Sample: TypeAlias = tuple[tuple[str, ...], float]
"""(values of the labels after `team` and `partition`, value)."""
_Names: TypeAlias = dict[str, dict[str, str]]
"""By dimension, the name under which each value is shown."""
_NOTHING: Final = (0, 0)


class TeamSums:
    """The sums of managers: `sums` are [last 30 days, last 90 days] by measure, `weekdays` [days, calls, ms]."""

    __slots__ = ("legs", "sums", "weekdays")

    def __init__(self) -> None:
        self.sums: dict[str, list[int]] = {}
        self.legs = 0
        self.weekdays = [[0, 0, 0] for _ in WEEKDAYS]

    def replace(self, before: list[Shared], now: list[Shared]) -> None:
        """Subtract the sums `before` of a manager's leads and deals, and add those of `now`."""
        for old, new in zip_longest(before, now):
            if old != new:  # most are equal, in the same place
                if old is not None:
                    self._add(old[0], -old[1], -old[2])
                if new is not None:
                    self._add(*new)

    def _add(self, measure: str, month: int, quarter: int) -> None:
        sums = self.sums.get(measure)
        if sums is None:
            self.sums[measure] = [month, quarter]
            return
        sums[0] += month
        sums[1] += quarter

    def add_weekdays(self, weekdays: Iterable[Weekday], sign: int) -> None:
        """Add a manager's weekdays (`sign` -1: subtract them)."""
        for sums, weekday in zip(self.weekdays, weekdays, strict=True):
            if weekday.days:
                sums[0] += sign * weekday.days
                sums[1] += sign * weekday.calls
                sums[2] += sign * weekday.talk_ms


class _Counted(NamedTuple):
    """The part of a manager's view that the team's sums contain."""

    shared: list[Shared]
    legs: int
    weekdays: tuple[Weekday, ...]


_NOTHING_COUNTED: Final = _Counted([], 0, (Weekday(),) * len(WEEKDAYS))


class Teams:
    """The sums of each team of a partition. They are kept from one reading to the next; only changes are added."""

    __slots__ = ("_counted", "sums")

    def __init__(self) -> None:
        self.sums: dict[str, TeamSums] = {}
        self._counted: dict[str, _Counted] = {}

    def update(self, manager: str, team: str, view: ManagerView) -> None:
        """Replace the manager's last view in the sums of `team` by `view`."""
        sums = self.sums.get(team)
        if sums is None:
            sums = self.sums[team] = TeamSums()
        before = self._counted.get(manager, _NOTHING_COUNTED)
        now = self._counted[manager] = _Counted(view.outcome.shared, view.legs, view.weekdays)
        # Readers return the same objects as long as nothing has changed.
        if before.shared is not now.shared:
            sums.replace(before.shared, now.shared)
        sums.legs += now.legs - before.legs
        if before.weekdays is not now.weekdays:
            sums.add_weekdays(before.weekdays, -1)
            sums.add_weekdays(now.weekdays, 1)


class TeamSeries:
    """Makes the series of a team from its sums, in the order of the catalogue."""

    def __init__(self, settings: Settings) -> None:
        """Raise KeyError if the teams' metrics in the catalogue differ from the ones that are made here."""
        results, economics = settings.results, settings.economics
        self._max_values = results.max_values
        self._listed: Mapping[str, Mapping[str, int]] = {
            "product": _places(results.products),
            "client_type": _places(results.client_types),
            "channel": _places(results.channels),
            "first_kind": {},
        }
        self._reasons = frozenset(results.reasons)
        self._stages = frozenset((NONE, *results.stages))
        self._currencies = economics.currencies
        self._costs = tuple((channel, economics.costs[channel]) for channel in CHANNELS)
        made: dict[str, Callable[[TeamSums, _Names], Iterable[Sample]]] = {
            "team_won_deals": lambda sums, names: self._by_dimension(sums, names, WON),
            "team_proposal_calls": lambda sums, names: self._by_dimension(sums, names, PROPOSED),
            "team_won_amount": self._amounts,
            "team_touches": lambda sums, _: self._touches(sums),
            "team_cost": lambda sums, _: self._spent(sums),
            "team_funnel_leads": lambda sums, _: _funnel(sums),
            "team_follow_up_calls": lambda sums, _: self._follow_ups(sums),
            "team_weekday_days": lambda sums, _: _weekdays(sums, 0, 1),
            "team_weekday_calls": lambda sums, _: _weekdays(sums, 1, 1),
            "team_weekday_talk_seconds": lambda sums, _: _weekdays(sums, 2, 1000),
        }
        described = [metric.name for metric in TEAM_METRICS]
        if set(described) != set(made):
            raise KeyError(f"only here or only in the catalogue: {sorted(set(described) ^ set(made))}")
        self._made = tuple(made[name] for name in described)

    def series(self, sums: TeamSums) -> list[list[Sample]]:
        """Return the team's series of each of the `TEAM_METRICS`; a value that does not occur has no series."""
        names = self._names(sums)
        return [list(make(sums, names)) for make in self._made]

    def _names(self, sums: TeamSums) -> _Names:
        """Return the names under which the values that occur are shown: their own, or `other`.

        Values that the settings name keep their name, then the values with most won deals and calls with a proposal.
        """
        counts: dict[str, dict[str, int]] = {dimension: {} for dimension in DIMENSIONS}
        for measure, (_, quarter) in sums.sums.items():
            parts = _parse(measure)
            if quarter and parts.head in {WON, PROPOSED} and parts.dimension in counts:
                by_value = counts[parts.dimension]
                by_value[parts.value] = by_value.get(parts.value, 0) + quarter
        names: _Names = {}
        for dimension, by_value in counts.items():
            listed = self._listed[dimension]
            last = len(listed)
            allowed = [value for value in by_value if value != OTHER and (value in listed or not has_number(value))]
            allowed.sort(key=lambda value: (listed.get(value, last), -by_value[value], value))
            shown = set(allowed[: self._max_values])
            names[dimension] = {value: value if value in shown else OTHER for value in by_value}
        return names

    def _by_dimension(self, sums: TeamSums, names: _Names, head: str) -> Iterator[Sample]:
        shown: dict[tuple[str, ...], float] = {}
        for dimension in DIMENSIONS:
            for name in sorted(set(names[dimension].values())):
                shown["90d", dimension, name] = 0
            for value, name in names[dimension].items():
                shown["90d", dimension, name] += sums.sums.get(by_dimension(head, dimension, value), _NOTHING)[1]
        return iter(shown.items())

    def _amounts(self, sums: TeamSums, names: _Names) -> Iterator[Sample]:
        shown: dict[tuple[str, ...], float] = {}
        channels = names["channel"]
        for measure, (_, quarter) in sums.sums.items():
            parts = _parse(measure)
            if parts.head == AMOUNT and parts.dimension and quarter and parts.label in self._currencies:
                labels = ("90d", channels.get(parts.value, OTHER), parts.label)
                shown[labels] = shown.get(labels, 0) + quarter
        return ((labels, amount / 1000) for labels, amount in sorted(shown.items()))

    def _touches(self, sums: TeamSums) -> Iterator[Sample]:
        for channel, _ in self._costs:
            touches = sums.legs if channel == "call" else sums.sums.get(labelled(TOUCH, channel), _NOTHING)[1]
            yield ("90d", channel), touches

    def _spent(self, sums: TeamSums) -> Iterator[Sample]:
        for (labels, touches), (_, cost) in zip(self._touches(sums), self._costs, strict=True):
            yield labels, touches * cost

    def _follow_ups(self, sums: TeamSums) -> Iterator[Sample]:
        shown: dict[tuple[str, ...], float] = {}
        for measure, (month, _) in sums.sums.items():
            parts = _parse(measure)
            if month and parts.head == REASON:
                labels = (
                    "30d",
                    parts.label if parts.label in self._reasons else OTHER,
                    parts.value if parts.value in self._stages else OTHER,
                )
                shown[labels] = shown.get(labels, 0) + month
        return iter(sorted(shown.items()))


def _funnel(sums: TeamSums) -> Iterator[Sample]:
    for place, window in enumerate(("30d", "90d")):
        for step in STEPS:
            yield (window, step), sums.sums.get(labelled(REACH, step), _NOTHING)[place]


def _weekdays(sums: TeamSums, place: int, unit: int) -> Iterator[Sample]:
    for name, counts in zip(WEEKDAYS, sums.weekdays, strict=True):
        yield (name,), counts[place] / unit if unit != 1 else counts[place]


def _places(values: tuple[str, ...]) -> Mapping[str, int]:
    return {value: place for place, value in enumerate(values)}

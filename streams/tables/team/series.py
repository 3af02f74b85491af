"""The series of a team: what its managers of one partition add up to.

A worker knows the managers of its partitions only. So each partition is told by itself, and whoever reads adds the
partitions up.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import lru_cache
from itertools import zip_longest
from typing import Final, TypeAlias

from streams.metrics.catalogue import TEAM_METRICS
from streams.phone_numbers import has_number
from streams.settings.fields import WEEKDAYS
from streams.settings.results import CHANNELS, NONE, OTHER
from streams.settings.settings import Settings
from streams.tables.manager.baseline import Weekday
from streams.tables.manager.view import ManagerView
from streams.tables.outcome.fold import split
from streams.tables.outcome.totals import REASON, Shared

DIMENSIONS: Final = ("product", "client_type", "channel", "first_kind")
STEPS: Final = ("call", "presentation", "proposal", "won")
_WON: Final = "won"
_PROPOSED: Final = "proposed"
_AMOUNT: Final = "amount"
_split: Final = lru_cache(maxsize=4096)(split)

Found: TypeAlias = tuple[tuple[str, ...], float]
"""(values of the labels behind `team` and `partition`, value)."""
_Names: TypeAlias = dict[str, dict[str, str]]
_NOTHING: Final = (0, 0)


class TeamSums:
    """What managers add up to: `sums` are [last 30 days, last 90 days] by measure, `weekdays` [days, calls, ms]."""

    __slots__ = ("legs", "sums", "weekdays")

    def __init__(self) -> None:
        self.sums: dict[str, list[int]] = {}
        self.legs = 0
        self.weekdays = [[0, 0, 0] for _ in WEEKDAYS]

    def exchange(self, before: list[Shared], now: list[Shared]) -> None:
        """Take away what a manager's leads and deals came to `before` and add what they come to `now`."""
        for old, new in zip_longest(before, now):
            if old != new:  # most are the same, in the same place
                if old is not None:
                    self._add(old[0], -old[1], -old[2])
                if new is not None:
                    self._add(*new)

    def _add(self, measure: str, month: int, quarter: int) -> None:
        found = self.sums.get(measure)
        if found is None:
            self.sums[measure] = [month, quarter]
            return
        found[0] += month
        found[1] += quarter

    def add_weekdays(self, weekdays: Iterable[Weekday], sign: int) -> None:
        """Add what a manager's weekdays come to (`sign` -1: take it away)."""
        for found, weekday in zip(self.weekdays, weekdays, strict=True):
            if weekday.days:
                found[0] += sign * weekday.days
                found[1] += sign * weekday.calls
                found[2] += sign * weekday.talk_ms


class Teams:
    """The sums of each team of a partition, kept from one reading to the next: only what changed is added again."""

    __slots__ = ("_seen", "sums")

    def __init__(self) -> None:
        self.sums: dict[str, TeamSums] = {}
        self._seen: dict[str, tuple[list[Shared], int, tuple[Weekday, ...]]] = {}

    def tell(self, manager: str, team: str, view: ManagerView) -> None:
        """Let `manager` of `team` count as in `view`, instead of as told before."""
        sums = self.sums.get(team)
        if sums is None:
            sums = self.sums[team] = TeamSums()
        shared, legs, weekdays = seen = view.outcome.shared, view.legs, view.weekdays
        before = self._seen.get(manager, _UNSEEN)
        self._seen[manager] = seen
        # What was read and has not changed since is the same object.
        if before[0] is not shared:
            sums.exchange(before[0], shared)
        sums.legs += legs - before[1]
        if before[2] is not weekdays:
            sums.add_weekdays(before[2], -1)
            sums.add_weekdays(weekdays, 1)


_UNSEEN: Final[tuple[list[Shared], int, tuple[Weekday, ...]]] = ([], 0, (Weekday(),) * len(WEEKDAYS))


class TeamSeries:
    """Makes the series of a team out of its sums, metric by metric of the catalogue."""

    def __init__(self, settings: Settings) -> None:
        """Raise KeyError where the metrics of teams in the catalogue and those that are made here differ."""
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
        made: dict[str, Callable[[TeamSums, _Names], Iterable[Found]]] = {
            "team_won_deals": lambda sums, names: self._by_dimension(sums, names, _WON),
            "team_proposal_calls": lambda sums, names: self._by_dimension(sums, names, _PROPOSED),
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

    def series(self, sums: TeamSums) -> list[list[Found]]:
        """Return, for each of the `TEAM_METRICS`, the series of the team; values that do not occur have none."""
        names = self._names(sums)
        return [list(make(sums, names)) for make in self._made]

    def _names(self, sums: TeamSums) -> _Names:
        """Return how each value that occurs is shown: by its name, or as `other`.

        By name are those that the settings name, then those with most won deals and calls with a proposal.
        """
        counts: dict[str, dict[str, int]] = {dimension: {} for dimension in DIMENSIONS}
        for measure, (_, quarter) in sums.sums.items():
            parts = _split(measure)
            if parts is not None and quarter and parts[0] in {_WON, _PROPOSED} and parts[1] in counts:
                of = counts[parts[1]]
                of[parts[2]] = of.get(parts[2], 0) + quarter
        names: _Names = {}
        for dimension, of in counts.items():
            listed = self._listed[dimension]
            last = len(listed)
            allowed = [value for value in of if value != OTHER and (value in listed or not has_number(value))]
            allowed.sort(key=lambda value: (listed.get(value, last), -of[value], value))
            shown = set(allowed[: self._max_values])
            names[dimension] = {value: value if value in shown else OTHER for value in of}
        return names

    def _by_dimension(self, sums: TeamSums, names: _Names, head: str) -> Iterator[Found]:
        shown: dict[tuple[str, ...], float] = {}
        for dimension in DIMENSIONS:
            of = names[dimension]
            for name in sorted(set(of.values())):
                shown["90d", dimension, name] = 0
            for value, name in of.items():
                found = sums.sums.get(f"{head}@{dimension}={value}")
                if found is not None:
                    shown["90d", dimension, name] += found[1]
        return iter(shown.items())

    def _amounts(self, sums: TeamSums, names: _Names) -> Iterator[Found]:
        shown: dict[tuple[str, ...], float] = {}
        channels = names["channel"]
        for measure, (_, quarter) in sums.sums.items():
            parts = _split(measure)
            if parts is not None and parts[0] == _AMOUNT and quarter and parts[3][1:] in self._currencies:
                labels = ("90d", channels.get(parts[2], OTHER), parts[3][1:])
                shown[labels] = shown.get(labels, 0) + quarter
        return ((labels, amount / 1000) for labels, amount in sorted(shown.items()))

    def _touches(self, sums: TeamSums) -> Iterator[Found]:
        for channel, _ in self._costs:
            touches = sums.legs if channel == "call" else sums.sums.get(f"touch:{channel}", _NOTHING)[1]
            yield ("90d", channel), touches

    def _spent(self, sums: TeamSums) -> Iterator[Found]:
        for (labels, touches), (_, cost) in zip(self._touches(sums), self._costs, strict=True):
            yield labels, touches * cost

    def _follow_ups(self, sums: TeamSums) -> Iterator[Found]:
        shown: dict[tuple[str, ...], float] = {}
        for measure, (month, _) in sums.sums.items():
            if month and measure.startswith(REASON):
                reason, _, stage = measure.removeprefix(REASON).partition("@")
                labels = (
                    "30d",
                    reason if reason in self._reasons else OTHER,
                    stage if stage in self._stages else OTHER,
                )
                shown[labels] = shown.get(labels, 0) + month
        return iter(sorted(shown.items()))


def _funnel(sums: TeamSums) -> Iterator[Found]:
    for place, window in enumerate(("30d", "90d")):
        for step in STEPS:
            yield (window, step), sums.sums.get(f"reach:{step}", _NOTHING)[place]


def _weekdays(sums: TeamSums, place: int, unit: int) -> Iterator[Found]:
    for name, counts in zip(WEEKDAYS, sums.weekdays, strict=True):
        yield (name,), counts[place] / unit if unit != 1 else counts[place]


def _places(values: tuple[str, ...]) -> Mapping[str, int]:
    return {value: place for place, value in enumerate(values)}

"""What is exported of managers and teams: rows in partitions owned now, read at one moment, and a collector over them.

Every manager on the roster is there from the first scrape, at 0, and so is everyone whom events name. In a group of
workers each manager is exported by the one that owns the manager's partition, and by no other. A team is exported
partition by partition.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import groupby
from operator import itemgetter
from typing import Any, Final, NamedTuple

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from streams.calendars import local_time, shift_bounds
from streams.metrics.catalogue import TEAM_METRICS, Metric, manager_metrics
from streams.settings.settings import Manager, Settings
from streams.tables.manager.row import ManagerRow
from streams.tables.manager.series import VARYING, ManagerSeries
from streams.tables.manager.view import NO_ROSTER, ManagerCache, ManagerReader, ManagerView, Roster
from streams.tables.outcome.view import Series
from streams.tables.team.series import Sample, Teams, TeamSeries

MANAGERS: Final = "managers"
OUTCOMES: Final = "outcomes"


class Family(NamedTuple):
    """A metric with the part `[start, end)` that it has in the values of a manager."""

    metric: Metric
    start: int
    end: int


class Entry:
    """A manager to be exported. `blank` is the row of one without events; `plan` is whose shifts are theirs too."""

    __slots__ = ("blank", "id", "plan", "plan_deals", "team")

    def __init__(self, manager: Manager, plan: int | None) -> None:
        self.id = manager.id
        self.team = manager.team
        self.plan = plan
        self.plan_deals = manager.plan_deals
        self.blank = ManagerRow(manager.id, local_time(manager.timezone))


class Held(NamedTuple):
    """The rows of a partition as they were when reading began; `None` where there were none."""

    partition: int
    parts: tuple[Any, ...]


class Managers:
    """Reads managers out of the tables `managers` and `outcomes`.

    `tables` may lack `outcomes`: then the measures of leads are 0. `place` gives the partition of a key.
    """

    def __init__(self, settings: Settings, tables: Mapping[str, Any], place: Callable[[bytes], int]) -> None:
        manager_series = ManagerSeries(settings)
        self.series: tuple[Series, ...] = manager_series.series
        by_name = {metric.name: metric for metric in manager_metrics(settings)}
        self.families = _families(self.series, by_name)
        self.varying_metrics = tuple(by_name[name] for name in VARYING)
        self.values = manager_series.values
        self.varying = manager_series.varying
        self.team_series = TeamSeries(settings).series
        self._read = ManagerReader(settings).read
        self._settings = settings
        self._managers = tables[MANAGERS]
        self._outcomes = tables.get(OUTCOMES)
        self._tables = [table for table in (self._managers, self._outcomes) if table is not None]
        self._entries: dict[bytes, Entry] = {}
        self._roster: dict[int, list[bytes]] = {}
        self._sums: dict[int, tuple[Held, Teams]] = {}
        self._caches: dict[int, dict[bytes, ManagerCache]] = {}
        self._shifts: list[Manager] = []  # one manager for each plan of shifts
        plans: dict[Any, int] = {}
        for manager in settings.managers.values():
            plan = None
            if manager.shifts:
                calendar = settings.calendar_of(manager)
                plan = plans.setdefault((manager.timezone, manager.shifts, calendar), len(plans))
                if plan == len(self._shifts):
                    self._shifts.append(manager)
            key = manager.id.encode()
            self._entries[key] = Entry(manager, plan)
            self._roster.setdefault(place(key), []).append(key)

    def partitions(self) -> list[int]:
        """Return the partitions whose managers this worker may export now: those that are whole in every table."""
        return sorted(frozenset.intersection(*(table.owned for table in self._tables)))

    def hold(self, partition: int) -> Held:
        """Remember the rows of `partition`, for `holds` to tell later whether they are still the ones to export."""
        return Held(partition, tuple(table.parts.get(partition) for table in self._tables))

    def holds(self, held: Held) -> bool:
        """Tell whether the partition has stayed ours since `hold`; one that left and came back has not."""
        return all(
            held.partition in table.owned and (part is None or table.parts.get(held.partition) is part)
            for table, part in zip(self._tables, held.parts, strict=True)
        )

    def sums(self, held: Held) -> Teams:
        """Return what the managers of the partition add up to by team, as they were last told to it."""
        for partition in self._sums.keys() - self._managers.owned:
            del self._sums[partition]
            self._caches.pop(partition, None)
        found = self._sums.get(held.partition)
        if found is None or any(a is not b for a, b in zip(found[0].parts, held.parts, strict=True)):
            found = self._sums[held.partition] = held, Teams()
        return found[1]

    def keys(self, partition: int) -> list[bytes]:
        """Return the keys of the partition's managers: those on the roster, then those whom only events name.

        Somebody whom only the CRM names, and no call, is one of them.
        """
        of_roster = self._roster.get(partition, [])
        named: set[bytes] = set()
        for table in self._tables:
            part = table.parts.get(partition)
            if part is not None:
                named.update(part.rows)
        return [*of_roster, *sorted(named.difference(of_roster))] if named else of_roster

    def entry(self, key: bytes) -> Entry:
        """Return what the roster says of the manager with `key`; one whom it does not know is in team `unassigned`."""
        found = self._entries.get(key)
        if found is None:
            found = self._entries[key] = Entry(self._settings.manager(key.decode()), None)
        return found

    def rosters(self, now_ms: int) -> list[Roster]:
        """Return what each plan of shifts says of the moment, for `values`."""
        return [
            Roster(shift=shift_bounds(self._settings, manager, now_ms), has_shifts=True) for manager in self._shifts
        ]

    def view(self, partition: int, key: bytes, rosters: list[Roster], now_ms: int) -> ManagerView:
        """Return what is known of a manager at `now_ms`, for `values`, `varying` and `Teams.update`."""
        entry = self.entry(key)
        row, outcome = _row(self._managers, partition, key), None
        if self._outcomes is not None:
            outcome = _row(self._outcomes, partition, key)
        roster = NO_ROSTER if entry.plan is None else rosters[entry.plan]
        caches = self._caches.setdefault(partition, {})
        cache = caches.get(key)
        if cache is None:
            cache = caches[key] = ManagerCache()
        return self._read(entry.blank if row is None else row, now_ms, roster, outcome, entry.plan_deals, cache)

    def teams(self) -> dict[str, int]:
        """Return the number of managers exported here by team; every team of the settings is there."""
        counts = dict.fromkeys((*self._settings.teams, *(entry.team for entry in self._entries.values())), 0)
        for partition in self.partitions():
            for key in self.keys(partition):
                team = self.entry(key).team
                counts[team] = counts.get(team, 0) + 1
        return counts


class ManagerCollector(Collector):
    """The managers as prometheus_client sees them, for a registry of one's own. `clock_ms` gives the moment to read at.

    It does in one go, on the caller's thread, what `exposition.Exposition` does in slices and several times as fast.
    """

    def __init__(self, managers: Managers, clock_ms: Callable[[], int]) -> None:
        self._managers = managers
        self._clock_ms = clock_ms

    def describe(self) -> list[GaugeMetricFamily]:
        """Return nothing: the registry would otherwise read all rows to learn the names."""
        return []

    def collect(self) -> Iterable[GaugeMetricFamily]:
        """Return the families of the catalogue with the managers of this moment."""
        managers = self._managers
        now_ms = self._clock_ms()
        rosters = managers.rosters(now_ms)
        seen: list[tuple[Entry, ManagerView]] = []
        of_teams = []
        for partition in managers.partitions():
            teams = Teams()
            for key in managers.keys(partition):
                entry, view = managers.entry(key), managers.view(partition, key, rosters, now_ms)
                seen.append((entry, view))
                teams.update(entry.id, entry.team, view)
            for team, sums in teams.sums.items():
                of_teams.append(((team, str(partition)), managers.team_series(sums)))
        read = [(entry, managers.values(view)) for entry, view in seen]
        for metric, start, end in managers.families:
            family = _family(metric)
            for entry, values in read:
                for (_, labels), value in zip(managers.series[start:end], values[start:end], strict=True):
                    if value is not None:
                        family.add_metric((entry.id, entry.team, *labels), value)
            yield family
        varying = [((entry.id, entry.team), managers.varying(view)) for entry, view in seen]
        yield from _found(managers.varying_metrics, varying)
        yield from _found(TEAM_METRICS, of_teams)


def _found(
    metrics: Iterable[Metric], told: Iterable[tuple[tuple[str, str], Sequence[Iterable[Sample]]]]
) -> Iterable[GaugeMetricFamily]:
    """Yield the families of metrics whose series are not the same for everyone; `told` are labels and series."""
    for place, metric in enumerate(metrics):
        family = _family(metric)
        for whose, of_metrics in told:
            for labels, value in of_metrics[place]:
                family.add_metric((*whose, *labels), value)
        yield family


def _family(metric: Metric) -> GaugeMetricFamily:
    return GaugeMetricFamily(metric.full_name, metric.help, labels=metric.labels)


def _families(series: tuple[Series, ...], by_name: Mapping[str, Metric]) -> tuple[Family, ...]:
    """Return the metrics in the order of their series, each with its place among them."""
    families = []
    start = 0
    for name, group in groupby(series, key=itemgetter(0)):
        end = start + len(list(group))
        families.append(Family(by_name[name], start, end))
        start = end
    return tuple(families)


def _row(table: Any, partition: int, key: bytes) -> Any:
    part = table.parts.get(partition)
    return None if part is None else part.rows.get(key)

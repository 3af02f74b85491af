"""The managers and teams that a worker exports: rows in partitions owned now, read at one moment.

Every manager on the roster is exported from the first scrape, at 0, and so is every manager that events name. In a
group of workers, a manager is exported by the worker that owns the manager's partition, and by no other. A team is
exported partition by partition.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import groupby
from operator import itemgetter
from typing import Any, Final, NamedTuple

from streams.calendars import local_time, shift_bounds
from streams.metrics.catalogue import Metric, manager_metrics
from streams.settings.settings import Manager, Settings
from streams.tables.manager.row import ManagerRow
from streams.tables.manager.series import VARYING, ManagerSeries
from streams.tables.manager.view import NO_ROSTER, ManagerCache, ManagerReader, ManagerSpeech, ManagerView, Roster
from streams.tables.outcome.view import Series
from streams.tables.team.series import Teams, TeamSeries

MANAGERS: Final = "managers"
OUTCOMES: Final = "outcomes"
COACHING: Final = "coaching"


class Family(NamedTuple):
    """A metric whose values are `[start, end)` among the values of a manager."""

    metric: Metric
    start: int
    end: int


class ExportedManager:
    """A manager to be exported. `blank` is the row of one without events; `plan` numbers the plan of shifts."""

    __slots__ = ("blank", "id", "name", "plan", "plan_deals", "team")

    def __init__(self, manager: Manager, plan: int | None) -> None:
        self.id = manager.id
        self.name = manager.name
        self.team = manager.team
        self.plan = plan
        self.plan_deals = manager.plan_deals
        self.blank = ManagerRow(manager.id, local_time(manager.timezone))


class Snapshot(NamedTuple):
    """The rows of a partition as they were when reading began; None where there were none."""

    partition: int
    parts: tuple[Any, ...]


class Managers:
    """Reads managers out of the tables `managers`, `outcomes` and `coaching`.

    `tables` may lack the last two: then the measures of leads are 0, and no call is heard. `partition_for` returns the
    partition of a key, `talking_ms` the time that a manager has talked in a call in progress, at a moment.
    """

    def __init__(
        self,
        settings: Settings,
        tables: Mapping[str, Any],
        partition_for: Callable[[bytes], int],
        session_is_over: Callable[[], bool] = lambda: False,
        talking_ms: Callable[[bytes, int], int] = lambda _manager, _now_ms: 0,
    ) -> None:
        self._session_is_over = session_is_over
        self._talking_ms = talking_ms
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
        self._coaching = tables.get(COACHING)
        self._tables = [table for table in (self._managers, self._outcomes, self._coaching) if table is not None]
        self._entries: dict[bytes, ExportedManager] = {}
        self._roster: dict[int, list[bytes]] = {}
        self._sums: dict[int, tuple[Snapshot, Teams]] = {}
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
            self._entries[key] = ExportedManager(manager, plan)
            self._roster.setdefault(partition_for(key), []).append(key)

    def partitions(self) -> list[int]:
        """Return the partitions whose managers this worker may export now: those that are whole in every table.

        There are none once the session in the group may be over: another worker may export them.
        """
        if self._session_is_over():
            return []
        return sorted(frozenset.intersection(*(table.owned for table in self._tables)))

    def snapshot(self, partition: int) -> Snapshot:
        """Return the rows of `partition` as they are now, for `is_current`."""
        return Snapshot(partition, tuple(table.parts.get(partition) for table in self._tables))

    def is_current(self, snapshot: Snapshot) -> bool:
        """Return whether this worker has owned the partition ever since the snapshot, without a break."""
        return not self._session_is_over() and all(
            snapshot.partition in table.owned and (part is None or table.parts.get(snapshot.partition) is part)
            for table, part in zip(self._tables, snapshot.parts, strict=True)
        )

    def sums(self, snapshot: Snapshot) -> Teams:
        """Return the sums of the partition's managers by team, as of the last scrape."""
        for partition in self._sums.keys() - self._managers.owned:
            del self._sums[partition]
            self._caches.pop(partition, None)
        found = self._sums.get(snapshot.partition)
        if found is None or any(a is not b for a, b in zip(found[0].parts, snapshot.parts, strict=True)):
            found = self._sums[snapshot.partition] = snapshot, Teams()
        return found[1]

    def keys(self, partition: int) -> list[bytes]:
        """Return the keys of the partition's managers: those on the roster, then those that only events name.

        A manager that only the CRM names is one of them.
        """
        of_roster = self._roster.get(partition, [])
        named: set[bytes] = set()
        for table in self._tables:
            part = table.parts.get(partition)
            if part is not None:
                named.update(part.rows)
        return [*of_roster, *sorted(named.difference(of_roster))] if named else of_roster

    def entry(self, key: bytes) -> ExportedManager:
        """Return the manager with `key`; one that is not on the roster is in team `unassigned`."""
        found = self._entries.get(key)
        if found is None:
            found = self._entries[key] = ExportedManager(self._settings.manager(key.decode()), None)
        return found

    def rosters(self, now_ms: int) -> list[Roster]:
        """Return the state of each plan of shifts at `now_ms`, for `view`."""
        return [
            Roster(shift=shift_bounds(self._settings, manager, now_ms), has_shifts=True) for manager in self._shifts
        ]

    def view(self, partition: int, key: bytes, rosters: list[Roster], now_ms: int) -> ManagerView:
        """Return the figures of a manager at `now_ms`, for `values`, `varying` and `Teams.update`."""
        entry = self.entry(key)
        row, outcome = _row(self._managers, partition, key), None
        if self._outcomes is not None:
            outcome = _row(self._outcomes, partition, key)
        roster = NO_ROSTER if entry.plan is None else rosters[entry.plan]
        caches = self._caches.setdefault(partition, {})
        cache = caches.get(key)
        if cache is None:
            cache = caches[key] = ManagerCache()
        speech = ManagerSpeech(
            None if self._coaching is None else _row(self._coaching, partition, key), self._talking_ms(key, now_ms)
        )
        return self._read(entry.blank if row is None else row, now_ms, roster, outcome, entry.plan_deals, cache, speech)

    def teams(self) -> dict[str, int]:
        """Return the number of managers that this worker exports, by team; every team of the settings has an entry."""
        counts = dict.fromkeys((*self._settings.teams, *(entry.team for entry in self._entries.values())), 0)
        for partition in self.partitions():
            for key in self.keys(partition):
                team = self.entry(key).team
                counts[team] = counts.get(team, 0) + 1
        return counts

    def team_name(self, team: str) -> str:
        """Return the name of a team on the roster, or the id of one that has none there."""
        known = self._settings.teams.get(team)
        return team if known is None else known.name


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

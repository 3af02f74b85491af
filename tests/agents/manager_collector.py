"""The managers as a collector of prometheus_client: a plain implementation of the text that `Exposition` writes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from agents.telemetry.managers import ExportedManager, Managers
from streams.metrics.catalogue import MANAGER_INFO, TEAM_METRICS, Metric
from streams.tables.manager.view import ManagerView
from streams.tables.team.series import Sample, Teams


class ManagerCollector(Collector):
    """The collector of managers for a separate registry. `clock_ms` returns the moment to read at.

    It reads all rows in one go, on the caller's thread.
    """

    def __init__(self, managers: Managers, clock_ms: Callable[[], int]) -> None:
        self._managers = managers
        self._clock_ms = clock_ms

    def describe(self) -> list[GaugeMetricFamily]:
        """Return no families: the registry would otherwise read all rows for the names."""
        return []

    def collect(self) -> Iterable[GaugeMetricFamily]:
        """Return the families of the catalogue with the managers of this moment."""
        managers = self._managers
        now_ms = self._clock_ms()
        rosters = managers.rosters(now_ms)
        seen: list[tuple[ExportedManager, ManagerView]] = []
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
        names = [((entry.id, entry.team), [[((entry.name,), 1)]]) for entry, _ in seen]
        yield from _found([MANAGER_INFO], names)
        yield from _found(TEAM_METRICS, of_teams)


def _found(
    metrics: Iterable[Metric], told: Iterable[tuple[tuple[str, str], Sequence[Iterable[Sample]]]]
) -> Iterable[GaugeMetricFamily]:
    """Yield the families of metrics whose series differ between managers; `told` are labels and series."""
    for place, metric in enumerate(metrics):
        family = _family(metric)
        for whose, of_metrics in told:
            for labels, value in of_metrics[place]:
                family.add_metric((*whose, *labels), value)
        yield family


def _family(metric: Metric) -> GaugeMetricFamily:
    return GaugeMetricFamily(metric.full_name, metric.help, labels=metric.labels)

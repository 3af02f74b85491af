"""The text of a scrape, written in slices so that folding goes on beside it.

prometheus_client makes an object of every sample and takes most of a second for a thousand managers, all of it on the
event loop that also folds. Here a line is four strings: the start of the series, the manager's labels, the rest of the
series, the value. Series that differ from manager to manager, and those of teams, are few and made at each scrape.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Iterator
from functools import lru_cache
from itertools import compress
from operator import ne
from typing import Final

from prometheus_client import CollectorRegistry, Metric, generate_latest
from prometheus_client.registry import Collector

from agents.telemetry.gauges import Gauges
from agents.telemetry.labels import escape
from agents.telemetry.managers import ExportedManager, Managers
from agents.telemetry.reconciliations import ReconciliationLines
from streams.metrics.catalogue import MANAGER_INFO, RECONCILIATION_METRICS, TEAM_METRICS
from streams.metrics.catalogue import Metric as Described
from streams.tables.manager.view import ManagerView
from streams.tables.outcome.view import Value, Varying
from streams.tables.team.series import Sample, Teams

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
SLICE_S: Final = 0.008


class CachedLines:
    """The lines of a manager in the last scrape: values with their lines, and series that only this manager has."""

    __slots__ = ("found", "info", "labels", "lines", "texts", "values")

    def __init__(self, entry: ExportedManager, series: int, varying: int) -> None:
        self.labels = f'manager="{escape(entry.id)}",team="{escape(entry.team)}"'
        self.info = f'{MANAGER_INFO.full_name}{{{self.labels},name="{escape(entry.name)}"}} 1\n'
        self.values: list[Value] = [None] * series
        self.lines = [""] * series
        self.found: list[list[Varying]] = [[]] * varying
        self.texts = [""] * varying


class Exposition:
    """Writes the scrapes of a worker: managers and teams of the partitions owned now, and the metrics of `registry`."""

    def __init__(
        self,
        managers: Managers,
        gauges: Gauges,
        registry: CollectorRegistry,
        reconciliations: ReconciliationLines,
        *,
        slice_s: float = SLICE_S,
    ) -> None:
        self.managers = managers
        self.gauges = gauges
        self._registry = registry
        self._reconciliations = reconciliations
        self._slice_s = slice_s
        self._cached: dict[int, dict[ExportedManager, CachedLines]] = {}
        families = self.managers.families
        metrics = [*(family.metric for family in families), *self.managers.varying_metrics]
        metrics += [MANAGER_INFO, *TEAM_METRICS]
        self._heads = [_head(metric) for metric in metrics]
        self._spans = [(family.start, family.end) for family in families]
        self._reconciled_heads = [_head(metric) for metric in RECONCILIATION_METRICS]
        self._series = _series(self.managers)
        self._indexes = range(len(self._series))

    async def text(self, now_ms: int) -> bytes:
        """Return the text format of a scrape, every manager read at `now_ms`.

        It yields to the event loop after each slice. A partition that is revoked meanwhile is not in the text.
        """
        managers = self.managers
        rosters = managers.rosters(now_ms)
        partitions = managers.partitions()
        for partition in self._cached.keys() - partitions:
            del self._cached[partition]
        texts_by_partition = []
        deadline = time.perf_counter() + self._slice_s
        for partition in partitions:
            snapshot = managers.snapshot(partition)
            teams = managers.sums(snapshot)
            cached = self._cached.setdefault(partition, {})
            lines: list[list[str]] = []
            texts: list[list[str]] = []
            infos: list[str] = []
            for key in managers.keys(partition):
                if time.perf_counter() > deadline:
                    await asyncio.sleep(0)
                    deadline = time.perf_counter() + self._slice_s
                    if not managers.is_current(snapshot):
                        break
                entry = managers.entry(key)
                view = managers.view(partition, key, rosters, now_ms)
                teams.update(entry.id, entry.team, view)
                own = self._write(cached, entry, view)
                lines.append(own.lines)
                texts.append(own.texts)
                infos.append(own.info)
            else:
                await asyncio.sleep(0)
                deadline = time.perf_counter() + self._slice_s
                families = [*self._families(lines), *self._joined(texts), "".join(infos).encode()]
                families += self._of_teams(partition, teams)
                texts_by_partition.append((snapshot, families))
        await self._reconciliations.prepare(managers, now_ms, self._slice_s)
        # From here on nothing is awaited: the partitions that are owned now are the ones in the text.
        current = [families for snapshot, families in texts_by_partition if managers.is_current(snapshot)]
        parts = []
        for index, head in enumerate(self._heads):
            parts.append(head)
            parts += [families[index] for families in current]
        parts += map(bytes.__add__, self._reconciled_heads, self._reconciliations.texts(managers))
        self.gauges.refresh()
        parts.append(generate_latest(_Countable(self._registry)))
        return b"".join(parts)

    def _write(
        self, cached: dict[ExportedManager, CachedLines], entry: ExportedManager, view: ManagerView
    ) -> CachedLines:
        """Return the lines of a manager. Lines whose values have not changed come from the cache."""
        managers = self.managers
        own = cached.get(entry)
        if own is None:
            own = cached[entry] = CachedLines(entry, len(self._series), len(managers.varying_metrics))
        labels = own.labels
        values = managers.values(view)
        changed = [*compress(self._indexes, map(ne, values, own.values))]
        if changed:
            own.values = values
            lines = own.lines = own.lines.copy()  # another scrape may use the old ones
            for index in changed:
                value = values[index]
                begin, rest = self._series[index]
                lines[index] = f"{begin}{labels}{rest}{value}\n" if value is not None else ""
        for index, found in enumerate(managers.varying(view)):
            if found != own.found[index]:
                own.found[index] = found
                own.texts[index] = _text(managers.varying_metrics[index], labels, found)
        return own

    def _families(self, lines: list[list[str]]) -> Iterator[bytes]:
        """Yield the text of each family. `lines` has a row per manager; the series are its columns."""
        columns = ["".join(column) for column in zip(*lines, strict=True)]
        for start, end in self._spans:
            yield "".join(columns[start:end]).encode()

    def _joined(self, texts: list[list[str]]) -> Iterator[bytes]:
        for index, _ in enumerate(self.managers.varying_metrics):
            yield "".join(of_manager[index] for of_manager in texts).encode()

    def _of_teams(self, partition: int, teams: Teams) -> list[bytes]:
        texts = [""] * len(TEAM_METRICS)
        for team, sums in teams.sums.items():
            labels = f'team="{escape(team)}",partition="{partition}"'
            for index, (metric, found) in enumerate(zip(TEAM_METRICS, self.managers.team_series(sums), strict=True)):
                texts[index] += _text(metric, labels, found)
        return [text.encode() for text in texts]


class _Countable(Collector):
    """A registry without the `_created` samples of its counters, which the catalogue does not have."""

    def __init__(self, registry: Collector) -> None:
        self._registry = registry

    def collect(self) -> Iterator[Metric]:
        for family in self._registry.collect():
            family.samples = [sample for sample in family.samples if not sample.name.endswith("_created")]
            yield family


def _series(managers: Managers) -> list[tuple[str, str]]:
    """Return the text of each series before and behind the labels of the manager."""
    lines = []
    for metric, start, end in managers.families:
        own = metric.labels[2:]  # behind manager and team
        for _, values in managers.series[start:end]:
            lines.append((f"{metric.full_name}{{", _rest(own, values)))
    return lines


def _text(metric: Described, labels: str, found: Iterable[Sample]) -> str:
    """Return the lines of a metric's series; `labels` are those of the manager or the team."""
    begin, own = f"{metric.full_name}{{{labels}", metric.labels[2:]
    return "".join([f"{begin}{_rest(own, values)}{value}\n" for values, value in found])


@lru_cache(maxsize=16_384)
def _rest(names: tuple[str, ...], values: tuple[str, ...]) -> str:
    """Return the text between the labels of the manager or team and the value."""
    return "".join(f',{name}="{escape(value)}"' for name, value in zip(names, values, strict=True)) + "} "


def _head(metric: Described) -> bytes:
    text = metric.help.replace("\\", r"\\").replace("\n", r"\n")
    return f"# HELP {metric.full_name} {text}\n# TYPE {metric.full_name} {metric.type}\n".encode()

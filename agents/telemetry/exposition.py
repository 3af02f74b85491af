"""The text of a scrape, written in slices so that folding goes on beside it.

prometheus_client makes an object of every sample and takes most of a second for a thousand managers, all of it on the
event loop that also folds. Here a line is four strings: what the series begins with, the manager's labels, the rest of
the series, the value. What differs from manager to manager, and what teams add up to, is little and made as it comes.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Iterator
from functools import lru_cache
from itertools import compress
from operator import ne
from typing import TYPE_CHECKING, Final

from prometheus_client import Metric, generate_latest
from prometheus_client.registry import Collector

from agents.state.recovery import Restore
from agents.telemetry.gauges import Gauges
from agents.telemetry.managers import Entry, Managers
from streams.metrics.catalogue import TEAM_METRICS
from streams.metrics.catalogue import Metric as Described
from streams.tables.manager.view import ManagerView
from streams.tables.outcome.view import Value, Varying
from streams.tables.team.series import Sample, Teams

if TYPE_CHECKING:
    from agents.core import Core

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
SLICE_S: Final = 0.008


class Written:
    """What was last written of a manager: the values with their lines, and the series that only this manager has."""

    __slots__ = ("found", "labels", "lines", "texts", "values")

    def __init__(self, entry: Entry, series: int, varying: int) -> None:
        self.labels = f'manager="{_escape(entry.id)}",team="{_escape(entry.team)}"'
        self.values: list[Value] = [None] * series
        self.lines = [""] * series
        self.found: list[list[Varying]] = [[]] * varying
        self.texts = [""] * varying


class Exposition:
    """Writes what a worker exports: managers and teams of the partitions owned now, and the worker's own metrics."""

    def __init__(self, core: Core, *, slice_s: float = SLICE_S) -> None:
        self.lag = core.lag
        self.managers = Managers(core.settings, core.tables, core.place)
        self.restore = Restore(core)
        self.gauges = Gauges(core, self.lag, self.restore, self.managers)
        self._registry = core.operations.registry
        self._slice_s = slice_s
        self._written: dict[int, dict[Entry, Written]] = {}
        families = self.managers.families
        metrics = [*(family.metric for family in families), *self.managers.varying_metrics, *TEAM_METRICS]
        self._heads = [_head(metric) for metric in metrics]
        self._spans = [(family.start, family.end) for family in families]
        self._series = _series(self.managers)
        self._places = range(len(self._series))

    async def text(self, now_ms: int) -> bytes:
        """Return the text format of a scrape, every manager read at `now_ms`.

        The loop gets air after each slice. A partition that leaves meanwhile is not in the text.
        """
        managers = self.managers
        rosters = managers.rosters(now_ms)
        partitions = managers.partitions()
        for partition in self._written.keys() - partitions:
            del self._written[partition]
        told = []
        deadline = time.perf_counter() + self._slice_s
        for partition in partitions:
            held = managers.hold(partition)
            teams = managers.sums(held)
            known = self._written.setdefault(partition, {})
            lines: list[list[str]] = []
            texts: list[list[str]] = []
            for key in managers.keys(partition):
                if time.perf_counter() > deadline:
                    await asyncio.sleep(0)
                    deadline = time.perf_counter() + self._slice_s
                    if not managers.holds(held):
                        break
                entry = managers.entry(key)
                view = managers.view(partition, key, rosters, now_ms)
                teams.update(entry.id, entry.team, view)
                written = self._write(known, entry, view)
                lines.append(written.lines)
                texts.append(written.texts)
            else:
                await asyncio.sleep(0)
                deadline = time.perf_counter() + self._slice_s
                told.append((held, [*self._families(lines), *self._joined(texts), *self._of_teams(partition, teams)]))
        # From here on nothing is awaited: what is owned now is what is told.
        still = [texts_of for held, texts_of in told if managers.holds(held)]
        parts = []
        for place, head in enumerate(self._heads):
            parts.append(head)
            parts += [texts_of[place] for texts_of in still]
        self.gauges.refresh()
        parts.append(generate_latest(_Countable(self._registry)))
        return b"".join(parts)

    def _write(self, known: dict[Entry, Written], entry: Entry, view: ManagerView) -> Written:
        """Return the lines of a manager; those whose values have not changed are the ones that were written before."""
        managers = self.managers
        written = known.get(entry)
        if written is None:
            written = known[entry] = Written(entry, len(self._series), len(managers.varying_metrics))
        labels = written.labels
        values = managers.values(view)
        changed = [*compress(self._places, map(ne, values, written.values))]
        if changed:
            written.values = values
            lines = written.lines = written.lines.copy()  # another scrape may hold those
            for place in changed:
                value = values[place]
                begin, rest = self._series[place]
                lines[place] = f"{begin}{labels}{rest}{value}\n" if value is not None else ""
        for place, found in enumerate(managers.varying(view)):
            if found != written.found[place]:
                written.found[place] = found
                written.texts[place] = _text(managers.varying_metrics[place], labels, found)
        return written

    def _families(self, lines: list[list[str]]) -> Iterator[bytes]:
        """Yield the text of each family of the managers whose `lines` are given: series by series, they are columns."""
        columns = ["".join(column) for column in zip(*lines, strict=True)]
        for start, end in self._spans:
            yield "".join(columns[start:end]).encode()

    def _joined(self, texts: list[list[str]]) -> Iterator[bytes]:
        for place, _ in enumerate(self.managers.varying_metrics):
            yield "".join(of_manager[place] for of_manager in texts).encode()

    def _of_teams(self, partition: int, teams: Teams) -> list[bytes]:
        texts = [""] * len(TEAM_METRICS)
        for team, sums in teams.sums.items():
            labels = f'team="{_escape(team)}",partition="{partition}"'
            for place, (metric, found) in enumerate(zip(TEAM_METRICS, self.managers.team_series(sums), strict=True)):
                texts[place] += _text(metric, labels, found)
        return [text.encode() for text in texts]


class _Countable(Collector):
    """A registry without the moments at which its counters began: the catalogue does not have them."""

    def __init__(self, registry: Collector) -> None:
        self._registry = registry

    def collect(self) -> Iterator[Metric]:
        for family in self._registry.collect():
            family.samples = [sample for sample in family.samples if not sample.name.endswith("_created")]
            yield family


def _series(managers: Managers) -> list[tuple[str, str]]:
    """Return what the line of each series has before and behind the labels of the manager."""
    lines = []
    for metric, start, end in managers.families:
        own = metric.labels[2:]  # behind manager and team
        for _, values in managers.series[start:end]:
            lines.append((f"{metric.full_name}{{", _rest(own, values)))
    return lines


def _text(metric: Described, labels: str, found: Iterable[Sample]) -> str:
    """Return the lines of a metric's series; `labels` are those of whom it is told."""
    begin, own = f"{metric.full_name}{{{labels}", metric.labels[2:]
    return "".join([f"{begin}{_rest(own, values)}{value}\n" for values, value in found])


@lru_cache(maxsize=16_384)
def _rest(names: tuple[str, ...], values: tuple[str, ...]) -> str:
    """Return what stands between the labels of whom a line is told and its value."""
    return "".join(f',{name}="{_escape(value)}"' for name, value in zip(names, values, strict=True)) + "} "


def _head(metric: Described) -> bytes:
    text = metric.help.replace("\\", r"\\").replace("\n", r"\n")
    return f"# HELP {metric.full_name} {text}\n# TYPE {metric.full_name} {metric.type}\n".encode()


def _escape(value: str) -> str:
    return value.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")

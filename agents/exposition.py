"""The text of a scrape, written in slices so that folding goes on beside it.

prometheus_client makes an object of every sample and takes most of a second for a thousand managers, all of it on the
event loop that also folds. Here a line is four strings: what the series begins with, the manager's labels, the rest of
the series, the value. What differs from manager to manager, and what teams add up to, is little and made as it comes.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Final

from prometheus_client import Metric, generate_latest
from prometheus_client.registry import Collector

from agents.gauges import Gauges
from agents.metrics import Entry, Managers
from agents.restore import Restore
from streams.catalogue import TEAM_METRICS
from streams.catalogue import Metric as Described
from streams.tables.manager_view import ManagerView
from streams.tables.team_series import Found, TeamSums

if TYPE_CHECKING:
    from agents.core import Core

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
SLICE_S: Final = 0.008


class Exposition:
    """Writes what a worker exports: managers and teams of the partitions owned now, and the worker's own metrics."""

    def __init__(self, core: Core, *, slice_s: float = SLICE_S) -> None:
        self.lag = core.lag
        self.managers = Managers(core.settings, core.tables, core.place)
        self.restore = Restore(core)
        self.gauges = Gauges(core, self.lag, self.restore, self.managers)
        self._registry = core.operations.registry
        self._slice_s = slice_s
        self._labels: dict[Entry, str] = {}
        families = self.managers.families
        metrics = [*(family.metric for family in families), *self.managers.varying_metrics, *TEAM_METRICS]
        self._heads = [_head(metric) for metric in metrics]
        self._spans = [(family.start, family.end) for family in families]
        self._series = _series(self.managers)

    async def text(self, now_ms: int) -> bytes:
        """Return the text format of a scrape, every manager read at `now_ms`.

        The loop gets air after each slice. A partition that leaves meanwhile is not in the text.
        """
        managers = self.managers
        rosters = managers.rosters(now_ms)
        written = []
        deadline = time.perf_counter() + self._slice_s
        for partition in managers.partitions():
            held = managers.hold(partition)
            chunks: list[list[str]] = [[] for _ in self._heads]
            teams: dict[str, TeamSums] = {}
            for key in managers.keys(partition):
                if time.perf_counter() > deadline:
                    await asyncio.sleep(0)
                    deadline = time.perf_counter() + self._slice_s
                    if not managers.holds(held):
                        break
                view = managers.view(partition, key, rosters, now_ms)
                entry = managers.entry(key)
                self._write(chunks, entry, view)
                if entry.team not in teams:
                    teams[entry.team] = TeamSums()
                teams[entry.team].add(view)
            else:
                for team, sums in teams.items():
                    if time.perf_counter() > deadline:
                        await asyncio.sleep(0)
                        deadline = time.perf_counter() + self._slice_s
                    labels = f'team="{_escape(team)}",partition="{partition}"'
                    of_team = chunks[-len(TEAM_METRICS) :]
                    for metric, chunk, found in zip(TEAM_METRICS, of_team, managers.team_series(sums), strict=True):
                        chunk.extend(_lines(metric, labels, found))
                written.append((held, ["".join(chunk).encode() for chunk in chunks]))
        # From here on nothing is awaited: what is owned now is what is told.
        still = [texts for held, texts in written if managers.holds(held)]
        parts = []
        for place, head in enumerate(self._heads):
            parts.append(head)
            parts += [texts[place] for texts in still]
        self.gauges.refresh()
        parts.append(generate_latest(_Countable(self._registry)))
        return b"".join(parts)

    def _write(self, chunks: list[list[str]], entry: Entry, view: ManagerView) -> None:
        """Write the lines of a manager to the chunks of their metrics."""
        managers = self.managers
        labels = self._labels_of(entry)
        lines = [
            f"{begin}{labels}{rest}{value}\n" if value is not None else ""
            for (begin, rest), value in zip(self._series, managers.values(view), strict=True)
        ]
        for chunk, (start, end) in zip(chunks, self._spans, strict=False):
            chunk.extend(lines[start:end])
        place = len(self._spans)
        for metric, found in zip(managers.varying_metrics, managers.varying(view), strict=True):
            if found:
                chunks[place].extend(_lines(metric, labels, found))
            place += 1

    def _labels_of(self, entry: Entry) -> str:
        found = self._labels.get(entry)
        if found is None:
            found = self._labels[entry] = f'manager="{_escape(entry.id)}",team="{_escape(entry.team)}"'
        return found


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
            rest = "".join(f',{name}="{_escape(value)}"' for name, value in zip(own, values, strict=True))
            lines.append((f"{metric.full_name}{{", f"{rest}}} "))
    return lines


def _lines(metric: Described, labels: str, found: Iterable[Found]) -> Iterator[str]:
    """Yield the lines of a metric's series; `labels` are those of whom it is told."""
    begin, own = f"{metric.full_name}{{{labels}", metric.labels[2:]
    for values, value in found:
        rest = "".join(f',{name}="{_escape(told)}"' for name, told in zip(own, values, strict=True))
        yield f"{begin}{rest}}} {value}\n"


def _head(metric: Described) -> bytes:
    text = metric.help.replace("\\", r"\\").replace("\n", r"\n")
    return f"# HELP {metric.full_name} {text}\n# TYPE {metric.full_name} {metric.type}\n".encode()


def _escape(value: str) -> str:
    return value.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")

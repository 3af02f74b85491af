"""The text of a scrape, written in slices so that folding goes on beside it.

prometheus_client makes an object of every sample and takes most of a second for a thousand managers, all of it on the
event loop that also folds. Here a line is four strings: what the series begins with, the manager's labels, the rest of
the series, the value.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from prometheus_client import Metric, generate_latest
from prometheus_client.registry import Collector

from agents.gauges import Gauges
from agents.metrics import Entry, Managers
from agents.restore import Restore
from streams.catalogue import Metric as Described

if TYPE_CHECKING:
    from agents.core import Core

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
SLICE_S: Final = 0.008


class Exposition:
    """Writes what a worker exports: the managers of partitions owned now, and the metrics of the worker itself."""

    def __init__(self, core: Core, *, slice_s: float = SLICE_S) -> None:
        self.lag = core.lag
        self.managers = Managers(core.settings, core.tables, core.place)
        self.restore = Restore(core)
        self.gauges = Gauges(core, self.lag, self.restore, self.managers)
        self._registry = core.operations.registry
        self._slice_s = slice_s
        self._labels: dict[Entry, str] = {}
        self._heads = [_head(family.metric) for family in self.managers.families]
        self._series = _series(self.managers)

    async def text(self, now_ms: int) -> bytes:
        """Return the text format of a scrape, every manager read at `now_ms`.

        The loop gets air after each slice. A partition that leaves meanwhile is not in the text.
        """
        managers = self.managers
        rosters = managers.rosters(now_ms)
        spans = [(family.start, family.end) for family in managers.families]
        written = []
        deadline = time.perf_counter() + self._slice_s
        for partition in managers.partitions():
            held = managers.hold(partition)
            chunks: list[list[str]] = [[] for _ in spans]
            for key in managers.keys(partition):
                if time.perf_counter() > deadline:
                    await asyncio.sleep(0)
                    deadline = time.perf_counter() + self._slice_s
                    if not managers.holds(held):
                        break
                values = managers.values(partition, key, rosters, now_ms)
                labels = self._labels_of(managers.entry(key))
                lines = [
                    f"{begin}{labels}{rest}{value}\n" if value is not None else ""
                    for (begin, rest), value in zip(self._series, values, strict=True)
                ]
                for chunk, (start, end) in zip(chunks, spans, strict=True):
                    chunk.extend(lines[start:end])
            else:
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


def _head(metric: Described) -> bytes:
    text = metric.help.replace("\\", r"\\").replace("\n", r"\n")
    return f"# HELP {metric.full_name} {text}\n# TYPE {metric.full_name} {metric.type}\n".encode()


def _escape(value: str) -> str:
    return value.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")

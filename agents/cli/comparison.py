"""Compares the figures of two groups of workers: the metrics that differ, their series, and the largest difference."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Final, TypeAlias

from msgspec import Struct

from agents.telemetry.scrape import Scrape, samples
from streams.metrics.catalogue import MANAGER_METRICS, TEAM_METRICS

Series: TypeAlias = tuple[str, tuple[tuple[str, str], ...]]
"""Name and labels of a figure."""
Figures: TypeAlias = Mapping[Series, float]

_COMPARED: Final = frozenset(metric.name for metric in (*MANAGER_METRICS, *TEAM_METRICS))
_PARTITION: Final = "partition"
_ROUNDING: Final = 1e-9


class Difference(Struct, frozen=True, kw_only=True):
    """The differences of one metric. `differing` of `series` have another value; a missing value is None.

    `labels`, `before` and `after` are those of the largest difference.
    """

    metric: str
    series: int
    differing: int
    labels: dict[str, str]
    before: float | None
    after: float | None


def figures(scrapes: Iterable[Scrape]) -> dict[Series, float]:
    """Return the figures of managers and teams that the workers of one group export.

    A worker exports a team for each of its partitions: the sum over partitions is the figure of the team. Groups may
    have different numbers of partitions.
    """
    found: dict[Series, float] = {}
    for scrape in scrapes:
        for sample in samples(scrape.text, _COMPARED):
            labels = tuple(sorted(label for label in sample.labels.items() if label[0] != _PARTITION))
            series = sample.name, labels
            is_part = _PARTITION in sample.labels
            found[series] = found.get(series, 0.0) + sample.value if is_part else sample.value
    return found


def differing(before: Figures, after: Figures, elapsed_s: float) -> set[Series]:
    """Return the series that differ, or that only one of the two has.

    `elapsed_s` is the time between the two readings. A figure without a window that counts seconds may grow by it.
    """
    return {
        series
        for series in before.keys() | after.keys()
        if not _equal(before.get(series), after.get(series), elapsed_s if _grows(series) else 0.0)
    }


def by_metric(before: Figures, after: Figures, wrong: Iterable[Series]) -> list[Difference]:
    """Return the series of `wrong` by metric, the metric with the most of them first."""
    groups: dict[str, list[Series]] = {}
    for series in wrong:
        groups.setdefault(series[0], []).append(series)
    sizes: dict[str, int] = {}
    for name, _ in before.keys() | after.keys():
        sizes[name] = sizes.get(name, 0) + 1
    found = []
    for name, group in groups.items():
        largest = max(sorted(group), key=lambda series: _distance(before.get(series), after.get(series)))
        found.append(
            Difference(
                metric=f"callpulse_{name}",
                series=sizes[name],
                differing=len(group),
                labels=dict(largest[1]),
                before=before.get(largest),
                after=after.get(largest),
            )
        )
    return sorted(found, key=lambda difference: (-difference.differing, difference.metric))


def _grows(series: Series) -> bool:
    name, labels = series
    return name.endswith("_seconds") and not any(label == "window" for label, _ in labels)


def _equal(one: float | None, other: float | None, slack: float) -> bool:
    if one is None or other is None:
        return False
    if math.isnan(one) or math.isnan(other):
        return math.isnan(one) and math.isnan(other)
    return abs(one - other) <= slack + _ROUNDING * max(1.0, abs(one), abs(other))


def _distance(one: float | None, other: float | None) -> float:
    distance = abs((one or 0.0) - (other or 0.0))
    return math.inf if math.isnan(distance) else distance

"""Compares the figures that a worker exports with the true ones of the simulator."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from agents.telemetry.scrape import Scrape, samples
from streams.metrics.catalogue import MANAGER_METRICS
from streams.simulator.truth.figures import NAMES

if TYPE_CHECKING:
    from streams.simulator import Truth

TOLERANCE: Final = 1e-9
# The simulator has the true figures of activity. The oracle of the tests checks the results.
_LABELS: Final = {metric.name: metric.labels for metric in MANAGER_METRICS if metric.name in NAMES}
Key = tuple[str, tuple[str, ...]]


def mismatches(scrape: Scrape, truth: Truth) -> list[str]:
    """Return a line for every activity figure of the simulated managers that is wrong.

    The worker read its tables at a moment between the beginning and the end of the scrape, so a figure that grows with
    the clock may have any value between those of the two moments. Managers that the truth does not name are left out.
    """
    known = truth.accounts.keys()
    ours: dict[Key, float] = {}
    for sample in samples(scrape.text, _LABELS):
        if sample.labels.get("manager") in known:
            ours[sample.name, tuple(sample.labels.get(label, "") for label in _LABELS[sample.name])] = sample.value
    before, after = truth.figures(scrape.began_ms), truth.figures(scrape.ended_ms)
    lines = []
    for key in sorted(ours.keys() | before.keys() | after.keys()):
        mine = ours.get(key)
        first, last = before.get(key), after.get(key)
        if not _between(mine, first, last):
            lines.append(f"{key[0]}{key[1]} is {mine}; it should be {first if first is not None else last}")
    return lines


def _between(mine: float | None, first: float | None, last: float | None) -> bool:
    if mine is None or first is None or last is None:
        return mine in (first, last)
    low, high = min(first, last), max(first, last)
    return low <= mine <= high or any(
        math.isclose(mine, end, rel_tol=TOLERANCE, abs_tol=TOLERANCE) for end in (low, high)
    )

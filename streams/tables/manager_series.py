"""The series of one manager: which there are, and their values in the same order.

The list is the same for every manager, so whoever writes the exposition can make the beginning of each line once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import accumulate, chain, product
from typing import Final, TypeAlias

from streams.catalogue import MANAGER_METRICS
from streams.events import DIRECTIONS, DISPOSITIONS, PRESENCE_STATES
from streams.settings import Thresholds
from streams.tables.counts import (
    ALL_KINDS,
    ANSWERED,
    CONNECTED,
    CONVERSATIONS,
    DISPOSITION,
    HISTOGRAM,
    HOUR_CALLS,
    INBOUND,
    KIND,
    MEANINGFUL,
    OUTBOUND,
    SHORT,
    TALK_MS,
    TALKED,
    TIMED_OUT,
)
from streams.tables.lead import BUCKETS
from streams.tables.manager_view import ManagerView
from streams.windows import TODAY, WINDOWS

Series: TypeAlias = tuple[str, tuple[str, ...]]
"""(metric, values of its labels behind `manager` and `team`); the metric is a `Metric.name` of the catalogue."""
Value: TypeAlias = float | None
_Labels: TypeAlias = Iterable[tuple[str, ...]]
_Read: TypeAlias = Callable[[ManagerView], Iterable[Value]]

_STRUCTURE: Final = (TODAY, "30d", "90d")
_CONTACT: Final = (TODAY, "30d")


class ManagerSeries:
    """The series of a manager under the given thresholds: `series`, and `values` aligned with it."""

    def __init__(self, thresholds: Thresholds) -> None:
        """Raise KeyError where the metrics of managers in the catalogue and those that are read here differ."""
        families = _families(thresholds.histogram_ms)
        names = [metric.name for metric in MANAGER_METRICS]
        if set(names) != set(families):
            raise KeyError(f"only here or only in the catalogue: {sorted(set(names) ^ set(families))}")
        self.series: tuple[Series, ...] = tuple((name, labels) for name in names for labels in families[name][0])
        self._reads = tuple(families[name][1] for name in names)

    def values(self, view: ManagerView) -> list[Value]:
        """Return a value for every one of `series`; None where there is nothing to export."""
        values: list[Value] = []
        for read in self._reads:
            values += read(view)
        return values


def _families(bounds_ms: tuple[int, ...]) -> dict[str, tuple[_Labels, _Read]]:
    """Return, for every metric, the values of its own labels, and how to read a view in their order."""
    today = ((TODAY,),)
    unlabelled: _Labels = ((),)
    buckets = tuple((bucket,) for bucket in BUCKETS)
    return {
        "calls": (
            tuple(product(WINDOWS, DIRECTIONS)),
            lambda view: [view.counts[window][place] for window in WINDOWS for place in (INBOUND, OUTBOUND)],
        ),
        "calls_by_kind": (
            tuple(product(_STRUCTURE, ALL_KINDS)),
            lambda view: chain.from_iterable(view.counts[window][KIND:DISPOSITION] for window in _STRUCTURE),
        ),
        "calls_by_disposition": (
            tuple(product((TODAY,), DISPOSITIONS)),
            lambda view: view.counts[TODAY][DISPOSITION:HOUR_CALLS],
        ),
        "answered_calls": _counts(ANSWERED, WINDOWS),
        "connect_ratio": _ratio(CONNECTED, OUTBOUND, WINDOWS),
        "short_call_ratio": _ratio(SHORT, TALKED, WINDOWS),
        "meaningful_calls": _counts(MEANINGFUL, WINDOWS),
        "conversations": _counts(CONVERSATIONS, _CONTACT),
        "attempts_per_contact": _ratio(OUTBOUND, CONNECTED, _CONTACT),
        "talk_time_seconds": (
            tuple((window,) for window in WINDOWS),
            lambda view: [view.counts[window][TALK_MS] / 1000 for window in WINDOWS],
        ),
        "calls_talked": (
            tuple((TODAY, bound) for bound in (*map(seconds, bounds_ms), "+Inf")),
            lambda view: accumulate(view.counts[TODAY][HISTOGRAM : HISTOGRAM + len(bounds_ms) + 1]),
        ),
        "calls_timed_out": _counts(TIMED_OUT, (TODAY,)),
        "calls_in_progress": (unlabelled, lambda view: [view.in_progress]),
        "longest_call_in_progress_seconds": (unlabelled, lambda view: [view.longest / 1000]),
        "last_activity_timestamp_seconds": (
            unlabelled,
            lambda view: [view.last_activity / 1000 if view.last_activity else None],
        ),
        "idle_seconds": (unlabelled, lambda view: [view.idle / 1000]),
        "on_shift": (unlabelled, lambda view: [1 if view.on_shift else 0]),
        "presence": (
            tuple((state,) for state in PRESENCE_STATES),
            lambda view: [1 if view.presence == state else 0 for state in PRESENCE_STATES],
        ),
        "work_block_seconds": (unlabelled, lambda view: [view.work_block / 1000]),
        "work_blocks": (today, lambda view: [view.work_blocks]),
        "breaks_missed": (today, lambda view: [view.breaks_missed]),
        "open_leads_by_calls": (buckets, lambda view: view.outcome.by_calls),
        "open_leads_by_conversations": (buckets, lambda view: view.outcome.by_conversations),
        "calls_per_lead": ((("30d",),), lambda view: [view.outcome.calls_per_lead]),
        "leads_over_called": (today, lambda view: [view.outcome.over_called]),
    }


def seconds(ms: int) -> str:
    """Return a bound as the `le` label shows it: seconds without needless digits."""
    return f"{ms / 1000:g}"


def _counts(place: int, windows: tuple[str, ...]) -> tuple[_Labels, _Read]:
    return tuple((window,) for window in windows), lambda view: [view.counts[window][place] for window in windows]


def _ratio(part: int, whole: int, windows: tuple[str, ...]) -> tuple[_Labels, _Read]:
    def read(view: ManagerView) -> list[Value]:
        counts = [view.counts[window] for window in windows]
        return [of[part] / of[whole] if of[whole] else None for of in counts]

    return tuple((window,) for window in windows), read

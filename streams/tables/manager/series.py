"""The series of one manager, and their values in the same order.

The list is the same for every manager, so the exposition can prepare the beginning of each line once. Only the metrics
in `VARYING` have series that differ per manager: one for the state of presence, one per lead that needs help.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import accumulate, chain, product
from typing import Final, TypeAlias

from streams.contract.events import DIRECTIONS, DISPOSITIONS, KINDS_AND_UNKNOWN
from streams.metrics.catalogue import MANAGER_METRICS
from streams.settings.settings import Problem, Settings, SettingsError
from streams.tables.coaching.view import CoachingReader
from streams.tables.manager.counts import (
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
from streams.tables.manager.view import ManagerView
from streams.tables.outcome.view import OutcomeReader, Series, Value, Varying
from streams.targets import plan_calls_per_day
from streams.windows import HOUR, PREVIOUS, TODAY, WINDOWS

MAX_SERIES: Final = 190
VARYING: Final = ("presence", "lead_attention")

_Labels: TypeAlias = Iterable[tuple[str, ...]]
_Read: TypeAlias = Callable[[ManagerView], Iterable[Value]]
_Families: TypeAlias = dict[str, tuple[_Labels, _Read]]

_STRUCTURE: Final = (TODAY, "30d", "90d")
_SHORT_TERM: Final = (TODAY, "7d", "30d")
_UNLABELLED: Final[_Labels] = ((),)
_TODAY: Final[_Labels] = ((TODAY,),)
_HOUR: Final[_Labels] = ((HOUR,),)


class ManagerSeries:
    """The series of a manager under the given settings: `series`, `values` aligned with it, and `varying`."""

    def __init__(self, settings: Settings) -> None:
        """Raise SettingsError for more than 190 series per manager.

        Raises KeyError if the managers' metrics in the catalogue differ from the ones that are read here.
        """
        before, after = _activity(settings.thresholds.histogram_ms), {**_together(), **_heard()}
        of_outcome, of_coaching = OutcomeReader(settings).series, CoachingReader(settings).series
        series = [(name, labels) for name, (all_labels, _) in before.items() for labels in all_labels]
        series += of_outcome
        series += [(name, labels) for name, (all_labels, _) in after.items() for labels in all_labels]
        series += of_coaching
        self.series: tuple[Series, ...] = tuple(series)
        names = {name for name, _ in series} | set(VARYING)
        described = {metric.name for metric in MANAGER_METRICS}
        if names != described:
            raise KeyError(f"only here or only in the catalogue: {sorted(names ^ described)}")
        self.count = len(series) + 1 + settings.results.attention_series
        if self.count > MAX_SERIES:
            raise SettingsError([_too_many(settings, self.count)])
        self._before = tuple(read for _, read in before.values())
        self._after = tuple(read for _, read in after.values())

    def values(self, view: ManagerView) -> list[Value]:
        """Return a value for each of `series`; None for a series that is not exported."""
        values: list[Value] = []
        for read in self._before:
            values += read(view)
        values += view.outcome.values
        for read in self._after:
            values += read(view)
        values += view.coaching.values
        return values

    def varying(self, view: ManagerView) -> tuple[list[Varying], ...]:
        """Return the manager's own series of each metric in `VARYING`."""
        return [((view.presence,), 1)] if view.presence else [], view.outcome.attention


def series_count(settings: Settings) -> int:
    """Return the largest number of series per manager. Raise SettingsError for more than 190."""
    return ManagerSeries(settings).count


def _too_many(settings: Settings, count: int) -> Problem:
    results = settings.results
    parts = {
        "thresholds.histogram": len(settings.thresholds.histogram_ms) + 1,
        "results.stages": 2 * (len(results.stages) - 2),
        "results.reasons": len(results.reasons),
        "results.attention_series": results.attention_series,
    }
    shares = ", ".join(f"{key} makes {number}" for key, number in parts.items())
    largest = max(parts, key=lambda key: parts[key])
    return Problem(
        largest, f"these settings make {count} series a manager, and at most {MAX_SERIES} are allowed: {shares}"
    )


def _activity(bounds_ms: tuple[int, ...]) -> _Families:
    """Return per metric of activity the values of its own labels, and a function that reads a view in their order."""
    return {
        "calls": (
            tuple(product(WINDOWS, DIRECTIONS)),
            lambda view: [view.counts[window][place] for window in WINDOWS for place in (INBOUND, OUTBOUND)],
        ),
        "calls_by_kind": (
            tuple(product(_STRUCTURE, KINDS_AND_UNKNOWN)),
            lambda view: chain.from_iterable(view.counts[window][KIND:DISPOSITION] for window in _STRUCTURE),
        ),
        "calls_by_disposition": (
            tuple(product((TODAY,), DISPOSITIONS)),
            lambda view: view.counts[TODAY][DISPOSITION:HOUR_CALLS],
        ),
        "answered_calls": _counts(ANSWERED, (HOUR, *_SHORT_TERM)),
        "connect_ratio": _ratio(CONNECTED, OUTBOUND, _SHORT_TERM),
        "short_call_ratio": _ratio(SHORT, TALKED, _SHORT_TERM),
        "meaningful_calls": _counts(MEANINGFUL, _SHORT_TERM),
        "conversations": _counts(CONVERSATIONS, (TODAY, "30d")),
        "attempts_per_contact": _ratio(OUTBOUND, CONNECTED, ("30d",)),
        "talk_time_seconds": (
            tuple((window,) for window in WINDOWS),
            lambda view: [view.counts[window][TALK_MS] / 1000 for window in WINDOWS],
        ),
        "calls_talked": (
            tuple((TODAY, bound) for bound in (*map(seconds, bounds_ms), "+Inf")),
            lambda view: accumulate(view.counts[TODAY][HISTOGRAM : HISTOGRAM + len(bounds_ms) + 1]),
        ),
        "calls_timed_out": _counts(TIMED_OUT, (TODAY,)),
        "internal_calls": (_TODAY, lambda view: [view.internal_legs]),
        "internal_talk_seconds": (_TODAY, lambda view: [view.internal_talk / 1000]),
        "calls_in_progress": (_UNLABELLED, lambda view: [view.in_progress]),
        "longest_call_in_progress_seconds": (_UNLABELLED, lambda view: [view.longest / 1000]),
        "last_activity_timestamp_seconds": (
            _UNLABELLED,
            lambda view: [view.last_activity / 1000 if view.last_activity else None],
        ),
        "idle_seconds": (_UNLABELLED, lambda view: [view.idle / 1000]),
        "on_shift": (_UNLABELLED, lambda view: [1 if view.on_shift else 0]),
        "work_block_seconds": (_UNLABELLED, lambda view: [view.work_block / 1000]),
        "work_blocks": (_TODAY, lambda view: [view.work_blocks]),
        "breaks_missed": (_TODAY, lambda view: [view.breaks_missed]),
    }


def _together() -> _Families:
    """Return the metrics that join calls with results, or calls with their expectation."""
    return {
        "calls_per_won_deal": ((("90d",), (PREVIOUS,)), _calls_per_deal),
        "plan_calls_per_day": (
            _UNLABELLED,
            lambda view: [plan_calls_per_day(view.plan_deals, _calls_per_deal(view)[0])],
        ),
        "cost_per_won_deal": ((("90d",),), lambda view: [_divided(view.cost, view.outcome.won)]),
        "expected_calls": (
            ((HOUR,), (TODAY,)),
            lambda view: [view.expectation.calls_1h, view.expectation.calls_today],
        ),
        "expected_talk_seconds": (_HOUR, lambda view: [view.expectation.talk_seconds_1h]),
        "calls_zscore": (_HOUR, lambda view: [view.expectation.calls_zscore]),
        "talk_zscore": (_HOUR, lambda view: [view.expectation.talk_zscore]),
        "expectation_days": (_UNLABELLED, lambda view: [view.expectation.days]),
    }


def _heard() -> _Families:
    """Return the metrics that join transcripts with calls."""
    return {
        "heard_call_ratio": ((("30d",),), lambda view: [_divided(view.coaching.heard, view.counts["30d"][ANSWERED])]),
        "talking_seconds": (_UNLABELLED, lambda view: [view.talking / 1000 if view.talking else None]),
    }


def _calls_per_deal(view: ManagerView) -> list[Value]:
    before = view.legs_before
    return [
        _divided(view.legs, view.outcome.won),
        None if before is None else _divided(before, view.outcome.won_before),
    ]


def seconds(ms: int) -> str:
    """Return a bound as in the label `le`: in seconds, without trailing zeros."""
    return f"{ms / 1000:g}"


def _divided(part: float, whole: int) -> Value:
    return part / whole if whole else None


def _counts(place: int, windows: tuple[str, ...]) -> tuple[_Labels, _Read]:
    return tuple((window,) for window in windows), lambda view: [view.counts[window][place] for window in windows]


def _ratio(part: int, whole: int, windows: tuple[str, ...]) -> tuple[_Labels, _Read]:
    def read(view: ManagerView) -> list[Value]:
        counts = [view.counts[window] for window in windows]
        return [bucket[part] / bucket[whole] if bucket[whole] else None for bucket in counts]

    return tuple((window,) for window in windows), read

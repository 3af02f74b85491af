"""The view of a manager: series in the order of the catalogue, and windows that follow the days."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from streams.contract.facts import Outcome
from streams.metrics.catalogue import MANAGER_METRICS
from streams.metrics.coaching import COACHING
from streams.settings.settings import Settings, Thresholds
from streams.tables.manager.counts import OUTBOUND
from streams.tables.manager.series import VARYING, ManagerSeries, seconds
from streams.tables.manager.view import ManagerCache
from streams.tables.outcome.fold import OutcomeRow, fold
from tests.examples import examples
from tests.streams.timeline import (
    DAY,
    HOUR,
    NINE,
    ended,
    folded,
    new_row,
    presence,
    seen,
    started,
)

SERIES = ManagerSeries(Settings())


def values(row: Any, now: int, **more: Any) -> dict[tuple[str, tuple[str, ...]], float | None]:
    view = seen(row, now, **more)
    found = dict(zip(SERIES.series, SERIES.values(view), strict=True))
    for name, series in zip(VARYING, SERIES.varying(view), strict=True):
        found |= {(name, labels): value for labels, value in series}
    return found


def test_every_manager_metric_of_the_catalogue_has_its_series_and_no_other() -> None:
    labels = {metric.name: len(metric.labels) - 2 for metric in MANAGER_METRICS}
    assert {name for name, _ in SERIES.series} | set(VARYING) == set(labels)
    assert all(len(found) == labels[name] for name, found in SERIES.series)
    assert len(set(SERIES.series)) == len(SERIES.series)


def test_a_manager_who_has_done_nothing_is_read_as_zeros_without_ratios() -> None:
    found = values(new_row(), NINE)
    missing = {name for (name, _), value in found.items() if value is None}
    ratios = {metric.name for metric in MANAGER_METRICS if metric.unit == "ratio"} - {"target_ratio"}
    assert missing == ratios | {metric.name for metric in COACHING} | {
        "last_activity_timestamp_seconds",
        "mean_stage_age_seconds",
        "plan_calls_per_day",
        "cost_per_won_deal",
        "mean_won_amount",
        "won_first_call_talk_seconds",
        "expected_calls",
        "expected_talk_seconds",
        "calls_zscore",
        "talk_zscore",
    }
    assert found.pop(("target_ratio", ())) == 0.01  # the floor
    assert {value for value in found.values() if value is not None} == {0}


def test_a_worked_example() -> None:
    #  out 5 min, out 90 s, out unanswered, in 30 s; one under way; yesterday one of 10 min
    yesterday = NINE - DAY
    row, _ = folded(
        [
            ended("y", yesterday, begun=yesterday - 600_000, talk=600_000),
            ended("a", NINE, begun=NINE - 300_000, talk=300_000),
            ended("b", NINE + 1, begun=NINE, talk=90_000, kind="repeat"),
            ended("c", NINE + 2, begun=NINE, disposition="busy"),
            ended("d", NINE + 3, begun=NINE, talk=30_000, direction="inbound", kind=None),
            started("e", NINE + 60_000),
            presence("paused", NINE),
        ]
    )
    now = NINE + 120_000
    outcome = OutcomeRow()
    today = row.local.day(now)
    fold(outcome, Outcome(src="x", seq=1, manager="anna", changes=(("calls:2", today, 1), ("sum", today, 2))))
    found = values(row, now, outcome=outcome)
    expected = {
        ("calls", ("1h", "outbound")): 3,
        ("calls", ("today", "inbound")): 1,
        ("calls", ("7d", "outbound")): 4,
        ("calls_by_kind", ("today", "cold")): 2,
        ("calls_by_kind", ("today", "repeat")): 1,
        ("calls_by_kind", ("today", "unknown")): 1,
        ("calls_by_kind", ("90d", "cold")): 3,
        ("calls_by_disposition", ("today", "answered")): 3,
        ("calls_by_disposition", ("today", "busy")): 1,
        ("answered_calls", ("1h",)): 3,
        ("connect_ratio", ("today",)): 2 / 3,
        ("connect_ratio", ("30d",)): 3 / 4,
        ("short_call_ratio", ("today",)): 2 / 3,
        ("meaningful_calls", ("today",)): 1,
        ("meaningful_calls", ("30d",)): 2,
        ("conversations", ("today",)): 2,
        ("attempts_per_contact", ("30d",)): 4 / 3,
        ("talk_time_seconds", ("1h",)): 420.0,
        ("talk_time_seconds", ("7d",)): 1020.0,
        ("calls_talked", ("today", "6")): 0,
        ("calls_talked", ("today", "60")): 1,
        ("calls_talked", ("today", "120")): 2,
        ("calls_talked", ("today", "300")): 3,
        ("calls_talked", ("today", "+Inf")): 3,
        ("calls_timed_out", ("today",)): 0,
        ("calls_in_progress", ()): 1,
        ("longest_call_in_progress_seconds", ()): 60.0,
        ("last_activity_timestamp_seconds", ()): (NINE + 60_000) / 1000,
        ("idle_seconds", ()): 0,
        ("on_shift", ()): 1,
        ("presence", ("paused",)): 1,
        ("work_block_seconds", ()): 420.0,
        ("work_blocks", ("today",)): 0,
        ("breaks_missed", ("today",)): 0,
        ("open_leads_by_calls", ("2",)): 1,
        ("open_leads_by_calls", ("1",)): 0,
        ("calls_per_lead", ("30d",)): 2.0,
        ("leads_over_called", ("today",)): 0,
    }
    assert {series: found[series] for series in expected} == expected


@pytest.mark.parametrize(("window", "days"), [("today", 1), ("7d", 7), ("30d", 30), ("90d", 90)])
def test_a_window_of_days_holds_that_many_local_days(window: str, days: int) -> None:
    row, _ = folded([ended("c1", NINE, begun=NINE)])
    midnight = NINE - 9 * HOUR
    first_out = midnight + days * DAY
    read = [seen(row, now).counts[window][OUTBOUND] for now in (midnight - 1, midnight, first_out - 1, first_out)]
    assert read == [0, 1, 1, 0]


def test_windows_go_on_day_by_day_as_they_are_read() -> None:
    row, _ = folded([ended(f"c{day}", NINE + day * DAY, begun=NINE + day * DAY) for day in range(5)])
    cache = ManagerCache()
    read = [seen(row, NINE + day * DAY, cache=cache).counts["7d"][OUTBOUND] for day in range(13)]
    assert read == [1, 2, 3, 4, 5, 5, 5, 4, 3, 2, 1, 0, 0]


def test_a_late_call_of_a_past_day_is_in_the_windows_at_once() -> None:
    row, _ = folded([presence("available", NINE + 2 * DAY)])
    cache = ManagerCache()
    assert seen(row, NINE + 2 * DAY, cache=cache).counts["7d"][OUTBOUND] == 0
    folded([ended("c1", NINE, begun=NINE)], row)
    assert seen(row, NINE + 2 * DAY, cache=cache).counts["7d"][OUTBOUND] == 1


@examples(300)
@example([4, 4], [(1, 5), (2, 5)])
@example([3, 4, 3], [(1, 4), (3, 4)])
@given(
    st.lists(st.integers(0, 5), min_size=1, max_size=8),
    st.lists(st.tuples(st.integers(1, 8), st.integers(0, 6)), min_size=1, max_size=8),
)
def test_windows_that_are_kept_are_those_that_are_summed_anew(days: list[int], reads: list[tuple[int, int]]) -> None:
    """Calls end on `days`, in this order; each of `reads` is (after how many of them, day)."""
    row, cache = new_row(), ManagerCache()
    for number, day in enumerate(days, 1):
        folded([ended(f"c{number}", NINE + day * DAY, begun=NINE + day * DAY)], row)
        for now in (NINE + read * DAY for after, read in reads if after == number):
            assert seen(row, now, cache=cache).counts == seen(row, now).counts


def test_what_was_read_does_not_change_afterwards() -> None:
    row, _ = folded([ended("c1", NINE, begun=NINE)])
    view = seen(row, NINE)
    folded([ended("c2", NINE, begun=NINE)], row)
    assert view.counts["today"][OUTBOUND] == 1


@pytest.mark.parametrize(("ms", "label"), [(6_000, "6"), (1_200_000, "1200"), (1_500, "1.5"), (3_600_000, "3600")])
def test_bounds_are_labelled_in_seconds_without_needless_digits(ms: int, label: str) -> None:
    assert seconds(ms) == label


def test_histogram_series_follow_the_settings() -> None:
    found = ManagerSeries(Settings(thresholds=Thresholds(histogram_ms=(10_000, 90_000)))).series
    assert [labels for name, labels in found if name == "calls_talked"] == [
        ("today", "10"),
        ("today", "90"),
        ("today", "+Inf"),
    ]

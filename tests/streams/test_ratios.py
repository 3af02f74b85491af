"""The denominators that the catalogue names are those of the figures: checked on a simulated department."""

from __future__ import annotations

from typing import Final

import msgspec
import pytest

from streams.metrics.catalogue import MANAGER_METRICS, Metric
from streams.metrics.coaching import COACHING as HEARD
from streams.simulator import Department, FaultRates, simulate
from streams.simulator.truth.figures import Figures
from tests.streams.folded import Folded

DAY_MS: Final = 86_400_000
HOUR_MS: Final = 3_600_000
START_MS: Final = 1_793_577_600_000  # a Monday
COACHING: Final = {metric.name for metric in HEARD}
METRICS: Final = {metric.name: metric for metric in MANAGER_METRICS}
COUNTED: Final = [
    metric
    for metric in MANAGER_METRICS
    if metric.unit == "ratio" and metric.denominator and metric.denominator.metric
    if metric.name not in COACHING  # nothing is heard in this department
    if metric.name
    != "won_calls_per_deal"  # of the deals whose lead had a call: not all have, and no metric counts them
]
"""Ratios of two counts, of which the second is exported."""


@pytest.fixture(scope="module")
def answers() -> Figures:
    """Return the figures of a department in which every call has a lead: no denominator counts more than its ratio."""
    department = Department.make(5, 5, 1)
    end_ms = START_MS + 9 * DAY_MS + 15 * HOUR_MS
    records = [
        record
        for record in simulate(department, START_MS, end_ms, faults=FaultRates.none(), crm=True)
        if record.topic == "crm" or has_lead(record.value or b"{}")
    ]
    return Folded(department.settings, records, end_ms).answers(end_ms)


def has_lead(value: bytes) -> bool:
    event = msgspec.json.decode(value)
    return "call" not in event or event.get("lead") is not None


def denominator_of(answers: Figures, metric: Metric, labels: tuple[str, ...]) -> float | None:
    """The denominator of a series, added up over the labels that the ratio has not; None where it is not exported."""
    count = metric.denominator
    assert count is not None
    asked = dict(zip(metric.labels, labels, strict=True)) | dict(count.labels)
    names = METRICS[count.metric].labels
    found = [
        value
        for (name, values), value in answers.items()
        if name == count.metric
        and all(asked.get(label, value_) == value_ for label, value_ in zip(names, values, strict=True))
    ]
    return sum(found) if found else None


@pytest.mark.parametrize("metric", COUNTED, ids=lambda metric: metric.name)
def test_a_ratio_times_its_denominator_is_a_whole_number(metric: Metric, answers: Figures) -> None:
    looked_at = 0
    for (name, labels), value in answers.items():
        whole = denominator_of(answers, metric, labels) if name == metric.name else None
        if whole:
            looked_at += 1
            assert value * whole == pytest.approx(round(value * whole), abs=1e-6), (labels, value, whole)
    assert looked_at >= 4


def test_a_numerator_that_is_exported_divided_by_the_denominator_is_the_ratio(answers: Figures) -> None:
    looked_at = set()
    for (name, labels), value in answers.items():
        metric = METRICS[name]
        if metric.numerator is None or not metric.numerator.metric or metric.denominator is None:
            continue
        if not metric.denominator.metric or not metric.denominator.exact:
            continue
        mirrored = msgspec.structs.replace(metric, denominator=metric.numerator)
        part, whole = denominator_of(answers, mirrored, labels), denominator_of(answers, metric, labels)
        if part is not None and whole:
            looked_at.add(name)
            assert value == pytest.approx(part / whole), (name, labels)
    assert looked_at == {"conversion_ratio", "first_call_deal_ratio", "calls_per_won_deal"}

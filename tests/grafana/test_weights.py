"""A ratio over several managers or teams is weighted with its own denominator, which the catalogue names."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

import pytest

from grafana import queries
from streams.metrics.catalogue import CATALOGUE, MANAGER, MANAGER_METRICS, Metric
from streams.settings.settings import Settings
from streams.tables.manager.series import ManagerSeries
from tests.grafana.test_boards import EACH_EXPRESSION
from tests.grafana.tooling import metrics, only, rules

NO_FRACTION = {
    "conversion_ratio_lower": "an end of an interval",
    "conversion_ratio_upper": "an end of an interval",
    "target_ratio": "a target, made of a ratio",
    "plan_calls_per_day": "a plan, made of a norm",
}
COUNTS = {
    "kind:callpulse_first_call_deal_ratio:90d": "times the leads given of the kind: deals that are expected",
    "manager:callpulse_expected_calls:shrunk": "calls that are expected, by a division that averages days",
}
"""Recorded series that divide and may be added up, because the sum is meant as a count."""
RATIOS = {metric.full_name: metric for metric in CATALOGUE if metric.unit == "ratio" or metric.denominator is not None}
RECORDED = {rule["record"]: rule["expr"] for rule in rules() if "record" in rule}
EACH_RULE = [pytest.param(rule["expr"], id=rule.get("record") or rule["alert"]) for rule in rules()]
SERIES = set(ManagerSeries(Settings()).series)

SELECTOR = re.compile(r"([a-z_]+:[a-z0-9_]+(?::\w+)?|callpulse_\w+)(?:\{([^{}]*)\})?")
AGGREGATE = re.compile(r"\b(?:sum|avg)\b\s*(?:by\s*\(([^()]*)\)\s*)?\(")
PRODUCT = re.compile(r"\((?P<ratio>.+)\) \* on \([^()]*\) \((?P<weight>.+)\)", re.DOTALL)
WEIGHT = re.compile(r"\((?P<weight>.+)\) and on \([^()]*\) \((?P<ratio>.+)\)", re.DOTALL)


class Selected(NamedTuple):
    """A metric or a recorded series, and the conditions on its labels with `=`."""

    name: str
    labels: dict[str, str]


def selected(expr: str) -> list[Selected]:
    return [
        Selected(name, dict(re.findall(r'(\w+)\s*=\s*"([^"]*)"', matchers or "")))
        for name, matchers in SELECTOR.findall(
            expr.replace(" unless on (job, instance) instance:callpulse_cut_off", "")
        )
    ]


def is_ratio(name: str) -> bool:
    """A ratio of the catalogue, or a recorded series that divides."""
    return name in RATIOS or " / " in re.sub(r"\s+", " ", RECORDED.get(name, ""))


def own_labels(name: str) -> set[str]:
    """The labels of a ratio; those of a recorded series stand in front of its name."""
    if name in RATIOS:
        return set(RATIOS[name].labels)
    found = set(name.split(":", maxsplit=1)[0].split("_"))
    return found | {"team"} if "manager" in found else found


def aggregates(expr: str) -> Iterator[tuple[set[str], str]]:
    """Yield every sum and mean in the expression: the labels that it keeps, and its argument."""
    for found in AGGREGATE.finditer(expr):
        depth, end = 1, found.end()
        while depth:
            depth += {"(": 1, ")": -1}.get(expr[end], 0)
            end += 1
        yield set(re.findall(r"\w+", found[1] or "")), expr[found.end() : end - 1].strip()


def mistakes(expr: str) -> list[str]:
    """Return the ratios in sums of the expression that are not weighted with their denominator."""
    found = []
    for kept, argument in aggregates(expr):
        crossed = [
            one
            for one in selected(argument)
            if is_ratio(one.name) and one.name not in COUNTS and not own_labels(one.name) <= kept | one.labels.keys()
        ]
        form = PRODUCT.fullmatch(argument) or WEIGHT.fullmatch(argument)
        if crossed and (form is None or not is_weighted(form["ratio"], form["weight"])):
            found.append(argument)
    return found


def is_weighted(ratio: str, weight: str) -> bool:
    (own,), (given,) = selected(ratio), selected(weight)
    count = RATIOS[own.name].denominator if own.name in RATIOS else None
    if count is None:
        return False
    metric = metrics()[f"callpulse_{count.metric}"]
    asked = {label: value for label, value in own.labels.items() if label in metric.labels} | dict(count.labels)
    return given == Selected(metric.full_name, asked)


@pytest.mark.parametrize("expr", [*EACH_EXPRESSION, *EACH_RULE])
def test_a_ratio_over_managers_or_teams_is_weighted_with_its_denominator(expr: str) -> None:
    assert mistakes(expr) == []


def test_there_are_weighted_ratios_to_look_at() -> None:
    over_all = [
        expr
        for expr in (only(param) for param in EACH_EXPRESSION)
        if any(PRODUCT.fullmatch(argument) for _, argument in aggregates(expr))
    ]
    assert len(over_all) >= 5


NEXT, TALKS = 'callpulse_next_step_ratio{window="30d"}', 'callpulse_conversations{window="30d"}'
ON = "on (manager, team)"


@pytest.mark.parametrize(
    ("expr", "is_right"),
    [
        (f"sum(({NEXT}) * {ON} ({TALKS})) / sum(({TALKS}) and {ON} ({NEXT}))", True),
        (f"sum(({NEXT}) * {ON} ({TALKS})) / sum(({TALKS.replace('30d', 'today')}) and {ON} ({NEXT}))", False),
        (f"sum(({NEXT}) * {ON} (callpulse_answered_calls{{window='30d'}}))", False),
        (f"avg({NEXT})", False),
        (f"avg by (team) (max by (manager, team) ({NEXT}))", False),
        (f"max by (manager) ({NEXT})", True),
        (f"sum by (manager, team, window) ({NEXT})", True),
        ('avg(team_weekday:callpulse_calls_per_day:avg56d{weekday="mon"})', False),
        ('sum by (team) (team_weekday:callpulse_calls_per_day:avg56d{weekday="mon"})', True),
        ("avg(callpulse_target_ratio)", False),
        ("sum(callpulse_conversations)", True),
    ],
)
def test_a_wrong_weight_is_seen(expr: str, is_right: bool) -> None:
    assert (mistakes(expr) == []) is is_right


@pytest.mark.parametrize("metric", MANAGER_METRICS, ids=lambda metric: metric.name)
def test_a_ratio_names_what_it_divides_and_by_what(metric: Metric) -> None:
    divides = metric.unit == "ratio" or "divided by" in metric.help or metric.help.startswith("Mean ")
    assert (metric.denominator is not None) == (metric.numerator is not None)
    assert (metric.denominator is not None) == (divides and metric.name not in NO_FRACTION)
    for count in (metric.numerator, metric.denominator):
        if count is not None and count.metric:
            named = metrics()[f"callpulse_{count.metric}"]
            assert dict(count.labels).keys() <= set(named.labels) - {*MANAGER, "window"}
            assert any(
                name == count.metric and set(dict(count.labels).values()) <= set(labels) for name, labels in SERIES
            )


def test_a_denominator_is_exported_in_the_window_in_which_a_board_asks_for_it() -> None:
    exported = {
        (f"callpulse_{name}", value)
        for name, labels in SERIES
        for label, value in zip(metrics()[f"callpulse_{name}"].labels[2:], labels, strict=True)
        if label == "window"
    }
    for param in EACH_EXPRESSION:
        for _, argument in aggregates(only(param)):
            if form := PRODUCT.fullmatch(argument):
                (weight,) = selected(form["weight"])
                assert "window" not in weight.labels or (weight.name, weight.labels["window"]) in exported


def test_a_metric_without_a_denominator_has_no_mean_over_managers() -> None:
    with pytest.raises(KeyError, match="target_ratio has no denominator"):
        queries.mean("target_ratio")


def test_labels_that_only_the_denominator_has_are_added_up() -> None:
    leads = queries.manager("open_leads_by_calls", "calls")
    assert queries.denominator("calls_per_lead", window="30d") == f"sum by (manager, team) ({leads})"

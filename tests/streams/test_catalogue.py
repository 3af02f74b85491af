"""The texts of the catalogue: every number that a setting decides is the one of the settings."""

from __future__ import annotations

import re

import pytest

from streams.metrics.activity import ACTIVITY
from streams.metrics.catalogue import CATALOGUE, OPERATIONS_METRICS, TEAM_METRICS, Metric, catalogue
from streams.metrics.coaching import COACHING
from streams.metrics.results import RESULTS
from streams.metrics.wording import percent, span, times, words
from streams.settings.settings import Settings, load
from streams.tables.manager.fold import LATE_MS

OTHER = """
[thresholds]
conversation = "61s"
short = "90s"
meaningful = "10m"
meaningful_target = [20, 31]
attempts_target = [5, 7]
work_gap = "20m"
work_block = "100m"
break_after = "250m"
max_call = "5h"
calls_per_lead_day = 1
[results]
mentor_after = 11
stuck_after = 13
attention_series = 17
permitted_hours = "07:30-19:45"
long_first_call = "7m"
quick_close = 6
[targets]
gain = 0.0125
floor = 0.023
cap = 0.0456
[speech]
flag_fillers = 5
flag_monologue = "3m"
flag_interruptions = 4
silence = "4s"
long_turn = "2m"
min_calls = 7
"""


def texts(metrics: tuple[Metric, ...]) -> dict[str, str]:
    counts = {metric.name: f"{metric.numerator} {metric.denominator}" for metric in metrics}
    return {metric.name: f"{metric.help} {counts[metric.name]}" for metric in metrics}


def test_another_setting_changes_every_text_that_names_it_and_nothing_else() -> None:
    mine = catalogue(load(OTHER, {}))
    changed = {name for name, text in texts(mine).items() if text != texts(CATALOGUE)[name]}
    assert changed == {
        metric.name
        for metric in (*ACTIVITY, *RESULTS, *COACHING)
        if re.search(r"\{\w+\}", texts((metric,))[metric.name])
    }
    assert len(changed) == 16
    for default, own in zip(CATALOGUE, mine, strict=True):
        assert (own.full_name, own.labels, own.type, own.unit) == (
            default.full_name,
            default.labels,
            default.type,
            default.unit,
        )


@pytest.mark.parametrize("name", words(Settings()))
def test_every_word_has_another_text_under_other_settings(name: str) -> None:
    assert words(Settings())[name] != words(load(OTHER, {}))[name]


def test_no_text_has_a_word_left_and_texts_of_teams_and_workers_name_no_setting() -> None:
    assert [metric.name for metric in CATALOGUE if set("{}") & set(metric.help)] == []
    assert [metric.name for metric in (*TEAM_METRICS, *OPERATIONS_METRICS) if "{" in metric.help] == []


def test_how_late_an_event_is_late_is_what_the_fold_says() -> None:
    (late,) = (metric for metric in OPERATIONS_METRICS if metric.name == "late_total")
    assert f"more than {span(LATE_MS)} of event time" in late.help


@pytest.mark.parametrize(
    ("ms", "text"),
    [
        (500, "500 ms"),
        (1_000, "1 s"),
        (60_000, "60 s"),
        (90_000, "90 s"),
        (120_000, "2 min"),
        (3_600_000, "60 min"),
        (5_400_000, "90 min"),
        (7_200_000, "2 h"),
        (86_400_000, "24 h"),
        (172_800_000, "2 days"),
        (61_500, "61500 ms"),
        (0, "0 s"),
    ],
)
def test_a_span_is_written_in_the_largest_unit_of_which_it_has_two(ms: int, text: str) -> None:
    assert span(ms) == text


def test_how_often() -> None:
    assert (times(1), times(2)) == ("once", "2 times")


@pytest.mark.parametrize(
    ("ms", "text"),
    [
        (500, "500 мс"),
        (30_000, "30 с"),
        (120_000, "2 мин"),
        (86_400_000, "24 ч"),
        (2 * 86_400_000, "2 дня"),
        (5 * 86_400_000, "5 дней"),
        (11 * 86_400_000, "11 дней"),
        (14 * 86_400_000, "14 дней"),
        (21 * 86_400_000, "21 день"),
        (90 * 86_400_000, "90 дней"),
        (111 * 86_400_000, "111 дней"),
        (122 * 86_400_000, "122 дня"),
    ],
)
def test_a_span_in_russian_has_the_form_that_its_number_wants(ms: int, text: str) -> None:
    assert span(ms, "ru") == text


def test_numbers_in_russian() -> None:
    assert [times(count, "ru") for count in (1, 3, 5, 11, 21)] == ["1 раза", "3 раз", "5 раз", "11 раз", "21 раза"]
    assert percent(0.0075, "ru") == "0,75 %"
    known = words(Settings(), "ru")
    assert known.keys() == words(Settings()).keys()
    assert (known["meaningful_target"], known["permitted_hours"], known["gain"]) == ("40–60", "08:00–21:00", "0,75")

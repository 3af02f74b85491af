"""The Russian meanings of metrics: one for each, none left over, with the numbers of the settings."""

from __future__ import annotations

import re

import pytest
from msgspec.structs import replace

from streams.metrics import translation
from streams.metrics.activity import ACTIVITY
from streams.metrics.catalogue import CATALOGUE, catalogue
from streams.metrics.coaching import COACHING
from streams.metrics.gateway import GATEWAY_METRICS
from streams.metrics.metric import Count, Metric
from streams.metrics.results import RESULTS
from streams.metrics.translation import UntranslatedError, texts, translated
from streams.settings.settings import Settings, load

ENGLISH = (*CATALOGUE, *GATEWAY_METRICS)
RUSSIAN = (*catalogue(Settings(), "ru"), *translated(GATEWAY_METRICS, "ru"))


@pytest.mark.parametrize("metric", RUSSIAN, ids=lambda metric: metric.name)
def test_every_metric_says_what_it_means_in_russian(metric: Metric) -> None:
    for text in (metric.help, *(count.meaning for count in (metric.numerator, metric.denominator) if count)):
        assert re.search("[а-яё]", text), text
        assert not re.search(r"[{}]", text), "a word of the settings that is not filled"


def test_nothing_but_the_meaning_differs() -> None:
    def bare(metric: Metric) -> Metric:
        counts = {
            name: count and replace(count, meaning="")
            for name, count in (("numerator", metric.numerator), ("denominator", metric.denominator))
        }
        return replace(metric, help="", **counts)

    assert [bare(metric) for metric in RUSSIAN] == [bare(metric) for metric in ENGLISH]


def test_no_entry_of_the_file_is_left_over() -> None:
    unfilled = (*ACTIVITY, *RESULTS, *COACHING, *CATALOGUE, *GATEWAY_METRICS)
    counts = {count.meaning for metric in unfilled for count in (metric.numerator, metric.denominator) if count}
    assert texts("ru")["help"].keys() <= {metric.help for metric in unfilled}
    assert texts("ru")["counts"].keys() <= counts


def test_the_meaning_names_the_numbers_of_the_settings() -> None:
    metrics = {metric.name: metric for metric in catalogue(load("[thresholds]\nshort = '90s'\n", {}), "ru")}
    assert "говорили меньше 90 с," in metrics["short_call_ratio"].help
    ratio = metrics["short_call_ratio"].numerator
    assert ratio is not None
    assert ratio.meaning == "отвеченные звонки, в которых говорили меньше 90 с"
    assert "больше 3 раз" in metrics["leads_over_called"].help
    assert "(0,75 процентного пункта), не ниже 1 % и не выше 5 %" in metrics["target_ratio"].help


def test_a_meaning_without_a_translation_or_with_other_words_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    metric = Metric(name="a", type="gauge", help="More than {short}.")
    with pytest.raises(UntranslatedError, match=r"streams/metrics/texts/ru\.toml, \[help\], has no text for"):
        translated([metric], "ru")
    monkeypatch.setattr(
        translation, "texts", lambda _: {"help": {metric.help: "Больше {long}.", "Dials.": "Наборы."}, "counts": {}}
    )
    with pytest.raises(ValueError, match="name other settings"):
        translated([metric], "ru")
    with pytest.raises(UntranslatedError, match=r"\[counts\]"):
        translated([replace(metric, help="Dials.", numerator=Count("dials"))], "ru")

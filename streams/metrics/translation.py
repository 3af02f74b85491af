"""The meanings of metrics in another language. English is the key: `texts/ru.toml` holds the Russian of each."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Mapping
from functools import cache
from importlib.resources import files
from typing import Final

from msgspec.structs import replace

from streams.metrics.metric import Count, Metric
from streams.metrics.wording import Language

_WORD: Final = re.compile(r"\{\w+\}")


class UntranslatedError(KeyError):
    """A meaning without an entry in the file of a language."""


@cache
def texts(language: Language) -> Mapping[str, Mapping[str, str]]:
    """Return the texts of a language by section (`help`, `counts`) and English text. English has none."""
    if language == "en":
        return {}
    file = files("streams.metrics") / "texts" / f"{language}.toml"
    return tomllib.loads(file.read_text(encoding="utf-8"))


def translated(metrics: Iterable[Metric], language: Language) -> tuple[Metric, ...]:
    """Return the metrics with their meanings in the language; the words of settings in them are not filled yet.

    Raises UntranslatedError for a meaning without an entry, ValueError for one with other words of settings.
    """
    if language == "en":
        return tuple(metrics)
    return tuple(
        replace(
            metric,
            help=_said("help", metric.help, language),
            numerator=metric.numerator and _count(metric.numerator, language),
            denominator=metric.denominator and _count(metric.denominator, language),
        )
        for metric in metrics
    )


def _count(count: Count, language: Language) -> Count:
    return replace(count, meaning=_said("counts", count.meaning, language))


def _said(section: str, text: str, language: Language) -> str:
    said = texts(language)[section].get(text)
    if said is None:
        raise UntranslatedError(f'streams/metrics/texts/{language}.toml, [{section}], has no text for "{text}"')
    if sorted(_WORD.findall(said)) != sorted(_WORD.findall(text)):
        raise ValueError(f'streams/metrics/texts/{language}.toml: "{text}" and "{said}" name other settings')
    return said

"""`callpulse metrics`: the catalogue of exported metrics, as a table, JSON, or the page docs/metrics.md."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from importlib import resources
from typing import Annotated, Final

import typer
from rich.table import Table

from agents.cli.common import ConfigOption, JsonOption, console, print_json, read_settings, write
from streams.metrics.catalogue import (
    MANAGER_INFO,
    OPERATIONS_METRICS,
    RECONCILIATION_METRICS,
    TEAM_METRICS,
    Metric,
    catalogue,
    manager_metrics,
)
from streams.metrics.gateway import GATEWAY_METRICS
from streams.metrics.metric import Count
from streams.metrics.translation import translated
from streams.metrics.wording import Language
from streams.settings.settings import Settings
from streams.tables.manager.series import MAX_SERIES, series_count

_HEADS: Final[Mapping[Language, tuple[str, ...]]] = {
    "en": ("metric", "type", "labels", "unit", "measure", "meaning", "divides", "by"),
    "ru": ("показатель", "тип", "метки", "единица", "номер", "значение", "что делят", "на что"),
}
"""The heads of the columns of the page."""


def metrics(
    config: ConfigOption = None,
    *,
    markdown: Annotated[
        bool, typer.Option("--markdown", help="Print the page docs/metrics.md, with the default settings.")
    ] = False,
    language: Annotated[Language, typer.Option(help="The language of the meanings.")] = "en",
    as_json: JsonOption = False,
) -> None:
    """Print every metric that workers and gateways export, with type, labels, unit and meaning.

    The meanings name the numbers of the settings.

    For example:

        callpulse metrics

        callpulse metrics --language ru

        callpulse metrics --json | jq -r '.[].name'
    """
    if markdown:
        write(page(language).encode())
        return
    described = (*catalogue(read_settings(config), language), *translated(GATEWAY_METRICS, language))
    if as_json:
        print_json([_plain(metric) for metric in described])
    else:
        metric_, type_, labels, _, _, meaning, *_ = _HEADS[language]
        table = Table(metric_, type_, labels, meaning, box=None, header_style="bold", show_lines=False, pad_edge=False)
        for metric in described:
            table.add_row(metric.full_name, metric.type, " ".join(metric.labels), metric.help)
        console().print(table)


def page(language: Language = "en") -> str:
    """Return the text of docs/metrics.md, or of docs/ru/metrics.md."""
    template = resources.files(__package__).joinpath("pages", f"metrics_{language}.md").read_text(encoding="utf-8")
    of_managers = manager_metrics(Settings(), language)
    others = (
        translated(metrics, language)
        for metrics in ((MANAGER_INFO,), TEAM_METRICS, RECONCILIATION_METRICS, OPERATIONS_METRICS, GATEWAY_METRICS)
    )
    info, teams, reconciliations, workers, gateways = others
    tables = {
        "managers": _table((*of_managers, *info), language, with_measure=True),
        "teams": _table(teams, language, with_measure=True),
        "reconciliations": _table(reconciliations, language, with_measure=False),
        "ratios": _fractions(of_managers, language),
        "workers": _table(workers, language, with_measure=False),
        "gateways": _table(gateways, language, with_measure=False),
    }
    numbers = {"series": str(series_count(Settings())), "most": str(MAX_SERIES)}
    filling = numbers | {name: "\n".join(lines) for name, lines in tables.items()}
    return re.sub(r"<<(\w+)>>", lambda word: filling[word[1]], template)


def _table(metrics: Iterable[Metric], language: Language, *, with_measure: bool) -> Iterator[str]:
    name, type_, labels_, unit, measure, meaning, *_ = _HEADS[language]
    more = f" {measure} |" if with_measure else ""
    yield f"| {name} | {type_} | {labels_} | {unit} |{more} {meaning} |"
    yield "|---|---|---|---|" + ("---|" if with_measure else "") + "---|"
    for metric in metrics:
        labels = " ".join(f"`{label}`" for label in metric.labels)
        number = f" {metric.measure or ''} |" if with_measure else ""
        yield f"| `{metric.full_name}` | {metric.type} | {labels} | {metric.unit} |{number} {metric.help} |"


def _fractions(metrics: Iterable[Metric], language: Language) -> Iterator[str]:
    name, *_, divides, by = _HEADS[language]
    yield f"| {name} | {divides} | {by} |"
    yield "|---|---|---|"
    for metric in metrics:
        if metric.numerator and metric.denominator:
            yield f"| `{metric.full_name}` | {_count(metric.numerator)} | {_count(metric.denominator)} |"


def _count(count: Count) -> str:
    if not count.metric:
        return count.meaning
    labels = ", ".join(f'{name}="{value}"' for name, value in count.labels)
    selected = f"callpulse_{count.metric}" + (f"{{{labels}}}" if labels else "")
    return f"{count.meaning}: {'' if count.exact else '≈ '}`{selected}`"


def _plain(metric: Metric) -> dict[str, object]:
    return {
        "name": metric.full_name,
        "type": metric.type,
        "labels": metric.labels,
        "unit": metric.unit,
        "measure": metric.measure,
        "help": metric.help,
    }

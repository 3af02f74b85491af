"""`callpulse metrics`: the catalogue of what is exported, as a table, JSON, or the page docs/metrics.md."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from importlib import resources
from typing import Annotated

import typer
from rich.table import Table

from agents.cli.common import ConfigOption, JsonOption, console, print_json, read_settings, write
from streams.metrics.catalogue import (
    MANAGER_INFO,
    MANAGER_METRICS,
    OPERATIONS_METRICS,
    RECONCILIATION_METRICS,
    TEAM_METRICS,
    Metric,
    catalogue,
)
from streams.metrics.gateway import GATEWAY_METRICS
from streams.metrics.metric import Count
from streams.settings.settings import Settings
from streams.tables.manager.series import MAX_SERIES, series_count

_INTRODUCTION = """\
# Metrics

Generated from the catalogue, `streams/metrics/catalogue.py`, by `callpulse metrics --markdown`; a test keeps it
current. All numbers here are those of the default settings. The HELP texts of a worker, `callpulse metrics` and
`callpulse explain` name the numbers of your settings.

A call counts where it ended. Windows: `1h` is the last 60 minutes; `today` is the manager's own local day; `7d`, `30d`
and `90d` are today and the 6, 29 and 89 local days before it; `previous` is the 90 days before those. Windows are
decided when they are read, so they decay to zero with no event at all. A ratio whose denominator is 0 is not exported.

Every metric of a manager has the labels `manager` (the id that events carry) and `team`. Before adding managers up,
take `max by (manager, ...)`: while partitions move, two workers may show the same manager for a moment. With the
default settings a manager has at most {series} series; settings that make more than {most} are refused. Besides,
`callpulse_manager_info` gives the name that the roster has for the id, for joins.

Figures by product, channel or weekday are exported per team and partition of its managers. To read them, add
the partitions up:
`sum by (team, value) (max by (team, partition, value) (callpulse_team_won_deals{{dimension="product"}}))`. A value that
does not occur has no series.

"""


_RATIOS = """\
## Ratios and means of managers

Over several managers a ratio is the mean of each one's own, weighted with its denominator: the sum of ratio times
denominator, divided by the sum of the denominators. Add up the labels that a denominator has and the ratio has not.
≈ marks a metric that is the nearest there is: it counts some things that the ratio leaves out.
"""


def metrics(
    config: ConfigOption = None,
    *,
    markdown: Annotated[
        bool, typer.Option("--markdown", help="Print the page docs/metrics.md, with the default settings.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Print every metric that workers and gateways export, with type, labels, unit and meaning.

    The meanings name the numbers of the settings.

    For example:

        callpulse metrics

        callpulse metrics --json | jq -r '.[].name'
    """
    if markdown:
        write(page().encode())
        return
    described = (*catalogue(read_settings(config)), *GATEWAY_METRICS)
    if as_json:
        print_json([_plain(metric) for metric in described])
    else:
        table = Table(
            "metric", "type", "labels", "meaning", box=None, header_style="bold", show_lines=False, pad_edge=False
        )
        for metric in described:
            table.add_row(metric.full_name, metric.type, " ".join(metric.labels), metric.help)
        console().print(table)


def page() -> str:
    """Return the text of docs/metrics.md."""
    introduction = _INTRODUCTION.format(series=series_count(Settings()), most=MAX_SERIES)
    definitions = resources.files(__package__).joinpath("definitions.md").read_text(encoding="utf-8")
    lines = [introduction + definitions]
    lines += ["## Of a manager\n", *_table((*MANAGER_METRICS, MANAGER_INFO), with_measure=True), ""]
    lines += ["## Of a team\n", *_table(TEAM_METRICS, with_measure=True), ""]
    lines += ["## Of reconciliations\n", *_table(RECONCILIATION_METRICS, with_measure=False), ""]
    lines += [_RATIOS, *_fractions(MANAGER_METRICS), ""]
    lines += ["## Of a worker\n", *_table(OPERATIONS_METRICS, with_measure=False), ""]
    lines += ["## Of a process of the way in\n", *_table(GATEWAY_METRICS, with_measure=False)]
    return "\n".join(lines) + "\n"


def _table(metrics: Iterable[Metric], *, with_measure: bool) -> Iterator[str]:
    more = " measure |" if with_measure else ""
    yield f"| metric | type | labels | unit |{more} meaning |"
    yield "|---|---|---|---|" + ("---|" if with_measure else "") + "---|"
    for metric in metrics:
        labels = " ".join(f"`{label}`" for label in metric.labels)
        number = f" {metric.measure or ''} |" if with_measure else ""
        yield f"| `{metric.full_name}` | {metric.type} | {labels} | {metric.unit} |{number} {metric.help} |"


def _fractions(metrics: Iterable[Metric]) -> Iterator[str]:
    yield "| metric | divides | by |"
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

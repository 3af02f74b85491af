"""Fill templates of rules and texts of boards: `<<silence>>` becomes the value in the configuration.

The sign is one that neither PromQL nor the templates of Prometheus use.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

_WORD: Final = re.compile(r"<<([a-z_.0-9]+)>>")
_EXPORT: Final = re.compile(r"<<(latest|current) by \(([a-z_, ]+)\): ([^<>]+)>>")
_GROWN: Final = re.compile(r"<<grown in (\w+): ([^<>]+)>>")
_METRIC: Final = re.compile(r"(?<![\w:$])(?:callpulse_\w+|(?:up|scrape_\w+)(?=\{))(?![\w:])(\{)?")
_STRING: Final = re.compile(r'"(?:[^"\\]|\\.)*"')


def fill(text: str, words: Mapping[str, str]) -> str:
    """Return the text with its words filled in. Raises ValueError for an unknown word."""

    def word(match: re.Match[str]) -> str:
        if match[1] not in words:
            raise ValueError(f"<<{match[1]}>> stands for nothing; known: {', '.join(sorted(words))}")
        return words[match[1]]

    return _WORD.sub(word, text)


def expand(text: str, missed_scrapes: str) -> str:
    """Return the text with `<<latest by (LABELS): METRIC>>` written out as the query of the newest export.

    `current` has the present exports; `latest` also bridges the failed scrapes of `missed_scrapes`. `<<grown in SPAN:
    METRIC>>` is by how much a counter grew.
    """

    def export(match: re.Match[str]) -> str:
        by, metric = match[2], match[3]
        now = current(metric, by)
        if match[1] == "current":
            return now
        return f"({now} or {current(f'last_over_time({metric}[{missed_scrapes}])', by)})"

    return _GROWN.sub(lambda match: _grown(match[2], match[1]), _EXPORT.sub(export, text))


def current(metric: str, by: str) -> str:
    """Return the query of a metric per label of `by`, without workers that have lost their session."""
    return f"max by ({by}) ({metric} unless on (job, instance) instance:callpulse_cut_off)"


def _grown(metric: str, span: str) -> str:
    """Return the query of the growth of a counter in a span, for counters that seldom grow.

    `increase` alone does not see the first value of a counter that a new process brings: it may be above 0 at the first
    scrape. Only `increase` sees growth after a reset, where a process began again in the span. The greater one counts.
    """
    most = f"max_over_time({metric}[{span}])"
    since = f"{most} - (last_over_time({metric}[2m] offset {span}) or {most} * 0)"
    again = f"(increase({metric}[{span}]) and resets({metric}[{span}]) > 0)"
    return f"({again} > ({since}) or ({since}))"


def select(expr: str, selector: str) -> str:
    """Return the expression with these matchers of labels on every metric of callpulse, and on those of its scrapes.

    Recorded series (`manager:callpulse_state`) are left alone: they are made of metrics that are selected.
    """
    if not selector:
        return expr
    quoted = [match.span() for match in _STRING.finditer(expr)]

    def metric(match: re.Match[str]) -> str:
        if any(start <= match.start() < end for start, end in quoted):
            return match[0]
        return f"{match[0]}{selector}, " if match[1] else f"{match[0]}{{{selector}}}"

    return _METRIC.sub(metric, expr)

"""Fill templates of rules and texts of boards: `<<silence>>` becomes what the configuration says.

The sign is one that neither PromQL nor the templates of Prometheus use.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

_WORD: Final = re.compile(r"<<([a-z_.]+)>>")
_METRIC: Final = re.compile(r"(?<![\w:$])(?:callpulse_\w+|up(?=\{))(?![\w:])(\{)?")
_STRING: Final = re.compile(r'"(?:[^"\\]|\\.)*"')


def fill(text: str, words: Mapping[str, str]) -> str:
    """Return the text with its words filled in. Raises ValueError for a word that nobody knows."""

    def word(match: re.Match[str]) -> str:
        if match[1] not in words:
            raise ValueError(f"<<{match[1]}>> stands for nothing; known: {', '.join(sorted(words))}")
        return words[match[1]]

    return _WORD.sub(word, text)


def select(expr: str, selector: str) -> str:
    """Return the expression with these matchers of labels on every metric of callpulse, and on `up`.

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

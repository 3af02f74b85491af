"""The metrics in an expression of PromQL, with the labels of their selectors; enough for our boards and rules."""

from __future__ import annotations

import re
from typing import NamedTuple

_STRING = r'"(?:[^"\\]|\\.)*"'
_VARIABLE = re.compile(r"\$\{?[a-z_]+\}?")
_SELECTOR = re.compile(r"([a-zA-Z_:][a-zA-Z0-9_:]*)\s*\{([^{}]*)\}")
_MATCHER = re.compile(rf"(\w+)\s*(?:=~|!~|!=|=)\s*{_STRING}")
_GROUPING = re.compile(r"\b(by|without|on|ignoring|group_left|group_right)\s*\(([^()]*)\)")
_RANGE = re.compile(r"\[[^\]]*\]")
_NUMBER = re.compile(r"(?<![\w:])\d+(?:\.\d+)?[a-z]*\b")  # but not the end of a name like `a:b:90d`
_NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
_CALL = re.compile(r"\b(?!and\b|or\b|unless\b|bool\b)[a-zA-Z_][a-zA-Z0-9_]*\s*\(")
_WORDS = {"and", "or", "unless", "bool", "offset", "inf", "nan", "by", "without", "on", "ignoring"}


class Named(NamedTuple):
    """A metric, and the labels of its selector."""

    metric: str
    labels: frozenset[str]


def named(expr: str) -> set[Named]:
    """Return every metric that the expression selects, with the labels of its selector."""
    found = set()

    def selector(match: re.Match[str]) -> str:
        found.add(Named(match[1], frozenset(label for label in _MATCHER.findall(match[2]))))
        return " "

    rest = _SELECTOR.sub(selector, expr)
    rest = re.sub(_STRING, " ", rest)
    rest = _RANGE.sub(" ", _GROUPING.sub(" ", _VARIABLE.sub(" ", rest)))
    rest = _NUMBER.sub(" ", _CALL.sub("(", rest))
    found.update(Named(name, frozenset()) for name in _NAME.findall(rest) if name.lower() not in _WORDS)
    return found

"""The results of a benchmark: figures, and their targets."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from statistics import median
from typing import Final

from msgspec import Struct

WRONG: Final = 1
MISSED: Final = 2


class Target(Struct, frozen=True):
    """A target, with the measured figure. `at_least` and `at_most`: one of the two is set."""

    name: str
    value: float
    at_least: float | None = None
    at_most: float | None = None

    @property
    def met(self) -> bool:
        """True if the target is met."""
        if self.at_least is not None:
            return self.value >= self.at_least
        return self.at_most is not None and self.value <= self.at_most

    @property
    def line(self) -> str:
        """The target for a person."""
        bound = f"at least {_short(self.at_least)}" if self.at_least is not None else f"at most {_short(self.at_most)}"
        return f"{'met   ' if self.met else 'MISSED'}  {self.name}: {_short(self.value)} ({bound})"


class Result(Struct):
    """The outcome of one benchmark: `figures` for machines, `table` for people, `notes` about them."""

    name: str
    figures: Mapping[str, object]
    table: list[list[str]]
    targets: list[Target]
    notes: list[str]
    wrong: list[str]  # answers that are not the known ones: the figures beside them are invalid

    def text(self) -> str:
        """Return all of it as Markdown."""
        lines = [f"### {self.name}", ""]
        if self.table:
            head, *rows = self.table
            lines += [_row(head), _row(["---"] + ["---:"] * (len(head) - 1)), *map(_row, rows), ""]
        lines += [f"- {target.line}" for target in self.targets]
        lines += [f"- {note}" for note in self.notes]
        lines += [f"- WRONG: {wrong}" for wrong in self.wrong]
        return "\n".join(lines) + "\n"


def wrong_sums(name: str, sums: Mapping[str, int] | None, known: Mapping[str, int]) -> str | None:
    """Return the sums in which an answer differs from the known ones, None without a difference.

    It ignores other sums.
    """
    if sums is None:
        return f"{name} gave no sums"
    differing = [
        f"{key} {sums.get(key, 0):,} instead of {value:,}" for key, value in known.items() if sums.get(key, 0) != value
    ]
    return f"{name}: {', '.join(differing)}" if differing else None


def percentile(values: Sequence[float], share: float) -> float:
    """Return the smallest value that at least `share` of `values` do not exceed. Raises IndexError without values."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def spread(values: Sequence[float]) -> dict[str, float]:
    """Return median, least and greatest."""
    return {"median": median(values), "min": min(values), "max": max(values)}


def span(values: Sequence[float], form: str) -> str:
    """Return the least and the greatest, for a table."""
    return f"{min(values):{form}} to {max(values):{form}}"


def _row(cells: list[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _short(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"

"""The form of a metric in the catalogue."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal

from msgspec import Struct
from msgspec.structs import replace

MANAGER: Final = ("manager", "team")
TEAM: Final = ("team", "partition")


class Count(Struct, frozen=True):
    """The numerator or denominator of a ratio: its `meaning`, and the `metric` that exports it ("" if none does).

    The metric is read with `labels` and in the window of the ratio, and summed over its labels that the ratio lacks.
    `exact` is False where the metric is the nearest there is, and counts some things that the ratio leaves out.
    """

    meaning: str
    metric: str = ""
    labels: tuple[tuple[str, str], ...] = ()
    exact: bool = True

    def filled(self, words: Mapping[str, str]) -> Count:
        """Return the count with the settings in its meaning."""
        return replace(self, meaning=self.meaning.format_map(words))


class Metric(Struct, frozen=True, kw_only=True):
    """One metric family. `measure` is its number in the list of measures of `docs/metrics.md`, None for operations.

    A ratio or a mean has a `numerator` and a `denominator`. Over several managers it is the mean of each one's own,
    weighted with the denominator.
    """

    name: str
    type: Literal["gauge", "counter", "histogram"]
    help: str
    labels: tuple[str, ...] = ()
    unit: str = ""
    measure: int | None = None
    numerator: Count | None = None
    denominator: Count | None = None

    def filled(self, words: Mapping[str, str]) -> Metric:
        """Return the metric with the settings in its texts. Raises KeyError for an unknown word."""
        return replace(
            self,
            help=self.help.format_map(words),
            numerator=self.numerator and self.numerator.filled(words),
            denominator=self.denominator and self.denominator.filled(words),
        )

    @property
    def full_name(self) -> str:
        """The name as it is exported."""
        return f"callpulse_{self.name}"


def of_manager(
    name: str, text: str, *labels: str, unit: str = "", measure: int, over: tuple[Count, Count] | None = None
) -> Metric:
    """Return a gauge of one manager; `labels` are those beside `manager` and `team`.

    `over` is the numerator and the denominator of a ratio or a mean.
    """
    numerator, denominator = over or (None, None)
    return Metric(
        name=name,
        type="gauge",
        help=text,
        labels=(*MANAGER, *labels),
        unit=unit,
        measure=measure,
        numerator=numerator,
        denominator=denominator,
    )


def of_team(name: str, text: str, *labels: str, unit: str = "", measure: int) -> Metric:
    """Return a gauge of a team's managers in one partition; `labels` are those beside `team` and `partition`."""
    return Metric(name=f"team_{name}", type="gauge", help=text, labels=(*TEAM, *labels), unit=unit, measure=measure)

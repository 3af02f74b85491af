"""The form of a metric in the catalogue."""

from __future__ import annotations

from typing import Final, Literal

from msgspec import Struct

MANAGER: Final = ("manager", "team")
TEAM: Final = ("team", "partition")


class Metric(Struct, frozen=True, kw_only=True):
    """One metric family. `measure` is its number in the list of measures of `docs/metrics.md`, None for operations."""

    name: str
    type: Literal["gauge", "counter", "histogram"]
    help: str
    labels: tuple[str, ...] = ()
    unit: str = ""
    measure: int | None = None

    @property
    def full_name(self) -> str:
        """The name as it is exported."""
        return f"callpulse_{self.name}"


def of_manager(name: str, text: str, *labels: str, unit: str = "", measure: int) -> Metric:
    """Return a gauge of one manager; `labels` are those beside `manager` and `team`."""
    return Metric(name=name, type="gauge", help=text, labels=(*MANAGER, *labels), unit=unit, measure=measure)


def of_team(name: str, text: str, *labels: str, unit: str = "", measure: int) -> Metric:
    """Return a gauge of a team's managers in one partition; `labels` are those beside `team` and `partition`."""
    return Metric(name=f"team_{name}", type="gauge", help=text, labels=(*TEAM, *labels), unit=unit, measure=measure)

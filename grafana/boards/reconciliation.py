"""The row of the board *Sources* on reconciliation: records against counted calls, and the days that are final."""

from __future__ import annotations

from typing import Final

from grafana_foundation_sdk.builders import dashboard as dashboards
from grafana_foundation_sdk.builders import stat, table

from grafana import common, tables
from grafana.common import GREEN, GREY, ORANGE, YELLOW, number
from grafana.config import Config
from grafana.fill import current
from grafana.queries import NO_QUEUE
from grafana.tables import Column, quiet, whole
from streams.units import DAY_S, SECOND_MS

_DATE: Final = "time:YYYY-MM-DD"
_LABELS: Final = {"name": "Manager", "manager": tables.HIDDEN, "source": "Source"}


def _each(metric: str, result: str = "") -> str:
    """Return the query of a metric per manager and source."""
    chosen = f'{NO_QUEUE}, result="{result}"' if result else NO_QUEUE
    return current(f"callpulse_{metric}{{{chosen}}}", "manager, team, source")


def _of_manager(metric: str) -> str:
    """Return the query of a metric per manager."""
    return current(f"callpulse_{metric}{{{NO_QUEUE}}}", "manager, team")


def _beside(expr: str) -> str:
    """Return the query of an expression per manager, once for each source of the manager."""
    return f"0 * {_each('reconciled_until_timestamp_seconds')} + on (manager, team) group_left () {expr}"


def _day(ends: str) -> str:
    """Return the query of a day from that of its end: its noon, which has the same date in most zones of readers."""
    return f"{SECOND_MS} * ({ends} - {DAY_S // 2})"


def final_day() -> stat.Panel:
    """Return the day up to which the figures of all managers are final."""
    return number(
        "Final for all up to",
        "The figures of every manager are final up to this day, but for days that are provisional. A day is final once "
        "records cover it and every call of theirs counts. Not compared: callpulse reconcile has found no final day.",
        _DATE,
        _day(f"min({_of_manager('final_until_timestamp_seconds')})"),
        empty="not compared",
    )


def provisional() -> stat.Panel:
    """Return the number of provisional days of managers."""
    return number(
        "Provisional days",
        "Days of managers that are not final, of the last 7 before today. Does callpulse reconcile --every run, and "
        "can it read the records? Not compared: no day was reconciled.",
        "none",
        f"sum({_of_manager('provisional_days')})",
        ((None, GREEN), (1, YELLOW)),
        empty="not compared",
    )


def drift(config: Config) -> stat.Panel:
    """Return the share of calls on which records and figures differ."""
    return number(
        "Drift",
        "Calls that only the records have, or only the figures, or whose end was lost, of all: on each manager's "
        "newest day that was reconciled. callpulse reconcile --day DAY lists them.",
        "percentunit",
        "max(source:callpulse_reconciled_drift:ratio)",
        ((None, GREEN), (config.alerts.drift_ratio, ORANGE)),
        empty="not compared",
    ).decimals(1)


def talk() -> stat.Panel:
    """Return the difference of talk."""
    return number(
        "Talk drift",
        "Talk that the records say minus talk that was counted, on those days, over calls whose talk both know. Below "
        "0: figures have too much.",
        "s",
        f"sum({_each('reconciled_talk_difference_seconds')})",
        ((None, GREY),),
        empty="not compared",
    ).decimals(0)


def by_manager() -> table.Panel:
    """Return the drift by manager."""
    amber: common.Steps = ((None, GREY), (1, YELLOW))
    missing = f"{_each('reconciled_legs', 'missing')} + {_each('reconciled_legs', 'lost_end')}"

    def few(head: str, expr: str, thresholds: common.Steps = amber) -> Column:
        return Column(head, expr, thresholds=thresholds, more={"mappings": quiet(), "decimals": 0})

    return tables.of_columns(
        "By manager",
        "Whose figures differ from the records? Day: the newest one that was reconciled. Both: calls in "
        "records and figures. Missing: recorded, and not counted, or without the end; callpulse reconcile --repair "
        "sends them. Extra: counted, in no record. Other talk, Other end: of both, and the two differ. Talk: recorded "
        "minus counted. Provisional: so many of the last 7 days are not final.",
        _LABELS,
        [
            few("Missing", missing, ((None, GREY), (1, ORANGE))),
            few("Extra", _each("reconciled_legs", "extra")),
            whole("Both", _each("reconciled_legs", "both")),
            few("Other talk", _each("reconciled_legs", "other_talk")),
            few("Other end", _each("reconciled_legs", "other_disposition")),
            Column("Talk", _each("reconciled_talk_difference_seconds"), "s", more={"decimals": 0, "mappings": quiet()}),
            Column("Day", _day(_each("reconciled_until_timestamp_seconds")), _DATE),
            few("Provisional", _beside(_of_manager("provisional_days"))),
        ],
        "Missing",
    ).no_value("No day was reconciled yet: callpulse reconcile --day yesterday, or --every 1h for all days")


def row(config: Config, y: int) -> list[common.Placed]:
    """Return the panels, from the line `y` on."""
    numbers = (final_day(), provisional(), drift(config), talk())
    return [
        (0, y, 24, 1, dashboards.Row("Records against what was counted")),
        *((0, y + 1 + 3 * line, 4, 3, panel) for line, panel in enumerate(numbers)),
        (4, y + 1, 20, 12, by_manager()),
    ]

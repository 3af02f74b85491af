"""The tables of the board Team now: a row for each manager, and what fires."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

from grafana_foundation_sdk.builders import common as shared
from grafana_foundation_sdk.builders import table
from grafana_foundation_sdk.models import common as options
from grafana_foundation_sdk.models import dashboard

from grafana import common, queries
from grafana.common import BLUE, GREEN, GREY, ORANGE, RED, YELLOW
from grafana.queries import calls, manager, recorded

TEXT: Final = {"type": "color-text"}
FILLED: Final = {"type": "color-background", "mode": "basic"}
COLOURED: Final = options.TableColorTextCellOptions()
GAUGE: Final = {"type": "gauge", "mode": "basic", "valueDisplayMode": "text"}


class Column(NamedTuple):
    """A column: its head, query, unit, and how its cells look."""

    head: str
    expr: str
    unit: str = "none"
    thresholds: common.Steps = ()
    cell: Mapping[str, str] = TEXT
    more: Mapping[str, object] = {}


def _quiet(word: str = "·") -> list[dashboard.ValueMapping]:
    """Return a mapping that takes the noise out of a column of mostly zeros."""
    return common.words({0: (word, GREY)})


def columns(states: Mapping[int, tuple[str, str]]) -> tuple[Column, ...]:
    """Return the columns after name and team."""
    busy, idle = manager("longest_call_in_progress_seconds"), manager("idle_seconds")
    return (
        Column("Now", f"sort_desc({queries.state()})", cell=FILLED, more={"mappings": common.words(states)}),
        Column("For", f"{busy} > 0 or {idle}", "s", more={"mappings": _quiet(), "decimals": 0}),
        Column("Last hour", recorded("manager:callpulse_calls_1h:sum")),
        Column("Usual", recorded("manager:callpulse_calls_full_hour:avg4d"), more={"decimals": 0}),
        Column("Calls", calls("today")),
        Column("Hours", queries.shift_hours(), more={"decimals": 1}),
        Column("Connect", manager("connect_ratio", window="today"), "percentunit", more={"decimals": 0}),
        Column(
            "Short",
            manager("short_call_ratio", window="today"),
            "percentunit",
            ((None, GREEN), (0.5, YELLOW), (0.7, RED)),
            more={"decimals": 0},
        ),
        Column(
            "5 min +",
            manager("meaningful_calls", window="today"),
            thresholds=((None, BLUE), (40, GREEN), (61, YELLOW)),
            cell=GAUGE,
            more={"min": 0, "max": 60},
        ),
        Column("Talk", manager("talk_time_seconds", window="today"), "s", more={"decimals": 1}),
        Column(
            "Block",
            manager("work_block_seconds"),
            "s",
            ((None, GREEN), (7200, YELLOW), (10800, RED)),
            more={"mappings": _quiet(), "decimals": 1},
        ),
        Column(
            "No break",
            manager("breaks_missed", window="today"),
            thresholds=((None, GREY), (1, ORANGE)),
            more={"mappings": _quiet()},
        ),
        Column(
            "Too often",
            manager("leads_over_called", window="today"),
            thresholds=((None, GREY), (1, ORANGE)),
            more={"mappings": _quiet()},
        ),
        Column("Per lead", manager("calls_per_lead", window="30d"), more={"decimals": 1}),
    )


def _arranged(heads: Mapping[str, str], hidden: tuple[str, ...] = ()) -> list[dashboard.DataTransformerConfig]:
    """Return the transformations that make one table of the queries, its columns in this order with these heads."""
    return [
        dashboard.DataTransformerConfig(id_val="merge", options={}),
        dashboard.DataTransformerConfig(
            id_val="organize",
            options={
                "excludeByName": dict.fromkeys(("Time", "__name__", *hidden), True),
                "indexByName": {name: index for index, name in enumerate(heads)},
                "renameByName": dict(heads),
            },
        ),
    ]


def managers(states: Mapping[int, tuple[str, str]]) -> table.Panel:
    """Return the table of managers; who is silent stands first."""
    made = columns(states)
    refs = [chr(ord("A") + index) for index in range(len(made))]
    panel = common.described(
        table.Panel(),
        "Managers",
        "For: how long the call has lasted, or nothing has happened. Last hour: finished calls; Usual: the manager's "
        "own mean of full hours on shift in the last four days. Calls, Connect, Short, Meaningful and Talk are of "
        "today. Hours: on shift, in the last 14 h. Connect: dials answered by a person ÷ dials. Short: under 2 min of "
        "talk ÷ answered. 5 min +: meaningful calls; the target is 40 to 60 a day. Block: calling without a "
        "pause of 15 min. No break: one for each full 3 h of such a block today. Too often: leads dialled more than "
        "3 times today. Per lead: calls a lead in 30 days.",
        "none",
    )
    panel = panel.targets([common.row_query(column.expr, ref) for column, ref in zip(made, refs, strict=True)])
    heads = {f"Value #{ref}": column.head for column, ref in zip(made, refs, strict=True)}
    panel = panel.transformations(_arranged({"manager": "Manager", "team": "Team", **heads}))
    panel = panel.sort_by([shared.TableSortByFieldState().display_name("Now").desc(True)])
    panel = panel.override_by_name("Manager", common.override(custom_minWidth=130))
    panel = panel.override_by_name("Team", common.override(custom_minWidth=100))
    for column in made:
        properties = common.override(unit=column.unit, custom_cellOptions=column.cell, custom_align="right")
        if column.thresholds:
            properties += common.override(thresholds=common.steps(column.thresholds).build())
        panel = panel.override_by_name(column.head, properties + common.override(**column.more))
    # Many columns in a screen's width: they share it evenly.
    return panel.min_width(60).cell_options(COLOURED).thresholds(common.steps(((None, "text"),)))


def alerts() -> table.Panel:
    """Return what fires now, those on managers and those on the way of the events."""
    panel = common.described(
        table.Panel(),
        "What fires now",
        "Alerts that fire. With FeedDown, WorkerDown or PartitionsUnowned among them, figures stand still: repair "
        "first.",
        "none",
    )
    fires = 'ALERTS{alertstate="firing", manager=~"$manager|", team=~"$team|"}'
    expr = f"count by (alertname, manager, team, severity) ({fires})"
    heads = {"alertname": "Alert", "manager": "Manager", "team": "Team", "severity": "Severity"}
    severity = {
        "critical": {"text": "critical", "color": RED, "index": 0},
        "warning": {"text": "warning", "color": ORANGE, "index": 1},
    }
    return (
        panel.with_target(common.row_query(expr, "A"))
        .transformations(_arranged(heads, hidden=("Value", "Value #A")))
        .override_by_name("Alert", common.override(custom_minWidth=130))
        .override_by_name(
            "Severity", common.override(mappings=[{"type": "value", "options": severity}], custom_cellOptions=TEXT)
        )
        .min_width(60)
        .no_value("Nothing fires")
    )

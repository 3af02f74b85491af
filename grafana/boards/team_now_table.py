"""The tables of the board *Team now*: one row per manager, and the alerts that fire."""

from __future__ import annotations

from collections.abc import Mapping

from grafana_foundation_sdk.builders import table

from grafana import common, queries, tables
from grafana.common import BLUE, GREEN, GREY, ORANGE, RED, YELLOW
from grafana.config import Config
from grafana.queries import calls, manager, recorded
from grafana.tables import Column, quiet, share, whole


def columns(config: Config, states: Mapping[int, tuple[str, str]]) -> tuple[Column, ...]:
    """Return the columns after name and team."""
    thresholds = config.settings.thresholds
    low, high = thresholds.meaningful_target
    busy, idle = manager("longest_call_in_progress_seconds"), manager("idle_seconds")
    return (
        Column("Now", queries.state(), cell=tables.FILLED, more={"mappings": common.words(states)}),
        Column("For", f"{busy} > 0 or {idle}", "s", more={"mappings": quiet(), "decimals": 0}),
        Column("1 hour", recorded("manager:callpulse_calls_1h:sum")),
        whole("Usual", queries.usual()),
        Column("Calls", calls("today")),
        whole("By now", queries.expected("today")),
        share("Connect", manager("connect_ratio", window="today")),
        Column(
            "Short",
            manager("short_call_ratio", window="today"),
            "percentunit",
            common.rising(config.boards.short_ratio),
            more={"decimals": 0},
        ),
        Column(
            "<<meaningful>> +",
            manager("meaningful_calls", window="today"),
            thresholds=((None, BLUE), (low, GREEN), (high + 1, YELLOW)),
            cell=tables.GAUGE,
            more={"min": 0, "max": high},
        ),
        Column("Talk", manager("talk_time_seconds", window="today"), "s", more={"decimals": 1}),
        Column(
            "Block",
            manager("work_block_seconds"),
            "s",
            ((None, GREEN), (thresholds.work_block_ms / 1000, YELLOW), (thresholds.break_after_ms / 1000, RED)),
            more={"mappings": quiet(), "decimals": 1},
        ),
        Column("Won 30 d", manager("won_deals", window="30d"), thresholds=((None, BLUE),)),
        *(
            Column(head, expr, thresholds=((None, GREY), (1, ORANGE)), more={"mappings": quiet()})
            for head, expr in (
                ("No break", manager("breaks_missed", window="today")),
                ("Too often", manager("leads_over_called", window="today")),
                ("Consult", manager("leads_consultation_due")),
            )
        ),
    )


def managers(config: Config, states: Mapping[int, tuple[str, str]]) -> table.Panel:
    """Return the table of managers, silent ones first."""
    return tables.of_columns(
        "Managers",
        "For: how long the call has lasted, or how long no event has arrived. 1 hour: calls finished in the last "
        "hour. Usual: the manager's usual number in this hour of this weekday. Calls, Connect, Short, <<meaningful>> "
        "+ and Talk are of today. By now: the usual number of calls by this time. Connect: dials answered by a person "
        "÷ dials. Short: calls under <<short>> of talk ÷ answered calls. <<meaningful>> +: meaningful calls; the "
        "target is <<meaningful_target>> per day. Block: calling without a pause of <<work_gap>>. No break: one for "
        "each full <<break_after>> of such a block today. Too often: leads dialled more than <<calls_per_lead_day>> "
        "today. Consult: leads that a mentor should discuss with the manager.",
        tables.MANAGER,
        columns(config, states),
        "Now",
    )


# What stands out, in the order of attention that it needs.
NOISE, CLOSER = 2, 1


def results() -> table.Panel:
    """Return results beside activity, busy managers without results first."""
    flags = (
        f"({recorded('manager:callpulse_busy_noise')} * {NOISE}"
        f" + on (manager, team) {recorded('manager:callpulse_quiet_closer')} * {CLOSER})"
        f" or on (manager, team) {recorded('manager:callpulse_calls_30d:sum')} * 0"
    )
    said = {NOISE: ("busy noise", RED), CLOSER: ("quiet closer", GREEN), 0: ("·", GREY)}
    return tables.of_columns(
        "Does activity turn into results?",
        "Calls and won deals of 30 days. #: the rank in the team, 1 for the most. Busy noise: in the third of the "
        "team with the most calls and in the third with the fewest deals. Quiet closer: the reverse. Conversion: won "
        "deals ÷ calls in which a proposal was discussed, 90 days. At least: the lower end of its 95 % interval, "
        "because a few calls prove little. Fair index: won deals ÷ deals that the department wins from the same kinds "
        "of leads; 1 equals the others.",
        tables.MANAGER,
        (
            Column("Stands out", flags, more={"mappings": common.words(said), "custom.width": 130}),
            Column("Calls", recorded("manager:callpulse_calls_30d:sum")),
            Column("Calls #", recorded("manager:callpulse_activity_30d:rank")),
            Column("Won", recorded("manager:callpulse_won_deals_30d:max"), thresholds=((None, BLUE),)),
            Column("Won #", recorded("manager:callpulse_result_30d:rank")),
            share("Conversion", manager("conversion_ratio", window="90d"), 1),
            share("At least", manager("conversion_ratio_lower", window="90d"), 1),
            Column("Fair index", recorded("manager:callpulse_mix_adjusted_index:90d"), more={"decimals": 2}),
        ),
        "Stands out",
    )


def alerts() -> table.Panel:
    """Return the alerts that fire now: those on managers and those on the data."""
    panel = common.described(
        table.Panel(),
        "Active alerts",
        "Alerts that fire now. FeedDown, WorkerDown and PartitionsUnowned mean that figures are not current: repair "
        "these first.",
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
        .transformations(tables.arranged(heads, hidden=("Value", "Value #A")))
        .override_by_name("Alert", common.override(custom_minWidth=170))
        .override_by_name(
            "Severity",
            common.override(mappings=[{"type": "value", "options": severity}], custom_cellOptions=tables.TEXT),
        )
        .min_width(60)
        .no_value("No alert fires")
    )

"""The tables of the board Team now: a row for each manager, and what fires."""

from __future__ import annotations

from collections.abc import Mapping

from grafana_foundation_sdk.builders import table

from grafana import common, queries, tables
from grafana.common import BLUE, GREEN, GREY, ORANGE, RED, YELLOW
from grafana.queries import calls, manager, recorded
from grafana.tables import Column, quiet, share, whole


def columns(states: Mapping[int, tuple[str, str]]) -> tuple[Column, ...]:
    """Return the columns after name and team."""
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
            ((None, GREEN), (0.5, YELLOW), (0.7, RED)),
            more={"decimals": 0},
        ),
        Column(
            "5 min +",
            manager("meaningful_calls", window="today"),
            thresholds=((None, BLUE), (40, GREEN), (61, YELLOW)),
            cell=tables.GAUGE,
            more={"min": 0, "max": 60},
        ),
        Column("Talk", manager("talk_time_seconds", window="today"), "s", more={"decimals": 1}),
        Column(
            "Block",
            manager("work_block_seconds"),
            "s",
            ((None, GREEN), (7200, YELLOW), (10800, RED)),
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


def managers(states: Mapping[int, tuple[str, str]]) -> table.Panel:
    """Return the table of managers; who is silent stands first."""
    return tables.of_columns(
        "Managers",
        "For: how long the call has lasted, or nothing has happened. 1 hour: calls finished in it; Usual: what the "
        "manager makes in this hour of this weekday. Calls, Connect, Short, 5 min + and Talk are of today; By now: the "
        "calls that are usual by this time. Connect: dials answered by a person ÷ dials. Short: under 2 min of talk ÷ "
        "answered. 5 min +: meaningful calls; the target is 40 to 60 a day. Block: calling without a pause of 15 min. "
        "No break: one for each full 3 h of such a block today. Too often: leads dialled more than 3 times today. "
        "Consult: leads that a mentor should look at with the manager.",
        tables.MANAGER,
        columns(states),
        "Now",
    )


# What stands out in activity beside result, in the order in which it wants attention.
NOISE, CLOSER = 2, 1


def results() -> table.Panel:
    """Return activity beside result; who is busy without result stands first."""
    flags = (
        f"({recorded('manager:callpulse_busy_noise')} * {NOISE}"
        f" + on (manager, team) {recorded('manager:callpulse_quiet_closer')} * {CLOSER})"
        f" or on (manager, team) {recorded('manager:callpulse_calls_30d:sum')} * 0"
    )
    said = {NOISE: ("busy noise", RED), CLOSER: ("quiet closer", GREEN), 0: ("·", GREY)}
    return tables.of_columns(
        "Is activity turning into result?",
        "Calls and won deals of 30 days, and # the place in the team by each (1 is the most). Busy noise: among the "
        "third of the team that calls most and the third that wins least; quiet closer: the reverse. Conversion: won "
        "deals ÷ calls in which a proposal was discussed, 90 days; At least: what it surely is (95 %), as few calls "
        "prove little. Fair index: won deals ÷ what the department wins from the same kinds of leads; 1 is as good as "
        "the others.",
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
        .transformations(tables.arranged(heads, hidden=("Value", "Value #A")))
        .override_by_name("Alert", common.override(custom_minWidth=170))
        .override_by_name(
            "Severity",
            common.override(mappings=[{"type": "value", "options": severity}], custom_cellOptions=tables.TEXT),
        )
        .min_width(60)
        .no_value("Nothing fires")
    )

"""The tables of the board *Team now*: one row per manager, and the alerts that fire."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from grafana_foundation_sdk.builders import table

from grafana import common, queries, tables
from grafana.common import BLUE, GREEN, GREY, ORANGE, RED, YELLOW
from grafana.config import Config
from grafana.queries import calls, manager, recorded
from grafana.tables import Column, quiet, share, whole

OF_TRENDS: Final = 'alertname=~"PromisesBroken|NormDrift|ActivityDrift"'
TRENDS_SPAN: Final = "35m"
"""Alerts of weeks have a sample every 30 min (`grafana/templates/trends.yaml`), and a query looks back for 5 min."""

LONG_S = 3600
"""A call, or a time without an event, of so many seconds is worth a look: the end of the call may be lost."""


def columns(config: Config, states: Mapping[int, tuple[str, str]]) -> tuple[Column, ...]:
    """Return the columns after name and team."""
    low, high = config.settings.thresholds.meaningful_target
    busy, idle = manager("longest_call_in_progress_seconds"), manager("idle_seconds")
    return (
        Column("Now", queries.state(), cell=tables.FILLED, more={"mappings": common.words(states)}),
        Column(
            "For",
            f"{busy} > 0 or {idle}",
            "s",
            ((None, "text"), (LONG_S, ORANGE)),
            more={"mappings": quiet(), "decimals": 0},
        ),
        Column("1 hour", recorded("manager:callpulse_calls_1h:sum"), more={"mappings": quiet()}),
        whole("Usual", f"round({queries.usual()})", mappings=quiet()),
        Column("Calls", calls("today"), more={"mappings": quiet()}),
        whole("By now", f"round({queries.expected('today')})", mappings=quiet()),
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
    )


def managers(config: Config, states: Mapping[int, tuple[str, str]]) -> table.Panel:
    """Return the table of managers, silent ones first."""
    return tables.of_columns(
        "Managers",
        "For: how long the call has lasted, or how long no event has arrived; orange from an hour on, because the end "
        "of the call may be lost. 1 hour: calls finished in the last hour. Usual: the manager's usual number in this "
        "hour of this weekday. Calls, Connect, Short and <<meaningful>> + are of today. By now: the usual number of "
        "calls by this time. Connect: dials answered by a person ÷ dials. Short: calls under <<short>> of talk ÷ "
        "answered calls. <<meaningful>> +: meaningful calls; the target is <<meaningful_target>> per day.",
        tables.MANAGER,
        columns(config, states),
        "Now",
        then="For",
    )


def workload(config: Config) -> table.Panel:
    """Return talk, breaks and repeated calls per manager, missed breaks first."""
    thresholds = config.settings.thresholds
    warned = ((None, GREY), (1, ORANGE))
    return tables.of_columns(
        "Talk, breaks and repeated calls today",
        "Talk: talk time of today. Inside: talk with colleagues. Block: calling without a pause of <<work_gap>>. No "
        "break: one for each full <<break_after>> of such a block today. Too often: leads dialled more than "
        "<<calls_per_lead_day>> today. Consult: leads that a mentor should discuss with the manager.",
        {"name": "Manager", "manager": tables.HIDDEN},
        (
            Column(
                "Talk", manager("talk_time_seconds", window="today"), "s", more={"decimals": 1, "mappings": quiet()}
            ),
            Column(
                "Inside",
                manager("internal_talk_seconds", window="today"),
                "s",
                more={"decimals": 0, "mappings": quiet()},
            ),
            Column(
                "Block",
                manager("work_block_seconds"),
                "s",
                ((None, GREEN), (thresholds.work_block_ms / 1000, YELLOW), (thresholds.break_after_ms / 1000, RED)),
                more={"mappings": quiet(), "decimals": 1},
            ),
            *(
                Column(head, expr, thresholds=warned, more={"mappings": quiet()})
                for head, expr in (
                    ("No break", manager("breaks_missed", window="today")),
                    ("Too often", manager("leads_over_called", window="today")),
                    ("Consult", manager("leads_consultation_due")),
                )
            ),
        ),
        "No break",
        then="Consult",
    )


# The columns that stand out, the most urgent first.
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
            Column("Pattern", flags, more={"mappings": common.words(said), "custom.width": 110}),
            Column("Calls", recorded("manager:callpulse_calls_30d:sum")),
            Column("Calls #", recorded("manager:callpulse_activity_30d:rank")),
            Column("Won", recorded("manager:callpulse_won_deals_30d:max"), thresholds=((None, BLUE),)),
            Column("Won #", recorded("manager:callpulse_result_30d:rank")),
            share("Conv.", manager("conversion_ratio", window="90d"), 1),
            share("At least", manager("conversion_ratio_lower", window="90d"), 1),
            Column("Fair index", recorded("manager:callpulse_mix_adjusted_index:90d"), more={"decimals": 2}),
        ),
        "Pattern",
        then="Calls",
    )


def alerts() -> table.Panel:
    """Return the alerts that fire now: those on managers and those on the data."""
    panel = common.described(
        table.Panel(),
        "Active alerts",
        "Alerts that fire now. FeedDown, KafkaUnreachable, WorkerDown and PartitionsUnowned mean that figures are not "
        "current: repair these first.",
        "none",
    )

    def firing(*matchers: str) -> str:
        picked = ('alertstate="firing"', 'manager=~"$manager|"', 'team=~"$team|"', *matchers)
        found = f"ALERTS{{{', '.join(picked)}}}"
        seldom = f"last_over_time(ALERTS{{{', '.join((*picked, OF_TRENDS))}}}[{TRENDS_SPAN}])"
        return f"count by (alertname, manager, team, severity) ({found} or {seldom})"

    of_managers = queries.with_name(firing('manager!=""'))
    named = queries.with_team_name(firing('manager=""', 'team!=""'))
    of_teams = f'label_replace({named}, "name", "<<team_word>> $1", "name", "(.*)")'
    others = firing('manager=""', 'team=""')
    heads = {"alertname": "Alert", "name": "Manager or team", "manager": tables.HIDDEN, "severity": "Severity"}
    severity = {
        "critical": {"text": "critical", "color": RED, "index": 0},
        "warning": {"text": "warning", "color": ORANGE, "index": 1},
    }
    panel = tables.with_label_columns(panel, {label: head for label, head in heads.items() if label != "name"})
    return (
        panel.with_target(common.row_query(f"{of_managers} or {of_teams} or {others}", "A"))
        .transformations(tables.arranged(heads, hidden=("Value", "Value #A", "team", "team_name")))
        .override_by_name(
            "Severity",
            common.override(mappings=[{"type": "value", "options": severity}], custom_cellOptions=tables.TEXT),
        )
        .min_width(60)
        .no_value("No alert fires")
    )


def queues() -> table.Panel:
    """Return the calls that nobody answered, per queue."""

    def unanswered(window: str) -> str:
        every = queries.queue("calls", "direction", window=window)
        return queries.without_prefix(f"sum by (manager) ({every})")

    return tables.of_columns(
        "Unanswered calls in queues",
        "Inbound calls that ended in a queue before anybody answered. They belong to no manager.",
        {"manager": "Queue"},
        (
            whole("1 hour", unanswered("1h")),
            whole("Today", unanswered("today")),
        ),
        "Today",
    ).no_value("No calls in queues. While Data is not Live, none is known.")

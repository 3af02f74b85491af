"""Team now, at a glance: who works, who is silent, who needs help, and whether the figures can be trusted."""

from __future__ import annotations

from typing import Final

from grafana_foundation_sdk.builders import bargauge, stat, statetimeline, table, timeseries
from grafana_foundation_sdk.builders import common as shared
from grafana_foundation_sdk.builders import dashboard as dashboards
from grafana_foundation_sdk.models import common as options

from grafana import common, queries, tables
from grafana.boards import team_now_table
from grafana.common import BLUE, GREEN, GREY, ORANGE, RED, YELLOW, bars, instant, lines, number, query
from grafana.queries import calls, manager, mean, recorded

STATES: Final = {
    queries.SILENT: ("silent", RED),
    queries.UNKNOWN: ("no feed", ORANGE),
    queries.PAUSED: ("paused", YELLOW),
    queries.READY: ("ready", BLUE),
    queries.TALKING: ("on a call", GREEN),
    queries.OFF: ("off", GREY),
}


def trust() -> stat.Panel:
    """Return whether the other figures are current: the first thing to look at."""
    panel = number(
        "Data",
        "Live: events arrive and are folded. Feed silent: somebody is on shift, and nothing at all has arrived for 10 "
        "min; look at the telephony, not at the managers. Catching up: events wait in Kafka. Worker down: nothing is "
        "current.",
        "none",
        '(absent(max_over_time(up{job="callpulse"}[1m]) == 1) * 0 + 3)\n'
        "or on () ((callpulse:worker_behind == 1) * 0 + 2)\n"
        "or on () callpulse:feed_quiet\n"
        "or on () callpulse:worker_behind",
    )
    states = {0: ("Live", GREEN), 1: ("Feed silent", RED), 2: ("Catching up", ORANGE), 3: ("Worker down", RED)}
    return panel.mappings(common.words(states)).color_mode(options.BigValueColorMode.BACKGROUND).no_value("No rules")


def on_shift() -> stat.Panel:
    """Return how many are on shift."""
    return number(
        "On shift",
        "Managers on shift now, by their roster and their last presence.",
        "none",
        f"sum({manager('on_shift')})",
    )


def talking() -> stat.Panel:
    """Return how many are on a call."""
    return number(
        "On a call",
        "Managers with a call in progress, ringing or answered.",
        "none",
        f"sum({manager('calls_in_progress')} > bool 0)",
        ((None, GREEN),),
    )


def silent() -> stat.Panel:
    """Return how many are silent, as long as the feed can tell."""
    return number(
        "Silent on shift",
        "Managers on shift without any telephony event for more than 20 min. Not shown while the feed is silent: then "
        "nobody can tell.",
        "none",
        f"sum({manager('idle_seconds')} > bool {queries.SILENT_SECONDS}) unless on () callpulse:feed_quiet == 1",
        ((None, GREEN), (1, RED)),
    ).no_value("unknown")


def calls_an_hour() -> stat.Panel:
    """Return the pace of calling, which can be compared at any time of the day."""
    working = f"({manager('on_shift')} == 1)"
    return number(
        "Calls an hour",
        "Finished calls of the last 60 min of those who are on shift, divided by their number.",
        "none",
        f"avg({calls('1h')} and on (manager, team) {working})",
    ).decimals(1)


def connect_ratio() -> stat.Panel:
    """Return the team's connect ratio."""
    return number(
        "Connect ratio",
        "Dials today that a person answered, divided by dials, over all managers.",
        "percentunit",
        mean("connect_ratio", window="today"),
    )


def short_calls() -> stat.Panel:
    """Return the team's share of short calls."""
    return number(
        "Short calls",
        "Answered calls today with less than 2 min of talk, divided by answered calls whose talk time is known, over "
        "all managers. Much above one half: calls end before a conversation begins.",
        "percentunit",
        mean("short_call_ratio", window="today"),
        ((None, GREEN), (0.5, YELLOW), (0.7, RED)),
    )


def meaningful() -> stat.Panel:
    """Return how far the team is on its way to the target of meaningful calls."""
    at_work = f"({manager('on_shift')} == 1 or {manager('answered_calls', window='today')} > 0)"
    return number(
        "Meaningful each",
        "Answered calls of 5 min or more today: the mean of all managers who are on shift or have talked today. By "
        "the end of the day each should have 40 to 60.",
        "none",
        f"avg({manager('meaningful_calls', window='today')} and on (manager, team) {at_work})",
        ((None, BLUE), (40, GREEN)),
    ).decimals(0)


def day() -> statetimeline.Panel:
    """Return the course of the day, a line for each manager."""
    return (
        common.described(
            statetimeline.Panel(),
            "The day, manager by manager",
            "On a call, ready, paused, silent for more than 20 min, off shift. Orange: the feed was silent, so nobody "
            "can tell.",
            "none",
        )
        .with_target(query(recorded("manager:callpulse_state"), "{{manager}}"))
        .mappings(common.words(STATES))
        .thresholds(common.steps(((None, GREY),)))
        .show_value(options.VisibilityMode.NEVER)
        .merge_values(True)
        .row_height(0.8)
        .line_width(0)
        .fill_opacity(80)
        .per_page(20)
        .legend(common.legend())
        .interval("1m")
    )


def alerts() -> table.Panel:
    """Return what fires now."""
    return team_now_table.alerts()


def pace() -> timeseries.Panel:
    """Return calls in the last hour against what is usual."""
    panel = lines(
        "Calls in the last hour, and usual ones",
        "Finished calls of the last 60 min of all managers picked; beside it what they make in this hour of this "
        "weekday, from their own last eight weeks.",
        "none",
        [
            query(f"sum({recorded('manager:callpulse_calls_1h:sum')})", "last hour"),
            query(f"sum({queries.expected('1h')})", "usual", "B"),
        ],
    )
    return panel.override_by_name("usual", common.dashed())


def presence() -> timeseries.Panel:
    """Return how many did what over the day."""
    colour = {"on a call": GREEN, "ready": BLUE, "paused": YELLOW, "silent": RED, "no feed": ORANGE}
    code = {text: value for value, (text, _) in STATES.items()}
    targets = [
        query(
            f"count({recorded('manager:callpulse_state')} == {code[text]}) or on () vector(0)",
            text,
            chr(ord("A") + index),
        )
        for index, text in enumerate(colour)
    ]
    panel = lines("Who did what", "Managers by what they did at the time; off shift left out.", "none", targets)
    panel = (
        panel.fill_opacity(70)
        .line_width(0)
        .stacking(shared.StackingConfig().mode(options.StackingMode.NORMAL).group("A"))
    )
    for text, fixed in colour.items():
        panel = panel.override_by_name(text, common.override(color={"mode": "fixed", "fixedColor": fixed}))
    return panel


def lengths() -> bargauge.Panel:
    """Return how long today's conversations were."""

    def up_to(seconds: int) -> str:
        return f"sum({manager('calls_talked', window='today', le=str(seconds))})"

    bands = (
        ("0-20 s", up_to(20)),
        ("20-60 s", f"{up_to(60)} - {up_to(20)}"),
        ("1-2 min", f"{up_to(120)} - {up_to(60)}"),
        ("2-5 min", f"{up_to(300)} - {up_to(120)}"),
        ("5 min +", f"sum({manager('meaningful_calls', window='today')})"),
    )
    return bars(
        "Length of talk today",
        "Answered calls today by length of talk. The last bar holds the meaningful ones.",
        "none",
        [instant(expr, name, chr(ord("A") + index)) for index, (name, expr) in enumerate(bands)],
    )


def repeats() -> bargauge.Panel:
    """Return how often the same leads are called."""
    return bars(
        "Open leads by calls",
        "Leads by how often they were called in the last 30 days. Many in the last bar: the same people are called "
        "again and again.",
        "none",
        [instant(f"sum by (calls) ({manager('open_leads_by_calls', 'calls')})", "{{calls}} calls")],
    )


def freshness() -> stat.Panel:
    """Return the age of the newest event."""
    return number(
        "Newest event",
        "How long ago the newest telephony event of anybody happened. Above 10 min with somebody on shift the feed "
        "counts as silent.",
        "s",
        "callpulse:newest_event_age_seconds",
        ((None, GREEN), (120, YELLOW), (600, RED)),
    ).decimals(0)


def workers() -> stat.Panel:
    """Return how many workers answer."""
    return number(
        "Workers up",
        "callpulse workers that answer Prometheus. Their share of the work moves to the others when one goes.",
        "none",
        'sum(max_over_time(up{job="callpulse"}[1m])) or vector(0)',
        ((None, RED), (1, GREEN)),
    )


def unowned() -> stat.Panel:
    """Return how many partitions nobody works on."""
    return number(
        "Partitions unowned",
        "Partitions of calls that no worker owns, of those seen today. Their managers are missing from the board.",
        "none",
        "max_over_time(callpulse:partitions_owned[1d]) - callpulse:partitions_owned",
        ((None, GREEN), (1, RED)),
    )


def waiting() -> stat.Panel:
    """Return how much waits in Kafka."""
    return number(
        "Records waiting",
        "Records of calls in Kafka that no worker has folded yet.",
        "short",
        'topic:callpulse_lag_records:sum{topic="calls"}',
        ((None, GREEN), (1000, YELLOW), (100000, RED)),
    )


def delay() -> stat.Panel:
    """Return the delay of events."""
    return number(
        "Delay of events",
        "From the event's own time to its place in the table: half of the events of the last 10 min were faster.",
        "s",
        'topic:callpulse_event_delay_seconds:median10m{topic="calls"}',
        ((None, GREEN), (5, YELLOW), (60, RED)),
    )


def rejected() -> stat.Panel:
    """Return how many records were refused."""
    return number(
        "Rejected, last hour",
        "Records of all topics that were no valid event and went to the topic of dead letters. They count nowhere.",
        "none",
        "sum(increase(callpulse_rejected_total[1h])) or vector(0)",
        ((None, GREEN), (1, YELLOW), (100, RED)),
    ).decimals(0)


def board() -> dashboards.Dashboard:
    """Return the board."""
    top = (trust(), on_shift(), talking(), silent(), calls_an_hour(), connect_ratio(), short_calls(), meaningful())
    bottom = (freshness(), workers(), unowned(), waiting(), delay(), rejected())
    return common.assemble(
        "callpulse-team-now",
        "Team now",
        "Who works, who is silent, whose activity turns into result, who needs help; and whether the figures can be "
        "trusted.",
        [
            *((3 * column, 0, 3, 4, panel) for column, panel in enumerate(top)),
            (0, 4, 24, 14, team_now_table.managers(STATES)),
            (0, 18, 16, 14, team_now_table.results()),
            (16, 18, 8, 14, tables.attention({"manager": "Manager", "lead": "Lead", "why": "Why"})),
            (0, 32, 16, 10, day()),
            (16, 32, 8, 10, alerts()),
            (0, 42, 7, 8, pace()),
            (7, 42, 7, 8, presence()),
            (14, 42, 5, 8, lengths()),
            (19, 42, 5, 8, repeats()),
            (0, 50, 24, 1, dashboards.Row("Can these figures be trusted?")),
            *((4 * column, 51, 4, 4, panel) for column, panel in enumerate(bottom)),
        ],
    )

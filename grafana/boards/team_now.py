"""The board *Team now*: the state of every manager, results beside activity, and the state of the data."""

from __future__ import annotations

from itertools import pairwise
from typing import Final

from grafana_foundation_sdk.builders import bargauge, stat, statetimeline, table, timeseries
from grafana_foundation_sdk.builders import common as shared
from grafana_foundation_sdk.builders import dashboard as dashboards
from grafana_foundation_sdk.models import common as options

from grafana import common, queries, tables
from grafana.boards import team_now_table
from grafana.common import BLUE, GREEN, GREY, ORANGE, RED, VIOLET, YELLOW, bars, instant, lines, number, query
from grafana.config import Config
from grafana.queries import calls, manager, mean, recorded

STATES: Final = {
    queries.STATE_SILENT: ("silent", RED),
    queries.STATE_NO_FEED: ("no feed", VIOLET),
    queries.STATE_PAUSED: ("paused", YELLOW),
    queries.STATE_READY: ("ready", BLUE),
    queries.STATE_TALKING: ("on a call", GREEN),
    queries.STATE_OFF: ("off", GREY),
}


def data_status() -> stat.Panel:
    """Return whether the other figures are current. A reader looks at this panel first."""
    panel = number(
        "Data",
        "Live: events arrive, and the figures are current. Feed silent: somebody is on shift, and no event at all has "
        "arrived for <<feed_silence.text>>. Check the telephone system before you judge a manager. Catching up: events "
        "wait in Kafka. Worker down: no figure is current. The board Operations says why.",
        "none",
        '(absent(max_over_time(up{job="<<job>>"}[1m]) == 1) * 0 + 3)\n'
        "or on () ((callpulse:worker_behind == 1) * 0 + 2)\n"
        "or on () callpulse:feed_quiet\n"
        "or on () callpulse:worker_behind",
    )
    states = {0: ("Live", GREEN), 1: ("Feed silent", RED), 2: ("Catching up", ORANGE), 3: ("Worker down", RED)}
    return (
        panel.mappings(common.words(states)).color_mode(options.BigValueColorMode.BACKGROUND_SOLID).no_value("No rules")
    )


def on_shift() -> stat.Panel:
    """Return the number of managers on shift."""
    return number(
        "On shift",
        "Managers on shift now, by the roster and by their last presence.",
        "none",
        f"sum({manager('on_shift')})",
    )


def talking() -> stat.Panel:
    """Return the number of managers on a call."""
    return number(
        "On a call",
        "Managers with a call in progress, ringing or answered.",
        "none",
        f"sum({manager('calls_in_progress')} > bool 0)",
        ((None, GREEN),),
    )


def silent() -> stat.Panel:
    """Return the number of silent managers, while the feed is up."""
    nobody = f"count({manager('idle_seconds')}) * 0"
    return number(
        "Silent on shift",
        "Managers on shift, not paused, without any telephony event for more than <<silence.text>>. The panel shows "
        "unknown while the feed is silent or the workers catch up.",
        "none",
        f"(count({queries.silent()}) or on () {nobody}) {queries.WHILE_CURRENT}",
        ((None, GREEN), (1, RED)),
    ).no_value("unknown")


def calls_an_hour() -> stat.Panel:
    """Return the pace of calling, which is comparable at any time of the day."""
    working = f"({manager('on_shift')} == 1)"
    return number(
        "Calls an hour",
        "Finished calls of the last 60 min, divided by the number of managers on shift.",
        "none",
        f"avg({calls('1h')} and on (manager, team) {working}) or sum({manager('on_shift')}) == 0",
    ).decimals(1)


def connect_ratio() -> stat.Panel:
    """Return the team's connect ratio."""
    return number(
        "Connect ratio",
        "Share of today's dials that a person answered, over all managers.",
        "percentunit",
        mean("connect_ratio", window="today"),
    )


def short_calls(config: Config) -> stat.Panel:
    """Return the team's share of short calls."""
    return number(
        "Short calls",
        "Share of today's answered calls with less than <<short>> of talk, among those whose talk time is known. A "
        "large share means that calls end before a conversation begins.",
        "percentunit",
        mean("short_call_ratio", window="today"),
        common.rising(config.boards.short_ratio),
    )


def meaningful(config: Config) -> stat.Panel:
    """Return the mean of the meaningful calls of today, against the target."""
    at_work = f"({manager('on_shift')} == 1 or {manager('answered_calls', window='today')} > 0)"
    return number(
        "<<meaningful>> + each",
        "Answered calls of <<meaningful>> or more today: the mean over all managers who are on shift or have talked "
        "today. The target for a whole day is <<meaningful_target>> per manager.",
        "none",
        f"avg({manager('meaningful_calls', window='today')} and on (manager, team) {at_work})",
        ((None, BLUE), (config.settings.thresholds.meaningful_target[0], GREEN)),
    ).decimals(1)


def day() -> statetimeline.Panel:
    """Return the course of the day, one line per manager."""
    return (
        common.described(
            statetimeline.Panel(),
            "The day, manager by manager",
            "One line per manager: on a call, ready, paused, silent for more than <<silence.text>>, off shift. Violet: "
            "the feed was silent, so the state is unknown.",
            "none",
        )
        .with_target(query(queries.with_name(recorded("manager:callpulse_state")), "{{name}}"))
        .mappings(common.words(STATES))
        .thresholds(common.steps(((None, GREY),)))
        .show_value(options.VisibilityMode.AUTO)
        .merge_values(True)
        .row_height(0.8)
        .line_width(0)
        .fill_opacity(80)
        .per_page(15)
        .legend(common.legend())
        .no_value(common.NO_FIGURES)
        .interval("1m")
    )


def alerts() -> table.Panel:
    """Return the alerts that fire now."""
    return team_now_table.alerts()


def pace() -> timeseries.Panel:
    """Return the calls of the last hour beside the usual number."""
    panel = lines(
        "Calls of the last hour, and usual",
        "Finished calls of the last 60 min of all selected managers. Dashed: their usual number in this hour of this "
        "weekday, from their last eight weeks.",
        "none",
        [
            query(f"sum({recorded('manager:callpulse_calls_1h:sum')})", "last hour"),
            query(f"sum({queries.expected('1h')})", "usual", "B"),
        ],
    )
    return panel.override_by_name("usual", common.dashed())


def presence() -> timeseries.Panel:
    """Return the number of managers per state over the day."""
    colour = {"on a call": GREEN, "ready": BLUE, "paused": YELLOW, "silent": RED, "no feed": VIOLET}
    code = {text: value for value, (text, _) in STATES.items()}
    targets = [
        query(
            f"count({recorded('manager:callpulse_state')} == {code[text]}) or on () vector(0)",
            text,
            chr(ord("A") + index),
        )
        for index, text in enumerate(colour)
    ]
    panel = lines(
        "Managers by state",
        "How many managers were in each state over the day, without those off shift.",
        "none",
        targets,
    )
    panel = (
        panel.fill_opacity(70)
        .line_width(0)
        .stacking(shared.StackingConfig().mode(options.StackingMode.NORMAL).group("A"))
    )
    for text, fixed in colour.items():
        panel = panel.override_by_name(text, common.override(color={"mode": "fixed", "fixedColor": fixed}))
    return panel


def lengths(config: Config) -> bargauge.Panel:
    """Return today's answered calls by length of talk, in bands between the bounds of the settings' histogram."""
    thresholds = config.settings.thresholds
    bounds = [ms for ms in thresholds.histogram_ms if ms < thresholds.meaningful_ms]

    def up_to(bound: str) -> str:
        return f"sum({manager('calls_talked', window='today', le=bound)})"

    def band(place: int, low: int, high: int) -> tuple[str, str]:
        upto, below = up_to(f"{high / 1000:g}"), up_to(f"{low / 1000:g}")
        return f"<<length.{place}>> to <<length.{place + 1}>>", f"{upto} - {below}" if low else upto

    meaningful_ = f"sum({manager('meaningful_calls', window='today')})"
    rest = f"{up_to('+Inf')} - {meaningful_} - {up_to(f'{bounds[-1] / 1000:g}')}" if bounds else ""
    bands = [
        *(band(place, low, high) for place, (low, high) in enumerate(pairwise((0, *bounds)))),
        *([(f"<<length.{len(bounds)}>> to <<meaningful>>", rest)] if bounds else []),
        ("<<meaningful>> or more", meaningful_),
    ]
    return bars(
        "Length of talk today",
        "Today's answered calls by length of talk. The last bar holds the meaningful calls.",
        "none",
        [instant(expr, name, chr(ord("A") + index)) for index, (name, expr) in enumerate(bands)],
    )


def repeats() -> bargauge.Panel:
    """Return the open leads by number of calls."""
    return bars(
        "Open leads by calls",
        "Open leads by the number of calls in the last 30 days. A long last bar means that the same people are called "
        "again and again.",
        "none",
        [instant(f"sum by (calls) ({manager('open_leads_by_calls', 'calls')})", "calls: {{calls}}")],
    )


def board(config: Config) -> dashboards.Dashboard:
    """Return the board."""
    top = (
        data_status(),
        on_shift(),
        talking(),
        silent(),
        calls_an_hour(),
        connect_ratio(),
        short_calls(config),
        meaningful(config),
    )
    made = common.assemble(
        config,
        "team-now",
        "Team now",
        "The state of every manager, results beside activity, leads that need help, and whether the data are current.",
        [
            *((3 * column, 0, 3, 4, panel) for column, panel in enumerate(top)),
            (0, 4, 24, 14, team_now_table.managers(config, STATES)),
            (0, 18, 24, 14, team_now_table.results()),
            (0, 32, 12, 14, team_now_table.workload(config)),
            (12, 32, 12, 14, tables.attention(config, tables.LEAD)),
            (0, 46, 12, 8, alerts()),
            (12, 46, 12, 8, team_now_table.queues()),
            (0, 54, 24, 15, day()),
            (0, 69, 7, 8, pace()),
            (7, 69, 7, 8, presence()),
            (14, 69, 5, 8, lengths(config)),
            (19, 69, 5, 8, repeats()),
        ],
    )
    return made.link(common.kiosk("wall"))

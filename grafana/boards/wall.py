"""The board *Team now, on a wall*: few figures in large type, for a screen that is read from across a room.

It fits one screen without scrolling: 27 rows of Grafana's grid.
"""

from __future__ import annotations

from typing import Final

from grafana_foundation_sdk.builders import dashboard as dashboards
from grafana_foundation_sdk.builders import stat
from grafana_foundation_sdk.models import common as options

from grafana import common, queries
from grafana.boards import leads, team_now, team_now_table
from grafana.common import BLUE, GREY, RED, instant, number
from grafana.config import Config
from grafana.queries import manager

TILES: Final = 6
"""How many managers or teams a panel of tiles shows: more would be too small to read."""


def _tiles(title: str, description: str, named: str, colours: common.Steps, unit: str = "s") -> stat.Panel:
    """Return a tile for each series: its label `name` and the value, in large type, the greatest first."""
    found = f"sort_desc(topk({TILES}, {named}))"
    return (
        number(title, description, unit, found, colours)
        .targets([instant(found, "{{name}}")])
        .text_mode(options.BigValueTextMode.VALUE_AND_NAME)
        .color_mode(options.BigValueColorMode.BACKGROUND_SOLID)
        .decimals(0)
    )


def silent() -> stat.Panel:
    """Return the managers who are silent on shift, while the feed is up."""
    return _tiles(
        "Who is silent",
        "Managers on shift, not paused, without any telephony event for more than <<silence.text>>, and for how "
        "long: ask what keeps them. At most six, the longest first. Nobody is named while the feed is "
        "silent or the workers catch up.",
        queries.with_name(f"({queries.silent()}) {queries.WHILE_CURRENT}"),
        ((None, RED),),
    ).no_value("Nobody. While Data is not Live, nobody is known.")


def talking() -> stat.Panel:
    """Return the managers with the longest calls in progress."""
    return _tiles(
        "Longest calls now",
        "Calls in progress, and for how long: at most six, the longest first. A call of more than an hour is left out: "
        "its end may be lost; the board Team now shows it.",
        queries.with_name(f"{manager('longest_call_in_progress_seconds')} > 0 < {team_now_table.LONG_S}"),
        ((None, BLUE),),
    ).no_value("No call of less than an hour. While Data is not Live, none is known.")


def won() -> stat.Panel:
    """Return the deals won in a month, by team."""
    return _tiles(
        "Deals won in 30 days, by team",
        "What the calls turn into: deals won in the last 30 days, of the six teams with the most.",
        queries.with_team_name(f"sum by (team) ({manager('won_deals', window='30d')})"),
        ((None, GREY),),
        "none",
    ).no_value(common.NO_FIGURES)


def board(config: Config) -> dashboards.Dashboard:
    """Return the board."""
    top = (
        team_now.data_status(),
        team_now.talking(),
        team_now.silent(),
        team_now.calls_an_hour(),
        team_now.connect_ratio(),
        team_now.short_calls(config),
        team_now.meaningful(config),
        leads.stuck(),
    )
    return common.assemble(
        config,
        "wall",
        "Team now, on a wall",
        "Few figures in large type, for a screen that is read from across a room.",
        [
            *((6 * (place % 4), 6 * (place // 4), 6, 6, panel) for place, panel in enumerate(top)),
            (0, 12, 24, 5, silent()),
            (0, 17, 24, 5, talking()),
            (0, 22, 24, 5, won()),
        ],
    )

"""Every metric of the catalogue is on a board or in a rule, or has a reason here."""

from __future__ import annotations

from grafana import build
from grafana.config import Config
from tests.grafana.promql import named
from tests.grafana.test_boards import EACH_EXPRESSION
from tests.grafana.tooling import metrics, only, rules

WITHOUT = {
    "internal_calls": "their talk time stands beside talk with customers; the count adds nothing to decide by",
    "last_activity_timestamp_seconds": "idle_seconds says it, and heeds the shift",
    "work_blocks": "breaks_missed says when blocks are too long, which is what one can act on",
    "stage_moves_per_call": "the board Coaching has it by kind of call, of heard calls, beside talk time",
    "cost_per_won_deal": "calls_per_won_deal at a price that is the same for all; cost by channel is on Conversion",
    "talk_zscore": "calls_zscore judges the hour; talk of an hour varies too much to judge by",
    "team_managers": "for joins of one's own: a board counts managers on shift",
    "source_gaps_filled_total": "source_gaps_unfilled says what is left to do",
    "source_gap_seconds_total": "gaps and open gaps say what is missing; the length of each is in the log",
    "source_messages_total": "several messages make one event: accepted events say more",
    "source_waiting_events": "a part of in_flight_events, which stands on the board",
    "source_polls_total": "the table of polls shows the last answer, and how many failed since the last that was done",
}


def used() -> set[str]:
    """Return the name of every metric that a panel or a rule reads."""
    exprs = [only(param) for param in EACH_EXPRESSION] + [rule["expr"] for rule in rules()]
    return {found.metric for expr in exprs for found in named(expr)}


def test_every_metric_is_read_by_a_board_or_a_rule_or_says_why_not() -> None:
    read, unread = used(), set()
    for name, metric in metrics().items():
        histogram = {metric.full_name + suffix for suffix in ("_bucket", "_sum", "_count")}
        if name not in read and not (metric.type == "histogram" and histogram & read):
            unread.add(metric.name)
    assert unread == WITHOUT.keys()


def test_a_board_that_is_rendered_is_read_here() -> None:
    boards = {name for name in build.rendered(Config()) if name.startswith("dashboards/")}
    read = {f"dashboards/{str(param.id).partition(':')[0]}" for param in EACH_EXPRESSION}
    assert read == boards

"""The board *Sources*: incoming events by source, and rejected parts of deliveries."""

from __future__ import annotations

from typing import Final

from grafana_foundation_sdk.builders import bargauge, stat, table, timeseries
from grafana_foundation_sdk.builders import dashboard as dashboards

from grafana import common, tables
from grafana.boards import reconciliation
from grafana.common import GREEN, GREY, ORANGE, RED, YELLOW, bars, instant, number, query
from grafana.config import Config
from grafana.tables import Column, quiet, whole
from streams.units import SECOND_MS

HEARD: Final = "(time() - source:callpulse_source_last_heard_timestamp_seconds:max)"
_FAR_BEHIND: Final = 1 << 20
"""Bytes of a followed file: a thousand calls or more."""
CONNECTED: Final = "max by (source) (callpulse_source_connected)"


def _of_source(metric: str, span: str) -> str:
    """Return the query of a counter's increase by source."""
    return f"sum by (source) (increase(callpulse_source_{metric}_total[{span}]))"


def quiet_sources() -> stat.Panel:
    """Return the number of sources that sent nothing lately."""
    return number(
        "Quiet",
        "Sources that sent nothing for <<source_silence.text>>, understood or not. At night that is usual; by day look "
        "at the table, and run callpulse sources test NAME.",
        "none",
        f"count({HEARD} > <<source_silence.s>>) or on () count({HEARD}) * 0",
        ((None, GREEN), (1, YELLOW)),
    )


def links_down() -> stat.Panel:
    """Return the number of live links that are down."""
    return number(
        "Links down",
        "Live links that are down. The listener tries again by itself; callpulse sources test NAME says why it fails.",
        "none",
        f"count({CONNECTED} == 0) or on () count({CONNECTED}) * 0",
        ((None, GREEN), (1, RED)),
        empty="no link",
        of_worker=False,
    )


def rejected() -> stat.Panel:
    """Return the number of rejected parts of deliveries."""
    return number(
        "Rejected",
        "Parts of deliveries of the last hour that were no events. They are kept: callpulse rejected list says why.",
        "none",
        "round(sum(increase(callpulse_source_rejected_total[1h])))",
        ((None, GREEN), (1, YELLOW)),
    )


def wrong_tokens(config: Config) -> stat.Panel:
    """Return the number of requests that failed authentication."""
    return number(
        "Wrong tokens",
        "Requests of the last hour with a wrong token or signature, or from a network that is not allowed. The log of "
        "the gateway says what was wrong.",
        "none",
        "round(sum(increase(callpulse_source_unauthenticated_total[1h])))",
        ((None, GREEN), (config.alerts.unauthenticated, ORANGE)),
    )


def without_end(config: Config) -> stat.Panel:
    """Return the number of today's calls whose end event never came."""
    return number(
        "No end today",
        "Calls of today whose end event never came: callpulse closed them, and their talk time is unknown. Many after "
        "a gap of a link. callpulse explain MANAGER calls_timed_out lists those of a manager.",
        "none",
        "sum(team:callpulse_calls_timed_out_today:sum)",
        ((None, GREEN), (config.alerts.call_ends_lost, ORANGE)),
    )


def sources(config: Config) -> table.Panel:
    """Return the table of sources."""
    silence_s = config.alerts.source_silence_ms / SECOND_MS
    links = common.words({0: ("down", RED), 1: ("up", GREEN)})
    zones = common.words({0: ("·", GREY), 1: ("zone?", RED)})
    amber = ((None, GREY), (1, YELLOW))
    return tables.of_columns(
        "Sources",
        "Which source needs help? Heard: since when it has sent nothing. Link: of a live connection. Received to "
        "Tokens: the last hour. Repeats were known already; Poll only are events that a push should have brought. "
        "Skew: receipt minus event time; zone? looks like a wrong time zone. Clock: the source's own clock minus ours. "
        "Gaps: interruptions of 24 hours, and lost parts of files; Open gaps: interruptions that no records (CEL) have "
        "filled. Behind: what of a file is not read yet. Given up: calls of 24 hours without an end in it. Then run "
        "callpulse sources test NAME.",
        {"source": "Source"},
        [
            column._replace(more={"noValue": "·", **column.more})
            for column in (
                Column("Heard", HEARD, "s", ((None, GREEN), (silence_s, ORANGE)), more={"decimals": 0}),
                Column("Link", CONNECTED, more={"mappings": links}),
                whole("Received", _of_source("received", "1h")),
                whole("Accepted", _of_source("accepted", "1h")),
                whole("Repeats", _of_source("duplicates", "1h"), mappings=quiet()),
                Column("Rejected", _of_source("rejected", "1h"), thresholds=amber, more={"decimals": 0}),
                Column("Tokens", _of_source("unauthenticated", "1h"), thresholds=amber, more={"decimals": 0}),
                whole("Poll only", "source:callpulse_source_polled_unpushed:increase1h", mappings=quiet()),
                Column("Skew", "source:callpulse_source_skew_seconds:max", "s", more={"decimals": 0}),
                Column("Zone", "max by (source) (callpulse_source_skew_zone)", more={"mappings": zones}),
                Column("Clock", "source:callpulse_source_clock_ahead_seconds:max", "s", more={"decimals": 1}),
                Column(
                    "Gaps",
                    _of_source("gaps", "24h"),
                    thresholds=((None, GREY), (config.alerts.link_gaps, ORANGE)),
                    more={"decimals": 0},
                ),
                Column(
                    "Open gaps",
                    "max by (source) (callpulse_source_gaps_unfilled)",
                    thresholds=amber,
                    more={"decimals": 0},
                ),
                Column(
                    "Behind",
                    "max by (source) (callpulse_source_behind_bytes)",
                    "bytes",
                    ((None, GREY), (_FAR_BEHIND, YELLOW)),
                    more={"decimals": 0},
                ),
                Column("Given up", _of_source("given_up", "24h"), thresholds=amber, more={"decimals": 0}),
            )
        ],
        "Heard",
    ).no_value("No source has sent anything yet: start callpulse gateway or a listener, and let Prometheus scrape it.")


def reasons() -> bargauge.Panel:
    """Return the rejected parts of deliveries, by source and reason."""
    each = "round(sum by (source, reason) (increase(callpulse_source_rejected_total[24h])))"
    return bars(
        "Why parts were rejected",
        "Parts of deliveries of the last 24 hours that were no events, by source and reason: the twelve most frequent. "
        "callpulse rejected list --reason REASON shows them; docs/events.md explains each reason.",
        "none",
        [instant(f"sort_desc(topk(12, {each} > 0))", "{{source}}: {{reason}}")],
    ).no_value("Nothing was rejected")


def course() -> timeseries.Panel:
    """Return the events by source over time."""
    return common.lines(
        "Events per minute",
        "New events of each source. Which one fell silent, and when? A line that ends while others go on is a broken "
        "link or hook, not a quiet department.",
        "none",
        [query("60 * sum by (source) (rate(callpulse_source_accepted_total[5m]))", "{{source}}")],
    ).no_value("No source has sent an event")


def skews() -> timeseries.Panel:
    """Return the skew of each source over time."""
    return common.lines(
        "Skew",
        "Receipt minus event time of each source. A step to a multiple of a quarter of an hour is a changed time zone; "
        "a slow climb is a clock without NTP; peaks are repeats and imports.",
        "s",
        [query("max by (source) (callpulse_source_skew_seconds)", "{{source}}")],
        least=None,
    ).no_value("No source has sent an event")


def polls(config: Config) -> table.Panel:
    """Return the table of sources that are polled."""
    late = ((None, GREEN), (config.alerts.poll_silence_ms / SECOND_MS, RED))
    amber = ((None, GREY), (1, YELLOW))
    answers = ((None, RED), (200, GREEN), (300, YELLOW), (400, RED))
    return tables.of_columns(
        "Polls",
        "Is each CRM and telephone system read to its end? Behind: now minus the moment up to which it is read; Done: "
        "since the last poll that came to its end. Answer: the HTTP status of the last one, 0 for none. Left: requests "
        "that the limit of the system lets through now; at 0 polls wait. Failed: polls since the last one that was "
        "done. Requests and Waited: the last hour. callpulse sources says why a poll fails.",
        {"source": "Source"},
        [
            column._replace(more={"noValue": "·", "decimals": 0, **column.more})
            for column in (
                Column("Behind", f"(time() - {_polled('polled_until_timestamp_seconds')})", "s", late),
                Column("Done", f"(time() - {_polled('poll_last_success_timestamp_seconds')})", "s", late),
                Column("Every", _polled("poll_due_seconds"), "s"),
                Column("Answer", _polled("poll_status"), thresholds=answers),
                Column("Left", _polled("poll_allowance"), thresholds=((None, ORANGE), (1, GREY))),
                Column("Failed", _polled("poll_failures"), thresholds=amber),
                Column("Requests", _of_source("poll_requests", "1h")),
                Column("Waited", _of_source("poll_wait_seconds", "1h"), "s"),
            )
        ],
        "Failed",
        then="Behind",
    ).no_value("No source is polled: the settings of a source say how to ask it")


def _polled(gauge: str) -> str:
    return f"max by (source) (callpulse_source_{gauge})"


def lost() -> timeseries.Panel:
    """Return the events that were sent and are not counted, over time."""
    return common.lines(
        "Lost on the way",
        "Per minute. Not heard: messages that FreeSWITCH numbered and that did not come (subscription all). It is "
        "asked for its channels, and its records repair the rest. Left out: statements of calls that have a thousand "
        "already, a defect of their system.",
        "none",
        [
            query("60 * sum by (source) (rate(callpulse_source_messages_lost_total[5m]))", "{{source}}: not heard"),
            query(
                "60 * sum by (source) (rate(callpulse_source_statements_left_out_total[5m]))",
                "{{source}}: left out",
                "B",
            ),
        ],
    ).no_value("No source numbers its messages or speaks in statements")


def board(config: Config) -> dashboards.Dashboard:
    """Return the board."""
    top = (quiet_sources(), links_down(), rejected(), wrong_tokens(config), without_end(config))
    return common.assemble(
        config,
        "sources",
        "Sources",
        "What comes in, from whom, and whether it is understood. For those who run callpulse.",
        [
            *((5 * column, 0, min(5, 24 - 5 * column), 4, panel) for column, panel in enumerate(top)),
            (0, 4, 24, 9, sources(config)),
            (0, 13, 12, 9, course()),
            (12, 13, 12, 9, reasons()),
            (0, 22, 12, 8, skews()),
            (12, 22, 12, 8, lost()),
            (0, 30, 24, 7, polls(config)),
            *reconciliation.row(config, 37),
        ],
        picked=False,
    )

"""The middle of the board *Operations*: each worker, results of records, the tables, and the cost of a scrape."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from grafana_foundation_sdk.builders import bargauge, stat, table, timeseries
from grafana_foundation_sdk.models import common as options

from grafana import common, tables
from grafana.common import BLUE, GREEN, GREY, ORANGE, RED, YELLOW, bars, instant, lines, number, query
from grafana.tables import Column, quiet, whole

SCRAPE_TARGET_S: Final = 0.5
"""The target of the time of a scrape of a thousand managers; docs/benchmarks.md has the measurement."""
_STALL_S: Final = 0.2
_COMMIT_S: Final = 1
_AMBER: Final = ((None, GREY), (1, YELLOW))


def _of_instance(metric: str, by: str = "max") -> str:
    return f"{by} by (instance) (callpulse_{metric})"


def _of_topic(counter: str) -> str:
    return f"round(sum by (topic) (increase(callpulse_{counter}_total[24h])))"


def _slowest(histogram: str, span: str = "5m") -> str:
    """Return the query of the 99th percentile of a duration, by instance."""
    rate = f"sum by (instance, le) (rate(callpulse_{histogram}_bucket[{span}]))"
    return common.measured(f"histogram_quantile(0.99, {rate})")


def _dotted(columns: Sequence[Column]) -> list[Column]:
    return [column._replace(more={"noValue": "·", **column.more}) for column in columns]


def workers() -> table.Panel:
    """Return the table of workers."""
    ups = common.words({0: ("down", RED), 1: ("up", GREEN)})
    return tables.of_columns(
        "Workers",
        "Which worker needs help? Partitions of telephony that it owns, and records that wait in them. Generation: the "
        "one of the group; a worker behind the others is cut off from Kafka, and its figures count nowhere. Handed: "
        "partitions were handed out anew, last hour; many mean that workers come and go. Commit and Loop: 99 of 100 "
        "commits, and delays of the event loop, are shorter. Scrape: how long Prometheus waits, for so many samples. "
        "Restart one that is down, and read its log.",
        {"instance": "Worker"},
        _dotted(
            (
                Column("State", 'max by (instance) (up{job="<<job>>"})', more={"mappings": ups}),
                whole("Partitions", 'max by (instance) (callpulse_partitions_owned{topic=~".*calls"})'),
                whole("Waiting", _of_instance("lag_records", "sum")),
                Column("Records/s", "sum by (instance) (rate(callpulse_records_total[5m]))", more={"decimals": 2}),
                Column(
                    "Restored",
                    _of_instance("restore_progress_ratio", "min"),
                    "percentunit",
                    ((None, YELLOW), (1, GREEN)),
                    more={"decimals": 0},
                ),
                whole("Generation", _of_instance("group_generation")),
                Column(
                    "Handed",
                    "round(sum by (instance) (increase(callpulse_rebalances_total[1h])))",
                    thresholds=((None, GREY), (3, YELLOW)),
                    more={"decimals": 0, "mappings": quiet()},
                ),
                Column("Commit", _slowest("commit_duration_seconds"), "s", ((None, GREEN), (_COMMIT_S, YELLOW))),
                Column("Loop", _slowest("loop_stall_seconds"), "s", ((None, GREEN), (_STALL_S, YELLOW))),
                Column(
                    "Scrape",
                    'max by (instance) (scrape_duration_seconds{job="<<job>>"})',
                    "s",
                    ((None, GREEN), (SCRAPE_TARGET_S, YELLOW)),
                ),
                Column("Samples", 'max by (instance) (scrape_samples_scraped{job="<<job>>"})', "short"),
            )
        ),
        "Worker",
        down=False,
    ).no_value("No worker is scraped: start callpulse worker, and let Prometheus scrape it")


def versions() -> stat.Panel:
    """Return the running versions, with the number of processes."""
    return (
        number(
            "Versions",
            "Which version runs, in how many processes? Two at a time are an upgrade under way; finish it. "
            "callpulse_build_info names the instances.",
            "none",
            "count by (version) (callpulse_build_info)",
            ((None, BLUE),),
        )
        .targets([instant("count by (version) (callpulse_build_info)", "{{version}}")])
        .text_mode(options.BigValueTextMode.VALUE_AND_NAME)
    )


def records() -> table.Panel:
    """Return the results of the records of each topic."""
    return tables.of_columns(
        "What became of the records",
        "Does each topic count? Of the last 24 hours. Read: taken from Kafka. Counted: changed a table. Repeats were "
        "there before; many after a restart are normal. Late: behind the newest event of their manager, and counted. "
        "Too late: not counted any more; look at the clock of the source. Unread: values of a field that count as "
        "unknown. No call: transcripts whose call is not known. Swapped: transcripts whose sides look swapped, set the "
        "recogniser's manager_channel right. Links: of leads that were linked before. Sent on: in the wrong partition, "
        "set the producer right. docs/events.md explains each.",
        {"topic": "Topic"},
        _dotted(
            (
                Column("Read", _of_topic("records"), "short"),
                Column("Per batch", f"{_of_topic('records')} / ({_of_topic('batches')} > 0)", more={"decimals": 0}),
                Column("Counted", _of_topic("events_applied"), "short"),
                Column("Repeats", _of_topic("duplicates"), "short", more={"mappings": quiet()}),
                Column("Late", _of_topic("late"), "short", more={"mappings": quiet()}),
                Column("Too late", _of_topic("too_late"), "short", _AMBER, more={"mappings": quiet()}),
                Column("Unread", _of_topic("folded"), "short", _AMBER, more={"mappings": quiet()}),
                Column("No call", _of_topic("transcripts_without_call"), "short", _AMBER, more={"mappings": quiet()}),
                Column("Swapped", _of_topic("transcripts_swapped"), "short", _AMBER, more={"mappings": quiet()}),
                Column("Links", _of_topic("links_ignored"), "short", more={"mappings": quiet()}),
                Column("Sent on", _of_topic("rerouted"), "short", _AMBER, more={"mappings": quiet()}),
            )
        ),
        "Read",
    ).no_value("No worker has taken a record in")


def reasons() -> bargauge.Panel:
    """Return the reasons of rejected records."""
    each = "round(sum by (topic, reason) (increase(callpulse_rejected_total[24h])))"
    panel = bars(
        "Why records were rejected",
        "Records of the last 24 hours that were no events, by topic and reason: the eight most frequent. callpulse "
        "rejected list --reason REASON shows them.",
        "none",
        [instant(f"sort_desc(topk(8, {each} > 0))", "{{topic}}: {{reason}}")],
    )
    # Beside the bars, the names of most reasons would be cut.
    return panel.name_placement(options.BarGaugeNamePlacement.TOP).no_value("Nothing was rejected")


def of_tables() -> table.Panel:
    """Return the tables of the workers."""
    return tables.of_columns(
        "Tables",
        "How much is kept, and how much would a new worker restore? Rows in partitions that are owned; rows written to "
        "the changelog per second. Restored below 100 %: figures of this table are missing for now. Rows that grow "
        "without end: docs/operations.md, retention.",
        {"table": "Table"},
        _dotted(
            (
                Column("Rows", "sum by (table) (callpulse_rows)", "short"),
                Column(
                    "Written/s",
                    "sum by (table) (rate(callpulse_changelog_rows_total[5m]))",
                    more={"decimals": 2},
                ),
                Column(
                    "Restored",
                    "min by (table) (callpulse_restore_progress_ratio)",
                    "percentunit",
                    ((None, YELLOW), (1, GREEN)),
                    more={"decimals": 0},
                ),
            )
        ),
        "Rows",
    ).no_value("No worker is scraped")


def rebalances() -> timeseries.Panel:
    """Return the number of rebalances of partitions, over time."""
    return lines(
        "Partitions handed out anew",
        "Do workers come and go? A step for each start or stop of a worker is normal. Steps without one: a worker is "
        "slower than the session timeout (<<session_timeout>>); look at Event loop, and at the memory of the machine.",
        "none",
        [query("sum by (instance) (increase(callpulse_rebalances_total[10m]))", "{{instance}}")],
    ).no_value("No worker is scraped")


def scrapes() -> timeseries.Panel:
    """Return the cost of a scrape, over time."""
    return lines(
        "Scrape cost",
        "How long Prometheus waits for each worker. It times out at its scrape_timeout, and then all figures of the "
        "worker are missing for a while. Long: more workers, or a longer scrape_interval.",
        "s",
        [query('max by (instance) (scrape_duration_seconds{job="<<job>>"})', "{{instance}}")],
    ).no_value("No worker is scraped")


def commits() -> timeseries.Panel:
    """Return the duration of commits and the delay of the event loop, over time."""
    return lines(
        "Commits and event loop",
        "99 of 100 commits, and delays of the event loop, are shorter, by worker. Long commits: Kafka or the disk is "
        "slow. A late loop: the machine has too little CPU or memory; heartbeats and scrapes are late, too.",
        "s",
        [
            query(_slowest("commit_duration_seconds"), "{{instance}}: commit"),
            query(_slowest("loop_stall_seconds"), "{{instance}}: loop", "B"),
        ],
    ).no_value("No worker has committed lately")


def commit_rate() -> stat.Panel:
    """Return the number of commits a minute."""
    return number(
        "Commits/min",
        "Do the workers make progress durable? Each commits once a second while records come in. 0 in working hours: "
        "no record comes in, or the workers hang; callpulse worker ends itself then, runbook WorkerDown.",
        "none",
        "60 * sum(rate(callpulse_commits_total[5m]))",
        ((None, ORANGE), (1, GREEN)),
    ).decimals(0)

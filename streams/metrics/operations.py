"""The catalogue of the metrics of a worker itself."""

from __future__ import annotations

from typing import Final

from streams.metrics.metric import Metric

_TOPIC: Final = ("topic",)
_PARTITION: Final = ("topic", "partition")

OPERATIONS_METRICS: Final = (
    Metric(name="build_info", type="gauge", help="1, with the version that runs.", labels=("version", "python")),
    Metric(name="kafka_reachable", type="gauge", help="1 while Kafka answers this process."),
    Metric(name="records_total", type="counter", help="Records taken from the topic.", labels=_TOPIC),
    Metric(name="batches_total", type="counter", help="Batches of records taken from the topic.", labels=_TOPIC),
    Metric(
        name="events_applied_total",
        type="counter",
        help="Events that changed a table, late ones among them.",
        labels=_TOPIC,
    ),
    Metric(
        name="rejected_total",
        type="counter",
        help="Records sent to the topic of dead letters, by reason.",
        labels=("topic", "reason"),
    ),
    Metric(
        name="duplicates_total",
        type="counter",
        help="Events that were there before: the same id, or the same record again after a restart.",
        labels=_TOPIC,
    ),
    Metric(
        name="late_total",
        type="counter",
        help="Events applied more than 10 min of event time behind the newest of their manager.",
        labels=_TOPIC,
    ),
    Metric(
        name="too_late_total",
        type="counter",
        help="Events that were too late to count: their day, or what is known of their call, is no longer kept.",
        labels=_TOPIC,
    ),
    Metric(
        name="transcripts_without_call_total",
        type="counter",
        help="Transcripts that count nowhere: nothing was added for speech.grace, and no answered leg of the call and "
        "the manager is known.",
        labels=_TOPIC,
    ),
    Metric(
        name="transcripts_swapped_total",
        type="counter",
        help="Transcripts of calls in which the sides look swapped: the customer says what managers say, and the other "
        "way round. Is the recogniser's manager_channel right?",
        labels=_TOPIC,
    ),
    Metric(
        name="folded_total",
        type="counter",
        help="Values of a field that could not be counted as they were (an unknown stage or currency, an amount or a "
        "date beyond the limit); the event was applied otherwise.",
        labels=("topic", "field"),
    ),
    Metric(
        name="links_ignored_total",
        type="counter",
        help="Links of a lead that was linked to another lead before; the first link stays.",
        labels=_TOPIC,
    ),
    Metric(
        name="lost_records_total",
        type="counter",
        help="Records that retention deleted before they were read. Figures lack them.",
        labels=_TOPIC,
    ),
    Metric(
        name="rerouted_total",
        type="counter",
        help="Records found in a partition that is not their key's and sent to the right one.",
        labels=_TOPIC,
    ),
    Metric(
        name="event_delay_seconds",
        type="histogram",
        help="From the event's own time to its place in the table.",
        labels=_TOPIC,
        unit="seconds",
    ),
    Metric(
        name="newest_event_timestamp_seconds",
        type="gauge",
        help="Event time of the newest event taken in; the feed is silent while it does not move.",
        labels=_TOPIC,
        unit="seconds",
    ),
    Metric(
        name="source_heartbeat_timestamp_seconds",
        type="gauge",
        help="Event time of the newest event of each source.",
        labels=("source",),
        unit="seconds",
    ),
    Metric(
        name="lag_records",
        type="gauge",
        help="Records of the partition that are in Kafka and not yet folded.",
        labels=_PARTITION,
    ),
    Metric(name="partitions_owned", type="gauge", help="Partitions this worker owns now.", labels=_TOPIC),
    Metric(
        name="group_generation",
        type="gauge",
        help="Generation of the consumer group that this worker last joined. A worker that stays behind the others is "
        "cut off from Kafka, and its figures are old.",
    ),
    Metric(name="rebalances_total", type="counter", help="Assignments of partitions this worker was given."),
    Metric(
        name="restore_progress_ratio",
        type="gauge",
        help="Changelog records restored, divided by those there are; 1 when the tables are whole.",
        labels=("table",),
        unit="ratio",
    ),
    Metric(name="rows", type="gauge", help="Rows of the table in partitions owned now.", labels=("table",)),
    Metric(name="changelog_rows_total", type="counter", help="Rows written to the changelog.", labels=("table",)),
    Metric(name="commits_total", type="counter", help="Commits: facts sent, rows flushed, offsets committed."),
    Metric(
        name="commit_duration_seconds",
        type="histogram",
        help="How long a commit took.",
        unit="seconds",
    ),
    Metric(
        name="loop_stall_seconds",
        type="histogram",
        help="How late a timer of the event loop fired; a long stall delays heartbeats and scrapes.",
        unit="seconds",
    ),
    Metric(
        name="team_info",
        type="gauge",
        help="1, with the team's name on the roster, for joins; the id of a team that has none there.",
        labels=("team", "name"),
    ),
    Metric(
        name="team_managers",
        type="gauge",
        help="Managers on the roster and, under unassigned, those known from events only.",
        labels=("team",),
    ),
)

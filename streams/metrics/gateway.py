"""The catalogue of the metrics of the way in: records from sources, and their storage.

Each process of the way in exports them. Labels `source` are names of the settings, never text of a sender.
"""

from __future__ import annotations

from typing import Final

from streams.metrics.metric import Metric

_SOURCE: Final = ("source",)

GATEWAY_METRICS: Final = (
    Metric(
        name="source_received_total",
        type="counter",
        help="Events and refused parts that a source delivered, repeats among them.",
        labels=_SOURCE,
    ),
    Metric(name="source_accepted_total", type="counter", help="Events of a source that were stored.", labels=_SOURCE),
    Metric(
        name="source_duplicates_total",
        type="counter",
        help="Events of a source that were stored a short time before.",
        labels=_SOURCE,
    ),
    Metric(
        name="source_rejected_total",
        type="counter",
        help="Parts of deliveries that are no events, by reason.",
        labels=("source", "reason"),
    ),
    Metric(
        name="source_unauthenticated_total",
        type="counter",
        help="Requests to a source that are not its sender's: a wrong token or signature, a network that is not "
        "allowed. `unknown` where no source is named.",
        labels=_SOURCE,
    ),
    Metric(
        name="source_not_stored_total",
        type="counter",
        help="Events that were not stored in time, because Kafka was away and the spool full or the deadline over. "
        "Their sender was told.",
        labels=_SOURCE,
    ),
    Metric(
        name="source_dead_letters_lost_total",
        type="counter",
        help="Dead letters that could not be stored.",
        labels=_SOURCE,
    ),
    Metric(
        name="source_last_heard_timestamp_seconds",
        type="gauge",
        help="When the source delivered last, by the clock of this process.",
        labels=_SOURCE,
        unit="seconds",
    ),
    Metric(
        name="source_skew_seconds",
        type="gauge",
        help="Median of receipt minus event time over the last 101 accepted events of the source.",
        labels=_SOURCE,
        unit="seconds",
    ),
    Metric(
        name="source_skew_zone",
        type="gauge",
        help="1 if the skew looks like a wrong time zone: it is steady, and near a multiple of 15 min other than 0.",
        labels=_SOURCE,
    ),
    Metric(
        name="source_gaps_total",
        type="counter",
        help="Interruptions of a live connection to the source, and parts of a followed file that were gone before "
        "they were read. Events in between are missing until a poll or another file brings them.",
        labels=_SOURCE,
    ),
    Metric(
        name="source_gaps_filled_total",
        type="counter",
        help="Interruptions of a live connection that are over, and whose time the records of the source have covered "
        "since (CEL of Asterisk, read beyond the end of the interruption).",
        labels=_SOURCE,
    ),
    Metric(
        name="source_gaps_unfilled",
        type="gauge",
        help="Interruptions of a live connection that are over, and that no records have covered yet: calls in them "
        "are missing.",
        labels=_SOURCE,
    ),
    Metric(
        name="source_gap_seconds_total",
        type="counter",
        help="How long the live connection to the source was interrupted, in all.",
        labels=_SOURCE,
        unit="seconds",
    ),
    Metric(
        name="source_connected",
        type="gauge",
        help="1 while the live connection to the source is up, and 0 while it is not.",
        labels=_SOURCE,
    ),
    Metric(
        name="source_messages_total",
        type="counter",
        help="Messages of the live connection on which a figure may depend. Several make one event.",
        labels=_SOURCE,
    ),
    Metric(
        name="source_messages_lost_total",
        type="counter",
        help="Messages that the source sent over its live connection and that did not come, where it numbers them "
        "(Event-Sequence of FreeSWITCH, with a subscription to all events).",
        labels=_SOURCE,
    ),
    Metric(
        name="source_clock_ahead_seconds",
        type="gauge",
        help="The clock of the source minus the one of this process, where the source tells it (Ping of Asterisk).",
        labels=_SOURCE,
        unit="seconds",
    ),
    Metric(
        name="source_waiting_events",
        type="gauge",
        help="Events of the live connection that are heard and not stored yet.",
        labels=_SOURCE,
    ),
    Metric(
        name="source_polls_total",
        type="counter",
        help="Polls of a source: `done`; `failed`, the cursor stays; `unauthenticated`, the access is not valid or "
        "lacks a right.",
        labels=("source", "result"),
    ),
    Metric(
        name="source_poll_requests_total",
        type="counter",
        help="Requests of the polls of a source, repeats among them.",
        labels=_SOURCE,
    ),
    Metric(
        name="source_poll_wait_seconds_total",
        type="counter",
        help="How long polls waited for the source's limits: our own bucket, and pauses that the source asked for.",
        labels=_SOURCE,
        unit="seconds",
    ),
    Metric(
        name="source_poll_last_success_timestamp_seconds",
        type="gauge",
        help="When a poll of the source reached its end last.",
        labels=_SOURCE,
        unit="seconds",
    ),
    Metric(
        name="source_poll_due_seconds",
        type="gauge",
        help="The period of the polls of the source. Present in the process that polls it.",
        labels=_SOURCE,
        unit="seconds",
    ),
    Metric(
        name="source_poll_failures",
        type="gauge",
        help="Polls of the source that failed since the last one that was done.",
        labels=_SOURCE,
    ),
    Metric(
        name="source_poll_status",
        type="gauge",
        help="The HTTP status of the source's last answer to a poll; 0: no answer.",
        labels=_SOURCE,
    ),
    Metric(
        name="source_poll_allowance",
        type="gauge",
        help="Requests that the limit of the source would let through now.",
        labels=_SOURCE,
    ),
    Metric(
        name="source_polled_until_timestamp_seconds",
        type="gauge",
        help="The moment up to which polls have read the source: its cursor.",
        labels=_SOURCE,
        unit="seconds",
    ),
    Metric(
        name="source_behind_bytes",
        type="gauge",
        help="Bytes of a followed file that are written and not read yet.",
        labels=_SOURCE,
        unit="bytes",
    ),
    Metric(
        name="source_given_up_total",
        type="counter",
        help="Calls of a followed file that were given up, because their end was never written.",
        labels=_SOURCE,
    ),
    Metric(
        name="source_polled_unpushed_total",
        type="counter",
        help="Events that a poll found and no push had brought, of kinds that the source pushes.",
        labels=_SOURCE,
    ),
    Metric(
        name="source_statements_left_out_total",
        type="counter",
        help="Statements about calls that have a thousand of them already: the events of these calls lack what they "
        "say.",
        labels=_SOURCE,
    ),
    Metric(
        name="acknowledgement_seconds",
        type="histogram",
        help="From the arrival of events to the moment at which Kafka or the spool has them.",
        unit="seconds",
    ),
    Metric(name="in_flight_events", type="gauge", help="Events that are not stored yet."),
    Metric(name="spooled_events_total", type="counter", help="Events and dead letters that went to the spool."),
    Metric(name="spool_bytes", type="gauge", help="Size of the spool on disk.", unit="bytes"),
    Metric(name="spool_max_bytes", type="gauge", help="Largest size of the spool.", unit="bytes"),
    Metric(
        name="spool_oldest_seconds",
        type="gauge",
        help="Age of the oldest event in the spool that Kafka does not have; 0 if there is none.",
        unit="seconds",
    ),
    Metric(name="spool_failures_total", type="counter", help="Writes to the spool that the disk refused."),
)

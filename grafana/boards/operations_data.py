"""The top of the board *Operations*: whether the figures are current and complete."""

from __future__ import annotations

from grafana_foundation_sdk.builders import stat, timeseries

from grafana.common import GREEN, RED, YELLOW, lines, measured, number, query
from grafana.config import Config


def panels(config: Config) -> tuple[stat.Panel, ...]:
    """Return the panels from left to right."""
    return (
        freshness(config),
        workers(config),
        unowned(),
        restored(),
        waiting(config),
        delay(config),
        rejected(),
        lost(),
    )


def freshness(config: Config) -> stat.Panel:
    """Return the age of the newest event."""
    limit = config.alerts.feed_silence_ms / 1000
    return number(
        "Newest event",
        "Are the figures current? Age of the newest telephony event of any manager. Above <<feed_silence.text>> with "
        "somebody on shift, the feed counts as silent: look at the source first, runbook FeedDown.",
        "s",
        "callpulse:newest_event_age_seconds",
        ((None, GREEN), (limit / 5, YELLOW), (limit, RED)),
    ).decimals(0)


def workers(config: Config) -> stat.Panel:
    """Return the number of workers that answer."""
    wanted = config.prometheus.workers
    return number(
        "Workers up",
        "Workers of callpulse that answer Prometheus; <<workers>> should. When one stops, the others take over its "
        "managers: start it again, runbook WorkerDown.",
        "none",
        'sum(max_over_time(up{job="<<job>>"}[1m])) or vector(0)',
        ((None, RED), (1, GREEN)) if wanted == 1 else ((None, RED), (1, YELLOW), (wanted, GREEN)),
    )


def unowned() -> stat.Panel:
    """Return the number of partitions without a worker."""
    return number(
        "Unowned",
        "Partitions of calls without a worker, of those that had one today. Their managers are missing from the "
        "boards: start a worker, runbook PartitionsUnowned.",
        "none",
        "max_over_time(callpulse:partitions_owned[1d]) - callpulse:partitions_owned",
        ((None, GREEN), (1, RED)),
    )


def waiting(config: Config) -> stat.Panel:
    """Return the time that the workers need for the records that wait in Kafka."""
    limit = config.alerts.lag_ms / 1000
    lag = 'sum(topic:callpulse_lag_records:sum{topic=~".*calls"})'
    return number(
        "To catch up",
        "How long the workers need for the telephony records that wait in Kafka, at their present pace. "
        "If it grows, add a worker: runbook WorkerLag.",
        "s",
        f'{lag} / clamp_min(sum(topic:callpulse_records:rate5m{{topic=~".*calls"}}), 0.01)',
        ((None, GREEN), (limit / 6, YELLOW), (limit, RED)),
    ).decimals(0)


def delay(config: Config) -> stat.Panel:
    """Return the delay of events."""
    limit = config.alerts.event_delay_ms / 1000
    return number(
        "Delay of events",
        "From the event's own time until callpulse has counted it: the median of the last 10 min. Long with "
        "nothing waiting: the source sends late, or its clock is wrong. Runbook EventsDelayed.",
        "s",
        'topic:callpulse_event_delay_seconds:median10m{topic=~".*calls"}',
        ((None, GREEN), (limit / 12, YELLOW), (limit, RED)),
    )


def rejected() -> stat.Panel:
    """Return the number of refused records."""
    return number(
        "Rejected, 1 h",
        "Records of all topics that were no valid event. They are kept as dead letters, and no figure counts them: "
        "callpulse rejected list.",
        "none",
        "sum(increase(callpulse_rejected_total[1h])) or vector(0)",
        ((None, GREEN), (1, YELLOW), (100, RED)),
    ).decimals(0)


def lost() -> stat.Panel:
    """Return the number of records that retention deleted before they were read."""
    return number(
        "Lost, 24 h",
        "Records that Kafka's retention deleted before a worker read them. Figures lack them: runbook RecordsLost.",
        "none",
        "sum(topic:callpulse_lost_records:lost1d) or vector(0)",
        ((None, GREEN), (1, RED)),
    ).decimals(0)


def restored() -> stat.Panel:
    """Return the restored share of the tables of the slowest worker."""
    return number(
        "Restored",
        "How much of its tables the slowest worker has. Below 100 % it restores after a start or a rebalance, which "
        "takes seconds, and exports nobody of these partitions. If it stays: runbook RestoreSlow.",
        "percentunit",
        "min(callpulse_restore_progress_ratio)",
        ((None, YELLOW), (1, GREEN)),
    ).decimals(0)


def ages() -> timeseries.Panel:
    """Return the age of the newest event of each topic over time."""
    return lines(
        "Newest event, by topic",
        "Since when does nothing arrive, and in which topic? A line that climbs is a feed that is silent. Telephony "
        "climbs at night, CRM and transcripts in breaks, too.",
        "s",
        [query("time() - (max by (topic) (callpulse_newest_event_timestamp_seconds) > 0)", "{{topic}}")],
    ).no_value("No worker has taken an event in")


def backlog() -> timeseries.Panel:
    """Return the records that wait in each topic over time."""
    return lines(
        "Waiting, by topic",
        "Do the workers keep up? A peak that falls was a burst or a restart. A line that climbs on needs another "
        "worker, or a look at Event loop and Commits.",
        "short",
        [query("topic:callpulse_lag_records:sum", "{{topic}}")],
    ).no_value("No worker owns a partition")


def throughput() -> timeseries.Panel:
    """Return the records taken in per second over time."""
    return lines(
        "Records per second",
        "How much comes in, and how fast do the workers take it? Compare with the same hour of another day. No "
        "telephony in working hours: the source or the gateway is silent.",
        "short",
        [query("topic:callpulse_records:rate5m", "{{topic}}")],
    ).no_value("No worker has taken a record in")


def delays() -> timeseries.Panel:
    """Return the delay of events over time."""
    return lines(
        "Late, by topic",
        "Since when are events late? By topic: from the event's own time until counted, median of the last 10 min. "
        "Transcripts are late by nature.",
        "s",
        [query(measured("topic:callpulse_event_delay_seconds:median10m"), "{{topic}}")],
    ).no_value("No event was counted lately")

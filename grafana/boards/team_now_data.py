"""The row of the board *Team now* on the data: whether they are current and complete."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from grafana_foundation_sdk.builders import stat

from grafana.common import GREEN, RED, YELLOW, number
from grafana.config import Config

_PLACES: Final = ((0, 4), (4, 3), (7, 4), (11, 3), (14, 4), (18, 3), (21, 3))
"""Place and width of the panels on the state of the data."""


def panels(config: Config) -> Iterator[tuple[int, int, stat.Panel]]:
    """Yield place, width and panel, from left to right."""
    row = (freshness(config), workers(), unowned(), waiting(), delay(config), rejected(), lost())
    for (x, width), panel in zip(_PLACES, row, strict=True):
        yield x, width, panel


def freshness(config: Config) -> stat.Panel:
    """Return the age of the newest event."""
    limit = config.alerts.feed_silence_ms / 1000
    return number(
        "Newest event",
        "Age of the newest telephony event of any manager. Above <<feed_silence.text>> with somebody on shift, the "
        "feed counts as silent.",
        "s",
        "callpulse:newest_event_age_seconds",
        ((None, GREEN), (limit / 5, YELLOW), (limit, RED)),
    ).decimals(0)


def workers() -> stat.Panel:
    """Return how many workers answer."""
    return number(
        "Workers up",
        "Workers of callpulse that answer Prometheus. When one stops, the others take over its managers.",
        "none",
        'sum(max_over_time(up{job="<<job>>"}[1m])) or vector(0)',
        ((None, RED), (1, GREEN)),
    )


def unowned() -> stat.Panel:
    """Return the number of partitions without a worker."""
    return number(
        "Partitions unowned",
        "Partitions of calls without a worker, of those that had one today. Their managers are missing from the board.",
        "none",
        "max_over_time(callpulse:partitions_owned[1d]) - callpulse:partitions_owned",
        ((None, GREEN), (1, RED)),
    )


def waiting() -> stat.Panel:
    """Return the number of records that wait in Kafka."""
    return number(
        "Records waiting",
        "Telephony records in Kafka that no worker has processed yet.",
        "short",
        'topic:callpulse_lag_records:sum{topic="calls"}',
        ((None, GREEN), (1000, YELLOW), (100000, RED)),
    )


def delay(config: Config) -> stat.Panel:
    """Return the delay of events."""
    limit = config.alerts.event_delay_ms / 1000
    return number(
        "Delay of events",
        "From the event's own time until callpulse has counted it: the median of the last 10 min.",
        "s",
        'topic:callpulse_event_delay_seconds:median10m{topic="calls"}',
        ((None, GREEN), (limit / 12, YELLOW), (limit, RED)),
    )


def rejected() -> stat.Panel:
    """Return how many records were refused."""
    return number(
        "Rejected, last hour",
        "Records of all topics that were no valid event. They are kept as dead letters, and no figure counts them.",
        "none",
        "sum(increase(callpulse_rejected_total[1h])) or vector(0)",
        ((None, GREEN), (1, YELLOW), (100, RED)),
    ).decimals(0)


def lost() -> stat.Panel:
    """Return how many records retention deleted before they were read."""
    return number(
        "Lost, last day",
        "Records that Kafka's retention deleted before a worker read them. Figures lack them.",
        "none",
        "sum(topic:callpulse_lost_records:lost1d) or vector(0)",
        ((None, GREEN), (1, RED)),
    ).decimals(0)

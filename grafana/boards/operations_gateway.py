"""The bottom of the board *Operations*: the processes that take events in, their spool, and the clocks of sources."""

from __future__ import annotations

from grafana_foundation_sdk.builders import stat, timeseries
from grafana_foundation_sdk.models import common as options

from grafana import common
from grafana.common import GREEN, GREY, ORANGE, RED, YELLOW, number, query
from grafana.config import Config
from streams.units import SECOND_MS


def way_in() -> stat.Panel:
    """Return whether events come in and are stored."""
    states = {
        0: ("Live", GREEN),
        1: ("Spooling", ORANGE),
        2: ("Refusing", RED),
        3: ("Process down", RED),
        4: ("No way in", GREY),
    }
    return (
        number(
            "Way in",
            "Live: what comes in is in Kafka. Spooling: Kafka is away, and a process keeps events on its disk. "
            "Refusing: events were answered with 503 lately. Process down: a gateway or listener does not "
            "answer. No way in: none is scraped. What to do: the runbook, GatewayDown and EventsNotStored.",
            "none",
            "(max(job:callpulse_gateway_unanswered_seconds:min) > 60) * 0 + 3\n"
            "or on () (sum(source:callpulse_source_not_stored:lost15m) > 0) * 0 + 2\n"
            "or on () (min(callpulse_kafka_reachable) == 0) * 0 + 1\n"
            "or on () min(callpulse_kafka_reachable) * 0\n"
            "or on () vector(4)",
        )
        .mappings(common.words(states))
        .color_mode(options.BigValueColorMode.BACKGROUND_SOLID)
    )


def spool(config: Config) -> stat.Panel:
    """Return the fill level of the fullest spool."""
    return number(
        "Spool",
        "How full the fullest spool is. It is empty while Kafka takes events; a full one refuses them. Bring Kafka "
        "back.",
        "percentunit",
        "max(instance:callpulse_spool_full:ratio)",
        ((None, GREEN), (0.01, YELLOW), (config.alerts.spool_ratio, RED)),
    ).decimals(0)


def oldest(config: Config) -> stat.Panel:
    """Return the time for which the oldest event has waited for Kafka."""
    return number(
        "Oldest waits",
        "Age of the oldest event that is on a disk and not in Kafka. It is safe there, and no figure counts it yet.",
        "s",
        "max(callpulse_spool_oldest_seconds)",
        ((None, GREEN), (10, YELLOW), (config.alerts.spool_age_ms / SECOND_MS, RED)),
    ).decimals(0)


def acknowledged() -> stat.Panel:
    """Return the time for which senders wait for an answer."""
    return number(
        "Stored within",
        "99 of 100 deliveries of the last minutes were in Kafka or on disk within this time. Long: Kafka is slow, or "
        "the machine of the gateway is busy.",
        "s",
        "histogram_quantile(0.99, sum by (le) (rate(callpulse_acknowledgement_seconds_bucket[5m])))",
        ((None, GREEN), (0.5, YELLOW), (5, RED)),
    ).decimals(2)


def waiting() -> timeseries.Panel:
    """Return the events that wait on disk over time."""
    return common.lines(
        "Spool",
        "What each process keeps on its disk because Kafka did not take it. It should fall to 0 within minutes after "
        "Kafka is back; if it does not, read the log of that process.",
        "bytes",
        [query("max by (instance) (callpulse_spool_bytes)", "{{instance}}")],
    ).no_value("No process of the way in is scraped")


def answers() -> timeseries.Panel:
    """Return the time until events are stored, over time."""
    rate = "sum by (le) (rate(callpulse_acknowledgement_seconds_bucket[5m]))"
    return common.lines(
        "Time until stored",
        "How long senders wait: half of the deliveries, and 99 of 100. Compare with the time when a sender complained "
        "about timeouts.",
        "s",
        [
            query(common.measured(f"histogram_quantile(0.5, {rate})"), "half"),
            query(common.measured(f"histogram_quantile(0.99, {rate})"), "99 of 100", "B"),
        ],
    ).no_value("Nothing was delivered lately")


def in_flight() -> stat.Panel:
    """Return the number of events that are not stored yet."""
    return number(
        "In flight",
        "Events that arrived and are neither in Kafka nor on a disk yet. They are lost if the process is killed now; "
        "their senders send them again. Thousands: Kafka is slow.",
        "short",
        "sum(callpulse_in_flight_events)",
        ((None, GREEN), (1000, YELLOW)),
    )


def spooled() -> stat.Panel:
    """Return the number of events that went through the spool."""
    return number(
        "Spooled, 1 h",
        "Events that went to the disk first, because Kafka did not take them. They are sent by themselves once it is "
        "back. Often above 0: Kafka goes away often; look at the brokers.",
        "short",
        "round(sum(increase(callpulse_spooled_events_total[1h])))",
        ((None, GREEN), (1, YELLOW)),
    )


def clocks(config: Config) -> stat.Panel:
    """Return the number of sources with a wrong clock or zone."""
    zone = "max by (source) (callpulse_source_skew_zone) == 1"
    clock = f"abs(source:callpulse_source_clock_ahead_seconds:max) > {config.alerts.clock_ms / SECOND_MS:g}"
    return number(
        "Wrong clocks",
        "Sources whose time is wrong: a skew like another time zone, or a clock <<clock.text>> off and more. Hours, "
        "days and shifts of their calls are wrong. The board Sources says which; set the zone or NTP right.",
        "none",
        f"count(({zone}) or on (source) ({clock})) or on () count(callpulse_source_skew_seconds) * 0",
        ((None, GREEN), (1, RED)),
    )


def troubled() -> stat.Panel:
    """Return the number of sources with an alert."""
    return number(
        "Source alerts",
        "Sources that some alert is about. The board Sources says what each one lacks.",
        "none",
        'count(count by (source) (ALERTS{alertstate="firing", source!=""})) or vector(0)',
        ((None, GREEN), (1, RED)),
    )


def arrivals() -> timeseries.Panel:
    """Return the events that each process of the way in takes in, over time."""
    return common.lines(
        "Events taken in per second",
        "Does every process of the way in work? A line that ends while others go on is a process that is down or cut "
        "off from its source. Compare with Records per second: what comes in should be counted.",
        "short",
        [query("sum by (instance) (rate(callpulse_source_accepted_total[5m]))", "{{instance}}")],
    ).no_value("No process of the way in is scraped")

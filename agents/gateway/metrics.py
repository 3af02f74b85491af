"""The metrics of a process of the way in, made from the catalogue `streams.metrics.gateway`."""

from __future__ import annotations

import platform
import time
from collections import defaultdict, deque
from collections.abc import Callable, Sequence
from importlib.metadata import version
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from agents.gateway.poll_meters import PollMeters
from agents.gateway.sink import Stored
from streams.contract.events import REASONS, Event, Reason
from streams.metrics.gateway import GATEWAY_METRICS
from streams.metrics.operations import OPERATIONS_METRICS
from streams.sources import skew

UNKNOWN: Final = "unknown"
"""The source of a request that names none that is configured."""
_REMEMBERED: Final = 101
_SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
_OF_SOURCES: Final = (
    *("received_total", "accepted_total", "duplicates_total", "unauthenticated_total"),
    *("not_stored_total", "dead_letters_lost_total"),
)
_OF_EVERY_PROCESS: Final = ("build_info", "kafka_reachable")


class GatewayMetrics:
    """Counters and gauges in a registry of their own. `clock` gives seconds since epoch.

    A `source` is a name of the settings, or UNKNOWN: never what a sender wrote.
    """

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self.registry = CollectorRegistry()
        self._clock = clock
        self._counters: dict[str, Counter] = {}
        self._gauges: dict[str, Gauge] = {}
        self._of_sources: dict[tuple[str, str], Counter] = {}
        self._last_heard: dict[str, Gauge] = {}
        self._skews: defaultdict[str, deque[int]] = defaultdict(lambda: deque(maxlen=_REMEMBERED))
        common = (metric for metric in OPERATIONS_METRICS if metric.name in _OF_EVERY_PROCESS)
        for metric in (*common, *GATEWAY_METRICS):
            if metric.type == "counter":
                name = metric.full_name.removesuffix("_total")
                self._counters[metric.name] = Counter(name, metric.help, metric.labels, registry=self.registry)
            elif metric.type == "gauge":
                self._gauges[metric.name] = Gauge(metric.full_name, metric.help, metric.labels, registry=self.registry)
            else:
                self.acknowledgement = Histogram(
                    metric.full_name, metric.help, registry=self.registry, buckets=_SECONDS
                )
        self._gauges["build_info"].labels(version("callpulse"), platform.python_version()).set(1)

    def announce(self, source: str) -> None:
        """Let the counters of a source exist at 0, or a first increase would not be seen as one."""
        for name in _OF_SOURCES:
            self._of(name, source)
        for reason in REASONS:
            self._counters["source_rejected_total"].labels(source, reason)

    def stored(self, source: str, events: Sequence[Event], results: Sequence[Stored]) -> None:
        """Count the results of events that were just received, and measure their skew."""
        now = self._clock()
        duplicates = results.count("duplicate")
        self._of("received_total", source).inc(len(events))
        self._of("accepted_total", source).inc(len(events) - duplicates)
        if duplicates:
            self._of("duplicates_total", source).inc(duplicates)
        self._heard(source, now)
        now_ms = int(now * 1000)
        self._skews[source].extend(
            now_ms - event.at for event, result in zip(events, results, strict=True) if result == "accepted"
        )

    def heard(self, source: str) -> None:
        """Note the time at which a source sent something. Statements are counted as the events that they become."""
        self._heard(source, self._clock())

    def not_stored(self, source: str, count: int) -> None:
        """Count events whose sender got the answer that they are not stored."""
        self._of("received_total", source).inc(count)
        self._of("not_stored_total", source).inc(count)
        self._heard(source, self._clock())

    def rejected(self, source: str, reasons: Sequence[Reason]) -> None:
        """Count parts of deliveries that are not events."""
        self._of("received_total", source).inc(len(reasons))
        for reason in reasons:
            self._counters["source_rejected_total"].labels(source, reason).inc()
        self._heard(source, self._clock())

    def dead_letters_lost(self, source: str, count: int) -> None:
        """Count dead letters that are not stored."""
        self._of("dead_letters_lost_total", source).inc(count)

    def unauthenticated(self, source: str = UNKNOWN) -> None:
        """Count a request that is not from the sender that it claims to be from."""
        self._of("unauthenticated_total", source).inc()

    def gap(self, source: str) -> None:
        """Count an interruption of a live connection."""
        self._of("gaps_total", source).inc()

    def followed(self, source: str, *, behind: int, gaps: int, given_up: int) -> None:
        """Show the state of a followed file, and count its gaps and abandoned calls since the last call."""
        self._gauges["source_behind_bytes"].labels(source).set(behind)
        self._of("gaps_total", source).inc(gaps)
        self._of("given_up_total", source).inc(given_up)

    def gaps_filled(self, source: str, filled: int, unfilled: int) -> None:
        """Count interruptions that records have covered since the last call, and show how many are not covered yet."""
        self._of("gaps_filled_total", source).inc(filled)
        self._gauges["source_gaps_unfilled"].labels(source).set(unfilled)

    def link(self, source: str, *, connected: bool, waiting: int, clock_ahead_s: float | None) -> None:
        """Show the state of a live connection."""
        self._gauges["source_connected"].labels(source).set(connected)
        self._gauges["source_waiting_events"].labels(source).set(waiting)
        if clock_ahead_s is not None:
            self._gauges["source_clock_ahead_seconds"].labels(source).set(clock_ahead_s)

    def link_moved(self, source: str, *, messages: int, lost: int, gap_s: float) -> None:
        """Count messages received, messages lost, and seconds without a live connection since the last call."""
        self._of("messages_total", source).inc(messages)
        self._of("messages_lost_total", source).inc(lost)
        self._of("gap_seconds_total", source).inc(gap_s)

    def statements_left_out(self, source: str, count: int) -> None:
        """Count statements of calls that have too many."""
        self._of("statements_left_out_total", source).inc(count)

    def polled(self, source: str, results: Sequence[Stored]) -> None:
        """Count events that a poll found and no push had delivered: the sink did not know them."""
        self._of("polled_unpushed_total", source).inc(results.count("accepted"))

    @property
    def polls(self) -> PollMeters:
        """The metrics of polls."""
        return PollMeters(self._counters, self._gauges, self.polled)

    def spooled(self, records: int) -> None:
        """Count records that went to the spool."""
        self._counters["spooled_events_total"].inc(records)

    def spool_failed(self) -> None:
        """Count a write that the disk refused."""
        self._counters["spool_failures_total"].inc()

    def gauge(self, name: str) -> Gauge:
        """Return a gauge without labels by its catalogue name."""
        return self._gauges[name]

    def refresh(self) -> None:
        """Bring the gauges of the skews up to date. Called at every scrape."""
        for source, skews in self._skews.items():
            if skews:
                self._gauges["source_skew_seconds"].labels(source).set(skew.median(skews) / 1000)
                self._gauges["source_skew_zone"].labels(source).set(skew.looks_like_zone(skews))

    def _heard(self, source: str, now: float) -> None:
        gauge = self._last_heard.get(source)
        if gauge is None:
            gauge = self._last_heard[source] = self._gauges["source_last_heard_timestamp_seconds"].labels(source)
        gauge.set(now)

    def _of(self, name: str, source: str) -> Counter:
        """Return the counter of a source. `labels` is slow, and every request needs counters several times."""
        counter = self._of_sources.get((name, source))
        if counter is None:
            counter = self._of_sources[name, source] = self._counters[f"source_{name}"].labels(source)
        return counter

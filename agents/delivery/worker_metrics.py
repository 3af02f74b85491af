"""Metrics of the worker itself, kept with prometheus_client and made from the catalogue."""

from __future__ import annotations

import platform
from importlib.metadata import version
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from streams.contract import events
from streams.metrics.catalogue import OPERATIONS_METRICS

_DELAYS: Final = (0.01, 0.025, 0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1, 2, 5, 10, 30, 60, 90, 120, 180, 300, 600, 3600)
"""Fine around a minute, too: the alert EventsDelayed compares the median with that, and names it."""
_SECONDS: Final = {
    "event_delay_seconds": _DELAYS,
    "commit_duration_seconds": (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
    "loop_stall_seconds": (0.001, 0.005, 0.01, 0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.5, 1, 5),
}


class WorkerMetrics:
    """Counters, gauges and histograms by their catalogue name, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._counters: dict[str, Counter] = {}
        self._gauges: dict[str, Gauge] = {}
        self._histograms: dict[str, Histogram] = {}
        for metric in OPERATIONS_METRICS:
            if metric.type == "counter":
                name = metric.full_name.removesuffix("_total")
                self._counters[metric.name] = Counter(name, metric.help, metric.labels, registry=self.registry)
            elif metric.type == "gauge":
                self._gauges[metric.name] = Gauge(metric.full_name, metric.help, metric.labels, registry=self.registry)
            else:
                self._histograms[metric.name] = Histogram(
                    metric.full_name,
                    metric.help,
                    metric.labels,
                    registry=self.registry,
                    buckets=_SECONDS[metric.name],
                )
        self.gauge("build_info", version("callpulse"), platform.python_version()).set(1)

    def counter(self, name: str, *labels: str) -> Counter:
        """Return the counter `name` of the catalogue, with its labels in catalogue order."""
        return self._counters[name].labels(*labels) if labels else self._counters[name]

    def gauge(self, name: str, *labels: str) -> Gauge:
        """Return the gauge `name` of the catalogue."""
        return self._gauges[name].labels(*labels) if labels else self._gauges[name]

    def clear(self, name: str) -> None:
        """Drop all label sets of the gauge `name`."""
        self._gauges[name].clear()

    def histogram(self, name: str, *labels: str) -> Histogram:
        """Return the histogram `name` of the catalogue."""
        return self._histograms[name].labels(*labels) if labels else self._histograms[name]

    def announce(self, topic: str, *, contract: bool) -> None:
        """Let every counter of `topic` exist at 0, or a first increase would not be seen as one."""
        names = [
            "records_total",
            "batches_total",
            "events_applied_total",
            "duplicates_total",
            "rerouted_total",
            "lost_records_total",
        ]
        if contract:
            names += ["late_total", "too_late_total"]
        for name in names:
            self.counter(name, topic)
        for reason in events.REASONS if contract else ("invalid_field", "wrong_key"):
            self.counter("rejected_total", topic, reason)

"""The counters and gauges of polls in the metrics of the process."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final, Literal, TypeAlias

from prometheus_client import Counter, Gauge

from agents.gateway.sink import Stored

Result: TypeAlias = Literal["done", "failed", "unauthenticated"]
RESULTS: Final[tuple[Result, ...]] = ("done", "failed", "unauthenticated")
_GAUGES: Final = (
    *("poll_last_success_timestamp_seconds", "poll_due_seconds", "poll_failures", "poll_status"),
    *("poll_allowance", "polled_until_timestamp_seconds"),
)


class PollMeters:
    """Counts polls. `unpushed` counts events that only a poll delivered."""

    def __init__(
        self,
        counters: Mapping[str, Counter],
        gauges: Mapping[str, Gauge],
        unpushed: Callable[[str, Sequence[Stored]], None],
    ) -> None:
        self._counters = counters
        self._gauges = gauges
        self.unpushed = unpushed

    def began(self, source: str, every_s: float) -> None:
        """Let the counters of a source that this process polls from now on exist at 0."""
        for result in RESULTS:
            self._counters["source_polls_total"].labels(source, result)
        for name in ("poll_requests_total", "poll_wait_seconds_total", "polled_unpushed_total"):
            self._counters[f"source_{name}"].labels(source)
        self._set("poll_due_seconds", source, every_s)
        self._set("poll_failures", source, 0)

    def left(self, source: str) -> None:
        """Show no state of a source that another process polls from now on."""
        for name in _GAUGES:
            self._gauges[f"source_{name}"].remove_by_labels({"source": source})

    def ended(self, source: str, result: Result, now_s: float, failures: int) -> None:
        """Count the end of a poll."""
        self._counters["source_polls_total"].labels(source, result).inc()
        self._set("poll_failures", source, failures)
        if result == "done":
            self._set("poll_last_success_timestamp_seconds", source, now_s)

    def asked(self, source: str, status: int, allowance: float) -> None:
        """Count a request. A status of 0 means that there was no answer."""
        self._counters["source_poll_requests_total"].labels(source).inc()
        self._set("poll_status", source, status)
        self._set("poll_allowance", source, max(0.0, allowance))

    def waited(self, source: str, seconds: float) -> None:
        """Count a pause for the limits of the source."""
        self._counters["source_poll_wait_seconds_total"].labels(source).inc(seconds)

    def until(self, source: str, until_ms: int) -> None:
        """Show the moment up to which the source is read."""
        self._set("polled_until_timestamp_seconds", source, until_ms / 1000)

    def _set(self, name: str, source: str, value: float) -> None:
        self._gauges[f"source_{name}"].labels(source).set(value)

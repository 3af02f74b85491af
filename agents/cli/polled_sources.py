"""The rows of `callpulse sources` for polled sources, by the metrics of the processes that poll them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from agents.telemetry.scrape import Sample

POLL_COLUMNS: Final = ("POLLED SOURCE", "STATE", "READ UNTIL", "LAST SUCCESS", "LAST ANSWER", "REQUESTS LEFT")
POLL_METRICS: Final = frozenset(
    f"source_{name}"
    for name in (
        *("poll_failures", "poll_status", "poll_allowance", "poll_due_seconds"),
        *("poll_last_success_timestamp_seconds", "polled_until_timestamp_seconds"),
    )
)
_DENIED: Final = (401, 403)


def poll_states(found: Sequence[Sample], now_s: float) -> Iterator[dict[str, Any]]:
    """Yield a row for each source that a process polls now. Of two processes, the larger value counts."""
    by_source: dict[str, dict[str, float]] = {}
    for sample in found:
        if sample.name in POLL_METRICS:
            values = by_source.setdefault(sample.labels["source"], {})
            key = sample.name.removeprefix("source_")
            values[key] = max(values.get(key, 0.0), sample.value)
    for name, values in by_source.items():
        if "poll_due_seconds" not in values:
            continue
        done_s = values.get("poll_last_success_timestamp_seconds")
        until_s = values.get("polled_until_timestamp_seconds")
        left = values.get("poll_allowance")
        yield {
            "polled_source": name,
            "state": _state(values),
            "read_until": None if until_s is None else f"{datetime.fromtimestamp(until_s, UTC):%Y-%m-%d %H:%M:%S} UTC",
            "last_success": None if done_s is None else f"{max(0.0, now_s - done_s):.0f} s ago",
            "last_answer": _answer(values.get("poll_status")),
            "requests_left": None if left is None else int(left),
        }


def _state(values: dict[str, float]) -> str:
    if values.get("poll_failures"):
        return "unauthenticated" if values.get("poll_status") in _DENIED else "poll fails"
    return "polled" if "poll_last_success_timestamp_seconds" in values else "nothing yet"


def _answer(status: float | None) -> str | None:
    if status is None:
        return None
    return f"HTTP {status:.0f}" if status else "no answer"

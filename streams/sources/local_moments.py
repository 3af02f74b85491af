"""Local times of systems that post at once: the time of receipt decides between two equal local times."""

from __future__ import annotations

from typing import Final, TypeAlias

from streams.sources.times import Times
from streams.units import MINUTE_MS

Readings: TypeAlias = tuple[int, int]
"""The two moments that a local time may mean, the earlier one first. They differ only in one hour of a year."""

_SLACK_MS: Final = MINUTE_MS


class LocalTimes:
    """Reads local times of one form in one zone; a pattern with `%z` has an offset of its own."""

    def __init__(self, form: str, zone: str | None) -> None:
        self._first = Times(form, zone, "first")
        self._second = Times(form, zone, "second")

    def readings(self, text: str) -> Readings:
        """Return the moments that `text` may mean. Raises TimeError."""
        return self._first.moment(text), self._second.moment(text)


def settled(readings: Readings, heard_ms: int) -> int:
    """Return the moment of the two that fits a first receipt at `heard_ms`, soon afterwards."""
    first, second = readings
    return second if second <= heard_ms + _SLACK_MS else first

"""Repeats: an event that came before, word for word, with the time at which Asterisk sent it."""

from __future__ import annotations

from typing import Final

from streams.sources.asterisk.headers import Ami

REMEMBERED: Final = 50_000
"""Events that are remembered: those of some hundred calls."""

_FRACTION_DIGITS: Final = 3


class RepeatFilter:
    """Recognises repeats among the last `REMEMBERED` events.

    Two connections, or two captures of one session, give an event twice, the second time long after the channel went
    on. Only events with a `Timestamp` can be recognised, in parts of a second as Asterisk writes it: without it, or in
    whole seconds from a proxy, a channel that enters a bridge again sends the same text as before.
    """

    def __init__(self) -> None:
        self._seen: dict[int, None] = {}

    def is_repeat(self, ami: Ami) -> bool:
        """Return whether the event came before, and remember it."""
        if len(ami.get("timestamp", "").partition(".")[2]) < _FRACTION_DIGITS:
            return False
        seen = self._seen
        before = len(seen)
        seen[hash(tuple(ami.items()))] = None
        if len(seen) == before:
            return True
        if before >= REMEMBERED:
            del seen[next(iter(seen))]
        return False

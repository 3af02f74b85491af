"""The meaning of a response to a poll by its status, and the state of a leaky bucket."""

from __future__ import annotations

from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Final

from streams.sources.polls import DENIED, GOOD, Ask, Limits, Response, Verdict
from streams.units import SECOND_MS

LONGEST_WAIT_S: Final = 300.0
_LIMITED: Final = (429, 503)
_DENIED: Final = (401, 403)
_TIMEOUT: Final = 408
_SUCCESS: Final = range(200, 300)
_REDIRECT: Final = range(300, 400)
_SERVER: Final = range(500, 600)


def verdict(ask: Ask, response: Response) -> Verdict:
    """Return the meaning of a response by its status alone."""
    status = response.status
    if status in _SUCCESS or status in ask.allowed:
        return GOOD
    if status in _LIMITED:
        return Verdict("wait", retry_after_s(response))
    if status in _DENIED:
        return DENIED
    if status in _SERVER or status == _TIMEOUT:
        return Verdict("retry", why=f"the system answers {status}")
    if status in _REDIRECT:
        return Verdict("broken", why=f"the system sends us to another address ({status}); set the one that is meant")
    return Verdict("broken", why=f"the system answers {status}")


def retry_after_s(response: Response) -> float | None:
    """Return the seconds of Retry-After, bounded; None where there is none that can be read."""
    written = response.headers.get("retry-after", "").strip()
    if written.isascii() and written.isdigit():
        return min(float(written[:9]), LONGEST_WAIT_S)
    at_s = date_s(written)
    return None if at_s is None else min(max(0.0, at_s - response.at_ms / SECOND_MS), LONGEST_WAIT_S)


def date_s(written: str) -> float | None:
    """Return the seconds since epoch of a date as HTTP writes it, in UTC without a zone; None if it cannot be read."""
    try:
        found = parsedate_to_datetime(written)
        return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError, TypeError):
        return None


class Bucket:
    """Requests that may be sent now: at most `burst`, refilled at `per_second`. Its times are seconds that grow."""

    def __init__(self, limits: Limits, now_s: float) -> None:
        self._limits = limits
        self._left = float(limits.burst)
        self._at_s = now_s

    def left(self, now_s: float) -> float:
        """Return the number of requests that may be sent now."""
        self._left = min(self._limits.burst, self._left + max(0.0, now_s - self._at_s) * self._limits.per_second)
        self._at_s = max(self._at_s, now_s)
        return self._left

    def take(self, now_s: float) -> float:
        """Take one request; return the seconds until it may be sent."""
        self.left(now_s)
        self._left -= 1
        return max(0.0, -self._left / self._limits.per_second)

    def empty(self, now_s: float) -> None:
        """Empty the bucket: the system reported that its limit is reached."""
        self._left = min(0.0, self.left(now_s))

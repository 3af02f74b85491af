"""Admission of requests: a bound on all in flight, and a share for each source, so that none displaces another.

With `k` sources that have requests in flight, each may have the `k + 1`th part: there is room for one that comes.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from agents.gateway.http_problems import ProblemError

_RETRY_S: Final = 1


class _InFlight:
    __slots__ = ("bytes", "requests")

    def __init__(self) -> None:
        self.requests = 0
        self.bytes = 0


class Ticket:
    """The right of a request to be in flight. `take` adds bytes beyond those that the request announced."""

    __slots__ = ("_admission", "_announced", "_in_flight", "taken")

    def __init__(self, admission: Admission, in_flight: _InFlight, announced: int) -> None:
        self._admission = admission
        self._in_flight = in_flight
        self._announced = announced
        self.taken = announced

    def take(self, count: int) -> None:
        """Note `count` bytes more. Raise ProblemError if they are too many for the source, or for all."""
        within = min(count, self._announced)
        self._announced -= within
        more = count - within
        if more:
            self._admission.check_bytes(self._in_flight, more)
            self._in_flight.bytes += more
            self._admission.bytes += more
            self.taken += more


class Admission:
    """Counts requests and bytes in flight, of all sources and of each. A key identifies a source."""

    def __init__(self, most_requests: int, most_bytes: int) -> None:
        self._most_requests = most_requests
        self._most_bytes = most_bytes
        self._sources: dict[str, _InFlight] = {}
        self.requests = 0
        self.bytes = 0

    @contextmanager
    def admitted(self, key: str, announced: int, *, known: bool) -> Iterator[Ticket]:
        """Hold a request of `announced` bytes in flight. A `known` source always may have one.

        Raises:
            ProblemError: the source has its share in flight (429), or all of them together too much (503).
        """
        in_flight = self._sources.get(key)
        if in_flight is None:
            in_flight = _InFlight()
            if not known:
                if self.requests >= self._most_requests:
                    raise self._overloaded()
                self.check_bytes(in_flight, announced)
            self._sources[key] = in_flight
        else:
            if in_flight.requests >= max(1, self._most_requests // (len(self._sources) + 1)):
                raise self._over_share()
            if self.requests >= self._most_requests:
                raise self._overloaded()
            self.check_bytes(in_flight, announced)
        in_flight.requests += 1
        in_flight.bytes += announced
        self.requests += 1
        self.bytes += announced
        ticket = Ticket(self, in_flight, announced)
        try:
            yield ticket
        finally:
            in_flight.requests -= 1
            in_flight.bytes -= ticket.taken
            self.requests -= 1
            self.bytes -= ticket.taken
            if not in_flight.requests:
                del self._sources[key]

    def check_bytes(self, in_flight: _InFlight, more: int) -> None:
        """Raise ProblemError if `more` bytes are too many."""
        if in_flight.requests > 1 and in_flight.bytes + more > self._most_bytes // (len(self._sources) + 1):
            raise self._over_share()
        if self.bytes + more > self._most_bytes:
            raise self._overloaded()

    def _over_share(self) -> ProblemError:
        return ProblemError(
            "too-many-requests", "wait for answers before you send more", retry_after_s=_RETRY_S, close=True
        )

    def _overloaded(self) -> ProblemError:
        return ProblemError("overloaded", retry_after_s=_RETRY_S, close=True)

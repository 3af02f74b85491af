"""The open calls of one partition of the topic `statements`, and the events that their joins return."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple

from streams.contract.events import Event
from streams.sources.frame import Join, KeptStatement

MOST_STATEMENTS: Final = 1_000
"""Of one call. A call with more is a defect of its system: what comes after them is left out."""


class Ready(NamedTuple):
    """Events of a call that were not returned before. They are new until `OpenCalls.done` is told about them."""

    source: str
    call: str
    events: list[Event]


class Incomplete(NamedTuple):
    """A call of which a part is not counted, and what its statements never said."""

    source: str
    missing: str


class _Call:
    __slots__ = ("again_ms", "bodies", "done", "first_offset", "last_ms", "missing")

    def __init__(self, offset: int) -> None:
        self.first_offset = offset
        self.bodies: dict[bytes, int] = {}
        self.done: set[str] = set()
        self.last_ms = 0
        self.again_ms: int | None = None
        self.missing = ""


class OpenCalls:
    """Keeps the statements of calls until no more of them can come. Has no clock: `now_ms` is Kafka's, or later."""

    def __init__(self, joins: Mapping[str, Join]) -> None:
        self._joins = joins
        self._calls: dict[tuple[str, str], _Call] = {}

    def __len__(self) -> int:
        return len(self._calls)

    def take(self, source: str, call: str, offset: int, statement: KeptStatement) -> None:
        """Add a statement. One of a source that has no join here is left out."""
        if source not in self._joins:
            return
        held = self._calls.get((source, call))
        if held is None:
            held = self._calls[source, call] = _Call(offset)
        held.first_offset = min(held.first_offset, offset)
        held.last_ms = max(held.last_ms, statement.at_ms)
        if statement.body not in held.bodies and len(held.bodies) < MOST_STATEMENTS:
            held.bodies[statement.body] = statement.at_ms
            held.again_ms = 0

    def ready(self, now_ms: int) -> Iterator[Ready]:
        """Yield what the calls with new statements give, and those whose moment has come."""
        for (source, call), held in self._calls.items():
            if held.again_ms is None or held.again_ms > now_ms:
                continue
            joined = self._joins[source].join([KeptStatement(at, body) for body, at in held.bodies.items()], now_ms)
            held.again_ms, held.missing = joined.again_ms, joined.missing
            if events := [event for event in joined.events if event.id not in held.done]:
                yield Ready(source, call, events)

    def done(self, ready: Ready) -> None:
        """Note that events are stored."""
        held = self._calls.get((ready.source, ready.call))
        if held is not None:
            held.done.update(event.id for event in ready.events)

    def forget(self, now_ms: int) -> list[Incomplete]:
        """Forget the calls to which no statement can come any more; return those that lack something."""
        over = [
            key
            for key, held in self._calls.items()
            if held.again_ms is None and held.last_ms + self._joins[key[0]].keep_ms < now_ms
        ]
        found = [Incomplete(key[0], self._calls[key].missing) for key in over if self._calls[key].missing]
        for key in over:
            del self._calls[key]
        return found

    @property
    def oldest_offset(self) -> int | None:
        """The offset that a restart has to read from; None: nothing has to be read again."""
        return min((held.first_offset for held in self._calls.values()), default=None)

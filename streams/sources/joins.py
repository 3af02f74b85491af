"""The open calls of one partition of the topic `statements`, and the events that their joins return."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple, TypeAlias

from streams.contract.events import Event
from streams.sources.frame import Join, KeptStatement

MOST_STATEMENTS: Final = 1_000
"""Of one call. A call with more is a defect of its system: later statements are left out."""

_Key: TypeAlias = tuple[str, str]


class Ready(NamedTuple):
    """Events of a call that were not returned before.

    They are new until a call of `OpenCalls.done`. `defect` describes a failure of the join, without a value; there are
    no events then.
    """

    source: str
    call: str
    events: list[Event]
    defect: str = ""


class Incomplete(NamedTuple):
    """A call of which a part is not counted, and the facts that its statements lack."""

    source: str
    missing: str


class LeftOut(NamedTuple):
    """Statements of a source that were left out since the last query, and the number of calls that had none before."""

    source: str
    statements: int
    calls: int


class _Call:
    __slots__ = ("bodies", "done", "first_offset", "is_full", "last_ms", "missing")

    def __init__(self, offset: int) -> None:
        self.first_offset = offset
        self.bodies: dict[bytes, int] = {}
        self.done: set[str] = set()
        self.last_ms = 0
        self.missing = ""
        self.is_full = False


class OpenCalls:
    """Keeps the statements of calls until no more of them can come. Has no clock: `now_ms` is Kafka's, or later."""

    def __init__(self, joins: Mapping[str, Join]) -> None:
        self._joins = joins
        self._calls: dict[_Key, _Call] = {}
        self._due: dict[_Key, int] = {}
        self._left_out: dict[str, LeftOut] = {}

    def __len__(self) -> int:
        return len(self._calls)

    def take(self, source: str, call: str, offset: int, statement: KeptStatement) -> None:
        """Add a statement. One of a source that has no join here is left out."""
        if source not in self._joins:
            return
        key = (source, call)
        held = self._calls.get(key)
        if held is None:
            held = self._calls[key] = _Call(offset)
        held.first_offset = min(held.first_offset, offset)
        held.last_ms = max(held.last_ms, statement.at_ms)
        if statement.body in held.bodies:
            return
        if len(held.bodies) >= MOST_STATEMENTS:
            _, statements, calls = self._left_out.get(source, (source, 0, 0))
            self._left_out[source] = LeftOut(source, statements + 1, calls + (not held.is_full))
            held.is_full = True
            return
        held.bodies[statement.body] = statement.at_ms
        self._due[key] = 0

    def left_out(self) -> list[LeftOut]:
        """Return the statements that were left out since the last query, by source."""
        found = list(self._left_out.values())
        self._left_out.clear()
        return found

    def ready(self, now_ms: int) -> Iterator[Ready]:
        """Yield the events of calls with new statements, and of calls whose moment has come."""
        for key in [key for key, due_ms in self._due.items() if due_ms <= now_ms]:
            source, call = key
            held = self._calls[key]
            del self._due[key]
            kept = [KeptStatement(at, body) for body, at in held.bodies.items()]
            try:
                joined = self._joins[source].join(kept, now_ms)
            except Exception as error:  # noqa: BLE001 - a defect of an adapter may raise any error; its text may quote values
                yield Ready(source, call, [], f"a defect of the adapter: {type(error).__name__}")
                continue
            held.missing = joined.missing
            if joined.again_ms is not None:
                self._due[key] = joined.again_ms
            if events := [event for event in joined.events if event.id not in held.done]:
                yield Ready(source, call, events)

    def recall(self, at_ms: int) -> None:
        """Note that all events of the statements at a moment are stored: an earlier gateway did it.

        It also reported the statements that were left out.
        """
        self._left_out.clear()
        for ready in self.ready(at_ms):
            self.done(ready)

    def done(self, ready: Ready) -> None:
        """Note that events are stored."""
        held = self._calls.get((ready.source, ready.call))
        if held is not None:
            held.done.update(event.id for event in ready.events)

    def forget(self, now_ms: int) -> list[Incomplete]:
        """Remove the calls to which no statement can come any more; return those that lack facts."""
        over = [
            key
            for key, held in self._calls.items()
            if key not in self._due and held.last_ms + self._joins[key[0]].keep_ms < now_ms
        ]
        found = [Incomplete(key[0], self._calls[key].missing) for key in over if self._calls[key].missing]
        for key in over:
            del self._calls[key]
        return found

    @property
    def oldest_offset(self) -> int | None:
        """The offset from which a restart has to read; None: no record has to be read again."""
        return min((held.first_offset for held in self._calls.values()), default=None)

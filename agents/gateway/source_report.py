"""The report of a test of a source."""

from __future__ import annotations

from collections.abc import Iterator

from msgspec import Struct

from streams.units import SECOND_MS

_MOST_SHOWN = 20


def span_text(span_ms: int) -> str:
    """Return a span in words: in seconds, or in larger units where these are easier to read."""
    seconds = max(0, span_ms) // SECOND_MS
    for unit, size in (("days", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"


class Report(Struct, kw_only=True):
    """The result of a test. `problems` make it fail; `facts` and `cannot_know` do not.

    `seconds` is the time for which the test listened, 0 for a file. `heard` counts the messages or rows, `understood`
    those that figures may depend on, `events` the contract events made of them.
    `last_at_ms` is the time of the last of them, `clock_ahead_ms` the other system's clock minus ours. `unmapped` are
    people and devices on no roster entry.
    """

    source: str
    seconds: float = 0.0
    facts: list[str] = []
    problems: list[str] = []
    heard: int = 0
    understood: int = 0
    events: int = 0
    last_at_ms: int | None = None
    clock_ahead_ms: int | None = None
    unmapped: list[str] = []
    cannot_know: list[str] = []

    @property
    def is_good(self) -> bool:
        """True if the test found no problem."""
        return not self.problems

    def lines(self, now_ms: int) -> Iterator[str]:
        """Yield the report for a person, who reads it at `now_ms`."""
        yield from self.facts
        if self.clock_ahead_ms is not None:
            ahead_s = self.clock_ahead_ms / SECOND_MS
            way = "ahead of" if ahead_s >= 0 else "behind"
            yield f"its clock is {abs(ahead_s):.1f} s {way} ours"
        heard = f"heard {self.heard} in {self.seconds:g} s" if self.seconds else f"read {self.heard} lines"
        yield f"{heard}, understood {self.understood}, events {self.events}"
        if self.last_at_ms is not None:
            yield f"the last one {span_text(now_ms - self.last_at_ms)} ago"
        if self.unmapped:
            yield "not on the roster:"
            yield from (f"  {one}" for one in self.unmapped[:_MOST_SHOWN])
            if len(self.unmapped) > _MOST_SHOWN:
                yield f"  and {len(self.unmapped) - _MOST_SHOWN} more"
        if self.cannot_know:
            yield "what this source cannot know:"
            yield from (f"  {one}" for one in self.cannot_know)
        for problem in self.problems:
            yield f"PROBLEM: {problem}"

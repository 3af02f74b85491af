"""The outcome of a leg, given its pieces that have arrived, and the counts that it adds."""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple

from streams.contract.events import DISPOSITIONS, KINDS_AND_UNKNOWN, Disposition
from streams.settings.settings import Thresholds
from streams.simulator.telephony.legs import ANSWER, CDR, END, START, TRANSFER, SimulatedLeg

_FIELDS: Final = (
    "inbound",
    "outbound",
    "answered",
    "connected",
    "talked",
    "short",
    "meaningful",
    "conversations",
    "talk_ms",
    "timed_out",
    "internal",
    "internal_talk_ms",
)


class LegOutcome(NamedTuple):
    """The outcome of a finished leg. `talk_ms` is None if it is unknown."""

    at: int
    started_at: int
    disposition: Disposition
    talk_ms: int | None
    timed_out: bool


class LegStart(NamedTuple):
    """Start and answer of a leg, from its own pieces or from the transfer that began it."""

    started_at: int | None
    answered_at: int | None


def leg_start(leg: SimulatedLeg) -> LegStart:
    """Return start and answer of a leg, as far as pieces of them have arrived."""
    started = leg.started_at if leg.arrived & START else None
    answered = leg.answered_at if leg.arrived & ANSWER else None
    if leg.by is not None and leg.by.handed_over:
        at = leg.by.transfer_at
        started = at if started is None else min(started, at)
        if leg.by.how == "attended":
            answered = at if answered is None else min(answered, at)
    return LegStart(started, answered)


def leg_outcome(leg: SimulatedLeg, now_ms: int, max_call_ms: int) -> LegOutcome | None:
    """Return the outcome of the leg at `now_ms`, or None if it does not count (yet)."""
    if leg.arrived & END:
        return LegOutcome(leg.ended_at, leg.started_at, leg.disposition, leg.talk_ms, timed_out=False)
    if leg.arrived & CDR:
        return LegOutcome(leg.cdr_at, leg.started_at, leg.disposition, leg.cdr_talk_ms, timed_out=False)
    began = leg_start(leg)
    if began.started_at is None:
        return None
    if leg.arrived & TRANSFER:
        talk = None if began.answered_at is None else max(0, leg.transfer_at - began.answered_at)
        return LegOutcome(leg.transfer_at, began.started_at, "answered", talk, timed_out=False)
    if began.started_at + max_call_ms <= now_ms:
        disposition: Disposition = "no_answer" if began.answered_at is None else "answered"
        return LegOutcome(began.started_at + max_call_ms, began.started_at, disposition, None, timed_out=True)
    return None


class Tally:
    """The names of the counts, and the amounts that a finished leg adds to them."""

    def __init__(self, thresholds: Thresholds) -> None:
        self._t = thresholds
        names = [*_FIELDS, *(f"kind:{kind}" for kind in KINDS_AND_UNKNOWN)]
        names += [f"disposition:{disposition}" for disposition in DISPOSITIONS]
        names += [f"le:{bound}" for bound in thresholds.histogram_ms]
        self.places: Mapping[str, int] = {name: place for place, name in enumerate(names)}

    def add(self, counts: array[int] | list[int], leg: SimulatedLeg, outcome: LegOutcome) -> None:
        """Add the amounts of a leg."""
        places = self.places
        if leg.is_known_internal:
            counts[places["internal"]] += 1
            counts[places["internal_talk_ms"]] += outcome.talk_ms or 0
            return
        for name, amount in self._amounts(leg, outcome):
            counts[places[name]] += amount

    def empty(self) -> list[int]:
        """Return counts of zero."""
        return [0] * len(self.places)

    def _amounts(self, leg: SimulatedLeg, outcome: LegOutcome) -> Iterator[tuple[str, int]]:
        limits = self._t
        yield leg.direction, 1
        yield f"kind:{leg.kind or 'unknown'}", 1
        yield f"disposition:{outcome.disposition}", 1
        if outcome.timed_out:
            yield "timed_out", 1
        if outcome.disposition != "answered":
            return
        yield "answered", 1
        if leg.direction == "outbound":
            yield "connected", 1
        talk_ms = outcome.talk_ms
        if talk_ms is None:
            return
        yield "talked", 1
        yield "talk_ms", talk_ms
        if talk_ms < limits.short_ms:
            yield "short", 1
        if talk_ms >= limits.meaningful_ms:
            yield "meaningful", 1
        if talk_ms >= limits.conversation_ms:
            yield "conversations", 1
        for bound in limits.histogram_ms:
            if talk_ms <= bound:
                yield f"le:{bound}", 1

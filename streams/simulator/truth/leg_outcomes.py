"""What a leg comes to, given the pieces of it that have arrived, and how it is counted."""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple

from streams.contract.events import DISPOSITIONS, KINDS, Disposition
from streams.settings.settings import Thresholds
from streams.simulator.telephony.legs import ANSWER, CDR, END, START, TRANSFER, Leg

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
)


class Verdict(NamedTuple):
    """What a finished leg comes to. `talk_ms` is None where it is not known."""

    at: int
    started_at: int
    disposition: Disposition
    talk_ms: int | None
    timed_out: bool


class Known(NamedTuple):
    """What is known of a leg, by its own pieces or by the transfer that began it."""

    started_at: int | None
    answered_at: int | None


def known(leg: Leg) -> Known:
    """Return what the pieces that have arrived tell of a leg's beginning."""
    started = leg.started_at if leg.got & START else None
    answered = leg.answered_at if leg.got & ANSWER else None
    if leg.by is not None and leg.by.handed_over:
        at = leg.by.transfer_at
        started = at if started is None else min(started, at)
        if leg.by.how == "attended":
            answered = at if answered is None else min(answered, at)
    return Known(started, answered)


def verdict(leg: Leg, now_ms: int, max_call_ms: int) -> Verdict | None:
    """Return what the leg counts as at `now_ms`, or None if it does not count (yet)."""
    if leg.got & END:
        return Verdict(leg.ended_at, leg.started_at, leg.disposition, leg.talk_ms, timed_out=False)
    if leg.got & CDR:
        return Verdict(leg.cdr_at, leg.started_at, leg.disposition, leg.cdr_talk_ms, timed_out=False)
    began = known(leg)
    if began.started_at is None:
        return None
    if leg.got & TRANSFER:
        talk = None if began.answered_at is None else max(0, leg.transfer_at - began.answered_at)
        return Verdict(leg.transfer_at, began.started_at, "answered", talk, timed_out=False)
    if began.started_at + max_call_ms <= now_ms:
        disposition: Disposition = "no_answer" if began.answered_at is None else "answered"
        return Verdict(began.started_at + max_call_ms, began.started_at, disposition, None, timed_out=True)
    return None


class Tally:
    """How finished legs are counted: the names of the counts, and what one leg adds to them."""

    def __init__(self, thresholds: Thresholds) -> None:
        self._t = thresholds
        names = [*_FIELDS, *(f"kind:{kind}" for kind in (*KINDS, "unknown"))]
        names += [f"disposition:{disposition}" for disposition in DISPOSITIONS]
        names += [f"le:{bound}" for bound in thresholds.histogram_ms]
        self.places: Mapping[str, int] = {name: place for place, name in enumerate(names)}

    def add(self, counts: array[int] | list[int], leg: Leg, told: Verdict) -> None:
        """Add what the leg counts."""
        places = self.places
        for name, amount in self._amounts(leg, told):
            counts[places[name]] += amount

    def empty(self) -> list[int]:
        """Return counts of nothing."""
        return [0] * len(self.places)

    def _amounts(self, leg: Leg, told: Verdict) -> Iterator[tuple[str, int]]:
        limits = self._t
        yield leg.direction, 1
        yield f"kind:{leg.kind or 'unknown'}", 1
        yield f"disposition:{told.disposition}", 1
        if told.timed_out:
            yield "timed_out", 1
        if told.disposition != "answered":
            return
        yield "answered", 1
        if leg.direction == "outbound":
            yield "connected", 1
        talk_ms = told.talk_ms
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

"""Fault injection between the simulated calls and Kafka: lost, repeated, late, unordered and malformed events.

The delays are bounded, so the expected figures do not depend on a worker's memory of events. A repeat comes within half
an hour. A start or an answer is at most 90 min late. Only an end may come days late, and only if no other event has
reported that end.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import exp, log
from typing import Final, Protocol, TypeAlias

import msgspec
from msgspec import Struct

from streams.contract.events import CallEvent, CrmEvent, ManagerPresence, SpeechEvents
from streams.simulator.faults.edge_cases import edge_case_event
from streams.simulator.faults.malformed import malformed_call_event, malformed_crm_event
from streams.simulator.faults.odd_deals import OddDeals
from streams.simulator.rng import SeededRandom
from streams.simulator.telephony.legs import (
    ANSWER,
    BAD,
    BAD_CRM,
    CDR,
    CRM,
    CRM_TOPIC,
    END,
    PRESENCE,
    SPEECH,
    SPEECH_TOPIC,
    START,
    TOPIC,
    TRANSFER,
    Presence,
    Record,
    SimulatedLeg,
)
from streams.units import HOUR_MS, MINUTE_MS

Payload: TypeAlias = SimulatedLeg | Presence | CrmEvent | str

_SHORT_LATE_MS: Final = (11 * MINUTE_MS, 90 * MINUTE_MS)
_AGAIN_MS: Final = (50, 20 * MINUTE_MS)
_CDR_MS: Final = (MINUTE_MS, 40 * MINUTE_MS)
_NIGHTLY_MS: Final = (HOUR_MS, 12 * HOUR_MS)
_MOST_DISORDER_MS: Final = 9 * MINUTE_MS


class FaultRates(Struct, frozen=True, kw_only=True):
    """The probability of each fault, from 0 to 1, and its extent.

    `lost_starts`, `lost_answers` and `lost_ends` are shares of the starts, answers and ends. A share `rescued` of the
    lost ends is reported by a row of the call detail records (CDR); the others never come. `cdr` is the share of ends
    that are reported twice, by the telephony source and by a CDR row. `duplicates`, `disorder` and `late` are shares
    of the events. `bad` is the number of malformed records per event. Topic `crm` also has as many edge cases, and
    loses no event. `moved_deals` is the share of deals whose events name two leads, `deleted_deals` the number of
    deletions per change of a deal. Raises ValueError for values out of range.
    """

    lost_starts: float = 0.005
    lost_answers: float = 0.005
    lost_ends: float = 0.005
    rescued: float = 0.4
    cdr: float = 0.03
    duplicates: float = 0.01
    disorder: float = 0.05
    disorder_ms: int = 3 * MINUTE_MS  # the greatest disorder
    late: float = 0.004
    late_ms: tuple[int, int] = (HOUR_MS, 3 * 24 * HOUR_MS)  # the delay of late ends
    bad: float = 0.0005
    moved_deals: float = 0.02
    deleted_deals: float = 0.005
    delay_ms: tuple[int, int] = (20, 800)  # the delay of an ordinary event

    def __post_init__(self) -> None:
        """Refuse rates that are no probabilities, and disorder above the limit of lateness."""
        rates = ("lost_starts", "lost_answers", "lost_ends", "rescued", "cdr", "duplicates", "disorder", "late", "bad")
        for name in (*rates, "moved_deals", "deleted_deals"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} is a probability, from 0 to 1; not {getattr(self, name)}")
        if not 0 <= self.disorder_ms <= _MOST_DISORDER_MS:
            raise ValueError(f"disorder_ms is at most {_MOST_DISORDER_MS}: beyond it an event is late")
        for name in ("late_ms", "delay_ms"):
            low, high = getattr(self, name)
            if not 0 < low <= high:
                raise ValueError(f"{name} is (least, most), above 0 and in order; not {(low, high)}")

    @classmethod
    def none(cls) -> FaultRates:
        """Return rates without faults: every event arrives once, in time and in order (delays of 1 ms)."""
        return cls(
            lost_starts=0,
            lost_answers=0,
            lost_ends=0,
            cdr=0,
            duplicates=0,
            disorder=0,
            late=0,
            bad=0,
            moved_deals=0,
            deleted_deals=0,
            delay_ms=(1, 1),
        )


class Listener(Protocol):
    """A receiver of records. The simulation calls it for every record in the order of arrival."""

    def arrived(self, due_ms: int, payload: Payload, piece: int) -> None:
        """Take a piece of a leg, a presence, a CRM event, or a malformed record (`payload` is then its reason)."""


class Delivery:
    """Takes events when they happen and returns them as records, in the order of arrival.

    Topic `crm` has its own random generator, `crm`, so that the faults of calls do not depend on it. `deals` has one
    too.
    """

    _BUCKET_MS: Final = 10_000

    def __init__(
        self,
        rng: SeededRandom,
        crm: SeededRandom,
        deals: SeededRandom,
        faults: FaultRates,
        start_ms: int,
        listener: Listener | None,
    ) -> None:
        self._rng = rng
        self._crm_rng = crm
        self._deals = OddDeals(deals, faults.moved_deals, faults.deleted_deals)
        self._random = rng.random
        self._d = faults
        self._listener = listener
        self._buckets: dict[int, list[tuple[int, int, Payload, int, str | None, bytes]]] = {}
        self._next = start_ms // self._BUCKET_MS
        self._count = 0
        self._encode = msgspec.json.Encoder().encode
        self._lost: dict[int, float] = {
            START: faults.lost_starts,
            ANSWER: faults.lost_answers,
            END: faults.lost_ends,
            TRANSFER: faults.lost_ends,
        }
        self._late = faults.late
        self._late_or_disorder = faults.late + faults.disorder

    def loses(self, piece: int) -> bool:
        """Draw whether a piece is lost."""
        return self._random() < self._lost[piece]

    def cdr(self, *, lost: bool) -> bool:
        """Draw whether there is a CDR row of an end."""
        return self._random() < (self._d.rescued if lost else self._d.cdr)

    def piece(self, leg: SimulatedLeg, piece: int, event: CallEvent, *, alone: bool = False) -> None:
        """Send a piece of a leg. `alone`: no other piece reports the end of the leg, so this one may come days late."""
        if piece == CDR:
            low, high = _NIGHTLY_MS if alone else _CDR_MS
            delay = self._rng.between(low, high)
        else:
            draw = self._random()
            if draw >= self._late_or_disorder:
                low, high = self._d.delay_ms
                delay = low + int(self._random() * (high - low + 1))
            elif draw >= self._late:
                delay = 1 + int(self._random() * self._d.disorder_ms)
            elif alone:
                low, high = self._d.late_ms
                delay = round(exp(self._rng.uniform(log(low), log(high))))
            else:
                delay = self._rng.between(*_SHORT_LATE_MS)
        leg.in_flight += 1
        value = self._encode(event)
        self._put(event.at + delay, leg, piece, leg.manager, value)
        if self._random() < self._d.duplicates:
            leg.in_flight += 1
            # Event time of one manager can jump over a night within minutes, so an event that is days late is repeated
            # at once.
            again = 0 if alone and delay > _SHORT_LATE_MS[1] else self._rng.between(*_AGAIN_MS)
            self._put(event.at + delay + again, leg, piece, leg.manager, value)
        if self._random() < self._d.bad:
            key, value, reason = malformed_call_event(self._rng, event, leg.manager)
            self._put(event.at + delay, reason, BAD, key, value)

    def presence(self, presence: Presence, event: ManagerPresence) -> None:
        """Send a change of presence."""
        draw = self._random()
        low, high = self._d.delay_ms
        if draw < self._late:
            low, high = _SHORT_LATE_MS
        elif draw < self._late_or_disorder:
            low, high = 1, max(1, self._d.disorder_ms)
        due = event.at + self._rng.between(low, high)
        value = self._encode(event)
        self._put(due, presence, PRESENCE, presence.manager, value)
        if self._random() < self._d.duplicates:
            self._put(due + self._rng.between(*_AGAIN_MS), presence, PRESENCE, presence.manager, value)

    def crm(self, event: CrmEvent) -> None:
        """Send a CRM event. None is lost; any of them may be repeated, out of order, or days late."""
        for sent in self._deals.events(event):
            self._send_crm(sent)

    def _send_crm(self, event: CrmEvent) -> None:
        rng, d = self._crm_rng, self._d
        draw = rng.random()
        if draw >= self._late_or_disorder:
            delay = rng.between(*d.delay_ms)
        elif draw >= self._late:
            delay = rng.between(1, max(1, d.disorder_ms))
        else:
            low, high = d.late_ms
            delay = round(exp(rng.uniform(log(low), log(high))))
        value = self._encode(event)
        # An event dated back to the middle of a call cannot arrive among records that were already yielded.
        due = max(event.at + delay, self._next * self._BUCKET_MS)
        self._put(due, event, CRM, event.lead, value)
        if rng.random() < d.duplicates:
            self._put(due + rng.between(*_AGAIN_MS), event, CRM, event.lead, value)
        if rng.random() < d.bad:
            key, value, reason = malformed_crm_event(rng, event)
            self._put(due, reason, BAD_CRM, key, value)
            odd = edge_case_event(rng, event.at)
            self._put(due, odd, CRM, odd.lead, self._encode(odd))

    def speech(self, event: SpeechEvents, due_ms: int) -> None:
        """Send an event of a transcript, which arrives at `due_ms`. Its faults are the recogniser's."""
        due = max(due_ms, self._next * self._BUCKET_MS)
        self._put(due, event.call, SPEECH, event.manager, self._encode(event))

    def until(self, limit_ms: int) -> Iterator[Record]:
        """Yield the records that have arrived by about `limit_ms`. All of them must have been sent by now."""
        limit = limit_ms // self._BUCKET_MS
        while self._next < limit:
            yield from self._open(self._buckets.pop(self._next, None))
            self._next += 1

    def rest(self) -> Iterator[Record]:
        """Yield all records that are still in flight."""
        for bucket in sorted(self._buckets):
            yield from self._open(self._buckets.pop(bucket))

    def _open(self, items: list[tuple[int, int, Payload, int, str | None, bytes]] | None) -> Iterator[Record]:
        if items is None:
            return
        items.sort()
        listener = self._listener
        for due, _, payload, piece, key, value in items:
            if piece == SPEECH:
                yield Record(SPEECH_TOPIC, key, value, due)
                continue
            if listener is not None:
                listener.arrived(due, payload, piece)
            yield Record(TOPIC if piece < CRM else CRM_TOPIC, key, value, due)

    def _put(self, due: int, payload: Payload, piece: int, key: str | None, value: bytes) -> None:
        self._count += 1
        item = (due, self._count, payload, piece, key, value)
        bucket = due // self._BUCKET_MS
        items = self._buckets.get(bucket)
        if items is None:
            self._buckets[bucket] = [item]
        else:
            items.append(item)

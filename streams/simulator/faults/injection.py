"""What can go wrong between what happens and what arrives: events lost, repeated, out of order or late, and rubbish.

The delays are bounded so that the true answers stay knowable whatever a worker remembers: what is said twice is said
within half an hour, a start or an answer comes at most 90 min late, and only an end may come days late, and then only
where nothing else has told of that end.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import exp, log
from typing import Final, Protocol, TypeAlias

import msgspec
from msgspec import Struct

from streams.contract.events import CallEvent, CrmEvent, ManagerPresence
from streams.simulator.faults.edge_cases import absurd
from streams.simulator.faults.malformed import crm_rubbish, rubbish
from streams.simulator.rng import Chance
from streams.simulator.telephony.legs import (
    ANSWER,
    BAD,
    BAD_CRM,
    CDR,
    CRM,
    CRM_TOPIC,
    END,
    PRESENCE,
    START,
    TOPIC,
    TRANSFER,
    Leg,
    Presence,
    Record,
)
from streams.units import HOUR_MS, MINUTE_MS

What: TypeAlias = Leg | Presence | CrmEvent | str

_SHORT_LATE_MS: Final = (11 * MINUTE_MS, 90 * MINUTE_MS)
_AGAIN_MS: Final = (50, 20 * MINUTE_MS)
_CDR_MS: Final = (MINUTE_MS, 40 * MINUTE_MS)
_NIGHTLY_MS: Final = (HOUR_MS, 12 * HOUR_MS)
_MOST_DISORDER_MS: Final = 9 * MINUTE_MS


class Disturbance(Struct, frozen=True, kw_only=True):
    """How often each thing goes wrong, as probabilities from 0 to 1, and by how much.

    `lost_starts`, `lost_answers` and `lost_ends` are of the starts, answers and ends there are; a lost end is told by
    a row of the call detail records (CDR) in `rescued` of the cases, and otherwise never comes. `cdr` is the share of
    ends that are told twice, by the telephony source and by a CDR row. `duplicates`, `disorder` and `late` are of the
    events, and `bad` is the number of bad records for each event. Topic `crm` has as many absurd events besides, and
    loses nothing. Raises ValueError for what cannot be.
    """

    lost_starts: float = 0.005
    lost_answers: float = 0.005
    lost_ends: float = 0.005
    rescued: float = 0.4
    cdr: float = 0.03
    duplicates: float = 0.01
    disorder: float = 0.05
    disorder_ms: int = 3 * MINUTE_MS  # out of order by at most so much
    late: float = 0.004
    late_ms: tuple[int, int] = (HOUR_MS, 3 * 24 * HOUR_MS)  # how late ends are
    bad: float = 0.0005
    delay_ms: tuple[int, int] = (20, 800)  # how long an ordinary event is on its way

    def __post_init__(self) -> None:
        """Refuse rates that are no probabilities, and disorder that would be lateness."""
        rates = ("lost_starts", "lost_answers", "lost_ends", "rescued", "cdr", "duplicates", "disorder", "late", "bad")
        for name in rates:
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} is a probability, from 0 to 1; not {getattr(self, name)}")
        if not 0 <= self.disorder_ms <= _MOST_DISORDER_MS:
            raise ValueError(f"disorder_ms is at most {_MOST_DISORDER_MS}: beyond it an event is late")
        for name in ("late_ms", "delay_ms"):
            low, high = getattr(self, name)
            if not 0 < low <= high:
                raise ValueError(f"{name} is (least, most), above 0 and in order; not {(low, high)}")

    @classmethod
    def none(cls) -> Disturbance:
        """Return a world in which every event arrives once, in time and in order (delays of 1 ms)."""
        return cls(
            lost_starts=0,
            lost_answers=0,
            lost_ends=0,
            cdr=0,
            duplicates=0,
            disorder=0,
            late=0,
            bad=0,
            delay_ms=(1, 1),
        )


class Listener(Protocol):
    """Hears of every record in the order of arrival."""

    def arrived(self, due_ms: int, what: What, piece: int) -> None:
        """Take note of a piece of a leg, a presence, an event of the CRM, or (`what` is the reason) a bad record."""


class Post:
    """Takes what is said when it happens and gives it back as records, in the order in which they arrive.

    `crm` is the chance for topic `crm`, so that what goes wrong with the calls does not depend on it.
    """

    _BUCKET_MS: Final = 10_000

    def __init__(
        self, rng: Chance, crm: Chance, disturbance: Disturbance, start_ms: int, listener: Listener | None
    ) -> None:
        self._rng = rng
        self._crm = crm
        self._random = rng.random
        self._d = disturbance
        self._listener = listener
        self._buckets: dict[int, list[tuple[int, int, What, int, str | None, bytes]]] = {}
        self._next = start_ms // self._BUCKET_MS
        self._count = 0
        self._encode = msgspec.json.Encoder().encode
        self._lost: dict[int, float] = {
            START: disturbance.lost_starts,
            ANSWER: disturbance.lost_answers,
            END: disturbance.lost_ends,
            TRANSFER: disturbance.lost_ends,
        }
        self._late = disturbance.late
        self._late_or_disorder = disturbance.late + disturbance.disorder

    def loses(self, piece: int) -> bool:
        """Draw whether a piece never arrives."""
        return self._random() < self._lost[piece]

    def cdr(self, *, lost: bool) -> bool:
        """Draw whether there is a CDR row of an end."""
        return self._random() < (self._d.rescued if lost else self._d.cdr)

    def piece(self, leg: Leg, piece: int, event: CallEvent, *, alone: bool = False) -> None:
        """Send a piece of a leg. `alone`: nothing else has told or will tell of its end, so it may come days late."""
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
        leg.on_the_way += 1
        value = self._encode(event)
        self._put(event.at + delay, leg, piece, leg.manager, value)
        if self._random() < self._d.duplicates:
            leg.on_the_way += 1
            # By the manager's own events, a night may pass within minutes. What is days late is said twice at once.
            again = 0 if alone and delay > _SHORT_LATE_MS[1] else self._rng.between(*_AGAIN_MS)
            self._put(event.at + delay + again, leg, piece, leg.manager, value)
        if self._random() < self._d.bad:
            key, value, reason = rubbish(self._rng, event, leg.manager)
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
        """Send an event of the CRM: none is lost, any of them may come twice, out of order, or days late."""
        chance, d = self._crm, self._d
        draw = chance.random()
        if draw >= self._late_or_disorder:
            delay = chance.between(*d.delay_ms)
        elif draw >= self._late:
            delay = chance.between(1, max(1, d.disorder_ms))
        else:
            low, high = d.late_ms
            delay = round(exp(chance.uniform(log(low), log(high))))
        value = self._encode(event)
        # What is dated back to the middle of a call cannot arrive among records that have left already.
        due = max(event.at + delay, self._next * self._BUCKET_MS)
        self._put(due, event, CRM, event.lead, value)
        if chance.random() < d.duplicates:
            self._put(due + chance.between(*_AGAIN_MS), event, CRM, event.lead, value)
        if chance.random() < d.bad:
            key, value, reason = crm_rubbish(chance, event)
            self._put(due, reason, BAD_CRM, key, value)
            odd = absurd(chance, event.at)
            self._put(due, odd, CRM, odd.lead, self._encode(odd))

    def until(self, limit_ms: int) -> Iterator[Record]:
        """Yield what has arrived by about `limit_ms`, all of which must have been sent by now."""
        limit = limit_ms // self._BUCKET_MS
        while self._next < limit:
            yield from self._open(self._buckets.pop(self._next, None))
            self._next += 1

    def rest(self) -> Iterator[Record]:
        """Yield everything that is still on its way."""
        for bucket in sorted(self._buckets):
            yield from self._open(self._buckets.pop(bucket))

    def _open(self, items: list[tuple[int, int, What, int, str | None, bytes]] | None) -> Iterator[Record]:
        if items is None:
            return
        items.sort()
        listener = self._listener
        for due, _, what, piece, key, value in items:
            if listener is not None:
                listener.arrived(due, what, piece)
            yield Record(TOPIC if piece < CRM else CRM_TOPIC, key, value, due)

    def _put(self, due: int, what: What, piece: int, key: str | None, value: bytes) -> None:
        self._count += 1
        item = (due, self._count, what, piece, key, value)
        bucket = due // self._BUCKET_MS
        items = self._buckets.get(bucket)
        if items is None:
            self._buckets[bucket] = [item]
        else:
            items.append(item)

"""Internal calls: after a talk with a customer, a manager calls a colleague."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from streams.simulator.rng import SeededRandom
from streams.simulator.telephony.emitter import Emitter
from streams.simulator.telephony.legs import SimulatedLeg
from streams.simulator.telephony.workforce import Person
from streams.units import MINUTE_MS, SECOND_MS

_TAKEN: Final = 0.8
_TALK_MS: Final = (5 * SECOND_MS, 6 * MINUTE_MS)


class Chats:
    """Calls between `people`, after a share `rate` of their talks. Their numbers are random by `rng` alone."""

    def __init__(self, rng: SeededRandom, name: str, rate: float, emitter: Emitter) -> None:
        self._rng = rng
        self._name = name
        self._rate = rate
        self._emitter = emitter
        self._count = 0

    def perhaps(self, person: Person, people: Sequence[Person], ended_at: int) -> None:
        """With some probability, simulate a call of `person`, whose talk ended at `ended_at`, to a colleague."""
        rng = self._rng
        if not self._rate or not rng.happens(self._rate):
            return
        other = rng.choice(people)
        if other is person:
            return
        self._count += 1
        started_at = ended_at + rng.between(SECOND_MS, 20 * SECOND_MS)
        answered_at = started_at + rng.between(2 * SECOND_MS, 15 * SECOND_MS)
        talk_ms = rng.between(*_TALK_MS) if rng.happens(_TAKEN) else None
        call = f"{self._name}-chat{self._count}"
        for one in (person, other):
            leg = SimulatedLeg(call, one.id, "outbound" if one is person else "inbound", None, None, started_at)
            leg.internal = True
            self._emitter.started(leg, one.team)
            if talk_ms is None:
                self._emitter.ended(leg, answered_at)
                continue
            leg.disposition, leg.talk_ms = "answered", talk_ms
            self._emitter.answered(leg, answered_at)
            self._emitter.ended(leg, answered_at + talk_ms)

"""The leads of one manager: whom to call next, and when to call again."""

from __future__ import annotations

from hashlib import blake2b
from heapq import heappop, heappush
from typing import Final

from streams.contract.events import Disposition, Kind
from streams.simulator.people.roster import Personality
from streams.simulator.rng import Chance
from streams.units import DAY_MS, MINUTE_MS

_CONVERSATION_MS: Final = MINUTE_MS
_MOST: Final = 400  # more leads than that nobody keeps in mind


class Register:
    """Invents leads: a CRM reference, or a keyed hash where only a telephone number is known."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._count = 0

    def reference(self) -> str:
        """Return the CRM reference of a new lead."""
        self._count += 1
        return f"lead-{self._seed}-{self._count:06d}"

    def caller(self) -> str:
        """Return the key of a new lead of whom only a number is known."""
        self._count += 1
        return f"phone:{blake2b(f'{self._seed}:{self._count}'.encode(), digest_size=16).hexdigest()}"


class Book:
    """The leads that a manager means to call again, by when they are due."""

    def __init__(self, personality: Personality, register: Register, rng: Chance) -> None:
        self._personality = personality
        self._register = register
        self._random = rng.random
        self._rng = rng
        self._due: list[tuple[int, str, int]] = []  # when, lead, dials without success so far

    def next(self, now_ms: int) -> tuple[str, Kind, int]:
        """Return whom to dial, the kind of call this is, and how often the lead was dialled in vain."""
        if self._due and self._due[0][0] <= now_ms and self._random() >= self._personality.fresh:
            _, lead, failures = heappop(self._due)
            return lead, "repeat", failures
        # Who inherits nobody draws no chance for it, and so works as ever.
        if self._personality.inherited and self._random() < self._personality.inherited:
            return self._register.reference(), "repeat", 0
        if self._random() < self._personality.cold:
            return self._register.caller(), "cold", 0
        return self._register.reference(), "targeted", 0

    def known(self) -> str | None:
        """Return some lead of the book, if it has any: one that might call back."""
        return self._rng.choice(self._due)[1] if self._due else None

    def stranger(self) -> str:
        """Return a lead who calls in for the first time."""
        return self._register.caller()

    def note(self, lead: str, now_ms: int, disposition: Disposition, talk_ms: int, failures: int) -> int | None:
        """Decide whether the lead is called again. Return when."""
        who = self._personality
        if disposition == "answered":
            again = who.follow_up if talk_ms >= _CONVERSATION_MS else 0.25
            if self._random() < again:
                return self._put(now_ms + round((0.7 + 5 * self._random()) * DAY_MS), lead, 0)
        elif failures + 1 < who.persistence:
            wait = 0.25 if disposition == "busy" else 1.0
            return self._put(now_ms + round(who.retry_ms * wait * self._rng.uniform(0.4, 2.5)), lead, failures + 1)
        return None

    def _put(self, due_ms: int, lead: str, failures: int) -> int | None:
        if len(self._due) >= _MOST:
            return None
        heappush(self._due, (due_ms, lead, failures))
        return due_ms

"""The call list of one manager: the next lead to call, and the time of its next call."""

from __future__ import annotations

from hashlib import blake2b
from heapq import heappop, heappush
from typing import Final

from streams.contract.events import Disposition, Kind
from streams.simulator.people.roster import Personality
from streams.simulator.rng import SeededRandom
from streams.units import DAY_MS, MINUTE_MS

_CONVERSATION_MS: Final = MINUTE_MS
_MOST: Final = 400  # leads on a list


class LeadRegistry:
    """Invents leads: a CRM reference, or a keyed hash where only a telephone number is known."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._count = 0

    def reference(self) -> str:
        """Return the CRM reference of a new lead."""
        self._count += 1
        return f"lead-{self._seed}-{self._count:06d}"

    def caller(self) -> str:
        """Return the key of a new lead with a known number only."""
        self._count += 1
        return f"phone:{blake2b(f'{self._seed}:{self._count}'.encode(), digest_size=16).hexdigest()}"


class CallList:
    """The leads that a manager will call again, by due time."""

    def __init__(self, personality: Personality, lead_registry: LeadRegistry, rng: SeededRandom) -> None:
        self._personality = personality
        self._lead_registry = lead_registry
        self._random = rng.random
        self._rng = rng
        self._due: list[tuple[int, str, int]] = []  # when, lead, dials without success so far

    def next(self, now_ms: int) -> tuple[str, Kind, int]:
        """Return the lead to dial, the kind of the call, and the number of unsuccessful dials so far."""
        if self._due and self._due[0][0] <= now_ms and self._random() >= self._personality.fresh:
            _, lead, failures = heappop(self._due)
            return lead, "repeat", failures
        # For a manager who inherits no leads no random number is drawn here, so older seeds give the same calls.
        if self._personality.inherited and self._random() < self._personality.inherited:
            return self._lead_registry.reference(), "repeat", 0
        if self._random() < self._personality.cold:
            return self._lead_registry.caller(), "cold", 0
        return self._lead_registry.reference(), "targeted", 0

    def known(self) -> str | None:
        """Return any lead of the list, or None if it is empty. This lead may call back."""
        return self._rng.choice(self._due)[1] if self._due else None

    def stranger(self) -> str:
        """Return a new lead that calls in."""
        return self._lead_registry.caller()

    def note(self, lead: str, now_ms: int, disposition: Disposition, talk_ms: int, failures: int) -> int | None:
        """Decide whether the lead is called again. Return the time, or None."""
        personality = self._personality
        if disposition == "answered":
            again = personality.follow_up if talk_ms >= _CONVERSATION_MS else 0.25
            if self._random() < again:
                return self._put(now_ms + round((0.7 + 5 * self._random()) * DAY_MS), lead, 0)
        elif failures + 1 < personality.persistence:
            wait = 0.25 if disposition == "busy" else 1.0
            return self._put(
                now_ms + round(personality.retry_ms * wait * self._rng.uniform(0.4, 2.5)), lead, failures + 1
            )
        return None

    def _put(self, due_ms: int, lead: str, failures: int) -> int | None:
        if len(self._due) >= _MOST:
            return None
        heappush(self._due, (due_ms, lead, failures))
        return due_ms

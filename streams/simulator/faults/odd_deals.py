"""Events of deals as CRMs send them: some deals come under two leads, and some are deleted.

A department has two leads of one person (two managers entered it, or a caller had a key before the CRM had an id). Each
event of its deal names one of the two. Half of such callers' keys are linked to the lead, at any time.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from hashlib import blake2b
from typing import Final

from msgspec.structs import replace

from streams.contract.events import CrmEvent, DealDeleted, DealStageChanged, LeadLinked
from streams.simulator.rng import SeededRandom
from streams.units import DAY_MS, SECOND_MS

_RECENT: Final = 50
_KNOWN: Final = 0.4  # of the other leads are leads of the CRM; all others are keys of callers
_LINKED: Final = 0.5  # of the keys of callers
_OTHER: Final = 0.5  # of the events name the other lead
_AT_ONCE: Final = 0.2  # of the deletions come in the second of the change


class OddDeals:
    """Changes the events of a share `moved` of deals, and deletes deals after a share `deleted` of their changes."""

    def __init__(self, rng: SeededRandom, moved: float, deleted: float) -> None:
        self._rng = rng
        self._moved = moved
        self._deleted = deleted
        self._others: dict[str, str] = {}
        self._recent: deque[str] = deque(maxlen=_RECENT)

    def events(self, event: CrmEvent) -> Iterator[CrmEvent]:
        """Yield the events that are sent in place of `event`."""
        if not isinstance(event, DealStageChanged):
            if not isinstance(event, LeadLinked):
                self._recent.append(event.lead)
            yield event
            return
        rng, deal, lead = self._rng, event.deal, event.lead
        other = self._others.get(deal)
        if other is None and _share(deal) < self._moved:
            other, links = self._second_lead(event)
            self._others[deal] = other
            yield from links
        if other is not None and rng.happens(_OTHER):
            event = replace(event, lead=other)
        yield event
        if rng.happens(self._deleted):
            at = event.at if rng.happens(_AT_ONCE) else event.at + rng.between(0, 2 * DAY_MS)
            named = lead if rng.happens(_OTHER) else event.lead
            yield DealDeleted(
                v=1,
                id=f"{event.id}-deleted",
                at=at // SECOND_MS * SECOND_MS,
                source=event.source,
                lead=named,
                deal=deal,
            )

    def _second_lead(self, event: DealStageChanged) -> tuple[str, list[CrmEvent]]:
        """Return the other lead of a deal, and its link, if it has one."""
        rng = self._rng
        if self._recent and rng.happens(_KNOWN):
            return rng.choice(self._recent), []
        key = f"phone:{_digest(event.deal).hex()}"
        if not rng.happens(_LINKED):
            return key, []
        at = event.at + rng.between(0, 2 * DAY_MS)
        return key, [LeadLinked(v=1, id=f"{event.id}-linked", at=at, source=event.source, lead=event.lead, old_key=key)]


def _digest(deal: str) -> bytes:
    return blake2b(deal.encode(), digest_size=8).digest()


def _share(deal: str) -> float:
    """Return a number from 0 to 1 that depends on the deal only, so that no list of all deals is needed."""
    return int.from_bytes(_digest(deal), "big") / 2**64

"""The leads in the CRM of the simulated department: their keys, the furthest stage they reach, and their deals."""

from __future__ import annotations

from decimal import Decimal
from hashlib import blake2b
from math import log
from typing import Final

from msgspec import Struct

from streams.contract.events import Kind
from streams.simulator.crm.profiles import FACTOR_BY_KIND, STAGES, CrmProfile
from streams.simulator.rng import SeededRandom

WON: Final = STAGES.index("won")
PROPOSAL: Final = STAGES.index("proposal")
NONE: Final = -1
_PRODUCTS: Final = {"basic": (6, 900), "plus": (3, 2_400), "enterprise": (1, 14_000)}  # weight, median amount
_CLIENT_TYPES: Final = {"small business": 6, "mid market": 3, "public sector": 1}
WRITTEN: Final = {"email": 3, "messenger": 2}  # channels of deals that are closed in writing
_SPOKEN: Final = {"phone": 9, "meeting": 1}
_CURRENCIES: Final = {"EUR": 94, "USD": 5, "CHF": 1}
_SPREAD: Final = 0.5
_LEAST: Final = 50


class DealTerms(Struct, frozen=True):
    """The contents of a deal. `amount` with two decimals, in `currency`."""

    id: str
    product: str
    client_type: str
    channel: str
    amount: Decimal
    currency: str


class Client:
    """A lead in the CRM.

    `key` is the CRM's reference, or `phone:` and a hash until the lead is linked; `old_key` is its key before the link.
    `furthest` is the rank of the last stage that the lead will reach, `stage` the rank of its present stage. NONE is
    before the first stage. `closing` is set once the end of the deal is planned. `idle` counts conversations without
    progress.
    """

    __slots__ = ("closed", "closing", "deal_terms", "furthest", "idle", "key", "old_key", "stage", "talks", "touched")

    def __init__(self, key: str, furthest: int, deal_terms: DealTerms) -> None:
        self.key = key
        self.old_key = ""
        self.furthest = furthest
        self.deal_terms = deal_terms
        self.stage = NONE
        self.closed = False
        self.closing = False
        self.talks = 0
        self.idle = 0
        self.touched = 0

    def link(self, key: str) -> None:
        """Give the lead another key."""
        self.old_key, self.key = self.key, key


def furthest(rng: SeededRandom, crm_profile: CrmProfile, kind: Kind, day: int) -> int:
    """Draw the rank of the furthest stage of a lead. The first conversation is on `day` of the simulation."""
    rank = NONE
    for place, likely in enumerate(crm_profile.steps):
        if place == 0:
            likely *= FACTOR_BY_KIND[kind]  # noqa: PLW2901 - the same chance, corrected
        if place == WON and day >= crm_profile.change_day:
            likely *= crm_profile.change  # noqa: PLW2901 - the same chance, corrected
        if rng.random() >= likely:
            break
        rank = place
    return rank


def deal_terms(rng: SeededRandom, id_: str, *, written: bool) -> DealTerms:
    """Draw the contents of a lead's deal."""
    product = _drawn(rng, {name: weight for name, (weight, _) in _PRODUCTS.items()})
    euros = max(_LEAST, rng.lognormvariate(log(_PRODUCTS[product][1]), _SPREAD))
    return DealTerms(
        id_,
        product,
        _drawn(rng, _CLIENT_TYPES),
        _drawn(rng, WRITTEN if written else _SPOKEN),
        Decimal(round(euros * 100)).scaleb(-2),
        _drawn(rng, _CURRENCIES),
    )


def reference(key: str) -> str:
    """Return the CRM reference for a lead that had only the key `key`. It is the same in every run."""
    return f"lead-{blake2b(key.encode(), digest_size=8).hexdigest()}"


def _drawn(rng: SeededRandom, weights: dict[str, int]) -> str:
    return rng.choices(tuple(weights), tuple(weights.values()))[0]

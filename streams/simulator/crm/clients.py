"""The leads as the CRM of the simulated department knows them: who they are, how far they come, and what they buy."""

from __future__ import annotations

from decimal import Decimal
from hashlib import blake2b
from math import log
from typing import Final

from msgspec import Struct

from streams.contract.events import Kind
from streams.simulator.crm.profiles import KINDS, STAGES, Manner
from streams.simulator.rng import Chance

WON: Final = STAGES.index("won")
PROPOSAL: Final = STAGES.index("proposal")
NONE: Final = -1
_PRODUCTS: Final = {"basic": (6, 900), "plus": (3, 2_400), "enterprise": (1, 14_000)}  # weight, median amount
_CLIENT_TYPES: Final = {"small business": 6, "mid market": 3, "public sector": 1}
WRITTEN: Final = {"email": 3, "messenger": 2}  # channels of deals that come about in writing
_SPOKEN: Final = {"phone": 9, "meeting": 1}
_CURRENCIES: Final = {"EUR": 94, "USD": 5, "CHF": 1}
_SPREAD: Final = 0.5
_LEAST: Final = 50


class Bargain(Struct, frozen=True):
    """What a deal is about. `amount` with two decimals, in `currency`."""

    id: str
    product: str
    client_type: str
    channel: str
    amount: Decimal
    currency: str


class Client:
    """A lead of whom the CRM has heard.

    `key` is the CRM's reference, or `phone:` and a hash until the lead is linked; `old_key` is what it was before.
    `far` is the rank of the stage that the lead will come to, `stage` of the one it is in; NONE is before the first.
    `closing` is set once the end of the deal is planned. `idle` counts conversations without progress.
    """

    __slots__ = ("bargain", "closed", "closing", "far", "idle", "key", "old_key", "stage", "talks", "touched")

    def __init__(self, key: str, far: int, bargain: Bargain) -> None:
        self.key = key
        self.old_key = ""
        self.far = far
        self.bargain = bargain
        self.stage = NONE
        self.closed = False
        self.closing = False
        self.talks = 0
        self.idle = 0
        self.touched = 0

    def link(self, key: str) -> None:
        """Let the lead be known by another key."""
        self.old_key, self.key = self.key, key


def far(chance: Chance, manner: Manner, kind: Kind, day: int) -> int:
    """Draw the rank of the stage to which a lead will come that is first talked to on `day` of the simulation."""
    rank = NONE
    for place, likely in enumerate(manner.steps):
        if place == 0:
            likely *= KINDS[kind]  # noqa: PLW2901 - the same chance, corrected
        if place == WON and day >= manner.change_day:
            likely *= manner.change  # noqa: PLW2901 - the same chance, corrected
        if chance.random() >= likely:
            break
        rank = place
    return rank


def bargain(chance: Chance, id_: str, *, written: bool) -> Bargain:
    """Draw what a lead may buy."""
    product = _drawn(chance, {name: weight for name, (weight, _) in _PRODUCTS.items()})
    euros = max(_LEAST, chance.lognormvariate(log(_PRODUCTS[product][1]), _SPREAD))
    return Bargain(
        id_,
        product,
        _drawn(chance, _CLIENT_TYPES),
        _drawn(chance, WRITTEN if written else _SPOKEN),
        Decimal(round(euros * 100)).scaleb(-2),
        _drawn(chance, _CURRENCIES),
    )


def reference(key: str) -> str:
    """Return what the CRM calls the lead that was only known by `key`: the same in every run."""
    return f"lead-{blake2b(key.encode(), digest_size=8).hexdigest()}"


def _drawn(chance: Chance, weights: dict[str, int]) -> str:
    return chance.choices(tuple(weights), tuple(weights.values()))[0]

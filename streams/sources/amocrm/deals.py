"""The events of deals, from the changes of the account and the present state of the deals.

A change has the changed value only. The rest of the deal at that moment follows from the later changes: each has the
value before it. The author of a change (`created_by`) is not the manager of the deal.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

from streams.contract.events import DealDeleted, DealStageChanged, Event
from streams.sources.amocrm.rows import Change, Deal
from streams.sources.amocrm.settings import NAME
from streams.sources.people import Heard, People
from streams.units import SECOND_MS

WON: Final = 142
LOST: Final = 143
STATUS: Final = "lead_status_changed"
SALE: Final = "sale_field_changed"
OWNER: Final = "entity_responsible_changed"
DELETED: Final = "lead_deleted"
TYPES: Final = ("lead_added", DELETED, "lead_restored", STATUS, SALE, OWNER, "entity_linked")
"""The changes that concern deals, as the API names them."""


def lead_of(deal: int, contact: int) -> str:
    """Return the lead of a deal: its main contact, or the deal itself."""
    return f"{NAME}:contact:{contact}" if contact else f"{NAME}:deal:{deal}"


class Deals:
    """Makes the events of deals. `currency` is the account's; "" for one that is not known."""

    def __init__(self, stages: Mapping[str, str], people: People, currency: str) -> None:
        self._stages = stages
        self._people = people
        self._currency = currency

    def stage(self, status: int) -> str:
        """Return the stage of the settings. A stage that the settings do not name counts as `other`."""
        known = {WON: "won", LOST: "lost"}.get(status)
        return known or self._stages.get(str(status)) or str(status)[:100]

    def manager(self, user: int) -> str | None:
        """Return the manager of the deal; None without one."""
        return self._people.resolve(NAME, Heard(user=str(user))).manager if user else None

    def events(self, deal: int, changes: Sequence[Change], now: Deal | None) -> Iterator[Event]:
        """Yield the events of the changes of one deal. `now` is the present deal, None for one that is gone.

        `changes` are all since a moment, in any order.
        """
        ordered = sorted(changes, key=lambda change: (change.created_at, change.id))
        lead = lead_of(deal, now.contact if now is not None else 0)
        for place, change in enumerate(ordered):
            if change.type == DELETED:
                yield self._deleted(deal, lead, change)
            elif (event := self._changed(lead, change, ordered[place + 1 :], now)) is not None:
                yield event

    def _changed(self, lead: str, change: Change, later: Sequence[Change], now: Deal | None) -> DealStageChanged | None:
        status = status_of(change.value_after) if change.type == STATUS else 0
        status = status or _then(status_of, STATUS, later, 0 if now is None else now.status_id)
        if not status:  # the deal is gone, and no later change has its stage
            return None
        is_whole = change.type in ("lead_added", "lead_restored")
        price = price_of(change.value_after) if change.type == SALE else None
        owner = owner_of(change.value_after) if change.type == OWNER else 0
        if is_whole:
            price = _then(price_of, SALE, later, None if now is None else bytes(now.price).decode("utf-8", "replace"))
            owner = _then(owner_of, OWNER, later, 0 if now is None else now.responsible_user_id)
        amount = amount_of(price)
        return DealStageChanged(
            v=1,
            id=f"{NAME}:event:{change.id}",
            at=change.created_at * SECOND_MS,
            source=NAME,
            lead=lead,
            manager=self.manager(owner),
            deal=str(change.entity_id),
            stage=self.stage(status),
            amount=amount,
            currency=self._currency or None if amount is not None else None,
        )

    def _deleted(self, deal: int, lead: str, change: Change) -> DealDeleted:
        return DealDeleted(
            v=1,
            id=f"{NAME}:event:{change.id}",
            at=change.created_at * SECOND_MS,
            source=NAME,
            lead=lead,
            deal=str(deal),
        )


def _then(read: Callable[[Any], Any], kind: str, later: Sequence[Change], now: Any) -> Any:
    """Return an earlier value, by the first of the later changes of it; `now` without such a change."""
    following = next((change for change in later if change.type == kind), None)
    return now if following is None else read(following.value_before) or now


def amount_of(price: str | None) -> str | None:
    """Return a price in the form of the contract. The account writes whole numbers, and 0 for none."""
    text = (price or "").strip().strip('"')
    return None if text in ("", "null") or not text.strip("0.,") else text[:64]


def status_of(value: Any) -> int:
    """Return the status in a value of a change, 0 for none."""
    return _number(_inner(value, "lead_status", "id"))


def owner_of(value: Any) -> int:
    """Return the user in a value of a change, 0 for none."""
    return _number(_inner(value, "responsible_user", "id"))


def price_of(value: Any) -> str | None:
    """Return the price in a value of a change, None for none."""
    found = _inner(value, "sale_field_value", "sale")
    return str(found) if isinstance(found, int | float | str) and not isinstance(found, bool) else None


def _inner(value: Any, *names: str) -> Any:
    if isinstance(value, list):
        value = value[0] if value else None
    for name in names:
        value = value.get(name) if isinstance(value, dict) else None
    return value


def _number(value: Any) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 < value < 1 << 60 else 0

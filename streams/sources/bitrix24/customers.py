"""Customers: a contact, a company or a lead of the portal with its telephone numbers becomes `lead.linked`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from msgspec import Struct

from streams.contract.events import LeadLinked
from streams.sources.bitrix24.calls import Calls
from streams.sources.bitrix24.deals import Id, customer, number
from streams.sources.bitrix24.settings import NAME

KINDS: Final = ("contact", "lead", "company")
"""The kinds of customers, by their names in methods and in ids of leads."""
CUSTOMER_FIELDS: Final = ("ID", "DATE_MODIFY", "PHONE", "LEAD_ID")


class Phone(Struct, frozen=True):
    """One number of a customer."""

    VALUE: str = ""


class CustomerRow(Struct, frozen=True):
    """A row of crm.contact.list, crm.company.list or crm.lead.list."""

    ID: int
    DATE_MODIFY: str | None = None
    PHONE: tuple[Phone, ...] = ()
    LEAD_ID: Id = None


def links(kind: str, row: CustomerRow, calls: Calls, at_ms: int) -> Iterator[LeadLinked]:
    """Yield the links of a customer: its numbers, and the portal's lead from which it was converted."""
    lead = customer(kind, row.ID)
    for phone in row.PHONE:
        key = calls.lead_key(phone.VALUE)
        if key is not None:
            yield linked(key, lead, at_ms)
    if kind != "lead" and number(row.LEAD_ID):
        yield linked(customer("lead", number(row.LEAD_ID)), lead, at_ms)


def linked(old_key: str, lead: str, at_ms: int) -> LeadLinked:
    """Return the link of a key to a lead."""
    return LeadLinked(v=1, id=f"{NAME}:link:{old_key}:{lead}", at=at_ms, source=NAME, lead=lead, old_key=old_key)

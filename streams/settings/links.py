"""The section `[links]`: addresses of pages of the CRM and the telephone system."""

from __future__ import annotations

from functools import partial
from typing import Annotated, TypeAlias

from msgspec import Meta, Struct

from streams import links
from streams.settings.reader import Parse


def _template(subject: str, value: object) -> str:
    if not isinstance(value, str):
        raise ValueError("text was expected")  # noqa: TRY004 - a Parse refuses with ValueError, whatever is wrong
    text = str(value).strip()
    if text and (wrong := links.problem(text, subject)):
        raise ValueError(wrong)
    return text


_Longest: TypeAlias = Annotated[str, Meta(max_length=1_000)]
LeadPage: TypeAlias = Annotated[_Longest, Parse(partial(_template, "lead"))]
DealPage: TypeAlias = Annotated[_Longest, Parse(partial(_template, "deal"))]
CallPage: TypeAlias = Annotated[_Longest, Parse(partial(_template, "call"))]
ManagerPage: TypeAlias = Annotated[_Longest, Parse(partial(_template, "manager"))]


class Links(Struct, frozen=True, kw_only=True):
    """Templates of the addresses of a lead, a deal, a call and a manager; "" where there are no such pages.

    The functions return None without a template, and for an id that lacks a part named by the template.
    """

    lead: LeadPage = ""
    deal: DealPage = ""
    call: CallPage = ""
    manager: ManagerPage = ""

    def of_lead(self, lead: str) -> str | None:
        """Return the address of a lead. A lead that is known by a number alone has none."""
        return links.render(self.lead, "lead", lead) if links.is_page(lead) else None

    def of_deal(self, deal: str) -> str | None:
        """Return the address of a deal."""
        return links.render(self.deal, "deal", deal)

    def of_call(self, call: str) -> str | None:
        """Return the address of a call."""
        return links.render(self.call, "call", call)

    def of_manager(self, manager: str) -> str | None:
        """Return the address of a manager."""
        return links.render(self.manager, "manager", manager)

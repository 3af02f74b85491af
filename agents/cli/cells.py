"""Cells of tables for leads, deals, calls and managers: their shown names, and the links to their pages."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.style import Style

from agents.cli.common import cell
from streams.callers import shown

if TYPE_CHECKING:
    from rich.text import Text

    from streams.settings.links import Links


def linked(text: str, address: str | None) -> Text:
    """Return a foreign text for a table. A terminal shows it as a link to `address`; a pipe gets the text alone."""
    made = cell(text)
    if address:
        made.stylize(Style(link=address))
    return made


def lead_cell(lead: str, links: Links) -> Text:
    """Return the cell of a lead: its id, or the short reference of an unknown caller."""
    return linked(shown(lead), links.of_lead(lead))


def thing_cell(of: str, id_: str, links: Links) -> Text:
    """Return the cell of a thing that a figure counts; `of` is its kind, as in `Piece.of`."""
    return linked(shown(id_) if of == "lead" else id_, thing_link(of, id_, links))


def thing_link(of: str, id_: str, links: Links) -> str | None:
    """Return the address of a thing that a figure counts, or None."""
    of_kind = {"call": links.of_call, "deal": links.of_deal, "lead": links.of_lead}.get(of)
    return of_kind(id_) if of_kind is not None else None


def with_link(plain: dict[str, Any], address: str | None, name: str = "link") -> dict[str, Any]:
    """Return a row of JSON with the address in it, if there is one."""
    return plain if address is None else {**plain, name: address}

"""Answers of the API of HubSpot: pages, objects, associations, owners and pipelines."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Raw, Struct


class Next(Struct):
    """The cursor of the next page."""

    after: str = ""


class Paging(Struct):
    """The paging of a list."""

    next: Next | None = None


class Page(Struct):
    """One page. Its rows are read one by one: one that cannot be read does not affect others."""

    results: list[Raw] = []
    paging: Paging | None = None

    @property
    def after(self) -> str:
        """The cursor of the next page, "" on the last one."""
        return self.paging.next.after if self.paging is not None and self.paging.next is not None else ""


class Row(Struct, rename="camel"):
    """An object that was found, or one that is archived."""

    id: str
    properties: dict[str, str | None] = {}
    archived_at: str | None = None


class To(Struct, rename="camel"):
    """An object that another one is associated with."""

    to_object_id: int


class From(Struct):
    """An object with associations."""

    id: str


class Association(Struct):
    """The associations of one object."""

    source: From = msgspec.field(name="from")
    to: list[To] = []


class Owner(Struct, rename="camel"):
    """An owner. The id is not that of a user."""

    id: str
    email: str | None = None
    first_name: str | None = None
    last_name: str | None = None


class StageRow(Struct, rename="camel"):
    """A stage of a pipeline."""

    id: str
    label: str = ""
    display_order: int = 0
    metadata: dict[str, Any] = {}

    @property
    def is_closed(self) -> bool:
        """True if the deal is over: won or lost."""
        return str(self.metadata.get("isClosed", "")).lower() == "true"

    @property
    def is_won(self) -> bool:
        """True if the deal is won. Accounts have several such stages."""
        try:
            return self.is_closed and float(str(self.metadata.get("probability", ""))) == 1.0
        except ValueError:
            return False


class Pipeline(Struct):
    """A pipeline with its stages."""

    label: str = ""
    stages: list[StageRow] = []

"""Answers of the API of amoCRM: events, deals (it calls them leads), contacts, users, pipelines, notes of calls."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Struct


class Change(Struct, frozen=True):
    """An event of the account. `created_at` is its moment, in unix seconds."""

    id: str
    type: str
    entity_id: int
    created_at: int
    entity_type: str = ""
    value_after: Any = None
    value_before: Any = None


class Linked(Struct, frozen=True):
    """A contact of a deal, or a deal of a contact."""

    id: int
    is_main: bool = False


class Around(Struct, frozen=True):
    """The entities around a deal or a contact."""

    contacts: tuple[Linked, ...] = ()


class Deal(Struct, frozen=True):
    """The present state of a deal. A price of 0 stands for none."""

    id: int
    status_id: int
    price: msgspec.Raw = msgspec.Raw(b"0")
    responsible_user_id: int = 0
    around: Around = msgspec.field(name="_embedded", default=Around())

    @property
    def contact(self) -> int:
        """The main contact, 0 for none."""
        contacts = self.around.contacts
        main = next((one.id for one in contacts if one.is_main), 0)
        return main or next((one.id for one in contacts), 0)


class FieldValue(Struct, frozen=True):
    """A value of a field."""

    value: Any = None


class Field(Struct, frozen=True):
    """A field of a contact."""

    field_code: str | None = None
    values: tuple[FieldValue, ...] = ()


class Contact(Struct, frozen=True):
    """A contact with its numbers."""

    id: int
    updated_at: int = 0
    custom_fields_values: tuple[Field, ...] | None = None

    @property
    def numbers(self) -> tuple[str, ...]:
        """Its telephone numbers, as they are written."""
        fields = self.custom_fields_values or ()
        values = [value.value for field in fields if field.field_code == "PHONE" for value in field.values]
        return tuple(str(value) for value in values if isinstance(value, str | int))


class Note(Struct, frozen=True):
    """A note of a call. `params` are those of the integration that wrote it."""

    id: int
    note_type: str
    created_at: int
    responsible_user_id: int = 0
    created_by: int = 0
    params: Any = None


class User(Struct, frozen=True):
    """A user of the account."""

    id: int
    name: str | None = None
    email: str | None = None


class Status(Struct, frozen=True):
    """A stage of a pipeline."""

    id: int
    name: str = ""
    sort: int = 0


class _Statuses(Struct, frozen=True):
    statuses: tuple[Status, ...] = ()


class Pipeline(Struct, frozen=True):
    """A pipeline with its stages."""

    id: int
    name: str = ""
    around: _Statuses = msgspec.field(name="_embedded", default=_Statuses())


class Account(Struct, frozen=True):
    """The account itself."""

    currency: str = ""


class Page(Struct, frozen=True):
    """One page of a list. Its rows are read one by one: one that cannot be read does not affect others."""

    held: dict[str, msgspec.Raw] = msgspec.field(name="_embedded", default_factory=dict)
    links: dict[str, msgspec.Raw] = msgspec.field(name="_links", default_factory=dict)

    @property
    def has_next(self) -> bool:
        """True if there is another page."""
        return "next" in self.links

"""Deals and persons in the form of Pipedrive's webhooks and API, of version 2 and of version 1.

Version 1 has `user_id` for `owner_id`, `phone` for `phones`, and moments of UTC without an offset.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from decimal import Context, Decimal
from typing import Any, Final, TypeVar

import msgspec
from msgspec import Raw, Struct

from streams.contract.events import Reason
from streams.contract.money import read_amount
from streams.sources.frame import Refused, shape
from streams.sources.times import TimeError, Times

T = TypeVar("T")
STATUSES: Final = frozenset(("open", "won", "lost", "deleted"))
OWNERS: Final = ("owner_id", "user_id")
_ISO: Final = Times("iso", "UTC")
_UNIX: Final = Times("unix")
_LONGEST_ID: Final = 15
_FLOAT: Final = Context(prec=15)
"""The digits that a number in JSON has exactly: 0.30000000000000004 was 0.3."""


class UnreadableError(ValueError):
    """A part that cannot be read. The text has no value of it."""

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(detail)
        self.reason: Reason = reason


class Deal(Struct, frozen=True, kw_only=True):
    """A deal at a moment. Moments in milliseconds, 0 for none. `person` and `owner` are 0 for none.

    `value` is the amount in digits, "" for none.
    """

    id: int
    stage: int
    status: str
    value: str
    currency: str
    owner: int
    person: int
    added_ms: int
    updated_ms: int
    staged_ms: int
    won_ms: int
    lost_ms: int

    @property
    def closed_ms(self) -> int:
        """The moment at which it was won or lost, 0 while it is open."""
        return {"won": self.won_ms, "lost": self.lost_ms}.get(self.status, 0)


class Page(Struct):
    """One page of a list. Its rows are read one by one: one that cannot be read does not affect others."""

    data: list[Raw] | None = None
    additional_data: dict[str, Any] | None = None

    @property
    def next(self) -> str:
        """The cursor of the next page, "" on the last one."""
        return str((self.additional_data or {}).get("next_cursor") or "")


class Change(Struct):
    """A change of a field of a deal, as its changelog has it. The moment is of UTC."""

    field_key: str
    time: str
    old_value: Any = None
    new_value: Any = None


class User(Struct):
    """A user of the account."""

    id: int
    name: str | None = None
    email: str | None = None


class StageRow(Struct):
    """A stage of a pipeline."""

    id: int
    name: str = ""
    pipeline_id: int = 0
    order_nr: int = 0


class Pipeline(Struct):
    """A pipeline."""

    id: int
    name: str = ""
    order_nr: int = 0


def deal_of(row: Mapping[str, Any]) -> Deal:
    """Return a deal. Raises UnreadableError."""
    status = _present(row, "status")
    if not isinstance(status, str) or status not in STATUSES:
        raise UnreadableError("invalid_field", "status is none that is known")
    currency = row.get("currency")
    return Deal(
        id=id_of(_present(row, "id"), "id"),
        stage=id_of(_present(row, "stage_id"), "stage_id"),
        status=status,
        value=value_of(row.get("value")),
        currency=currency if isinstance(currency, str) else "",
        owner=owner_of(row),
        person=reference(row.get("person_id"), "person_id"),
        added_ms=_moment(row, "add_time"),
        updated_ms=moment(_present(row, "update_time"), "update_time"),
        staged_ms=_moment(row, "stage_change_time"),
        won_ms=_moment(row, "won_time"),
        lost_ms=_moment(row, "lost_time"),
    )


def owner_of(row: Mapping[str, Any]) -> int:
    """Return the id of the owner, 0 for none. Raises UnreadableError."""
    return reference(next((row[name] for name in OWNERS if row.get(name) is not None), None), "the owner")


def phones_of(row: Mapping[str, Any]) -> Iterator[str]:
    """Yield the numbers of a person."""
    listed = row.get("phones", row.get("phone"))
    for one in listed[:100] if isinstance(listed, list) else ():
        value = one.get("value") if isinstance(one, dict) else one
        if isinstance(value, str) and value:
            yield value


def id_of(value: Any, name: str) -> int:
    """Return an id, a number or its digits. Raises UnreadableError."""
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= _LONGEST_ID:
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool) or not 0 < value < 10**_LONGEST_ID:
        raise UnreadableError("invalid_field", f"{name} is no id")
    return value


def reference(value: Any, name: str) -> int:
    """Return the id of a person or a user, which version 1 may put into an object; 0 for none. May raise."""
    if isinstance(value, dict):
        value = value.get("value", value.get("id"))
    return 0 if value in (None, "", 0) else id_of(value, name)


def value_of(value: Any) -> str:
    """Return an amount in digits, "" for none. Raises UnreadableError."""
    if value is None or value == "":
        return ""
    amount = read_amount(value)
    if amount is None:
        raise UnreadableError("invalid_field", "value is no amount")
    return f"{_FLOAT.create_decimal(amount).normalize():f}" if amount else "0"


def moment(value: Any, name: str) -> int:
    """Return a moment: ISO 8601, or unix seconds in `meta`. Raises UnreadableError."""
    try:
        if isinstance(value, str):
            return _ISO.moment(value)
        if isinstance(value, int | float) and name == "timestamp":
            return _UNIX.moment(value)
    except TimeError as error:
        raise UnreadableError("invalid_time", f"{name} {error}") from None
    raise UnreadableError("invalid_time", f"{name} is no moment")


def _moment(row: Mapping[str, Any], name: str) -> int:
    value = row.get(name)
    return 0 if value is None or value == "" else moment(value, name)


def _present(row: Mapping[str, Any], name: str) -> Any:
    value = row.get(name)
    if value is None:
        raise UnreadableError("missing_field", f"{name} is missing")
    return value


def rows(raws: Iterable[Raw] | None, read: Callable[[Raw], T], where: str, refused: list[Refused]) -> list[T]:
    """Return the rows that can be read; the others are refused, each by itself."""
    found: list[T] = []
    for raw in raws or ():
        try:
            found.append(read(raw))
        except UnreadableError as error:
            refused.append(Refused(reason=error.reason, detail=str(error), where=where, shape=shape(bytes(raw))))
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            detail = "a row has not the form that is expected"
            refused.append(Refused(reason="invalid_field", detail=detail, where=where, shape=shape(bytes(raw))))
    return found


def as_form(form: type[T]) -> Callable[[Raw], T]:
    """Return the reader of a row as `form`."""
    return lambda raw: msgspec.json.decode(raw, type=form, strict=False)


def as_deal(raw: Raw) -> Deal:
    """Read a row as a deal. Raises UnreadableError and exceptions of msgspec."""
    return deal_of(msgspec.json.decode(raw, type=dict[str, Any]))


def is_zero(value: str) -> bool:
    """Return whether an amount is 0, which stands for none until a user sets it."""
    return bool(value) and not Decimal(value)

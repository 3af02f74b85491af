"""Bodies of forms, `application/x-www-form-urlencoded`, as a signature needs them: each value in its own bytes."""

from __future__ import annotations

from typing import Final
from urllib.parse import unquote_to_bytes

MOST_FIELDS: Final = 100


class FormError(ValueError):
    """The body is no form that a source reads. The text is the reason, without a value."""


def fields(body: bytes) -> dict[str, bytes]:
    """Return the fields of a form. Raises FormError for more than a hundred fields, and for a name that stands twice.

    No sender needs either; of two values of a name, the signature may cover one and the source read the other.
    """
    return parsed(body, MOST_FIELDS)


def parsed(body: bytes, most_fields: int) -> dict[str, bytes]:
    """Return the fields of a form, as `fields` does, for a system that sends more of them."""
    if has_more(body, most_fields):
        raise FormError("has too many fields")
    found: dict[str, bytes] = {}
    for part in body.split(b"&"):
        name, _, value = part.partition(b"=")
        key = _plain(name).decode("utf-8", "replace")
        if key in found:
            raise FormError("has a field twice")
        if key:
            found[key] = _plain(value)
    return found


def has_more(body: bytes, most_fields: int) -> bool:
    """Return whether a form has more fields than that. This is fast even for many fields."""
    return body.count(b"&") >= most_fields


def text(value: bytes) -> str:
    """Return a value as text. Raises FormError for one that is not UTF-8."""
    try:
        return value.decode()
    except UnicodeDecodeError:
        raise FormError("is not UTF-8") from None


def _plain(escaped: bytes) -> bytes:
    return unquote_to_bytes(escaped.replace(b"+", b" "))

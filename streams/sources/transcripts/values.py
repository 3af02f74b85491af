"""Reads JSON of recognisers: documents, fields, times. An error names the field and never its value."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Final, TypeAlias

import msgspec

from streams.contract.events import LONGEST_MS
from streams.sources.frame import UnreadableError
from streams.units import SECOND_MS

LONGEST_DOCUMENT: Final = 64 * 1024 * 1024
_BOM: Final = b"\xef\xbb\xbf"
Json: TypeAlias = object
Fields: TypeAlias = Mapping[str, Json]


def documents(data: bytes) -> list[Json]:
    """Return the values of a document: one JSON value, or JSON lines. An array is one value.

    Raises:
        UnreadableError: the document is empty, too large, not UTF-8, or not JSON (NaN and Infinity are none).
    """
    if len(data) > LONGEST_DOCUMENT:
        raise UnreadableError("too_large", f"more than {LONGEST_DOCUMENT} bytes")
    data = data.removeprefix(_BOM).strip()
    if not data:
        raise UnreadableError("empty", "nothing is in it")
    try:
        data.decode()
    except UnicodeDecodeError as error:
        raise UnreadableError("not_utf8", f"invalid UTF-8 at byte {error.start}") from None
    try:
        return [msgspec.json.decode(data)]
    except RecursionError:
        raise UnreadableError("too_deep", "nested too deeply") from None
    except msgspec.MsgspecError:
        pass
    try:
        return [msgspec.json.decode(line) for line in data.split(b"\n") if line.strip()]
    except RecursionError:
        raise UnreadableError("too_deep", "nested too deeply") from None
    except msgspec.MsgspecError:
        raise UnreadableError("not_json", "neither one JSON value nor JSON lines") from None


def flat(values: Sequence[Json]) -> list[Json]:
    """Return the messages of a document: the elements of its arrays, and all else as it is."""
    found: list[Json] = []
    for value in values:
        if isinstance(value, list):
            found += value
        else:
            found.append(value)
    return found


def fields(value: Json, name: str) -> dict[str, Json]:
    """Return an object. Raises UnreadableError for anything else."""
    if not isinstance(value, dict):
        raise UnreadableError("invalid_field", f"{name} is no object")
    return value


def items(holder: Fields, *names: str) -> list[Json]:
    """Return the array under the first of the names that is there, else an empty one."""
    value = first(holder, *names)
    if value is None:
        return []
    if not isinstance(value, list):
        raise UnreadableError("invalid_field", f"{names[0]} is no array")
    return value


def first(holder: Fields, *names: str) -> Json:
    """Return the value of the first of the names that is there and not null."""
    for name in names:
        value = holder.get(name)
        if value is not None:
            return value
    return None


def text(holder: Fields, *names: str) -> str:
    """Return a text, "" where there is none. Raises UnreadableError for anything else."""
    value = first(holder, *names)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise UnreadableError("invalid_field", f"{names[0]} is no text")
    return value


def number(value: Json, name: str) -> float:
    """Return a number, which may be written as a text. Raises UnreadableError."""
    if value is None:
        raise UnreadableError("missing_field", f"{name} is missing")
    if isinstance(value, str) and len(value) <= 32 and value.isascii():  # noqa: PLR2004 - no number is longer
        try:
            value = float(value)
        except ValueError:
            value = None
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise UnreadableError("invalid_field", f"{name} is no number")
    if isinstance(value, float) and not math.isfinite(value):
        raise UnreadableError("invalid_field", f"{name} is no finite number")
    return value


def seconds(value: Json, name: str) -> int:
    """Return a place in the recording, given in seconds, in milliseconds. Raises UnreadableError."""
    return _place(number(value, name), SECOND_MS, name)


def millis(value: Json, name: str) -> int:
    """Return a place in the recording, given in milliseconds. Raises UnreadableError."""
    return _place(number(value, name), 1, name)


def _place(value: float, unit: int, name: str) -> int:
    if abs(value) > LONGEST_MS / unit:
        raise UnreadableError("invalid_time", f"{name} is more than a week; perhaps its unit is another one")
    return round(value * unit)


def share(value: Json) -> float | None:
    """Return a confidence from 0 to 1; None for another value."""
    try:
        found = number(value, "confidence")
    except UnreadableError:
        return None
    return round(found, 4) if 0 <= found <= 1 else None

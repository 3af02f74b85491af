"""The cells of a row by their meaning: columns, constants for all rows, words with a meaning, moments, spans."""

from __future__ import annotations

import contextlib
import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Final

from streams.contract.money import read_amount, read_currency
from streams.sources.files.mapping import DELETED, PEOPLE, SPANS, TIMES, WORDS, ColumnName, FileMapping
from streams.sources.files.rows import RowError
from streams.sources.files.text import UnreadableFileError
from streams.sources.times import TimeError, Times, span

_EMPTY: Final = frozenset({"", "-", "\u2013", "\u2014", "null", "none", "n/a", "\\n"})
_MOST_NAMED: Final = 5
CALL_KEY: Final = ("call", "started", *PEOPLE, "caller", "callee")
"""The columns that make a row of calls unique without `key`; and the lead's number, if the file names no calls."""
DEAL_KEY: Final = ("deal", "changed", "stage", "amount", *PEOPLE)
"""The columns that make a row of deals unique without `key`."""


class Cells:
    """Reads the cells of the rows of one file. `left_out` counts values that cost their row nothing."""

    def __init__(self, mapping: FileMapping, header: Sequence[str] | None) -> None:
        """Find the columns by `header`; None for a file without one.

        Raises:
            UnreadableFileError: a column is missing, or stands twice.
        """
        used = mapping.columns.used()
        places = _places(header)
        names = [name for column in used.values() for name in column.column]
        _check_columns([*names, *mapping.key], places, header)
        self._names = {_folded(name) for name in (*names, *mapping.key) if isinstance(name, str)}
        self.last_name = next((cell for cell in reversed(header or ()) if _folded(cell) in self._names), "")
        """The last used cell of the header, as it is written there."""
        self._at = {name: tuple(_place(one, places) for one in column.column) for name, column in used.items()}
        self._key = tuple(_place(name, places) for name in mapping.key)
        self._width = None if header is None else len(header)
        self._least = max((at for found in (*self._at.values(), self._key) for at in found), default=-1) + 1
        self._constants = mapping.constants
        self._words = {name: _meanings(mapping, name) for name in (*WORDS, "stage", "manager")}
        self._times = {
            name: Times(column.time or mapping.time, column.timezone or mapping.timezone, column.fold or mapping.fold)
            for name, column in used.items()
            if name in TIMES
        }
        forms = {
            name: (column.time or mapping.time, column.timezone or mapping.timezone)
            for name, column in used.items()
            if name in TIMES
        }
        self._certain = {name: Times(*form) for name, form in forms.items()}
        self._both = {name: (Times(*form, "first"), Times(*form, "second")) for name, form in forms.items()}
        self._spans = {name: column.spans or mapping.spans for name, column in used.items() if name in SPANS}
        self._decimal = mapping.decimal
        self.left_out: Counter[str] = Counter()
        self.people = tuple(name for name in PEOPLE if self.has(name))
        """The columns and constants that name the manager."""
        unique = CALL_KEY if mapping.what == "calls" else DEAL_KEY
        self._unique = tuple(name for name in unique if self.has(name))

    def has(self, name: str) -> bool:
        """Return whether the file has this field."""
        return name in self._at or name in self._constants

    def names(self, row: Sequence[str]) -> bool:
        """Return whether a row names all columns that are used, and so is a header."""
        return bool(self._names) and self._names <= {_folded(cell.removeprefix("\ufeff")) for cell in row}

    def check(self, row: Sequence[str]) -> None:
        """Refuse a row with another number of cells than the header, except for empty ones at its end.

        Raises RowError.
        """
        if self._width is not None and len(row) != self._width:
            if len(row) < self._width:
                raise RowError("missing_field", "has fewer cells than the header")
            if any(cell.strip() for cell in row[self._width :]):
                raise RowError("invalid_field", "has more cells than the header")
        elif len(row) < self._least:
            raise RowError("missing_field", "has fewer cells than the columns that are set")

    def text(self, row: Sequence[str], name: str) -> str:
        """Return the text of a cell, without outer spaces; "" for none, also for words such as "null" or "-"."""
        at = self._at.get(name)
        if at is None:
            return self._constants.get(name, "")
        text = row[at[0]].strip() if len(at) == 1 else " ".join(row[one].strip() for one in at).strip()
        return "" if text.casefold() in _EMPTY else text

    def key(self, row: Sequence[str]) -> str:
        """Return the unique key of the row: the columns of `key`, or else those of `CALL_KEY` or `DEAL_KEY`."""
        if self._key:
            return "\x1f".join([row[at].strip() for at in self._key])
        return "\x1f".join([self.text(row, name) for name in self._unique])

    def word(self, row: Sequence[str], name: str) -> str | None:
        """Return the meaning of a word, or None for an empty cell. Raises RowError for a word without a meaning."""
        text = self.text(row, name)
        if not text:
            return None
        found = self._words[name].get(_folded(text))
        if found is None:
            raise RowError("invalid_field", f"the {name} is a word without a meaning in values.{name}")
        return found

    def optional_word(self, row: Sequence[str], name: str) -> str | None:
        """Return the meaning of a word that may be left out; one without a meaning is counted."""
        try:
            return self.word(row, name)
        except RowError:
            self.left_out[f"{name}: a word without a meaning in values.{name}"] += 1
            return None

    def renamed(self, name: str, text: str) -> str:
        """Return the meaning of a text in the value map of `name`, or the text itself."""
        return self._words[name].get(_folded(text), text)

    def moment(self, row: Sequence[str], name: str) -> int | None:
        """Return a moment in milliseconds, or None for an empty cell. Raises RowError."""
        text = self.text(row, name)
        if not text:
            return None
        try:
            return self._times[name].moment(text)
        except TimeError as error:
            raise RowError("invalid_time", f"{name} {error}") from None

    def moment_near(self, row: Sequence[str], name: str, near_ms: int) -> int | None:
        """Return a moment, of a local time that exists twice the one that is nearer to `near_ms`. Raises RowError."""
        text = self.text(row, name)
        if not text:
            return None
        with contextlib.suppress(TimeError):
            return self._certain[name].moment(text)
        try:
            return min((one.moment(text) for one in self._both[name]), key=lambda found: abs(found - near_ms))
        except TimeError as error:
            raise RowError("invalid_time", f"{name} {error}") from None

    def span(self, row: Sequence[str], name: str) -> int | None:
        """Return a span in milliseconds, or None for an empty cell. Raises RowError."""
        text = self.text(row, name)
        if not text:
            return None
        try:
            return span(text, self._spans[name], self._decimal)
        except TimeError as error:
            raise RowError("invalid_field", f"{name} {error}") from None

    def money(self, row: Sequence[str]) -> tuple[str | None, str | None]:
        """Return amount and currency in the form of the contract. An unreadable value is left out, and counted."""
        text, named = self.text(row, "amount"), self.text(row, "currency")
        currency = read_currency(named)
        if named and currency is None:
            self.left_out["currency: no code or sign of a currency"] += 1
        if not text:
            return None, currency
        # The separator that is not the decimal one stands between thousands.
        plain = text.replace("," if self._decimal == "." else ".", "")
        amount = read_amount(plain.replace(",", ".")) if plain.count(self._decimal) <= 1 else None
        if amount is None:
            self.left_out["amount: cannot be read"] += 1
            return None, currency
        sign = "".join(char for char in text if not (char.isdigit() or char.isspace() or char in "+-.,'"))
        return f"{amount:f}", currency or (None if named else read_currency(sign))


def _places(header: Sequence[str] | None) -> dict[str, list[int]]:
    places: dict[str, list[int]] = {}
    for place, name in enumerate(header or ()):
        places.setdefault(_folded(name), []).append(place)
    return places


def _place(name: ColumnName, places: Mapping[str, list[int]]) -> int:
    return name - 1 if isinstance(name, int) else places[_folded(name)][0]


def _check_columns(names: Sequence[ColumnName], places: Mapping[str, list[int]], header: Sequence[str] | None) -> None:
    """Refuse a header without these columns. The text names those of the settings, and nothing of the file."""
    said = dict.fromkeys(name for name in names if isinstance(name, str))
    missing = [name for name in said if _folded(name) not in places]
    if missing:
        more = f" and {len(missing) - _MOST_NAMED} more" if len(missing) > _MOST_NAMED else ""
        text = ", ".join(f'"{name}"' for name in missing[:_MOST_NAMED])
        raise UnreadableFileError(f"has no column {text}{more} in its first line")
    twice = [name for name in said if len(places[_folded(name)]) > 1]
    if twice:
        raise UnreadableFileError(f'has the column "{twice[0]}" twice')
    last = max((name for name in names if isinstance(name, int)), default=0)
    if header is not None and last > len(header):
        raise UnreadableFileError(f"has no column {last}: its first line has {len(header)} cells")


def _meanings(mapping: FileMapping, name: str) -> dict[str, str]:
    own = {_folded(word): meaning for word, meaning in getattr(mapping.values, name).items()}
    words = (DELETED,) if name == "stage" else WORDS.get(name, ())
    return {word: word for word in words} | own


def _folded(text: str) -> str:
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())

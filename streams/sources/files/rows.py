"""Lines as rows of cells: CSV with quotes that may hold line breaks, or JSON lines."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

import msgspec

from streams.contract.events import Reason
from streams.sources.files.text import Line

_MOST_LINES: Final = 100
_MOST_CHARS: Final = 1 << 16


class RowError(Exception):
    """A row that is no event, and the reason; the detail quotes no value."""

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(detail)
        self.reason: Reason = reason
        self.detail = detail


class Row(NamedTuple):
    """A row: the number of its first line, its text, and its cells, or the reason why it has none."""

    line: int
    text: str
    cells: list[str] | RowError


class CsvRows:
    """Puts lines together to rows.

    An unclosed quote would include all lines after it. So a row has at most 100 lines and 64 Ki characters: beyond that
    its first line is refused, and reading goes on with the next.
    """

    def __init__(self, delimiter: str, quote: str) -> None:
        self._delimiter = delimiter
        self._quote = quote
        self._lines: list[Line] = []
        self._length = 0
        self._cells: list[str] = []
        self._open: list[str] = []
        """The pieces of the quoted cell that is not closed yet."""

    @property
    def is_waiting(self) -> bool:
        """True if the last row goes on in the next line."""
        return bool(self._lines)

    def feed(self, line: Line) -> Iterator[Row]:
        """Yield the rows that end with this line: none or one, or more after a quote that was not closed."""
        if not self._lines and self._quote not in line.text:
            if line.text and not line.is_long:
                yield Row(line.number, line.text, line.text.split(self._delimiter))
                return
            if not line.is_long:
                return  # an empty line
        todo = [line]
        while todo:
            one = todo.pop()
            if one.is_long:
                todo += self._give_up()
                yield from self._refused(one, "too_large", "a line of more than a mebibyte")
                continue
            self._lines.append(one)
            self._length += len(one.text)
            if self._scan(one.text):
                yield self._row()
            elif len(self._lines) > _MOST_LINES or self._length > _MOST_CHARS:
                first = self._lines[0]
                todo += self._give_up()
                yield from self._refused(first, "invalid_field", "a quote is not closed")

    def finish(self) -> Iterator[Row]:
        """Yield the rows of the lines that are left after a quote that was not closed."""
        while self._lines:
            first, rest = self._lines[0], self._give_up()
            yield from self._refused(first, "invalid_field", "a quote is not closed")
            while rest:
                yield from self.feed(rest.pop())

    def _row(self) -> Row:
        first = self._lines[0]
        text = first.text if len(self._lines) == 1 else "\n".join(line.text for line in self._lines)
        row = Row(first.number, text, self._cells)
        self._clear()
        return row

    def _give_up(self) -> list[Line]:
        """Return the lines after the first one, the last of them first, and drop all lines."""
        rest = self._lines[:0:-1]
        self._clear()
        return rest

    def _clear(self) -> None:
        self._lines, self._length, self._cells, self._open = [], 0, [], []

    def _refused(self, line: Line, reason: Reason, detail: str) -> Iterator[Row]:
        yield Row(line.number, line.text, RowError(reason, detail))

    def _scan(self, text: str) -> bool:
        """Take the cells of a line. Return False if the row goes on in the next line."""
        quote, delimiter, at = self._quote, self._delimiter, 0
        quoted = len(self._lines) > 1
        while True:
            if not quoted and text.startswith(quote, at):
                quoted, at, self._open = True, at + 1, []
            if quoted:
                end = text.find(quote, at)
                if end < 0:
                    self._open.append(text[at:] + "\n")
                    return False
                self._open.append(text[at:end])
                at = end + 1
                if text.startswith(quote, at):
                    self._open.append(quote)
                    at += 1
                    continue
            end = text.find(delimiter, at)
            rest = text[at:] if end < 0 else text[at:end]
            self._cells.append("".join(self._open) + rest if quoted else rest)
            if end < 0:
                return True
            quoted, at, self._open = False, end + 1, []


class JsonRows:
    """Reads each line as one JSON object. `names` are the keys whose values are the cells; a dot leads into objects."""

    def __init__(self, names: Sequence[str]) -> None:
        self._names = names

    @property
    def is_waiting(self) -> bool:
        """Return False: each line is a row."""
        return False

    def feed(self, line: Line) -> Iterator[Row]:
        """Yield the row of a line, or nothing for an empty one."""
        if line.text.strip() or line.is_long:
            yield Row(line.number, line.text, self._cells(line))

    def finish(self) -> Iterator[Row]:
        """Yield nothing: each line is a row."""
        yield from ()

    def _cells(self, line: Line) -> list[str] | RowError:
        if line.is_long:
            return RowError("too_large", "a line of more than a mebibyte")
        try:
            held = msgspec.json.decode(line.text.encode("utf-8", "surrogatepass"))
        except RecursionError:
            return RowError("too_deep", "nested too deeply")
        except (msgspec.MsgspecError, UnicodeError):
            return RowError("not_json", "is not one JSON object")
        if not isinstance(held, dict):
            return RowError("not_json", "is not one JSON object")
        return [_text(_find(held, name)) for name in self._names]


def _find(held: object, name: str) -> object:
    if isinstance(held, dict):
        if name in held:
            return held[name]
        first, dot, rest = name.partition(".")
        if dot:
            return _find(held.get(first), rest)
    return None


def _text(value: object) -> str:
    """Return a JSON value as the text of a cell. An array is its values with commas between."""
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return ", ".join(_text(one) for one in value if not isinstance(one, dict | list))
    return "" if isinstance(value, dict) else repr(value)

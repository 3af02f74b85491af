"""Rows of text files, made of lines: csv with quotes, even broken ones.

A row may go on over several lines, inside quotes. An unclosed quote must not include the rows after it: the first line
that is a whole row by itself ends the broken one.
"""

from __future__ import annotations

import contextlib
import csv
from collections.abc import Callable, Iterator, Sequence
from typing import Final, TypeAlias

from streams.contract.events import Reason
from streams.sources.frame import Refused, shape

LONGEST_LINE: Final = 64 * 1024
_MOST_LINES: Final = 16
_UTF16: Final = (b"\xff\xfe", b"\xfe\xff")
_BOM: Final = b"\xef\xbb\xbf"

Fields: TypeAlias = list[str]


def refuse(reason: Reason, detail: str, line: bytes, where: str) -> Refused:
    """Return the refusal of a line. Its shape has no letter and no digit of it."""
    return Refused(reason=reason, detail=detail, where=where, shape=shape(line[:1024]))


class Lines:
    """Checks and decodes the lines of one file, from its beginning or from any line on."""

    def __init__(self) -> None:
        self.number = 0
        """The number of lines so far."""
        self.unusable = ""
        """The reason why no line of the file can be read, "" for a readable file."""

    def take(self, line: bytes) -> Iterator[str | Refused]:
        """Yield the text of a line without its end, and a refusal of a bad line. Unknown bytes become U+FFFD."""
        self.number += 1
        if self.number == 1:
            if line.startswith(_UTF16):
                self.unusable = "the file is UTF-16; Asterisk writes UTF-8"
                yield self._refuse("not_utf8", self.unusable, line)
            line = line.removeprefix(_BOM)
        if self.unusable:
            return
        line = line.rstrip(b"\r\n")
        if b"\0" in line:
            yield self._refuse("not_utf8", "NUL bytes, as a crash leaves them", line)
            line = line.lstrip(b"\0")
        if len(line) > LONGEST_LINE:
            yield self._refuse("too_large", f"more than {LONGEST_LINE} bytes in a line", line)
        elif line.strip() and b"\0" not in line:
            yield line.decode("utf-8", "replace")

    def _refuse(self, reason: Reason, detail: str, line: bytes) -> Refused:
        return refuse(reason, detail, line, f"line {self.number}")


class RowAssembler:
    """Makes rows of csv out of lines. `is_whole` returns whether the fields of one line are a row of this file."""

    def __init__(self, separator: str, quote: str, is_whole: Callable[[Sequence[str]], bool]) -> None:
        self._separator = separator
        self._quote = quote
        self._is_whole = is_whole
        self._waiting: list[str] = []
        self._where = ""
        self._unread = _Unread()
        self._reader = csv.reader(
            self._unread,
            delimiter=separator,
            quotechar=quote or None,
            quoting=csv.QUOTE_MINIMAL if quote else csv.QUOTE_NONE,
        )

    @property
    def is_waiting(self) -> bool:
        """True if a row has begun that is not complete."""
        return bool(self._waiting)

    def take(self, text: str, where: str) -> Iterator[Fields | Refused]:
        """Yield the rows that a line completes, and refusals of text that is no row."""
        is_even = not self._quote or text.count(self._quote) % 2 == 0
        if not self._waiting:
            if is_even:
                yield self._parse(text)
            else:
                self._begin(text, where)
            return
        if is_even:
            fields = self._parse(text)
            if self._is_whole(fields):
                yield self._broken()
                yield fields
                return
        self._waiting.append(text)
        joined = "\n".join(self._waiting)
        if not is_even:
            fields = self._parse(joined)
            if self._is_whole(fields):
                self._waiting = []
                yield fields
                return
            yield self._broken()
            self._begin(text, where)
        elif len(self._waiting) > _MOST_LINES or len(joined) > LONGEST_LINE:
            yield self._broken()

    def _begin(self, text: str, where: str) -> None:
        self._waiting, self._where = [text], where

    def _broken(self) -> Refused:
        line = self._waiting[0].encode("utf-8", "replace")
        self._waiting = []
        return refuse("invalid_field", "a quote that is never closed", line, self._where)

    def _parse(self, text: str) -> Fields:
        """Return the fields of a text; none if csv refuses it, for example because a field is too long."""
        if self._quote and self._quote not in text:
            return text.split(self._separator)
        try:
            return self._read(text)
        except csv.Error:  # a carriage return outside quotes, which is no end of a row here
            with contextlib.suppress(csv.Error):
                return self._read(text.replace("\r", " "))
        return []

    def _read(self, text: str) -> Fields:
        *lines, last = text.split("\n")
        self._unread.lines = [last, *(f"{line}\n" for line in reversed(lines))]
        return [field for row in self._reader for field in row]


class _Unread:
    """The input of a reader of csv, which is made once and used for each row. The next line is the last one."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        if not self.lines:
            raise StopIteration
        return self.lines.pop()
